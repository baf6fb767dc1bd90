"""The bank of today opens the stores of its former generations, which are files in tests/stores."""

import shutil

import pytest

from goblins_py import (
    Map,
    PersistenceEnv,
    Promise,
    Ref,
    Symbol,
    actor,
    open_persistent_vat,
    spawn,
    spawn_persistent_vat,
    upgrade,
    value,
)
from goblins_py.abc import Snapshot
from goblins_py.errors import UnknownObjectError, UpgradeFailedError, VersionMismatchError
from goblins_py.syrup import Record
from old_stores_kit import GENERATIONS, make_store, store_of
from persistence import SyrupStore


@value(version=1)
class Money:
    """Of a currency, since there is more than one."""

    cents: int
    currency: str

    @upgrade(from_version=0)
    @staticmethod
    def _in_dollars(state: Map) -> Map:
        return state.set("currency", "USD")


@actor(version=3)
class Account:
    """An account, with all that it took to get here."""

    owner: str
    money: Money
    bank: Ref

    @upgrade(from_version=0)
    @staticmethod
    def _in_cents(state: Map) -> Map:
        return state.delete("dollars").set("cents", 100 * state["dollars"])

    @upgrade(from_version=1)
    @staticmethod
    def _in_money(state: Map) -> Map:
        return state.delete("cents").set("money", Money(state["cents"], "USD"))

    @upgrade(from_version=2)
    @staticmethod
    def _of_a_bank(state: Map) -> Map:
        return state.delete("branch").set("bank", state["branch"])

    def balance(self) -> tuple:
        return self.money.cents, self.money.currency

    def deposit(self, cents: int) -> None:
        self.money = Money(self.money.cents + cents, self.money.currency)


@actor(version=1)
class Bank:
    """What was a branch; without a journal."""

    accounts: Map[str, Ref]
    opened: Promise | None = None

    @upgrade(from_version=0)
    @staticmethod
    def _without_journal(state: Map) -> Map:
        return state.delete("journal")

    def account(self, name: str) -> Ref:
        return self.accounts[name]


@actor
class Auditor:
    """New: a second root."""

    bank: Ref
    total: int


NAMES = {"bank.Account": Account, "bank.Bank": Bank, "bank.Money": Money, "bank.Auditor": Auditor}
ENV = PersistenceEnv(named=NAMES, aliases={"bank.Branch": Bank})
EVERY = pytest.mark.parametrize("number", range(len(GENERATIONS)))


def roots() -> Ref:
    raise AssertionError("the store is not new")


def with_auditor(version: int, bank: Ref) -> tuple[Ref, Ref]:
    """Roots of version 1."""
    assert version == 0
    accounts = [bank.account(name) for name in ("alice", "bob")]
    return bank, spawn(Auditor, bank, sum(account.balance()[0] for account in accounts))


def todays(store: SyrupStore, env: PersistenceEnv = ENV, upgrade_roots=with_auditor):
    """The bank of today."""
    return open_persistent_vat(env, roots, store, roots_version=1, upgrade_roots=upgrade_roots)


@pytest.fixture
def copy_of(tmp_path):
    """A copy of an old store, to be opened."""
    return lambda number: shutil.copy(store_of(number), tmp_path / "bank.syrup")


async def contents(path):
    """What is in a store."""
    store = SyrupStore(path)
    try:
        return await store.open()
    finally:
        await store.aclose()


@EVERY
async def test_the_recipe_still_makes_what_the_old_store_holds(number: int, copy_of, tmp_path) -> None:
    """So the recipe says what is in the file."""
    await make_store(number, tmp_path / "made_now.syrup")
    then, now = await contents(copy_of(number)), await contents(tmp_path / "made_now.syrup")
    assert described(then) == described(now)


def described(snapshot: Snapshot):
    """All but the vat's id and the numbers of slots, which are by chance."""
    names = {slot: (each.name, each.state.get("owner")) for slot, each in snapshot.portraits.items()}

    def seen(written):
        if isinstance(written, Record):
            is_ref = written.label == Symbol("near")
            return names[written.fields[0]] if is_ref else (written.label, *map(seen, written.fields))
        return {key: seen(item) for key, item in written.items()} if isinstance(written, Map) else written

    portraits = {names[slot]: (each.version, seen(each.state)) for slot, each in snapshot.portraits.items()}
    return [names[slot] for slot in snapshot.roots], snapshot.roots_version, portraits


@EVERY
async def test_an_old_store_opens_as_the_bank_of_today(number: int, copy_of) -> None:
    """State, references in circles, settled promises, renamed classes, roots."""
    async with todays(SyrupStore(copy_of(number))) as (vat, (bank, auditor)):
        alice, bob = [await vat.send(bank).account(name) for name in ("alice", "bob")]
        assert (1200, "USD") == await vat.send(alice).balance()
        assert (500, "USD") == await vat.send(bob).balance()
        assert ("Alice", "Bob") == (alice._behaviour.owner, bob._behaviour.owner)
        assert bank is alice._behaviour.bank is bob._behaviour.bank
        assert "on time" == await bank._behaviour.opened
        assert (bank, 1700) == (auditor._behaviour.bank, auditor._behaviour.total)


@EVERY
async def test_an_old_store_is_upgraded_once(number: int, copy_of) -> None:
    """After that a program without upgrades and former names opens it, with what happened meanwhile."""
    path = copy_of(number)
    async with todays(SyrupStore(path)) as (vat, (bank, _)):
        await vat.send(await vat.send(bank).account("alice")).deposit(5)
    after = await contents(path)
    kinds = {(portrait.name, portrait.version) for portrait in after.portraits.values()}
    assert {("bank.Bank", 1), ("bank.Account", 3), ("bank.Auditor", 0)} == kinds
    assert 1 == after.roots_version
    Money.__goblins_upgrades__, money = {}, Money.__goblins_upgrades__
    Account.__goblins_upgrades__, account = {}, Account.__goblins_upgrades__
    try:
        async with todays(SyrupStore(path), PersistenceEnv(named=NAMES), None) as (vat, (bank, _)):
            alice = await vat.send(bank).account("alice")
            assert (1205, "USD") == await vat.send(alice).balance()
    finally:
        Money.__goblins_upgrades__, Account.__goblins_upgrades__ = money, account


def broken_auditor(version: int, bank: Ref) -> Ref:
    """Fails when it has done much."""
    with_auditor(version, bank)
    bank.account("alice").deposit(1)
    raise LookupError("no auditor")


@actor(version=3)
class Failing:
    """An account whose last upgrade does not work."""

    owner: str

    @upgrade(from_version=2)
    @staticmethod
    def _fail(state: Map) -> Map:
        raise LookupError(state["owner"])


@pytest.mark.parametrize(
    ("env", "upgrade_roots", "error", "text"),
    [
        (
            ENV,
            broken_auditor,
            UpgradeFailedError,
            "roots cannot be upgraded .* 0 to 1: LookupError",
        ),
        (ENV, None, VersionMismatchError, "roots were saved at version 0, and are version 1 now"),
        (PersistenceEnv(named=NAMES), with_auditor, UnknownObjectError, r"'bank\.Branch'"),
        (
            PersistenceEnv(named=NAMES | {"bank.Account": Failing}, aliases={"bank.Branch": Bank}),
            with_auditor,
            UpgradeFailedError,
            r"bank\.Account cannot be upgraded from version 2 to 3: LookupError",
        ),
    ],
)
async def test_a_store_that_could_not_be_upgraded_is_as_it_was(
    env, upgrade_roots, error, text, *, copy_of
) -> None:
    """Byte for byte; and a better program opens it."""
    path = copy_of(2)
    with pytest.raises(error, match=text):
        async with todays(SyrupStore(path), env, upgrade_roots):
            pytest.fail("it was opened")
    assert store_of(2).read_bytes() == path.read_bytes()
    async with todays(SyrupStore(path)) as (vat, (bank, _)):
        assert (1200, "USD") == await vat.send(await vat.send(bank).account("alice")).balance()


async def test_a_crash_after_an_upgrade_leaves_all_of_it_or_nothing(copy_of, tmp_path) -> None:
    """It is one frame: cut anywhere, the store is the old one, and is upgraded at the next start."""
    path = copy_of(0)
    before = path.read_bytes()
    async with todays(SyrupStore(path)):
        pass
    after = path.read_bytes()
    assert before == after[: len(before)]
    for size in range(len(before), len(after), 97):
        path.write_bytes(after[:size])
        assert 0 == (await contents(path)).roots_version
    path.write_bytes(after)
    assert 1 == (await contents(path)).roots_version


def test_a_vat_in_the_background_upgrades_as_well(copy_of) -> None:
    """For plain programs; a failure leaves nothing open."""
    path = copy_of(1)
    with pytest.raises(UpgradeFailedError, match="roots cannot be upgraded"):
        spawn_persistent_vat(ENV, roots, SyrupStore(path), roots_version=1, upgrade_roots=broken_auditor)
    assert store_of(1).read_bytes() == path.read_bytes()
    for upgrade_roots in (with_auditor, None):
        vat, (bank, auditor) = spawn_persistent_vat(
            ENV, roots, SyrupStore(path), roots_version=1, upgrade_roots=upgrade_roots
        )
        with vat:
            assert 1700 == vat.run(lambda: auditor._behaviour.total)  # noqa: B023 - it runs here and now
            assert (1200, "USD") == vat.send(vat.send(bank).account("alice")).balance().wait(5)
