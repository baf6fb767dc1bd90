"""What makes stores fast changes nothing else: order, cancellation, errors, and what an object is made of."""

from __future__ import annotations

import gc
import threading

import attrs
import pytest
import trio
import trio.testing

from goblins_py import PersistenceEnv, actor, live, open_persistent_vat, spawn
from goblins_py.actors import without_gc
from goblins_py.actors._mould import mould_of
from goblins_py.syrup import Map
from persistence import MemoryStore
from persistence._index import Extent, Index, Put
from persistence._worker import Worker

# --- the thread of a store ---------------------------------------------------------


@pytest.mark.trio
async def test_a_store_does_one_thing_after_the_other_in_order() -> None:
    """Whoever asks while it is at work waits for his turn."""
    worker, seen = Worker(), list[int]()

    async def note(number: int) -> None:
        await worker.do(lambda: seen.append(number))

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(note, number)
            await trio.lowlevel.checkpoint()
    assert list(range(20)) == seen


@pytest.mark.trio
async def test_what_a_store_does_is_finished_whoever_is_cancelled() -> None:
    """Also what has not begun yet."""
    worker, may_end, seen = Worker(), threading.Event(), list[str]()

    def slow() -> str:
        may_end.wait()
        return "whole"

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.do, lambda: seen.append("second"))
            scope.cancel()
            nursery.start_soon(worker.do, lambda: seen.append("third"))
            trio.lowlevel.current_trio_token().run_sync_soon(may_end.set)
            seen.append(await worker.do(slow))
    assert {"whole", "second", "third"} == set(seen)


@pytest.mark.trio
async def test_who_is_told_of_the_end_hears_of_errors_and_never_waits_his_turn() -> None:
    """And others wait for what he began."""
    worker, told, done = Worker(), list[Exception | None](), trio.Event()

    def tell(error: Exception | None) -> None:
        told.append(error)
        done.set()

    def fail() -> None:
        raise OSError("the disk is gone")

    assert worker.begin(fail, tell)
    assert not worker.begin(fail, tell), "it is at work"
    assert 3 == await worker.do(lambda: 3)
    await done.wait()
    assert ["the disk is gone"] == [str(error) for error in told]
    assert worker.begin(lambda: None, told.append)
    await worker.do(lambda: None)
    assert told[1] is None


# --- output commit -------------------------------------------------------------------


@actor
class Counter:
    """Counts."""

    count: int = 0

    def add(self) -> int:
        """One more."""
        self.count += 1
        return self.count


class HeldStore(MemoryStore):
    """Lets a commit end when it is told."""

    def __init__(self, *, at_once: bool) -> None:
        super().__init__()
        self.at_once = at_once
        self.gate = trio.Event()
        self.gate.set()
        self.sizes: list[int] = []

    async def commit(self, deltas):
        self.sizes.append(len(deltas))
        with trio.CancelScope(shield=True):
            await self.gate.wait()
        await super().commit(deltas)

    def _begin_commit(self, deltas, told):
        if not self.at_once:
            return False

        async def commit() -> None:
            await self.commit(deltas)
            told(None)

        trio.lowlevel.spawn_system_task(commit)
        return True


@pytest.mark.trio
@pytest.mark.parametrize("at_once", [False, True])
async def test_what_has_settled_is_told_when_it_is_durable_and_not_before(
    at_once: bool, autojump_clock
) -> None:
    """With a store that is asked by a task, and with one that begins at once."""
    store, answers = HeldStore(at_once=at_once), list[int]()
    async with open_persistent_vat(PersistenceEnv(Counter), lambda: spawn(Counter), store) as (vat, counter):
        store.gate = trio.Event()
        store.sizes.clear()

        async def ask() -> None:
            answers.append(await vat.send(counter).add())

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
            early = vat.send(counter).add()
            with trio.move_on_after(1) as scope:
                await early
            assert scope.cancelled_caught, "who waits can leave at once"
            assert not answers
            store.gate.set()
        assert [1, 2, 3, 4, 5] == sorted(answers)
        assert [1, 5] == store.sizes, "what comes while the disk works is one batch"
        assert 6 == await early, "and is told again, at once"


@pytest.mark.trio
async def test_a_vat_ends_when_what_it_began_to_save_is_saved() -> None:
    """It goes on from there."""
    store = HeldStore(at_once=True)
    async with open_persistent_vat(PersistenceEnv(Counter), lambda: spawn(Counter), store) as (vat, counter):
        store.gate = gate = trio.Event()
        promise = vat.send(counter).add()
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.current_trio_token().run_sync_soon(gate.set)
    async with open_persistent_vat(PersistenceEnv(Counter), lambda: spawn(Counter), store) as (vat, counter):
        assert 2 == await vat.send(counter).add()
    assert promise is not None


# --- objects of plain values ---------------------------------------------------------


@actor
class Plain:
    """State and what is no state."""

    name: str
    size: int = 3
    open_files: tuple = live(())


@actor
class Below(Plain):
    """With more fields than its base."""

    more: bytes = b""


@actor
class Checked:
    """Looks at what it is given."""

    name: str = attrs.field(validator=attrs.validators.instance_of(str))


@actor
class Told:
    """Does something when it is made."""

    name: str

    def __attrs_post_init__(self) -> None:
        """Something."""


@pytest.mark.parametrize(
    ("cls", "state"),
    [
        (Plain, {"name": "a", "size": 1}),
        (Plain, {"name": "", "size": (1, "b", b"c", 2.5, True)}),
        (Below, {"name": "a", "size": 1, "more": b"x"}),
    ],
)
def test_what_is_cast_is_what_the_class_would_make(cls, state) -> None:
    """Field by field, those that are no state as well."""
    mould = mould_of(cls)
    assert mould is not None
    made, usual = mould.cast(Map(state)), cls(**state)
    assert type(made) is cls
    for field in attrs.fields(cls):
        assert getattr(usual, field.name) == getattr(made, field.name)


@pytest.mark.parametrize(
    "state",
    [{"name": "a"}, {"name": "a", "sise": 1}, {"name": "a", "size": ((1,),)}, {"name": "a", "size": None}],
)
def test_what_does_not_fit_is_left_to_the_class(state) -> None:
    """Other fields, and what is no plain value."""
    mould = mould_of(Plain)
    assert mould is not None
    assert mould.cast(Map(state)) is None


@pytest.mark.parametrize("cls", [Checked, Told])
def test_a_class_that_does_more_than_set_fields_has_no_mould(cls) -> None:
    """It is asked for each object."""
    assert mould_of(cls) is None


# --- bulk ------------------------------------------------------------------------------


def test_cycles_are_looked_for_again_after_an_error_and_only_if_they_were_before() -> None:
    """It leaves Python as it was."""
    with pytest.raises(KeyError), without_gc():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with without_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_index_gives_back_what_was_put_into_it() -> None:
    """Also the largest extents."""
    extents = {1: Extent(1 << 50, (1 << 40) - 1, (1 << 32) - 1), 2: Extent(0, 0, 0), 3: Extent(77, 5, 9)}
    index = Index()
    for key, extent in extents.items():
        index.put(key, *extent)
    ops, live_bytes = index.log()
    assert [Put(key, extent) for key, extent in extents.items()] == list(ops)
    assert sum(extent.length for extent in extents.values()) == live_bytes
