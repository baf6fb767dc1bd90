"""Portraits of former versions, and under former names."""

import attrs
import pytest

from goblins_py import (
    Map,
    PersistenceEnv,
    Symbol,
    Tagged,
    actor,
    on,
    spawn,
    upgrade,
)
from goblins_py import value as value_class
from goblins_py.errors import (
    NoCurrentTurnError,
    NotPortrayableError,
    StoreCorruptError,
    UnknownObjectError,
    UpgradeFailedError,
    VersionMismatchError,
)
from upgrades_kit import Box, Leaf, disk_of, named, old_box, saved
from vat_kit import Disk, Persistent


def test_upgrades_run_in_the_order_of_versions_from_the_saved_one() -> None:
    """However they stand in the class; each gets what the one before has returned."""
    assert [(10, ("0", "1", "2"))] == boxes(disk_of(0, weight=5))
    assert [(7, ("x", "1", "2"))] == boxes(disk_of(1, size=7, trail=("x",)))
    assert [(7, ())] == boxes(disk_of(3, size=7))


def boxes(disk: Disk):
    vat = Persistent(named(box=Box), disk)
    return [vat.run(root.get) for root in vat.roots]


def test_what_was_upgraded_is_saved_with_the_first_delta() -> None:
    """So that the next start need not upgrade again; what fits is not saved again."""
    disk = disk_of(0, weight=5)
    Persistent(named(box=Box), disk)
    portrait = disk.snapshot.portraits[0]
    assert ("box", 3, {"size": 10, "trail": ("0", "1", "2")}) == (
        portrait.name,
        portrait.version,
        portrait.state,
    )
    disk.snapshot = attrs.evolve(disk.snapshot, portraits={0: portrait})
    Persistent(named(box=Box), disk)
    assert portrait is disk.snapshot.portraits[0]


def test_an_upgraded_object_goes_on_from_there() -> None:
    """What it does later is saved over the upgrade."""

    @actor(version=1)
    class Counter:
        count: int = 0

        @upgrade(from_version=0)
        @staticmethod
        def _rename(state):
            return {"count": state["n"]}

        def on_start(self, restored):
            self.count += 1

    disk = disk_of(0, n=5)
    Persistent(named(box=Counter), disk)
    assert {0: {"count": 6}} == disk.states


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (4, r"box was saved at version 4, by a newer program: it is version 3 here"),
        (9, r"box was saved at version 9, by a newer program"),
    ],
)
def test_a_store_that_is_newer_than_the_class_is_refused(version: int, text: str) -> None:
    """With the name and both versions."""
    with pytest.raises(VersionMismatchError, match=text):
        boxes(disk_of(version, size=1))


def test_a_missing_step_is_refused_before_any_runs() -> None:
    """With the name, both versions, and the step."""
    ran = []

    @actor(version=3)
    class Gap:
        @upgrade(from_version=0)
        @staticmethod
        def _zero(state):
            ran.append(state)

        @upgrade(from_version=2)
        @staticmethod
        def _two(state):
            ran.append(state)

    text = "box was saved at version 0, and it is version 3 now: it has no upgrade from version 1"
    with pytest.raises(VersionMismatchError, match=text):
        Persistent(named(box=Gap), disk_of(0))
    assert [] == ran


def test_a_base_classes_upgrades_are_for_its_own_versions() -> None:
    """A class that extends it counts by itself, and may use them by name."""

    @actor(version=3)
    class Plain(Box):
        pass

    @actor(version=1)
    class Wise(Box):
        @upgrade(from_version=0)
        @staticmethod
        def _as_box(state):
            return Box.first(state)

    with pytest.raises(VersionMismatchError, match="no upgrade from version 0"):
        Persistent(named(box=Plain), disk_of(0, weight=1))
    vat = Persistent(named(box=Wise), disk_of(0, weight=1))
    assert (2, ("0",)) == vat.run(vat.roots[0].get)


def upgraded_by(function, disk: Disk | None = None, **more) -> Persistent:
    """Restore a box whose class has this one upgrade, and a field `inside`."""

    @actor(version=1)
    class Changed:
        inside: object = None

        def get(self):
            return self.inside

        _up = upgrade(from_version=0)(function)

    return Persistent(named(box=Changed, **more), disk or disk_of(0, secret="the secret"))


def fail(_state):
    raise ValueError("the secret")


async def wait(_state):
    return {}


@pytest.mark.parametrize(
    ("function", "kind", "cause"),
    [
        pytest.param(fail, "ValueError", ValueError, id="raises"),
        pytest.param(lambda state: state["missing"], "KeyError", KeyError, id="looks for what is not there"),
        pytest.param(lambda state: None, "TypeError", TypeError, id="returns nothing"),
        pytest.param(lambda state: [1], "TypeError", TypeError, id="returns a list"),
        pytest.param(lambda state: {1: 2}, "TypeError", TypeError, id="names that are no strings"),
        pytest.param(lambda state: {"inside": object()}, "TypeError", TypeError, id="what is no value"),
        pytest.param(
            lambda state: spawn(Leaf), "NoCurrentTurnError", NoCurrentTurnError, id="spawns: there is no turn"
        ),
        pytest.param(
            lambda state: on(1), "NoCurrentTurnError", NoCurrentTurnError, id="asks: there is no turn"
        ),
    ],
)
def test_an_upgrade_that_fails_is_named_with_its_versions(function, kind, cause) -> None:
    """The error is the cause; its text is not in ours, for it may hold some of the state."""
    with pytest.raises(UpgradeFailedError) as caught:
        upgraded_by(function)
    assert f"box cannot be upgraded from version 0 to 1: {kind}" == str(caught.value)
    assert isinstance(caught.value.__cause__, cause)


def test_an_upgrade_to_what_cannot_be_saved_is_refused() -> None:
    """A value of a class that is not listed, say: at once, not at the next change."""

    @value_class
    class Unlisted:
        pass

    text = "box, upgraded from version 0 to 1, cannot be saved: the environment does not list .* Unlisted"
    with pytest.raises(UpgradeFailedError, match=text) as caught:
        upgraded_by(lambda state: {"inside": Unlisted()})
    assert isinstance(caught.value.__cause__, NotPortrayableError)


def test_an_upgrade_that_leaves_other_fields_than_there_are_is_refused() -> None:
    """By their names, and never their values."""
    with pytest.raises(VersionMismatchError, match=r"box, version 1, has other fields .*: secret$"):
        upgraded_by(lambda state: state)


def test_upgrades_see_values_as_they_are_in_state() -> None:
    """References, promises, maps: passed on, they are the same ones; a list becomes a tuple as anywhere."""
    other = old_box(0, inner=None, promised=None, tagged=Tagged("t", 1))
    env = named(box=other, leaf=Leaf)

    def roots():
        leaf = spawn(Leaf, 5)
        return spawn(other, leaf, Map({"k": (leaf,)})), leaf

    vat = upgraded_by(
        lambda state: {"inside": [state["inner"], state["promised"]["k"][0], state["tagged"]]},
        saved(env, roots),
        leaf=Leaf,
    )
    inner, again, tagged = vat.run(vat.roots[0].get)
    assert inner is again is vat.roots[1]
    assert Tagged("t", 1) == tagged
    assert 5 == vat.run(inner.get)


def test_an_object_that_an_upgrade_sees_cannot_be_called() -> None:
    """It may not be there yet."""
    other = old_box(0, inner=None)
    disk = saved(named(box=other, leaf=Leaf), lambda: spawn(other, spawn(Leaf)))
    with pytest.raises(UpgradeFailedError, match="NoCurrentTurnError"):
        upgraded_by(lambda state: {"inside": state["inner"].get()}, disk, leaf=Leaf)


def test_what_upgrades_have_dropped_is_neither_restored_nor_started() -> None:
    """So its class need not be listed any more; and it leaves the store."""

    @actor
    class GivenUp:
        friend: object = None

        def on_start(self, restored):
            assert not restored

    other = old_box(0, inner=None, kept=None)
    env = named(box=other, gone=GivenUp, leaf=Leaf)
    disk = saved(env, lambda: spawn(other, spawn(GivenUp, spawn(GivenUp)), spawn(Leaf, 7)))
    assert 4 == len(disk.states)
    vat = upgraded_by(lambda state: {"inside": state["kept"]}, disk, leaf=Leaf)
    assert 7 == vat.run(vat.run(vat.roots[0].get).get)
    assert {"box", "leaf"} == {portrait.name for portrait in disk.snapshot.portraits.values()}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: actor(version=-1)(type("C", (), {})), "whole number"),
        (lambda: actor(version=True)(type("C", (), {})), "whole number"),
        (lambda: value_class(version="1")(type("C", (), {})), "whole number"),
        (lambda: upgrade(from_version=-1), "whole number"),
        (lambda: upgrade(from_version=1.0), "whole number"),
        (lambda: upgrade(from_version=1)(classmethod(lambda cls, state: state)), "static function"),
        (lambda: upgrade(from_version=1)(wait), "none that waits"),
        (lambda: with_steps(1, 1), r"C\.step_0 upgrades from version 1, but the class is .*version=1"),
        (lambda: with_steps(3, 1, 1), "two upgrades from version 1"),
    ],
)
def test_upgrades_that_cannot_work_are_refused_when_the_class_is_made(make, text: str) -> None:
    """Not when some old store is opened."""
    with pytest.raises(TypeError, match=text):
        make()


def with_steps(version: int, *starts: int):
    steps = {f"step_{n}": upgrade(from_version=start)(lambda state: state) for n, start in enumerate(starts)}
    return actor(version=version)(type("C", (), steps))


# --- values ----------------------------------------------------------------------------------------


@value_class
class OldMoney:
    cents: int


@value_class(version=2)
class Money:
    amount: int
    currency: str

    @upgrade(from_version=0)
    @staticmethod
    def _amount(state):
        return {"amount": state["cents"]}

    @upgrade(from_version=1)
    @staticmethod
    def _currency(state):
        return state.set("currency", "USD")


def kept(what, *, then: PersistenceEnv, now: PersistenceEnv, disk: Disk | None = None):
    """What a leaf holds that was saved then and is restored now; and the store."""
    disk = disk or saved(then, lambda: spawn(Leaf, what))
    vat = Persistent(now, disk)
    return vat.run(lambda: vat.roots[0]._behaviour.what), disk


def test_values_are_upgraded_wherever_they_are() -> None:
    """In tuples, maps, and each other; whoever holds them is saved again."""
    now = named(leaf=Leaf, money=Money)
    held = (1, Map({"k": (OldMoney(5), Tagged("t", OldMoney(6)))}))
    got, disk = kept(held, then=named(leaf=Leaf, money=OldMoney), now=now)
    assert (1, Map({"k": (Money(5, "USD"), Tagged("t", Money(6, "USD")))})) == got
    before = disk.snapshot.portraits[0]
    assert "USD" in repr(before.state)
    again, _ = kept(None, then=now, now=now, disk=disk)
    assert got == again
    assert before is disk.snapshot.portraits[0]


@pytest.mark.parametrize(
    "held", [Map({OldMoney(1): "a", OldMoney(2): "b"}), frozenset({OldMoney(1), OldMoney(2)})]
)
def test_keys_or_members_that_an_upgrade_makes_equal_are_refused(held) -> None:
    """They are not merged; and it is not taken for damage."""

    @value_class(version=1)
    class Unit:
        @upgrade(from_version=0)
        @staticmethod
        def _forget(_state):
            return {}

    text = "after the upgrade of money from version 0 to 1, two (keys|members) of a .* are equal"
    with pytest.raises(UpgradeFailedError, match=text):
        kept(held, then=named(leaf=Leaf, money=OldMoney), now=named(leaf=Leaf, money=Unit))


def test_a_value_that_is_newer_or_lacks_an_upgrade_is_refused() -> None:
    """With its name and both versions."""

    @value_class(version=1)
    class Stuck:
        cents: int

    with pytest.raises(VersionMismatchError, match=r"money was saved at version 2, by a newer .* version 0"):
        kept(Money(1, "EUR"), then=named(leaf=Leaf, money=Money), now=named(leaf=Leaf, money=OldMoney))
    with pytest.raises(VersionMismatchError, match=r"money was saved at version 0, .* no upgrade"):
        kept(OldMoney(1), then=named(leaf=Leaf, money=OldMoney), now=named(leaf=Leaf, money=Stuck))


def test_a_value_with_other_fields_is_refused() -> None:
    """The names of the fields say why."""

    @value_class
    class Other:
        pence: int

    with pytest.raises(VersionMismatchError, match=r"money, version 0, has other fields .*: cents, pence"):
        kept(OldMoney(1), then=named(leaf=Leaf, money=OldMoney), now=named(leaf=Leaf, money=Other))


@pytest.mark.parametrize("fields", [(Map(), "1"), (Map(), -1), (Map(), 1, 1)])
def test_a_malformed_version_of_a_value_is_refused(fields) -> None:
    """As damage, or as a step that nobody has."""
    from goblins_py.syrup import Record

    disk = saved(named(leaf=Leaf), lambda: spawn(Leaf))
    written = Record(Symbol("value"), ("money", *fields))
    portrait = attrs.evolve(disk.snapshot.portraits[0], state={"what": written})
    disk.snapshot = attrs.evolve(disk.snapshot, portraits={0: portrait})
    with pytest.raises((StoreCorruptError, VersionMismatchError)):
        Persistent(named(leaf=Leaf, money=Money), disk)


def test_an_object_does_not_become_a_value_nor_the_other_way_round() -> None:
    """A name stands for one kind of thing."""

    @actor
    class Coin:
        cents: int

    with pytest.raises(VersionMismatchError, match="money was saved as a @value"):
        kept(OldMoney(1), then=named(leaf=Leaf, money=OldMoney), now=named(leaf=Leaf, money=Coin))
    with pytest.raises(VersionMismatchError, match="box was saved as an @actor"):
        Persistent(named(box=OldMoney), disk_of(0, cents=1))


# --- names --------------------------------------------------------------------------------------------


def test_a_former_name_is_read_and_the_present_one_written() -> None:
    """Of objects and of values, at the first start; then the alias can go."""
    now = PersistenceEnv(
        named={"new.Leaf": Leaf, "new.Money": OldMoney}, aliases={"leaf": Leaf, "money": OldMoney}
    )
    got, disk = kept(OldMoney(5), then=named(leaf=Leaf, money=OldMoney), now=now)
    assert OldMoney(5) == got
    assert "new.Leaf" == disk.snapshot.portraits[0].name
    without = PersistenceEnv(named={"new.Leaf": Leaf, "new.Money": OldMoney})
    assert OldMoney(5) == kept(None, then=without, now=without, disk=disk)[0]


def test_a_class_that_was_renamed_can_be_upgraded_as_well() -> None:
    """Errors name it as the store does."""
    env = PersistenceEnv(named={"crate": Box}, aliases={"box": Box, "case": Box})
    disk = disk_of(0, weight=5)
    Persistent(env, disk)
    assert ("crate", 3) == (disk.snapshot.portraits[0].name, disk.snapshot.portraits[0].version)
    with pytest.raises(VersionMismatchError, match="box was saved at version 7"):
        Persistent(env, disk_of(7))


def test_aliases_compose_and_are_never_ambiguous() -> None:
    """They hold in environments that extend theirs; a name stands for one class, and one that is listed."""
    base = PersistenceEnv(named={"leaf": Leaf}, aliases={"old": Leaf})
    env = PersistenceEnv(named={"box": Box}, extends=[base])
    assert (Leaf, "leaf") == (env.class_named("old"), env.name_of(Leaf))
    assert Leaf is PersistenceEnv(extends=[base, env], aliases={"old": Leaf, "leaf": Leaf}).class_named("old")
    for wrong in (
        lambda: PersistenceEnv(named={"old": Box}, extends=[base]),
        lambda: PersistenceEnv(extends=[named(old=Box), base]),
        lambda: PersistenceEnv(named={"box": Box}, extends=[base], aliases={"old": Box}),
        lambda: PersistenceEnv(named={"box": Box}, extends=[base], aliases={"leaf": Box}),
    ):
        with pytest.raises(UnknownObjectError, match="two classes are named"):
            wrong()
    with pytest.raises(UnknownObjectError, match="alias of Box, which the environment does not list"):
        PersistenceEnv(extends=[base], aliases={"box": Box})
