"""Sturdyrefs are listed, taken back and expire; what was taken back never was; restarts change nothing."""

import math

import pytest

from goblins_py import Map, PersistenceEnv, RemoteError, Sturdyref, mycapn_env, open_vat, spawn, spawn_mycapn
from goblins_py.actors import Portrait, Snapshot
from goblins_py.errors import LocatorError, UnknownSwissNumError, UnknownTransportError
from goblins_py.runtime import Registry
from goblins_py.syrup import Record, Symbol
from goblins_py.testing import SyncVats
from netlayers import LoopbackNetlayer, LoopbackNetwork, loopback_env
from runtime_kit import Greeter, Person, alice_and_bob, person
from vat_kit import Disk, Persistent

DAY = 24 * 3600.0
env = PersistenceEnv(Greeter, extends=[mycapn_env, loopback_env])


class Desk:
    """A registry and one object, in a vat whose clock the test sets."""

    def __init__(self):
        self.vats = SyncVats()
        self.vat = self.vats.open()
        self.registry, self.greeter = self.vat.run(lambda: (spawn(Registry), spawn(Greeter, "Alice")))

    def register(self, *args, **kwargs):
        """Its swiss number."""
        return self.vat.run(lambda: self.registry.register(self.greeter, *args, **kwargs))

    def knows(self, number):
        try:
            return self.vat.run(self.registry.fetch, number) is self.greeter
        except UnknownSwissNumError:
            return False

    def unregister(self, *args, **kwargs):
        return self.vat.run(lambda: self.registry.unregister(*args, **kwargs))

    @property
    def size(self):
        """Of the table by number, that by object, what is saved, and what will expire."""
        index, shelves = self.registry._behaviour._live, self.registry._behaviour._shelves.values()
        saved = sum(len(shelf._behaviour._grants) for shelf in shelves)
        return len(index.grants), len(index.by_object), saved, len(index.due)


@pytest.fixture
def desk():
    return Desk()


# --- one for each person ------------------------------------------------------------------


def test_an_object_is_registered_once_and_once_for_each_label(desk):
    """Asked again, the registry gives the same numbers."""
    plain, bob, carol = (desk.register(label=label) for label in (None, "Bob", "Carol"))
    assert len({plain, bob, carol}) == 3
    assert [plain, bob, carol] == [desk.register(label=label) for label in (None, "Bob", "Carol")]
    assert all(map(desk.knows, (plain, bob, carol)))


def test_two_objects_may_have_one_label(desk):
    """Bob has a sturdyref of each."""
    other = desk.vat.run(spawn, Greeter, "Ann")
    number = desk.vat.run(lambda: desk.registry.register(other, label="Bob"))
    assert number != desk.register(label="Bob")
    assert desk.unregister(other)
    assert desk.knows(desk.register(label="Bob"))


def test_one_with_an_expiry_and_no_label_is_another_each_time(desk):
    """Links for one use, given to whoever asks."""
    numbers = {desk.register(), desk.register(valid_for=5), desk.register(valid_for=5)}
    assert len(numbers) == 3


def test_each_sturdyref_is_taken_back_alone(desk):
    """By number or by label; and all of an object at once."""
    plain, bob, carol = (desk.register(label=label) for label in (None, "Bob", "Carol"))
    assert desk.unregister(desk.greeter, label="Bob")
    assert not desk.unregister(desk.greeter, label="Bob")
    assert [True, False, True] == list(map(desk.knows, (plain, bob, carol)))
    assert desk.unregister(carol)
    assert not desk.unregister(carol)
    assert [True, False, False] == list(map(desk.knows, (plain, bob, carol)))
    assert desk.register(label="Bob") != bob
    assert desk.unregister(desk.greeter)
    assert (0, 0, 0, 0) == desk.size
    assert desk.register() != plain


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"label": ""}, TypeError),
        ({"label": 5}, TypeError),
        ({"valid_for": "7d"}, TypeError),
        ({"valid_for": True}, TypeError),
        ({"valid_for": 0}, ValueError),
        ({"valid_for": -1.0}, ValueError),
        ({"valid_for": math.inf}, ValueError),
        ({"valid_for": 10**400}, ValueError),
        ({"valid_for": math.nan}, ValueError),
        ({"swiss_num": "text"}, TypeError),
    ],
)
def test_what_makes_no_sense_registers_nothing(desk, bad, error):
    """And says so at once."""
    with pytest.raises(error):
        desk.register(**bad)
    assert (0, 0, 0, 0) == desk.size


def test_a_number_of_ones_own_choice_belongs_to_one_object(desk):
    """The second object is refused, and a number that is no number is of nobody."""
    assert desk.register(b"chosen") == b"chosen"
    other = desk.vat.run(spawn, Greeter, "Ann")
    with pytest.raises(ValueError, match="another object"):
        desk.vat.run(desk.registry.register, other, b"chosen")
    assert not any(map(desk.knows, ("chosen", None, (), b"", Map({1: (2,)}))))


# --- expiry -------------------------------------------------------------------------------


def test_an_expired_number_is_worth_nothing_and_is_cleared_away(desk):
    """At the moment, and without anybody asking for it; the others stay."""
    plain, bob, passing = (
        desk.register(),
        desk.register(label="Bob", valid_for=7 * DAY),
        desk.register(valid_for=5),
    )
    desk.vats.advance(4.9)
    assert all(map(desk.knows, (plain, bob, passing)))
    desk.vats.advance(0.2)
    assert [True, True, False] == list(map(desk.knows, (plain, bob, passing)))
    assert (2, 1, 2, 1) == desk.size
    desk.vats.advance(7 * DAY)
    assert [True, False] == list(map(desk.knows, (plain, bob)))
    assert (1, 1, 1, 0) == desk.size
    assert desk.register(label="Bob") != bob


def test_a_label_that_is_registered_again_may_get_more_time(desk):
    """Counted from then; without a time it keeps the one that it has."""
    bob = desk.register(label="Bob", valid_for=10)
    desk.vats.advance(8)
    assert bob == desk.register(label="Bob")
    assert bob == desk.register(label="Bob", valid_for=10)
    desk.vats.advance(8)
    assert desk.knows(bob)
    desk.vats.advance(3)
    assert not desk.knows(bob)


def test_one_that_is_due_and_not_cleared_away_yet_is_expired_all_the_same(desk):
    """The clock was set forward: no alarm has rung, and nobody can tell."""
    bob, plain = desk.register(label="Bob", valid_for=DAY), desk.register()
    desk.vats._now += 2 * DAY  # and what should have happened meanwhile has not
    assert (2, 1, 2, 1) == desk.size
    assert [False, True] == list(map(desk.knows, (bob, plain)))
    assert (2, 1, 2, 1) == desk.size, "a look-up writes nothing"
    assert not desk.unregister(bob)
    assert (1, 1, 1, 0) == desk.size
    assert desk.register(label="Bob") != bob


def test_a_label_is_given_anew_while_its_expired_number_waits_to_be_cleared_away(desk):
    """There may be more of those than one turn clears away; then they do not take the new ones with them."""
    labels = [f"person {each}" for each in range(150)]
    for label in labels:
        desk.register(label=label, valid_for=5)
    desk.vats._now += 6  # and no alarm has rung
    numbers = [desk.register(label=label) for label in reversed(labels)]
    desk.vats.advance(1)
    assert all(map(desk.knows, numbers))
    assert (150, 1, 150, 0) == desk.size
    assert numbers == [desk.register(label=label) for label in reversed(labels)]
    assert desk.unregister(desk.greeter)
    assert (0, 0, 0, 0) == desk.size


def test_the_table_does_not_grow_with_what_has_expired(desk):
    """A thousand a second, each for a second; and one turn clears away a bounded number."""
    for _ in range(10):
        desk.vat.run(lambda: [desk.registry.register(desk.greeter, valid_for=1) for _ in range(300)] and None)
        desk.vats.advance(1)
    assert (0, 0, 0, 0) == desk.size
    assert [] == desk.vats._timers


def test_alarms_do_not_multiply(desk):
    """However often an earlier one takes the place of a later one."""
    for seconds in range(50, 0, -1):
        desk.register(valid_for=seconds)
    assert len(desk.vats._timers) <= 50
    desk.vats.advance(25.5)
    assert (25, 1, 25, 25) == desk.size
    assert len(desk.vats._timers) <= 26
    desk.vats.advance(25)
    assert (0, 0, 0, 0) == desk.size
    assert [] == desk.vats._timers


def test_a_turn_that_fails_registers_nothing_and_sets_no_alarm(desk):
    """All of it or nothing."""

    def fail():
        desk.registry.register(desk.greeter, valid_for=5)
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        desk.vat.run(fail)
    assert (0, 0, 0, 0) == desk.size
    desk.register(valid_for=5)
    desk.vats.advance(5)
    assert (0, 0, 0, 0) == desk.size


# --- over restarts ------------------------------------------------------------------------


def restart(disk, at=0.0):
    """The registry and its object, restored at some time."""
    vats = SyncVats()
    vats.advance(at)
    kept = Persistent(env, disk, lambda: (spawn(Registry), spawn(Greeter, "Alice")), vats=vats)
    return kept, *kept.roots


def test_numbers_revocations_labels_and_expiries_survive_restarts():
    """And time goes on while nobody is there."""
    disk = Disk()
    kept, registry, greeter = restart(disk)
    numbers = [
        kept.run(lambda options=options: registry.register(greeter, **options))
        for options in ({}, {"label": "Bob"}, {"label": "Carol", "valid_for": DAY}, {"valid_for": 2 * DAY})
    ]
    kept.run(lambda: registry.unregister(greeter, label="Bob"))

    def known():
        found = []
        for number in numbers:
            try:
                found.append(kept.run(registry.fetch, number) is greeter)
            except UnknownSwissNumError:
                found.append(False)
        return found

    for at, expected in (
        (0, [True, False, True, True]),
        (DAY - 1, [True, False, True, True]),
        (DAY, [True, False, False, True]),
        (3 * DAY, [True, False, False, False]),
        (0, [True, False, False, False]),
    ):
        kept, registry, greeter = restart(disk, at)
        assert known() == expected
    assert kept.run(registry.register, greeter) == numbers[0]
    assert len(registry._behaviour._live.grants) == 1


def test_a_change_writes_one_shelf_however_many_numbers_there_are():
    """Registered, noted, taken back or expired; a look-up writes nothing."""
    kept, registry, greeter = restart(Disk())
    kept.run(lambda: [registry.register(greeter, label=f"person {each}") for each in range(2000)] and None)

    def written(function):
        kept.vat.run(function)
        deltas = kept.save()
        return sum(
            len(portrait.state["_grants"]) for delta in deltas for portrait in delta.portraits.values()
        )

    assert 0 < written(lambda: registry.register(greeter, label="Bob", valid_for=5)) < 40
    assert 0 < written(lambda: registry.register(greeter, label="Bob", transport="loopback")) < 40
    assert 0 < written(lambda: registry.unregister(greeter, label="person 5")) < 40
    assert 0 == written(lambda: registry.register(greeter, label="Bob") and None)
    number = kept.run(lambda: registry.register(greeter, label="Bob"))
    assert 0 == written(lambda: registry.fetch(number))
    kept.vats.advance(5)
    assert 0 < written(lambda: None) < 40


def test_a_portrait_from_before_labels_and_expiries_is_restored():
    """As version 0.1.0 wrote it: two fields, under the name of the module where the class was."""
    disk = Disk()
    near = Record(Symbol("near"), (1,))
    disk.snapshot = Snapshot(
        bytes(32),
        0,
        (0, 1),
        {
            0: Portrait(
                "goblins_py.runtime._mycapn.Registry",
                0,
                {"_objects": Map({b"old": near}), "_numbers": Map({near: b"old"})},
            ),
            1: Portrait("runtime_kit.Greeter", 0, {"name": "Alice", "greeted": 3}),
        },
    )
    kept, registry, greeter = restart(disk)
    assert kept.run(registry.fetch, b"old") is greeter
    assert kept.run(registry.register, greeter) == b"old"
    bob = kept.run(lambda: registry.register(greeter, label="Bob"))
    kept, registry, greeter = restart(disk)
    assert kept.run(registry.fetch, bob) is kept.run(registry.fetch, b"old") is greeter
    assert kept.run(lambda: registry.unregister(greeter))
    assert (0, 0) == (len(registry._behaviour._live.grants), len(registry._behaviour._objects))


# --- mycapn -------------------------------------------------------------------------------


async def reason(bob, sturdyref):
    """Why Bob cannot have it."""
    with pytest.raises(RemoteError) as caught:
        await bob.enliven(sturdyref)
    return type(caught.value), caught.value.reason


async def test_a_peer_cannot_tell_taken_back_expired_and_never_there():
    """The same reason, word for word; nor does the look-up change anything."""
    now = [1_000_000.0]
    network = LoopbackNetwork()
    async with person("bob", network) as bob, open_vat("alice", wall_clock=lambda: now[0]) as vat:

        def up():
            netlayer = spawn(LoopbackNetlayer, "alice")
            netlayer.attach(network)
            return spawn_mycapn(netlayer)

        alice = Person(vat, await vat.run(up), "alice")
        greeter, plain = await alice.share(Greeter, "Alice")
        mycapn = vat.send(alice.mycapn)
        gone = await mycapn.register(greeter, "loopback", label="gone")
        brief = await mycapn.register(greeter, "loopback", valid_for=60)
        assert await bob.enliven(gone) is await bob.enliven(brief) is await bob.enliven(plain)
        assert await mycapn.unregister(gone) is True
        assert await mycapn.unregister(gone.uri) is False
        now[0] += 61
        never = Sturdyref(plain.peer, bytes(32))
        reasons = [await reason(bob, each) for each in (gone, brief, never)]
        assert len(set(reasons)) == 1
        for own in (gone, brief, never):
            with pytest.raises(UnknownSwissNumError):
                await alice.enliven(own)
        assert (await (await bob.vat.run(lambda: bob.mycapn.enliven(plain)))) is await bob.enliven(plain)


async def test_sturdyrefs_are_listed_with_what_is_known_and_without_their_numbers():
    """Oldest first: the whole list, and that of one object."""
    async with alice_and_bob() as (alice, _bob, _network):
        greeter, plain = await alice.share(Greeter, "Alice")
        other, second = await alice.share(Greeter, "Ann")
        mycapn = alice.vat.send(alice.mycapn)
        bobs = await mycapn.register(greeter, "loopback", label="Bob", valid_for=DAY)
        listed = await mycapn.sturdyrefs()
        assert [each["sturdyref"] for each in listed] == [plain, second, bobs]
        assert [each["object"] for each in listed] == [greeter, other, greeter]
        assert [each["label"] for each in listed] == [None, None, "Bob"]
        assert [each["expires"] for each in listed] == [None, None, listed[2]["registered"] + DAY]
        assert await mycapn.sturdyrefs(greeter) == (listed[0], listed[2])
        number = bobs.swiss_num
        assert not any(secret in repr(listed) for secret in (repr(number)[2:-1], bobs.uri, number.hex()))
        assert await mycapn.unregister(greeter) is True
        assert [each["sturdyref"] for each in await mycapn.sturdyrefs()] == [second]


async def test_only_sturdyrefs_of_our_own_are_taken_back():
    """One of another peer that happens to have our number is not ours."""
    async with alice_and_bob() as (alice, bob, _network):
        greeter, ours = await alice.share(Greeter, "Alice")
        _, theirs = await bob.share(Greeter, "Bob")
        mycapn = alice.vat.send(alice.mycapn)
        assert await mycapn.unregister(Sturdyref(theirs.peer, ours.swiss_num)) is False
        assert await mycapn.unregister(theirs) is False
        assert await bob.enliven(ours) is not None
        with pytest.raises(LocatorError):
            await mycapn.unregister(ours.peer.uri)
        with pytest.raises(UnknownTransportError):
            await mycapn.unregister("ocapn://abc.tcp-tls/s/AQID")
        assert await mycapn.unregister(greeter, label="nobody") is False
