"""What a persistent vat saves of its objects, and what comes back."""

import gc
import math
import sys
import types

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goblins_py.actors import (
    PersistenceEnv,
    Portrait,
    Ref,
    actor,
    become,
    live,
    make_promise,
    on,
    persistent_name,
    ref_to,
    send_only,
    spawn,
    value,
)
from goblins_py.errors import (
    ActorError,
    NotPortrayableError,
    StoreCorruptError,
    UnknownObjectError,
    VersionMismatchError,
)
from goblins_py.locators import PeerLocator
from goblins_py.syrup import Map, Null, Record, Symbol, Tagged, same
from goblins_py.testing import SyncVats
from test_actors_promises import Peer
from vat_kit import Disk, Log, Persistent


@value
class Point:
    x: object
    y: object = None


@actor
class Keeps:
    held: object = None
    _cached: object = live("empty")
    starts: tuple = ()

    def on_start(self, restored: bool) -> None:
        self.starts = (*self.starts, restored)

    def keep(self, what) -> None:
        self.held = what

    def keep_point(self, x) -> None:
        self.held = Point(x)

    def keep_and_fail(self, what) -> None:
        self.held = what
        raise LookupError

    def cache(self) -> None:
        self._cached = "full"

    def cached(self):
        return self._cached

    def get(self):
        return self.held

    def swap(self, what) -> None:
        become(self, Box(what))


@actor
class Box:
    inside: object = None

    def get(self):
        return self.inside

    def put(self, what) -> None:
        self.inside = what


@actor
class Unlisted:
    pass


ENV = PersistenceEnv(Keeps, Box, Point, leaves={"ocapn-peer": PeerLocator})
LOCATOR = PeerLocator("fake", "designator", {"host": "here"})


FAR = SyncVats().open("far").run(spawn, Box)


def boxes():
    return spawn(Box), spawn(Keeps)


def opened(roots=boxes, disk=None) -> Persistent:
    return Persistent(ENV, disk or Disk(), roots)


def restarted(before: Persistent, env=ENV) -> Persistent:
    return Persistent(env, before.disk)


def test_the_first_delta_holds_the_roots_and_all_that_they_reach() -> None:
    """And nothing else."""

    def roots():
        spawn(Unlisted)
        return spawn(Box, spawn(Box, 5))

    vat = opened(roots)
    assert {0: {"inside": Record(Symbol("near"), (1,))}, 1: {"inside": 5}} == vat.disk.states
    assert (0,) == vat.disk.snapshot.roots
    assert 32 == len(vat.disk.snapshot.vat_id)


def test_only_what_changed_is_saved_again() -> None:
    """Assigning what was there is no change; a new object is saved with whoever first holds it."""
    vat = opened()
    box, _ = vat.roots
    vat.vat.run(box.put, 5)
    assert [{0}] == [set(delta.portraits) for delta in vat.save()]
    vat.vat.run(lambda: box.put(box.get()))
    assert [] == vat.save()
    vat.vat.run(lambda: box.put(spawn(Box, 7)))
    assert [{0, 2}] == [set(delta.portraits) for delta in vat.save()]


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0.0, -0.0), (True, 1)])
def test_values_that_python_holds_equal_are_told_apart(before, after) -> None:
    """Saving goes by identity and type, never by ==."""
    vat = opened(lambda: spawn(Box, before))
    vat.run(vat.roots[0].put, after)
    saved = vat.disk.states[0]["inside"]
    assert (type(after), repr(after)) == (type(saved), repr(saved))


def test_a_removed_object_leaves_the_store_in_a_later_delta() -> None:
    """Once Python has collected it; with all that only it held; also a cycle."""
    vat = opened()
    box, _ = vat.roots

    def fill() -> None:
        inner = spawn(Box)
        box.put(spawn(Box, inner))
        inner.put(inner)

    vat.run(fill)
    assert {0, 1, 2, 3} == set(vat.disk.states)
    vat.run(box.put, None)
    gc.collect()
    vat.save()
    assert {0, 1} == set(vat.disk.states)


def test_an_object_that_moves_keeps_its_slot() -> None:
    """From one holder to another, in one turn."""
    vat = opened(lambda: (spawn(Box, spawn(Box, "moved")), spawn(Box)))
    first, second = vat.roots
    vat.run(lambda: (second.put(first.get()), first.put(None)))
    assert {0, 1, 2} == set(vat.disk.states)
    again = restarted(vat)
    assert "moved" == again.run(lambda: again.roots[1].get().get())


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda vat: spawn(Unlisted), id="a class that is not listed"),
        pytest.param(lambda vat: spawn(lambda: None), id="a plain callable"),
        pytest.param(lambda vat: frozenset({Ref(vat.vat.vat, None, Peer())}), id="a remote member of a set"),
        pytest.param(
            lambda vat: Map({(Ref(vat.vat.vat, None, Peer()),): 1}), id="a remote reference in a key"
        ),
        pytest.param(lambda vat: FAR, id="a far reference"),
        pytest.param(lambda vat: (1, (spawn(Unlisted),)), id="deep inside"),
        pytest.param(lambda vat: spawn(Box, spawn(Unlisted)), id="behind a new object"),
        pytest.param(lambda vat: Map({"key": spawn(Unlisted)}), id="in a map"),
        pytest.param(lambda vat: Map({spawn(Unlisted): 1}), id="as a key"),
        pytest.param(lambda vat: deep_map(), id="nested too deep for the store"),
    ],
)
def test_what_cannot_be_saved_fails_the_turn_that_made_it_so(make) -> None:
    """Rolled back, with the name of the class; the vat goes on, and slots are as before."""
    vat = opened()
    box, keeps = vat.roots
    with pytest.raises(NotPortrayableError, match="cannot be saved"):
        vat.run(lambda: (keeps.keep("lost"), box.put(spawn(Box)), box._behaviour.put(make(vat))))
    assert vat.run(box.get) is None
    vat.run(lambda: box.put(spawn(Box, "next")))
    assert {0, 1, 2} == set(vat.disk.states)
    assert "next" == vat.disk.states[2]["inside"]
    assert roots_held(restarted(vat)) == [Box, type(None)]


def remote(vat: Persistent) -> Ref:
    return Ref(vat.vat.vat, None, Peer())


def roots_held(vat: Persistent) -> list[type]:
    return [type(getattr(vat.run(ref.get), "_behaviour", None)) for ref in vat.roots]


def deep_map():
    deep = Map()
    for _ in range(200):
        deep = Map({"deeper": deep})
    return deep


def test_a_message_whose_turn_cannot_be_saved_breaks_its_promise() -> None:
    """And is logged like any failure."""
    vat = opened()
    box, _ = vat.roots
    unlisted = vat.run(spawn, Unlisted)
    with Log() as log, pytest.raises(NotPortrayableError, match="Unlisted cannot be saved"):
        vat.vat.take(vat.vat.send(box).put(unlisted))
    assert "Box.put" in log.texts[0]
    vat.run(lambda: None)
    assert {0, 1} == set(vat.disk.states)


def test_an_unlisted_value_or_leaf_cannot_be_saved() -> None:
    """Values by their class, other leaves by what they are."""
    disk = Disk()
    vat = Persistent(PersistenceEnv(Box), disk, lambda: spawn(Box))
    for bad in (Point(1), LOCATOR):
        with pytest.raises(NotPortrayableError, match="value class"):
            vat.run(lambda bad=bad: vat.roots[0]._behaviour.put(bad))
    mislabelled = Persistent(PersistenceEnv(Box, leaves={"other": PeerLocator}), Disk(), lambda: spawn(Box))
    with pytest.raises(NotPortrayableError, match="another label"):
        mislabelled.run(mislabelled.roots[0].put, LOCATOR)


def test_members_that_would_become_one_cannot_be_saved() -> None:
    """Two promises of one value are two, and their portraits are not."""
    vat = opened()
    box, _ = vat.roots
    one, two = vat.run(lambda: (on(1), on(1)))
    vat.run(lambda: None)
    for both in (frozenset({one, two}), Map({one: 1, two: 2})):
        with pytest.raises(NotPortrayableError, match="saved as one"):
            vat.run(box.put, both)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.text(max_size=5).map(Symbol),
    st.just(Null),
    st.just(LOCATOR),
)
HASHABLE = st.one_of(st.text(), st.binary(), st.text(max_size=5).map(Symbol))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(HASHABLE, max_size=3),
        st.dictionaries(HASHABLE, inner, max_size=3).map(Map),
        st.builds(Tagged, st.text(max_size=5), inner),
        st.lists(inner, max_size=2).map(lambda fields: Record(Symbol("near"), tuple(fields))),
        st.builds(Point, inner, inner),
    ),
    max_leaves=8,
)


def test_numbers_that_are_none_are_one_member_and_one_key() -> None:
    """Python holds two of them for different, Syrup does not: the turn fails, and never the vat."""
    vat = opened(lambda: spawn(Box, None))
    (box,) = vat.roots
    one, two = float("nan"), float("nan")
    for both in (
        frozenset({one, two}),
        Map({one: 1, two: 2}),
        frozenset({(one,), (two,)}),
        ({one: 1, two: 2},),
    ):
        with pytest.raises(NotPortrayableError, match="saved as one"):
            vat.run(box.put, both)
    vat.run(box.put, (one, two, frozenset({one})))
    again = restarted(vat)
    first, second, (third,) = again.roots[0]._behaviour.inside
    assert all(map(math.isnan, (first, second, third)))


@given(held=VALUES)
def test_every_state_value_comes_back_as_it_was(held) -> None:
    """Also records that look like our own, -0.0, and what is nested in each other; and once more the same."""
    vat = opened(lambda: spawn(Box, held))
    again = restarted(vat)
    assert held == again.roots[0]._behaviour.inside
    assert same(held, again.roots[0]._behaviour.inside)
    again.run(lambda: (again.roots[0].put(None), again.roots[0]._behaviour.put(held)))
    assert vat.disk.states == again.disk.states


@given(edges=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12), roots=st.integers(2, 4))
def test_a_graph_comes_back_as_it_was(edges, roots) -> None:
    """Whatever points at whatever, in circles and at itself; and its portraits are the same again."""

    def grow():
        nodes = [spawn(Box, ()) for _ in range(6)]
        for start, end in edges:
            nodes[start].put((*nodes[start].get(), nodes[end]))
        return tuple(nodes[:roots])

    vat = opened(grow)
    again = restarted(vat)
    assert shape(vat) == shape(again)
    before = vat.disk.states
    again.run(lambda: [root.put((*root.get(),)) for root in again.roots])
    assert before == again.disk.states


def shape(vat: Persistent):
    """The graph from its roots: numbers in the order in which they are met."""
    order = list(vat.roots)
    for ref in order:
        order += [each for each in ref._behaviour.inside if each not in order]
    return [[order.index(each) for each in ref._behaviour.inside] for ref in order]


def shared_boxes():
    shared = spawn(Box)
    return spawn(Box, shared), spawn(Box, shared), shared


def test_one_object_held_twice_is_one_again() -> None:
    """By two roots, and by itself."""
    vat = opened(shared_boxes)
    again = restarted(vat)
    first, second, shared = again.roots
    assert again.run(first.get) is again.run(second.get) is shared


def test_a_settled_promise_is_saved_as_what_it_became() -> None:
    """A value or a failure; of a failure only the kind, for its text may be a secret."""
    vat = opened()
    box, keeps = vat.roots
    promise, resolver = vat.run(make_promise)
    broken, its_resolver = vat.run(make_promise)
    follower, following = vat.run(make_promise)
    vat.run(
        lambda: (
            (
                resolver.fulfill(box),
                its_resolver.break_(ValueError("the secret")),
                following.fulfill(promise),
            )
        )
    )
    vat.run(keeps.keep, (promise, broken, follower))
    assert "secret" not in repr(vat.disk.states)
    states = vat.disk.states
    again = restarted(vat)
    for _ in range(2):
        kept, failed, followed = again.run(again.roots[1].get)
        assert again.vat.take(kept) is again.roots[0]
        assert again.vat.take(followed) is again.roots[0]
        with pytest.raises(ActorError, match="before the restart: ValueError"):
            again.vat.take(failed)
        again = restarted(again)
    assert states[1]["held"] == again.disk.states[1]["held"]


def test_what_became_of_an_object_is_saved() -> None:
    """Its class and its state, in the same slot; and not if the turn failed."""
    vat = opened()
    _, keeps = vat.roots
    vat.run(keeps.swap, 5)
    assert {"inside": 5} == vat.disk.states[1]
    again = restarted(vat)
    assert 5 == again.run(again.roots[1].get)


def test_live_fields_are_empty_after_a_restore() -> None:
    """And are in no portrait."""
    vat = opened()
    vat.run(vat.roots[1].cache)
    assert {"held", "starts"} == set(vat.disk.states[1])
    again = restarted(vat)
    assert "empty" == again.run(again.roots[1].cached)


def test_on_start_is_told_of_the_restore() -> None:
    """Once all objects are there; what it changes is saved."""
    vat = opened()
    assert (False,) == vat.disk.states[1]["starts"]
    restarted(vat)
    assert (False, True) == vat.disk.states[1]["starts"]


def test_restoring_keeps_new_objects_apart_from_the_stored_ones() -> None:
    """A slot in use is never given to another object."""
    vat = opened(lambda: spawn(Box, tuple(spawn(Box, i) for i in range(5))))
    again = restarted(vat)
    (box,) = again.roots
    again.run(lambda: box.put((*box.get(), spawn(Box, 5))))
    third = restarted(again)
    assert [0, 1, 2, 3, 4, 5] == third.run(lambda: [ref.get() for ref in third.roots[0].get()])


def test_what_the_roots_do_not_reach_leaves_the_store() -> None:
    """A store may hold more, after a crash say: the next delta removes it, and it is never looked at."""
    vat = opened()
    snapshot = vat.disk.snapshot
    extra = {7: Portrait("unknown.Class", 9, {}), 8: Portrait("other", 0, {})}
    vat.disk.snapshot = attrs.evolve(snapshot, portraits={**snapshot.portraits, **extra})
    again = restarted(vat)
    assert {0, 1} == set(again.disk.states)


def held(value) -> Portrait:
    return Portrait("test_persistent_state.Box", 0, {"inside": value})


def record(label: str, *fields) -> Record:
    return Record(Symbol(label), fields)


@pytest.mark.parametrize(
    ("portrait", "error", "message"),
    [
        (Portrait("nobody.Knows", 0, {}), UnknownObjectError, "'nobody.Knows'"),
        (attrs.evolve(held(1), version=1), VersionMismatchError, "version 1"),
        (Portrait("test_persistent_state.Box", 0, {"outside": 1}), VersionMismatchError, "outside"),
        (Portrait("strict", 0, {}), VersionMismatchError, "needed"),
        (held([1]), StoreCorruptError, "malformed|unknown"),
        (held(record("near", 99)), StoreCorruptError, "99"),
        (held(record("near")), StoreCorruptError, "malf"),
        (held(record("what")), StoreCorruptError, "unk"),
        (held(Record(5, ())), StoreCorruptError, "unknown"),
        (
            held(record("tagged", "t", Record(Symbol("x"), ()))),
            StoreCorruptError,
            "unknown",
        ),
        (held(record("ocapn-peer")), StoreCorruptError, "malf"),
        (
            held(record("value", "nobody", Map())),
            UnknownObjectError,
            "nobody",
        ),
        (
            held(record("value", "point", 5)),
            StoreCorruptError,
            "malformed",
        ),
        (
            held(record("tagged", 5, 5)),
            StoreCorruptError,
            "malformed|fit",
        ),
    ],
)  # fmt: skip
def test_a_portrait_that_does_not_fit_is_an_error_that_says_why(portrait, error, message) -> None:
    """And nothing was started."""

    @actor
    class Strict:
        needed: int

    env = PersistenceEnv(named={"strict": Strict, "test_persistent_state.Box": Box, "point": Point},
                         leaves={"ocapn-peer": PeerLocator})  # fmt: skip
    vat = Persistent(env, Disk(), lambda: spawn(Box))
    vat.disk.snapshot = attrs.evolve(vat.disk.snapshot, portraits={0: portrait})
    with pytest.raises(error, match=message):
        restarted(vat, env)


@pytest.mark.parametrize(
    "roots", [lambda: 5, tuple, lambda: (spawn(Box),), lambda: (spawn(Box), 5), lambda: on(5)]
)
def test_roots_are_references(roots) -> None:
    """One, or a tuple of several, of the vat itself."""
    with pytest.raises(TypeError, match="roots are"):
        opened(roots)


def test_roots_of_another_vat_are_refused() -> None:
    """They would not be saved here."""
    other = SyncVats().open().run(spawn, Box)
    with pytest.raises(TypeError, match="vat itself"):
        opened(lambda: other)


def test_roots_that_cannot_be_saved_are_refused() -> None:
    """Nothing was saved."""
    with pytest.raises(NotPortrayableError, match="Unlisted cannot be saved"):
        opened(lambda: spawn(Unlisted))


def test_an_environment_refuses_what_is_ambiguous() -> None:
    """Two classes of one name, two leaves of one label, a label of our own, a class that is not decorated."""

    class Sub(Box):
        pass

    with pytest.raises(UnknownObjectError, match="two classes"):
        PersistenceEnv(Box, extends=[PersistenceEnv(named={persistent_name(Box): Keeps})])
    with pytest.raises(UnknownObjectError, match="leaves"):
        PersistenceEnv(leaves={"a": PeerLocator}, extends=[PersistenceEnv(leaves={"a": Symbol})])
    with pytest.raises(UnknownObjectError, match="leaves"):
        PersistenceEnv(leaves={"near": PeerLocator})
    for bad in (Sub, int):
        with pytest.raises(TypeError, match="neither"):
            PersistenceEnv(bad)
    assert Box is PersistenceEnv(Box, extends=[PersistenceEnv(Box)]).class_named(persistent_name(Box))
    assert "<PersistenceEnv of 1 classes>" == repr(PersistenceEnv(Box))


def test_a_program_run_as_main_counts_by_its_file(monkeypatch) -> None:
    """So it finds its store again however it is started."""
    made = type("Made", (), {"__module__": "__main__"})
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert "__main__.Made" == persistent_name(made)
    main.__file__ = "/somewhere/guest_book.py"
    assert "guest_book.Made" == persistent_name(made)
    assert "test_persistent_state.Box" == persistent_name(Box).removeprefix("tests.")


def test_an_object_in_use_after_its_last_reference_is_saved_anew() -> None:
    """Its old slot is gone; who holds it again gives it a new one."""
    vat = opened()
    box, _ = vat.roots
    promise, resolver = vat.run(make_promise)

    @actor
    class Late:
        number: int = 0

        def go(self, promise, box) -> None:
            on(promise, lambda value: self._arrived(value, box))

        def _arrived(self, value, box) -> None:
            self.number = value
            send_only(box).put(ref_to(self))

    env_box = PersistenceEnv(Late, extends=[ENV])
    vat.keeper._env = vat.keeper._depicter._env = env_box
    vat.run(lambda: box.put(spawn(Late)))
    vat.run(lambda: box.get().go(promise, box))
    vat.run(box.put, None)
    gc.collect()
    vat.save()
    assert {0, 1} == set(vat.disk.states)
    vat.run(lambda: resolver.fulfill(9))
    assert {"number": 9} == vat.disk.states[3]
