"""What nobody can reach any more leaves the store, and a vat that lives long does not grow."""

import gc

import pytest
import trio

from goblins_py import PersistenceEnv, actor, make_promise, open_persistent_vat, ref_to, spawn
from persistence import MemoryStore, SyrupStore
from vat_kit import Disk, Persistent


@actor
class Box:
    inside: object = None

    def put(self, what):
        """Hold this instead."""
        self.inside = what

    def get(self):
        """What is held."""
        return self.inside

    def ring(self, size):
        """Hold some boxes that hold each other, in a circle."""
        boxes = [spawn(Box) for _ in range(size)]
        for box, following in zip(boxes, boxes[1:] + boxes[:1], strict=True):
            box.put(following)
        self.inside = boxes[0]

    def churn(self, number):
        """Hold something else that was not there before, of every kind."""
        self.inside = (spawn(Box, number), make_promise(), spawn(Box, (ref_to(self), make_promise()[0])))


env = PersistenceEnv(Box)


def tables(keeper) -> list[int]:
    """How long each of the keeper's tables is."""
    durables = keeper._durables
    lasting = (
        keeper._slots,
        keeper._changed,
        keeper._slots.gone,
        durables._kept,
        durables._ids,
        durables._dirty,
    )
    return [len(table) for table in lasting]


def test_a_long_churn_of_spawning_and_dropping_leaves_store_and_tables_flat() -> None:
    """Objects, promises and resolvers, each in a turn of its own; every tenth promise is settled."""
    vat = Persistent(env, Disk(), lambda: spawn(Box))
    sizes = []
    for number in range(600):
        vat.run(vat.roots[0].churn, number)
        if number % 10 == 0:
            vat.run(vat.run(vat.roots[0].get)[1][1].fulfill, number)
        if number % 100 == 99:
            gc.collect()
            vat.save()
            sizes.append((len(vat.disk.states), tables(vat.keeper)))
    assert sizes[0] == sizes[-1]
    assert sizes[0][0] == 6


def test_a_failing_turn_leaves_nothing_in_the_tables() -> None:
    """However much it had given slots to."""
    vat = Persistent(env, Disk(), lambda: spawn(Box))
    before = tables(vat.keeper)
    for number in range(50):
        with pytest.raises(LookupError):
            vat.run(fail_after, vat.roots[0], number)
    gc.collect()
    assert vat.save() == []
    assert before == tables(vat.keeper)


def fail_after(box, number) -> None:
    box.churn(number)
    raise LookupError


@pytest.fixture(params=["memory", "syrup"])
def store(request, tmp_path):
    """One of each kind."""
    return MemoryStore() if request.param == "memory" else SyrupStore(tmp_path / "s.syrup")


def slots_of(vat) -> int:
    """How many things the vat's keeper knows, dead ones that are still in the store among them."""
    return len(vat.vat.keeper._slots)


async def until_slots(vat, count, seconds) -> None:
    with trio.fail_after(seconds):
        while slots_of(vat) != count:
            await trio.sleep(0.1)
        while not vat._host._settled.is_set():
            await trio.sleep(0.1)


async def test_an_idle_vat_removes_what_was_dropped_without_waiting_for_a_message(store):
    """Soon; and it is on disk, not only noted."""
    async with open_persistent_vat(env, lambda: spawn(Box), store) as (vat, box):
        inner = await vat.run(spawn, Box)
        await vat.send(box).put(inner)
        await vat.send(box).put(None)
        assert slots_of(vat) == 2
        del inner
        await until_slots(vat, 1, seconds=5)
    await store_holds(store, 1)


async def store_holds(store, count) -> None:
    again = store if isinstance(store, MemoryStore) else SyrupStore(store._path)
    snapshot = await again.open()
    await again.aclose()
    assert snapshot is not None
    assert len(snapshot.portraits) == count


async def test_cycles_leave_an_idle_vat_too(autojump_clock):
    """Python's collector has to be asked: an idle process would never run it."""
    store = MemoryStore()
    gc.disable()
    try:
        async with open_persistent_vat(env, lambda: spawn(Box), store) as (vat, box):
            await vat.send(box).ring(20)
            assert slots_of(vat) == 21
            await vat.send(box).put(None)
            await until_slots(vat, 1, seconds=60)
        await store_holds(store, 1)
    finally:
        gc.enable()


async def test_an_idle_vat_does_not_go_on_collecting(autojump_clock, monkeypatch):
    """Once it has looked and nothing has changed since, the process may sleep."""
    collected = []
    real = gc.collect
    async with open_persistent_vat(env, lambda: spawn(Box), MemoryStore()) as (vat, box):
        await vat.send(box).put(5)
        monkeypatch.setattr(gc, "collect", lambda *args: (collected.append(args), real(*args))[1])
        await trio.sleep(300)
        assert len(collected) <= 2
        await vat.send(box).put(6)
        await trio.sleep(300)
        assert 1 <= len(collected) <= 4
