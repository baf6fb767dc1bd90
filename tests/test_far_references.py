"""References between the persistent vats of a process: over restarts, and what is pinned for them."""

import gc
import itertools

import pytest

from goblins_py.actors import (
    PersistenceEnv,
    PersistenceRegistry,
    Ref,
    actor,
    make_promise,
    ref_to,
    send,
    spawn,
)
from goblins_py.actors._far import _FEW, _WAITING
from goblins_py.actors._slots import MARK
from goblins_py.errors import (
    ActorError,
    NotPortrayableError,
    PersistenceError,
    QueueFullError,
    VatClosedError,
)
from goblins_py.syrup import Record
from goblins_py.testing import SyncVats
from vat_kit import Disk, Persistent


@actor
class Box:
    """Holds one thing; gives out new ones."""

    inside: object = None

    def get(self):
        return self.inside

    def put(self, what) -> None:
        self.inside = what

    def fresh(self, what=None):
        """A box that nobody here holds."""
        return spawn(Box, what)

    def fresh_ring(self):
        """One of two boxes that hold each other."""
        box = spawn(Box)
        box.put(spawn(Box, box))
        return box

    def pair(self):
        self.inside = make_promise()
        return self.inside[1]

    def me(self):
        return ref_to(self)

    def count(self) -> int:
        self.inside = (self.inside or 0) + 1
        return self.inside

    async def fetch(self, other) -> None:
        """Hold what another box gives out."""
        self.inside = await send(other).fresh("fetched")

    async def fetch_pair(self, other) -> None:
        self.inside = await send(other).pair()


@actor
class Unlisted:
    pass


ENV = PersistenceEnv(Box)


class Logged(list):
    """Deltas of one vat, noted in a log for all vats."""

    def __init__(self, log, name) -> None:
        super().__init__()
        self._log = log
        self._name = name

    def append(self, delta) -> None:
        self._log.append((self._name, delta))
        super().append(delta)


class World:
    """Alice and Bob, their disks, and the order in which things became durable."""

    def __init__(self, disks=None, order=("alice", "bob")) -> None:
        self.vats = SyncVats()
        self.registry = PersistenceRegistry()
        self.disks = disks or {"alice": Disk(), "bob": Disk()}
        self.log = []
        self.people = {}
        for name in order:
            self.wake(name)

    def wake(self, name) -> Persistent:
        person = Persistent(
            ENV, self.disks[name], lambda: spawn(Box), name=name, vats=self.vats, registry=self.registry
        )
        person.vat.deltas = Logged(self.log, name)
        self.people[name] = person
        return person

    @property
    def alice(self) -> Persistent:
        return self.people["alice"]

    @property
    def bob(self) -> Persistent:
        return self.people["bob"]

    def box(self, name) -> Ref:
        return self.people[name].roots[0]

    def save(self) -> None:
        for _ in range(3):  # what one tells the other may be something to save there
            for person in self.people.values():
                deltas = person.save()
                person.vat.deltas = Logged(self.log, person.keeper.vat.name)
                assert deltas is not None

    def alice_holds(self, what) -> None:
        self.alice.vat.run(self.box("alice").put, what)
        self.save()

    def alice_fetches(self) -> None:
        self.alice.vat.run(self.box("alice").fetch, self.box("bob"))
        self.save()

    def restarted(self, order=("alice", "bob")) -> "World":
        self.save()
        return World(self.disks, order)

    def ask(self, ref, *args):
        """What Alice's vat gets from a box, wherever it is."""
        return self.alice.vat.take(self.alice.vat.send(ref).get(*args))

    def held(self) -> Ref:
        return self.alice.vat.run(self.box("alice").get)

    def sweep(self) -> None:
        """Let enough time pass for everybody to let go."""
        for _ in range(100):
            for person in self.people.values():
                person.keeper.tidy()
        self.save()
        for _ in range(100):
            for person in self.people.values():
                person.keeper.tidy()
        self.save()
        gc.collect()
        self.save()


ORDERS = [("alice", "bob"), ("bob", "alice")]


@pytest.mark.parametrize("order", ORDERS)
def test_a_far_reference_leads_to_the_same_object_after_a_restart_in_any_order(order) -> None:
    """Also if nobody in its own vat holds it; over and over."""
    world = World()
    world.alice_fetches()
    for count in range(3):
        world = world.restarted(order)
        far = world.held()
        assert far._home is world.bob.vat.vat
        assert ("fetched" if count == 0 else count - 1) == world.ask(far)
        world.alice.vat.send(far).put(count)


@pytest.mark.parametrize("order", ORDERS)
def test_it_is_the_very_reference_that_the_other_vat_has(order) -> None:
    """One object has one reference: near to its own vat, and equal to itself."""
    world = World()
    world.alice_holds(world.box("bob"))
    world = world.restarted(order)
    assert world.held() is world.box("bob")
    assert world.bob.vat.run(world.held().get) is None


@pytest.mark.parametrize("order", ORDERS)
def test_vats_that_hold_each_other_find_each_other(order) -> None:
    """In both directions at once."""
    world = World()
    world.alice_holds(world.box("bob"))
    world.bob.vat.run(world.box("bob").put, (world.box("alice"), "b"))
    world.save()
    world = world.restarted(order)
    assert world.held() is world.box("bob")
    assert (world.box("alice"), "b") == world.bob.vat.run(world.box("bob").get)


def test_messages_wait_in_order_until_the_other_vat_wakes() -> None:
    """All of them, and promises of their answers settle then."""
    world = World()
    world.alice_fetches()
    world.save()
    world = World(world.disks, ("alice",))
    far = world.held()
    sent = world.alice.vat.run(lambda: send(far).put(0))
    answers = world.alice.vat.run(lambda: [send(far).count() for _ in range(5)])
    assert isinstance(far._home.name, str)
    world.wake("bob")
    world.save()
    assert world.alice.vat.take(sent) is None
    assert [1, 2, 3, 4, 5] == [world.alice.vat.take(answer) for answer in answers]


def test_not_for_ever_and_not_without_bounds() -> None:
    """Too many are refused, and all of them when the registry is closed; then nobody waits any more."""
    world = World()
    world.alice_fetches()
    world.save()
    world = World(world.disks, ("alice",))
    far = world.held()
    first = world.alice.vat.run(lambda: send(far).get())
    world.alice.vat.run(lambda: [send(far).put(number) for number in range(_WAITING - 1)] and None)
    with pytest.raises(QueueFullError):
        world.ask(far)
    world.registry.close()
    with pytest.raises(VatClosedError, match="registry was closed"):
        world.alice.vat.take(first)
    with pytest.raises(VatClosedError, match="registry was closed"):
        world.ask(far)


def test_after_the_registry_is_closed_restored_references_are_broken() -> None:
    """A vat that wakes later does not wait for others."""
    world = World()
    world.alice_fetches()
    world.save()
    later = World(world.disks, ())
    later.registry.close()
    later.wake("alice")
    with pytest.raises(ActorError, match="registry was closed"):
        later.ask(later.held())


def test_a_vat_that_restarts_alone_finds_its_objects_held_by_others_as_they_were() -> None:
    """Those who hold them notice nothing but that messages break meanwhile."""
    world = World()
    world.alice_fetches()
    far = world.held()
    world.bob.vat.close()
    with pytest.raises(VatClosedError):
        world.ask(far)
    world.wake("bob")
    assert "fetched" == world.ask(far)
    world = world.restarted()
    assert "fetched" == world.ask(world.held())


def test_without_a_registry_or_with_an_unsaved_vat_the_turn_fails() -> None:
    """The text says what is missing."""
    world = World()
    alone = Persistent(ENV, Disk(), lambda: spawn(Box), name="alone", vats=world.vats)
    unsaved = world.vats.open("unsaved").run(spawn, Box)
    for holder, held in ((alone, world.box("bob")), (world.alice, alone.roots[0]), (world.alice, unsaved)):
        with pytest.raises(NotPortrayableError, match="share no persistence registry"):
            holder.run(holder.roots[0].put, held)


def test_restored_without_a_registry_it_is_broken_and_says_so() -> None:
    """As it is when the store of the other vat is another one."""
    world = World()
    world.alice_fetches()
    world.save()
    alone = Persistent(ENV, world.disks["alice"])
    with pytest.raises(ActorError, match="open both with one registry"):
        alone.vat.take(alone.vat.send(alone.run(alone.roots[0].get)).get())


@pytest.mark.parametrize("order", ORDERS)
def test_what_the_other_vat_does_not_have_any_more_is_broken(order) -> None:
    """A backup of its store, say: never another object."""
    world = World()
    world.save()
    before = world.disks["bob"].snapshot
    world.alice_fetches()
    world.save()
    world.disks["bob"].snapshot = before
    world = World(world.disks, order)
    with pytest.raises(ActorError, match="does not have the object any more"):
        world.ask(world.held())
    world.alice.run(world.box("alice").put, (world.held(),))
    world.bob.run(lambda: [world.box("bob").put((world.box("bob").get(), spawn(Box))) for _ in range(9)])
    world = world.restarted(order)
    with pytest.raises(ActorError, match="does not have the object any more"):
        world.ask(world.held()[0])


def test_two_stores_with_one_vats_state_cannot_be_awake_at_once() -> None:
    """One of them is a copy."""
    world = World()
    world.save()
    with pytest.raises(PersistenceError, match="awake already"):
        world.wake("bob")


def far_slots(disk: Disk, vat_id: bytes) -> set[int]:
    """What a store says of objects of that vat."""
    found = set()

    def look(value) -> None:
        if isinstance(value, Record):
            if value.label.name == "far" and value.fields[0] == vat_id:
                found.add(value.fields[1])
            look(value.fields)
        elif isinstance(value, tuple):
            for item in value:
                look(item)

    for portrait in disk.snapshot.portraits.values():
        look(tuple(portrait.state.values()))
    return found


def saved(disk: Disk) -> int:
    """How many portraits there are, but for the mark."""
    return sum(portrait.name != MARK for portrait in disk.snapshot.portraits.values())


def script(world: World) -> None:
    """Give, hold, drop and pass back, both ways."""
    alice, bob = world.box("alice"), world.box("bob")
    world.alice.vat.run(alice.fetch, bob)
    world.alice.vat.run(alice.fetch, bob)
    world.bob.vat.run(bob.fetch, alice)
    world.alice.vat.run(lambda: send(bob).put(alice.get()))
    world.alice.vat.run(alice.fetch_pair, bob)
    world.alice.vat.run(lambda: send(alice.get()).fulfill(alice))
    world.alice.vat.run(alice.put, None)
    world.sweep()
    world.alice.vat.run(alice.fetch, bob)
    world.bob.vat.run(bob.put, None)
    world.sweep()


def test_whenever_both_crash_nothing_saved_leads_to_nothing() -> None:
    """What Bob's store says of Alice's is in hers, after each prefix of what became durable, and back."""
    world = World()
    start = {name: disk.snapshot for name, disk in world.disks.items()}
    script(world)
    assert len(world.log) > 15
    for length in range(len(world.log) + 1):
        disks = {name: Disk() for name in start}
        for name, disk in disks.items():
            disk.snapshot = start[name]
        for name, delta in world.log[:length]:
            disks[name].write(delta)
        for one, other in itertools.permutations(disks):
            theirs = disks[other].snapshot
            assert far_slots(disks[one], theirs.vat_id) <= set(theirs.portraits), length
        for order in ORDERS:
            check_all_lead_somewhere(World(copies(disks), order))


def copies(disks) -> dict[str, Disk]:
    made = {name: Disk() for name in disks}
    for name, copy in made.items():
        copy.snapshot = disks[name].snapshot
    return made


def check_all_lead_somewhere(world: World) -> None:
    world.sweep()
    for name in ("alice", "bob"):
        inside = world.people[name].vat.run(world.box(name).get)
        if isinstance(inside, Ref):
            assert inside._connector is None


def test_what_the_other_vat_dropped_leaves_the_store() -> None:
    """Soon after; what it holds, and what we hold ourselves, stays."""
    world = World()
    world.save()
    for _ in range(5):
        world.alice_fetches()
    world.sweep()
    assert 1 == len(world.bob.keeper.neighbours.pins)
    assert 3 == saved(world.disks["bob"])  # its root, what Alice holds, the pin
    world.alice_holds(None)
    world.sweep()
    assert 0 == len(world.bob.keeper.neighbours.pins)
    assert 1 == saved(world.disks["bob"])
    assert 0 == len(world.alice.keeper.neighbours.holdings)


def test_cycles_behind_a_pin_leave_with_it() -> None:
    """Python's collector sees to that."""
    world = World()

    async def fetch_ring() -> None:
        world.box("alice").put(await send(world.box("bob")).fresh_ring())

    world.alice.vat.run(fetch_ring)
    world.sweep()
    assert 4 == saved(world.disks["bob"])
    world.alice_holds(None)
    world.sweep()
    assert 1 == saved(world.disks["bob"])


def test_what_is_sent_again_while_it_is_let_go_of_stays() -> None:
    """Counts make it safe: a grant that is on its way is not in what was let go of."""
    world = World()
    keep = []
    world.alice_fetches()
    world.alice.vat.run(lambda: keep.append(world.box("alice").get()))
    hold = world.bob.keeper.neighbours.pins
    pin = next(iter(hold._pins.values()))
    (entry,) = pin.holds.values()
    assert 1 == entry.count
    hold.let_go(world.alice.keeper.vat_id, world.alice.vat.vat, {keep[0]._slot: 0})
    assert 1 == len(hold)
    entry.count += 1
    hold.let_go(world.alice.keeper.vat_id, world.alice.vat.vat, {keep[0]._slot: 1})
    assert 1 == len(hold)
    hold.let_go(world.alice.keeper.vat_id, world.alice.vat.vat, {keep[0]._slot: 1})
    assert 0 == len(hold)


@pytest.mark.parametrize("order", ORDERS)
def test_after_a_restart_the_holder_reports_and_the_owner_reconciles(order) -> None:
    """What was not let go of in time goes then."""
    world = World()
    world.alice_fetches()
    world.alice_fetches()  # the first one is granted still
    assert 2 == len(world.bob.keeper.neighbours.pins)
    world = world.restarted(order)
    world.save()
    gc.collect()
    world.save()
    assert 1 == len(world.bob.keeper.neighbours.pins)
    assert "fetched" == world.ask(world.held())


def test_an_owner_that_restarts_alone_asks_what_is_held_of_its_objects() -> None:
    """And what is held stays pinned, and can be let go of later."""
    world = World()
    world.alice_fetches()
    world.save()
    world.bob.vat.close()
    world.wake("bob")
    world.sweep()
    assert 1 == len(world.bob.keeper.neighbours.pins)
    world.alice_holds(None)
    world.sweep()
    assert 0 == len(world.bob.keeper.neighbours.pins)
    assert 1 == saved(world.disks["bob"])


def test_what_outsiders_hand_over_is_saved_as_soon_as_its_vat_has_pinned_it() -> None:
    """Until then it would come back broken; one that cannot be saved stays so."""
    world = World()
    loose = world.bob.vat.run(spawn, Box, "loose")
    unsaveable = world.bob.vat.run(spawn, Unlisted)
    world.alice_holds((loose, unsaveable))
    world = world.restarted()
    far, broken = world.held()
    assert "loose" == world.ask(far)
    with pytest.raises(ActorError, match="had not saved it yet"):
        world.ask(broken)


def test_what_outsiders_hand_over_and_its_vat_has_saved_is_there_at_once() -> None:
    """A root, say: even if both crash before it could be pinned."""
    world = World()
    world.save()
    start = copies(world.disks)
    world.alice_holds(world.box("bob"))
    ((name, delta), *later) = world.log
    assert "alice" == name
    assert 1 == len(delta.portraits)
    assert "alice" not in [each for each, _ in later]
    start["alice"].write(delta)
    again = World(start)
    assert again.held() is again.box("bob")


def test_a_slot_is_never_given_to_another_object_even_after_restarts() -> None:
    """Another vat's store may still say it, of what is gone: it must not lead to what came later."""
    world = World()
    world.alice_fetches()
    stale = copies(world.disks)["alice"]
    world.alice_holds(None)
    world.sweep()
    for _ in range(3):
        world = world.restarted(("bob", "alice"))
        gc.collect()
        world.save()
    world.bob.run(lambda: world.box("bob").put(tuple(spawn(Box, "another") for _ in range(9))))
    world.save()
    assert 2 >= len(world.disks["bob"].snapshot.portraits) - 10
    again = World({"alice": stale, "bob": world.disks["bob"]})
    with pytest.raises(ActorError, match="does not have the object any more"):
        again.ask(again.held())


def test_a_resolver_given_to_another_vat_settles_its_promise_after_a_restart() -> None:
    """It is pinned like any object, and its promise with it."""
    world = World()
    world.alice.vat.run(world.box("alice").fetch_pair, world.box("bob"))
    world = world.restarted(("bob", "alice"))
    promise, resolver = world.bob.vat.run(world.box("bob").get)
    assert resolver is world.held()
    world.alice.vat.run(lambda: send(resolver).fulfill("settled"))
    assert "settled" == world.bob.vat.take(promise)


def test_what_passes_between_vats_a_thousand_times_leaves_no_trace() -> None:
    """Stores and tables are as after the first round."""
    world = World()
    sizes = []
    for number in range(300):
        world.alice.vat.run(world.box("alice").fetch, world.box("bob"))
        if number % 100 == 99:
            world.sweep()
            holdings = world.alice.keeper.neighbours.holdings
            tables = (holdings._grants, holdings._keys, holdings._uses, holdings._used_by, holdings._wanted)
            sizes.append(([len(table) for table in tables], saved(world.disks["bob"])))
    assert sizes[0] == sizes[1] == sizes[2]


def test_vats_that_come_and_go_leave_nothing_in_the_registry_but_what_somebody_holds() -> None:
    """And that is found again."""
    registry, disks, held = PersistenceRegistry(), {}, {}
    for number in range(200):
        name = f"vat {number}"
        disks[name] = Disk()
        person = Persistent(ENV, disks[name], lambda: spawn(Box), name=name, registry=registry)
        if number in {3, 150}:
            held[name] = person.roots[0]
        person.keeper.closed()
        del person
        gc.collect(0)
    gc.collect()
    registry._forget_unawaited()
    assert len(registry._absent) < 3 * _FEW
    for name, ref in held.items():
        again = Persistent(ENV, disks[name], lambda: spawn(Box), name=name, registry=registry)
        assert again.roots[0] is ref
    assert set(registry._awake) == {name.encode().ljust(32) for name in held}
    held.clear()
