"""Persistent vats of one process that crash at random, together or alone: what is held leads somewhere."""

import gc
import random

import pytest

from goblins_py.actors import (
    PersistenceEnv,
    PersistenceRegistry,
    Ref,
    actor,
    run_outside,
    send,
    send_only,
    spawn,
)
from goblins_py.actors._slots import MARK
from goblins_py.testing import SyncVats
from vat_kit import Disk, Persistent

NAMES = ("alice", "bob", "carol")


@actor
class Box:
    """Holds up to three things, each of which leads to a box."""

    held: tuple = ()

    def hold(self, what):
        """Hold this as well, and give up what is too much."""
        self.held = (what, *self.held)[:3]

    def drop(self):
        """Hold nothing."""
        self.held = ()

    def fresh(self):
        """A box that nobody here holds."""
        return spawn(Box)

    def first(self):
        """What was held last."""
        return self.held[0] if self.held else None

    async def fetch(self, other):
        """Hold a new box of somebody's."""
        self.hold(await send(other).fresh())

    async def copy(self, other):
        """Hold what somebody holds."""
        found = await send(other).first()
        if found is not None:
            self.hold(found)

    def give(self, other):
        """Have somebody hold what we do."""
        if self.held:
            send_only(other).hold(self.held[-1])

    def all(self):
        """All that is held."""
        return self.held


ENV = PersistenceEnv(Box)


class Writes(list):
    """Deltas that are on disk as soon as they are there: a crash comes between two churns."""

    def __init__(self, disk) -> None:
        super().__init__()
        self._disk = disk

    def append(self, delta) -> None:
        self._disk.write(delta)


class World:
    """Three persistent vats that crash when they are told to."""

    def __init__(self, seed) -> None:
        self.random = random.Random(seed)
        self.disks = {name: Disk() for name in NAMES}
        self.start()

    def start(self) -> None:
        """A new process."""
        self.vats = SyncVats()
        self.registry = PersistenceRegistry()
        self.people = {}
        for name in self.random.sample(NAMES, len(NAMES)):
            self.wake(name)

    def wake(self, name) -> None:
        """Open somebody's vat."""
        person = Persistent(
            ENV, self.disks[name], lambda: spawn(Box), name=name, vats=self.vats, registry=self.registry
        )
        person.vat.deltas = Writes(self.disks[name])
        self.people[name] = person

    def crash_alone(self, name) -> None:
        """What its vat had not written is gone, also from its inbox; the others live on."""
        person = self.people[name]
        self.vats._vats.remove(person.vat)
        person.vat.vat.keeper.closed()
        person.vat.vat.queue.clear()
        person.vat.vat._inbox.clear()
        person.vat.vat._phase = type(person.vat.vat._phase).CLOSED
        self.wake(name)

    def box(self, name) -> Ref:
        return self.people[name].roots[0]

    def act(self) -> None:
        """Somebody does something, or time passes."""
        name, other = self.random.sample(NAMES, 2)
        mine, theirs = self.box(name), self.box(other)
        deed = self.random.choice(
            [lambda: mine.fetch(theirs)] * 3
            + [lambda: mine.copy(theirs)] * 2
            + [lambda: mine.give(theirs)] * 2
            + [mine.drop]
        )
        run_outside(self.people[name].vat.vat, lambda: deed() and None, (), lambda outcome: None)

    def steps(self, count) -> None:
        """Some churns, of any vats."""
        for _ in range(count):
            self.random.choice(list(self.people.values())).vat.step()

    def settle(self) -> None:
        """All is done that was begun, and all garbage is told of."""
        gc.collect()
        for _ in range(4):
            for _ in range(31):
                for person in self.people.values():
                    person.keeper.tidy()
            for person in self.people.values():
                person.vat.run(lambda: None)

    def reached(self) -> dict[str, int]:
        """How many boxes of each vat the three roots reach."""
        found = {self.box(name): None for name in NAMES}
        for box in found.copy():
            self._walk(box, found)
        return {name: sum(1 for box in found if box._home is self.people[name].vat.vat) for name in NAMES}

    def _walk(self, box, found) -> None:
        for inner in box._behaviour.held:
            assert inner._connector is None, inner._connector.why
            if inner not in found:
                found[inner] = None
                self._walk(inner, found)


@pytest.mark.parametrize("seed", range(30))
def test_after_any_crashes_what_is_held_leads_to_its_object(seed) -> None:
    """All three roots reach only living boxes, in memory and after a restart."""
    world = World(seed)
    for _ in range(30):
        for _ in range(world.random.randrange(1, 6)):
            world.act()
            world.steps(world.random.randrange(8))
        chance = world.random.random()
        if chance < 0.15:
            world.start()
        elif chance < 0.4:
            world.crash_alone(world.random.choice(NAMES))
        if chance < 0.25:
            world.settle()
            world.reached()
    world.settle()
    before = world.reached()
    world.start()
    world.settle()
    assert before == world.reached()


def saved(disk) -> int:
    """How many portraits there are, but for the mark."""
    return sum(portrait.name != MARK for portrait in disk.snapshot.portraits.values())


@pytest.mark.parametrize("seed", range(10))
def test_when_all_is_dropped_the_stores_are_empty_but_for_the_roots(seed) -> None:
    """Whatever happened before: no pin and no portrait is left over."""
    world = World(1000 + seed)
    for _ in range(20):
        world.act()
        world.steps(5)
        if world.random.random() < 0.2:
            world.crash_alone(world.random.choice(NAMES))
    world.settle()
    gc.collect()
    for name in NAMES:
        world.people[name].vat.run(world.box(name).drop)
    world.settle()
    assert dict.fromkeys(NAMES, 1) == {name: saved(world.disks[name]) for name in NAMES}
    for person in world.people.values():
        neighbours = person.keeper.neighbours
        assert [0, 0, 0] == [len(each) for each in (neighbours.pins, neighbours.holdings, neighbours.loans)]
