"""The actor library: what each actor does, what it keeps from others, and that it survives a restart."""

import pytest

from goblins_py.actors import PersistenceEnv, Promise, actor, make_promise, on, ref_to, spawn
from goblins_py.errors import NoSuchMethodError, Refusal, RemoteError
from goblins_py.lib import (
    Cell,
    lib_env,
    spawn_facet,
    spawn_read_only,
    spawn_revocable,
    spawn_sealer_triplet,
    spawn_swappable,
    spawn_write_only,
)
from goblins_py.runtime import open_persistent_vat
from goblins_py.syrup import Symbol
from goblins_py.testing import SyncVats
from persistence import MemoryStore
from runtime_kit import alice_and_bob


@actor
class Purse:
    amount: int = 0

    def deposit_gift(self, amount: int) -> int:
        self.amount += amount
        return self.amount

    def withdraw(self, amount: int, *, reason: str = "") -> int:
        self.amount -= amount
        return self.amount

    def fail(self) -> None:
        raise ValueError("on purpose")


@pytest.fixture
def vats():
    return SyncVats()


@pytest.fixture
def vat(vats):
    return vats.open()


# --- cells --------------------------------------------------------------------------------


def test_a_cell_holds_one_value(vat) -> None:
    """By name, and called as Goblins calls its cells."""
    cell = vat.run(spawn, Cell, 5)
    assert 5 == vat.run(cell.get) == vat.run(cell)
    vat.run(cell.set, 6)
    assert 6 == vat.run(cell)
    vat.run(cell, 7)
    assert 7 == vat.run(cell.get)
    assert vat.run(lambda: spawn(Cell).get()) is None


def test_a_misspelt_method_does_not_write_a_cell(vat) -> None:
    """A symbol is set by name only; more than one value never."""
    cell = vat.run(spawn, Cell, 5)
    writer = vat.run(spawn_write_only, cell)
    for attempt in (
        cell.gte,
        lambda: cell.sett(6),
        lambda: cell(Symbol("x")),
        lambda: writer(Symbol("x")),
    ):
        with pytest.raises(NoSuchMethodError, match="a cell has no method"):
            vat.run(attempt)
    with pytest.raises(TypeError, match="one value"):
        vat.run(cell, 1, 2)
    assert 5 == vat.run(cell.get)
    vat.run(cell.set, Symbol("x"))
    assert Symbol("x") == vat.run(cell)


def test_a_cell_can_be_given_out_to_read_or_to_write(vat) -> None:
    """Each of the two does only that."""
    cell = vat.run(spawn, Cell, 5)
    reader, writer = vat.run(lambda: (spawn_read_only(cell), spawn_write_only(cell)))
    vat.run(writer.set, 6)
    assert 6 == vat.run(reader.get)
    vat.run(writer, 7)
    assert 7 == vat.run(reader)
    with pytest.raises(TypeError):
        vat.run(reader, 8)
    with pytest.raises(TypeError):
        vat.run(reader.set, 8)
    with pytest.raises(TypeError):
        vat.run(writer)


def test_a_cell_that_is_elsewhere_is_read_by_send(vats, vat) -> None:
    """The reader gives a promise."""
    cell = vats.open("away").run(spawn, Cell, 5)
    reader, writer = vat.run(lambda: (spawn_read_only(cell), spawn_write_only(cell)))
    assert vat.take(vat.run(writer.set, 6)) is None
    assert 6 == vat.take(vat.run(reader.get))


# --- facets -------------------------------------------------------------------------------


def test_a_facet_passes_on_only_what_it_was_made_for(vat) -> None:
    """With all arguments; under both names of a method."""
    purse = vat.run(spawn, Purse, 10)
    facet = vat.run(spawn_facet, purse, "deposit_gift", "fail")
    assert 15 == vat.run(facet.deposit_gift, 5)
    assert 16 == vat.run(facet, Symbol("deposit_gift"), 1)
    with pytest.raises(NoSuchMethodError, match="'withdraw' is denied"):
        vat.run(facet.withdraw, 5)
    with pytest.raises(NoSuchMethodError, match="method name only"):
        vat.run(facet, 5)
    with pytest.raises(NoSuchMethodError, match="method name only"):
        vat.run(facet)
    with pytest.raises(ValueError, match="on purpose"):
        vat.run(facet.fail)
    other = vat.run(spawn_facet, purse, "withdraw")
    assert 6 == vat.run(lambda: other.withdraw(10, reason="rent"))


def test_a_facet_checks_the_very_name_that_it_passes_on(vat) -> None:
    """A target that tells spellings apart is reached by the allowed one only."""
    seen = []
    target = vat.run(spawn, lambda symbol: seen.append(symbol.name))
    facet = vat.run(spawn_facet, target, "two_words", Symbol("exactName_"))
    for name in ("two-words", "two_words", "exactName_"):
        vat.run(facet, Symbol(name))
    with pytest.raises(NoSuchMethodError):
        vat.run(facet, Symbol("exactName"))
    assert ["two-words", "two-words", "exactName_"] == seen


def test_a_facet_of_a_far_object_answers_with_a_promise(vats, vat) -> None:
    """Near it calls, else it sends."""
    purse = vats.open("away").run(spawn, Purse, 1)
    facet = vat.run(spawn_facet, purse, "deposit_gift")
    promise = vat.run(facet.deposit_gift, 1)
    assert isinstance(promise, Promise)
    assert 2 == vat.take(promise)


# --- forwarders ---------------------------------------------------------------------------


def test_a_forwarder_works_until_it_is_revoked(vat) -> None:
    """Then it refuses everything; revoking twice is no error."""
    purse = vat.run(spawn, Purse)
    forwarder, revoker = vat.run(spawn_revocable, purse)
    assert 5 == vat.run(forwarder.deposit_gift, 5)
    assert 4 == vat.run(lambda: forwarder.withdraw(1, reason="test"))
    vat.run(revoker.revoke)
    vat.run(revoker)
    for attempt in (lambda: forwarder.deposit_gift(1), forwarder):
        with pytest.raises(Refusal, match="revoked"):
            vat.run(attempt)
    assert 5 == vat.run(purse.deposit_gift, 1)


def test_a_failed_turn_revokes_nothing(vat) -> None:
    """Revoking is state like any other."""
    forwarder, revoker = vat.run(lambda: spawn_revocable(spawn(Purse)))

    def turn() -> None:
        revoker.revoke()
        raise LookupError

    with pytest.raises(LookupError):
        vat.run(turn)
    assert 1 == vat.run(forwarder.deposit_gift, 1)


def test_a_proxy_can_be_given_another_target(vat) -> None:
    """By whoever has the swapper."""
    first, second = vat.run(lambda: (spawn(Purse, 1), spawn(Purse, 10)))
    proxy, swapper = vat.run(spawn_swappable, first)
    assert 2 == vat.run(proxy.deposit_gift, 1)
    vat.run(swapper.swap, second)
    assert 11 == vat.run(proxy.deposit_gift, 1)
    vat.run(swapper, first)
    assert 3 == vat.run(proxy.deposit_gift, 1)


@pytest.mark.parametrize("bad", [None, 5, "text"])
def test_messages_can_be_passed_on_to_references_only(vat, bad) -> None:
    """Refused where the mistake is made."""
    proxy, swapper = vat.run(lambda: spawn_swappable(spawn(Purse)))
    for attempt in (lambda: swapper.swap(bad), lambda: spawn_revocable(bad), lambda: spawn_swappable(bad)):
        with pytest.raises(TypeError, match="passed on to references"):
            vat.run(attempt)
    assert 1 == vat.run(proxy.deposit_gift, 1)


# --- sealers ------------------------------------------------------------------------------


@pytest.fixture
def triplet(vat):
    return vat.run(spawn_sealer_triplet)


def test_only_the_unsealer_opens_what_the_sealer_sealed(vat, triplet) -> None:
    """Any value, None too; a box opens as often as one likes."""
    sealer, unsealer, is_sealed = triplet
    for value in ("secret", None, (1, 2), sealer):
        box = vat.run(sealer, value)
        assert value == vat.run(unsealer, box) == vat.run(unsealer.unseal, box)
        assert vat.run(is_sealed, box) is vat.run(is_sealed.is_sealed, box) is True
        assert vat.run(sealer.seal, value) is not box


def test_another_unsealer_opens_nothing(vat, triplet) -> None:
    """Nor does it know the box."""
    box = vat.run(triplet[0], "secret")
    _, unsealer, is_sealed = vat.run(spawn_sealer_triplet)
    with pytest.raises(Refusal, match="matching sealer"):
        vat.run(unsealer, box)
    assert vat.run(is_sealed, box) is False


def test_a_box_tells_nobody_what_is_in_it(vat, triplet) -> None:
    """Whatever it is asked."""
    box = vat.run(triplet[0], "secret")
    assert vat.run(box.offer) is None
    for attempt in (box, box.get, box.value, lambda: box(Symbol("_value"))):
        with pytest.raises(NoSuchMethodError):
            vat.run(attempt)
    assert "secret" not in repr(box)
    assert () == vat.run(triplet[1]._behaviour._brand.opened, 5)


@actor
class Mimic:
    """Stands before a real box, or answers anything."""

    box: object = None
    asked: object = None

    def offer(self):
        if self.asked is not None:
            self.asked(self.box)
        return None if self.box is None else self.box.offer()


@actor
class Angry:
    def offer(self):
        raise ValueError("no")


@actor
class Slow:
    async def offer(self):
        await on(1)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda triplet, box: spawn(Mimic), id="one that says nothing"),
        pytest.param(lambda triplet, box: spawn(Mimic, box), id="one before a real box"),
        pytest.param(lambda triplet, box: spawn(Mimic, box, triplet[2]), id="one that has the check itself"),
        pytest.param(lambda triplet, box: spawn(Mimic, box, triplet[1]), id="one that even has the unsealer"),
        pytest.param(lambda triplet, box: spawn(Angry), id="one that raises"),
        pytest.param(lambda triplet, box: spawn(Slow), id="one that answers later"),
        pytest.param(lambda triplet, box: spawn(lambda *args: True), id="one that answers everything"),
        pytest.param(lambda triplet, box: spawn_revocable(box)[0], id="a forwarder to a real one"),
        pytest.param(lambda triplet, box: triplet[0], id="the sealer"),
        pytest.param(lambda triplet, box: 5, id="a number"),
        pytest.param(lambda triplet, box: None, id="nothing"),
    ],
)
def test_what_mimics_a_box_opens_nothing(vat, triplet, make) -> None:
    """And the real box opens afterwards as before."""
    sealer, unsealer, is_sealed = triplet
    box = vat.run(sealer, "secret")
    thing = vat.run(make, triplet, box)
    assert vat.run(is_sealed, thing) is False
    with pytest.raises(Refusal, match="matching sealer"):
        vat.run(unsealer, thing)
    vat.run(box.offer)
    assert vat.run(is_sealed, thing) is False
    assert "secret" == vat.run(unsealer, box)


def test_an_object_of_another_vat_is_no_box(vats, vat, triplet) -> None:
    """Boxes live with their triplet; nothing is sent to find out."""
    far = vats.open("away").run(spawn, Mimic)
    assert vat.run(triplet[2], far) is False


def test_a_promised_box_is_opened_when_it_is_there(vat, triplet) -> None:
    """A promise in, a promise out; of what is no box it breaks."""
    sealer, unsealer, is_sealed = triplet
    promise, resolver = vat.run(make_promise)
    opened, known = vat.run(lambda: (unsealer(promise), is_sealed(promise)))
    vat.run(lambda: resolver.fulfill(sealer("secret")))
    assert "secret" == vat.take(opened)
    assert vat.take(known) is True
    with pytest.raises(Refusal):
        vat.take(vat.run(lambda: unsealer(on(5))))


# --- restarts and sessions ----------------------------------------------------------------


@actor
class Desk:
    """Holds one of each."""

    things: tuple

    def get(self):
        return self.things

    def me(self):
        return ref_to(self)


def fill_desk():
    purse = spawn(Purse, 10)
    sealer, unsealer, is_sealed = spawn_sealer_triplet()
    cell = spawn(Cell, "kept")
    return spawn(
        Desk,
        (
            *spawn_revocable(purse),
            *spawn_swappable(purse),
            spawn_facet(purse, "deposit_gift"),
            spawn_read_only(cell),
            spawn_write_only(cell),
            (unsealer, is_sealed, sealer("secret"), spawn(Mimic)),
        ),
    )


async def test_all_of_them_survive_a_restart() -> None:
    """With what they hold, and with who may do what."""
    store = MemoryStore()
    env = PersistenceEnv(Desk, Purse, Mimic, extends=[lib_env])
    async with open_persistent_vat(env, fill_desk, store) as (vat, desk):
        await vat.run(lambda: desk.get()[4].deposit_gift(5))
        await vat.run(lambda: (desk.get()[1].revoke(),))
        await vat.run(lambda: desk.get()[6].set("written"))
    async with open_persistent_vat(env, fill_desk, store) as (vat, desk):
        forwarder, _, proxy, _, facet, reader, _, seals = await vat.run(desk.get)
        unsealer, is_sealed, box, mimic = seals
        with pytest.raises(Refusal, match="revoked"):
            await vat.run(lambda: forwarder.deposit_gift(1))
        assert 16 == await vat.run(lambda: proxy.deposit_gift(1))
        assert 17 == await vat.run(lambda: facet.deposit_gift(1))
        with pytest.raises(NoSuchMethodError):
            await vat.run(lambda: facet.withdraw(1))
        assert "written" == await vat.run(reader.get)
        assert "secret" == await vat.run(unsealer, box)
        assert (True, False) == await vat.run(lambda: (is_sealed(box), is_sealed(mimic)))


async def test_all_of_them_work_over_a_session() -> None:
    """A peer uses them like any object; a box that went to it and came back is the same box."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Desk, await alice.vat.run(lambda: fill_desk()._behaviour.things))
        desk = await bob.enliven(sturdyref)
        forwarder, revoker, proxy, swapper, facet, reader, writer, seals = await bob.vat.send(desk).get()
        unsealer, is_sealed, box, mimic = seals
        to = bob.vat.send
        assert 15 == await to(forwarder).deposit_gift(5)
        await to(revoker).revoke()
        with pytest.raises(RemoteError, match="revoked"):
            await to(forwarder).deposit_gift(5)
        with pytest.raises(RemoteError):
            await to(facet).withdraw(5)
        mine = await bob.vat.run(spawn, Purse, 100)
        await to(swapper).swap(mine)
        assert 101 == await to(proxy).deposit_gift(1)
        await to(writer).set("from afar")
        assert "from afar" == await to(reader).get()
        assert "secret" == await to(unsealer)(box)
        assert [True, False] == [await to(is_sealed)(box), await to(is_sealed)(mimic)]
        my_mimic = await bob.vat.run(lambda: spawn(Mimic, box))
        assert await to(is_sealed)(my_mimic) is False
