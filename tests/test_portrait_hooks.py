"""`__portrait__` and `__restore__`: what a class may say of its own portrait, and what it may not do."""

import pytest

from goblins_py import (
    Map,
    PersistenceEnv,
    Symbol,
    actor,
    live,
    spawn,
    upgrade,
)
from goblins_py.actors import current_turn, ref_to, send_only
from goblins_py.errors import (
    NoSuchMethodError,
    NotPortrayableError,
    UpgradeFailedError,
)
from upgrades_kit import Box, Leaf, disk_of, named
from vat_kit import Disk, Persistent


@actor
class Table:
    """Saves its rows as text, and fills a live index when it is restored."""

    rows: tuple = ()
    _index: dict | None = live()

    def __portrait__(self):
        return {"csv": "\n".join(",".join(row) for row in self.rows)}

    @classmethod
    def __restore__(cls, state):
        table = cls(tuple(tuple(line.split(",")) for line in state["csv"].splitlines()))
        table._index = {row[0]: row for row in table.rows}
        return table

    def add(self, *row):
        self.rows = (*self.rows, row)

    def find(self, key):
        return self._index[key]


def test_portrait_and_restore_say_what_is_saved_and_how_it_comes_back() -> None:
    """Only they know the form."""
    env = named(table=Table)
    disk = Disk()
    vat = Persistent(env, disk, lambda: spawn(Table))
    vat.run(vat.roots[0].add, "a", "b")
    vat.run(vat.roots[0].add, "c", "d")
    assert {0: {"csv": "a,b\nc,d"}} == disk.states
    again = Persistent(env, disk)
    assert ("c", "d") == again.run(again.roots[0].find, "c")


@pytest.mark.parametrize(
    "name", ["__portrait__", "--portrait--", "__restore__", "--restore--", "first", "last", "_second"]
)
@pytest.mark.parametrize("cls", [Table, Box])
def test_no_message_reaches_a_hook_or_an_upgrade(cls, name: str) -> None:
    """Near, or sent under the very name."""
    vat = Persistent(PersistenceEnv(cls), Disk(), lambda: spawn(cls, *(() if cls is Table else (1,))))
    with pytest.raises(NoSuchMethodError):
        vat.vat.take(vat.vat.send(vat.roots[0])[Symbol(name)](Map()))
    with pytest.raises((NoSuchMethodError, AttributeError)):
        vat.run(lambda: getattr(vat.roots[0], name)(Map()))


def hooked(**hooks):
    """A class with these hooks, and one that holds it."""
    return actor(type("Hooked", (), {"__annotations__": {"x": object}, "x": 1, **hooks}))


def assign(self):
    self.x = 2
    return {}


@pytest.mark.parametrize(
    ("portrait", "kind"),
    [
        pytest.param(lambda self: {}["the secret"], "KeyError", id="raises"),
        pytest.param(lambda self: 5, "TypeError", id="returns a number"),
        pytest.param(lambda self: {1: 5}, "TypeError", id="names that are no strings"),
        pytest.param(lambda self: {"x": object()}, "TypeError", id="what is no value"),
        pytest.param(assign, "NoCurrentTurnError", id="changes state"),
        pytest.param(lambda self: spawn(Leaf), "NoCurrentTurnError", id="spawns"),
        pytest.param(lambda self: send_only(ref_to(self)).x(), "NoCurrentTurnError", id="sends"),
        pytest.param(lambda self: ref_to(self).x(), "NoCurrentTurnError", id="calls"),
    ],
)
def test_a_portrait_that_fails_fails_the_turn(portrait, kind) -> None:
    """It may only look; the turn is undone, and the vat goes on with its turns as they were."""
    cls = hooked(__portrait__=portrait)
    vat = Persistent(named(hooked=cls, leaf=Leaf), Disk(), lambda: spawn(Leaf))

    def hold() -> None:
        vat.roots[0]._behaviour.what = spawn(cls)

    with pytest.raises(NotPortrayableError, match=f"its __portrait__ failed: {kind}$"):
        vat.run(hold)
    assert vat.run(vat.roots[0].get) is None


def test_a_turn_goes_on_after_a_portrait_was_taken() -> None:
    """Of roots, say, in the turn that makes them."""
    turns = []

    def look(self):
        turns.append(current_turn())
        return {}

    cls = hooked(__portrait__=look)
    vat = Persistent(named(hooked=cls), Disk(), lambda: spawn(cls))
    assert {None} == set(turns)
    assert vat.run(current_turn) is not None


@pytest.mark.parametrize(
    ("restore", "kind"),
    [
        (lambda cls, state: {}["the secret"], "KeyError"),
        (lambda cls, state: None, "TypeError"),
        (lambda cls, state: Leaf(), "TypeError"),
        (lambda cls, state: cls(x=[]), "TypeError"),
    ],
)
def test_a_restore_that_fails_is_named_with_its_version(restore, kind) -> None:
    """And nothing was started."""
    with pytest.raises(
        UpgradeFailedError, match=f"box, version 0, cannot be restored: {kind} in __restore__"
    ):
        Persistent(named(box=hooked(__restore__=classmethod(restore))), disk_of(0, x=1))


def test_a_restore_that_is_no_class_method_is_refused() -> None:
    """When the class is made."""
    with pytest.raises(TypeError, match="class method"):
        hooked(__restore__=lambda state: None)


def test_a_restore_gets_the_upgraded_state() -> None:
    """Each for its own: upgrades know the form of each version, `__restore__` that of the last."""

    @actor(version=1)
    class Both:
        total: int = 0

        @upgrade(from_version=0)
        @staticmethod
        def _split(state):
            return {"parts": (state["total"], 0)}

        def __portrait__(self):
            return {"parts": (self.total, 1)}

        @classmethod
        def __restore__(cls, state):
            return cls(sum(state["parts"]))

        def get(self):
            return self.total

        def on_start(self, restored):
            self.total += 0 if restored else 100

    disk = disk_of(0, total=5)
    vat = Persistent(named(box=Both), disk)
    assert 5 == vat.run(vat.roots[0].get)
    assert {0: {"parts": (5, 0)}} == disk.states
    again = Persistent(named(box=Both), disk)
    assert 5 == again.run(again.roots[0].get)
