"""Durable before visible: every way out of a persistent vat waits for the disk; a failing disk shuts all."""

from contextlib import asynccontextmanager
from random import Random

import attrs
import pytest
import trio
import trio.testing

from faulty_files import FaultyFiles, When
from goblins_py import (
    PersistenceEnv,
    actor,
    live,
    make_promise,
    mycapn_env,
    on,
    on_sever,
    open_persistent_vat,
    open_vat,
    send,
    send_only,
    spawn,
    spawn_mycapn,
)
from goblins_py.actors import run_outside
from goblins_py.errors import VatClosedError
from netlayers import LoopbackNetlayer, LoopbackNetwork, loopback_env
from persistence import MemoryStore, SyrupStore
from runtime_kit import Person, person, until


@actor
class Desk:
    """Does one thing and changes its state with it."""

    count: int = 0
    kept: object = None
    seen: tuple = live(())

    def work(self):
        """Count; the answer says how far."""
        self.count += 1
        return self.count

    def keep(self, what):
        """Hold something, and count."""
        self.count += 1
        self.kept = what

    def see(self, what):
        """Somebody tells us something."""
        self.seen = (*self.seen, what)

    def give(self):
        """What we keep; not any more."""
        given, self.kept = self.kept, None
        return given

    async def fetch(self, other):
        """Keep what somebody gives."""
        self.kept = await send(other).give()

    def tell(self, other):
        """Send a message elsewhere."""
        self.count += 1
        send_only(other).see(self.count)

    def introduce(self, other):
        """Give somebody what we keep."""
        self.count += 1
        send_only(other).see(self.kept)

    def settle(self, resolver):
        """Settle a promise."""
        self.count += 1
        resolver.fulfill(self.count)

    def watch(self, ref, other):
        """Have somebody told when a session ends."""
        self.count += 1
        on_sever(ref, lambda reason: send_only(other).see("severed"))

    def start(self, starter):
        """Start a task of the world outside."""
        self.count += 1
        starter.start()


@actor
class Starter:
    """Holds I/O."""

    io: object = live()
    ran: tuple = live(())

    def give(self, io):
        """The capability."""
        self.io = io

    def start(self):
        """Start a task that leaves a trace."""
        self.io.start(self._run)

    async def _run(self):
        self.ran = (*self.ran, "ran")


class DiskStore(MemoryStore):
    """A store in memory whose disk is as slow, or as broken, as the test wants."""

    def __init__(self):
        super().__init__()
        self.error = None
        self.commits_asked = 0
        self.gate = trio.Event()
        self.gate.set()

    def shut(self):
        """Nothing is durable from now on."""
        self.gate = trio.Event()

    async def commit(self, deltas):
        """As the contract says, but later, or not at all."""
        self.commits_asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        await super().commit(deltas)


env = PersistenceEnv(Desk, Starter, extends=[mycapn_env, loopback_env])


@attrs.define
class Scene:
    """Alice, whose vat is persistent, with Bob and Carol who are not."""

    alice: Person
    desk: object
    bob: Person
    carol: Person
    store: DiskStore
    patch: object
    told: list

    async def given(self, of):
        """Somebody's desk, and Alice's reference to it."""
        ref, sturdyref = await of.share(Desk)
        return ref, await self.alice.enliven(sturdyref)

    async def note(self, async_fn, *args):
        """Wait for something outside, and note that it came."""
        with trio.move_on_after(5):
            try:
                self.told.append(await async_fn(*args))
            except VatClosedError:
                return


@asynccontextmanager
async def played(store, patch):
    """Everybody, over a network in memory."""
    network = LoopbackNetwork()

    def roots():
        netlayer = spawn(LoopbackNetlayer, "alice")
        return netlayer, spawn_mycapn(netlayer), spawn(Desk)

    async with person("bob", network) as bob, person("carol", network) as carol:
        async with open_persistent_vat(env, roots, store, name="alice") as (vat, (netlayer, mycapn, desk)):
            await vat.run(netlayer.attach, network)
            yield Scene(Person(vat, mycapn, "alice"), desk, bob, carol, store, patch, [])


# Each way out: `prepare` returns a function that makes Alice do it, and one that says whether it is visible.


async def by_run(scene, nursery):
    """The result of `vat.run`."""
    return lambda: nursery.start_soon(scene.note, scene.alice.vat.run, scene.desk.work), lambda: scene.told


async def by_answer(scene, nursery):
    """A promise that is awaited outside."""

    async def ask():
        return await scene.alice.vat.send(scene.desk).work()

    return lambda: nursery.start_soon(scene.note, ask), lambda: scene.told


async def by_promise(scene, nursery):
    """One that somebody outside waited for before."""
    promise, resolver = await scene.alice.vat.run(make_promise)

    async def wait():
        return await promise

    nursery.start_soon(scene.note, wait)
    return lambda: scene.alice.vat.send(scene.desk).settle(resolver), lambda: scene.told


async def by_far_vat(scene, nursery):
    """A message to another vat of the process, and a promise that it waits for."""
    theirs = await scene.bob.vat.run(spawn, Desk)
    return (
        lambda: scene.alice.vat.send(scene.desk).tell(theirs),
        lambda: theirs._behaviour.seen,
    )


async def by_far_handler(scene, nursery):
    """A handler of another vat."""
    promise, resolver = await scene.alice.vat.run(make_promise)
    heard = []
    await scene.bob.vat.run(lambda: on(promise, heard.append) and None)
    return lambda: scene.alice.vat.send(scene.desk).settle(resolver), lambda: heard


async def by_message(scene, nursery):
    """A message to a peer."""
    theirs, ours = await scene.given(scene.bob)
    return lambda: scene.alice.vat.send(scene.desk).tell(ours), lambda: theirs._behaviour.seen


async def by_reply(scene, nursery):
    """An answer to a peer."""
    sturdyref = await scene.alice.vat.send(scene.alice.mycapn).register(scene.desk, "loopback")
    theirs = await scene.bob.enliven(sturdyref)

    async def ask():
        return await scene.bob.vat.send(theirs).work()

    return lambda: nursery.start_soon(scene.note, ask), lambda: scene.told


async def by_introduction(scene, nursery):
    """A gift that is deposited at its exporter, and the message that brings it."""
    _, gift = await scene.given(scene.carol)
    theirs, ours = await scene.given(scene.bob)
    await scene.alice.vat.send(scene.desk).keep(gift)
    return lambda: scene.alice.vat.send(scene.desk).introduce(ours), lambda: theirs._behaviour.seen


async def by_gift(scene, nursery):
    """Of that, what the exporter sees."""
    _, gift = await scene.given(scene.carol)
    _, ours = await scene.given(scene.bob)
    await scene.alice.vat.send(scene.desk).keep(gift)
    session = gift._connector
    deposited = []
    original = type(session).deposit

    def deposit(self, gift_id, thing):
        if self is session:
            deposited.append(gift_id)
        original(self, gift_id, thing)

    scene.patch.setattr(type(session), "deposit", deposit)
    return lambda: scene.alice.vat.send(scene.desk).introduce(ours), lambda: deposited


async def by_garbage(scene, nursery):
    """That we hold something of a peer's no more."""
    theirs, ours = await scene.given(scene.bob)
    loose = await scene.bob.vat.run(spawn, Desk)
    await scene.bob.vat.send(theirs).keep(loose)
    await scene.alice.vat.send(scene.desk).fetch(ours)
    (session,) = scene.bob.mycapn._behaviour._switchboard._pumps
    assert exported(session, loose)
    return lambda: scene.alice.vat.send(scene.desk).keep(None), lambda: not exported(session, loose)


def exported(session, ref):
    """Does the peer hold this?"""
    return id(ref) in session.references.exports._positions


async def by_task(scene, nursery):
    """A task of the world outside."""

    def starter():
        ref = spawn(Starter)
        ref.give(scene.alice.vat.io)
        return ref

    ref = await scene.alice.vat.run(starter)
    return lambda: scene.alice.vat.send(scene.desk).start(ref), lambda: ref._behaviour.ran


async def by_watch(scene, nursery):
    """That somebody wants to know of the end of a session."""
    _, ours = await scene.given(scene.bob)
    theirs = await scene.carol.vat.run(spawn, Desk)
    watchers = ours._connector._watchers
    before = len(watchers)
    return (
        lambda: scene.alice.vat.send(scene.desk).watch(ours, theirs),
        lambda: len(watchers) > before,
    )


WAYS = [by_run, by_answer, by_promise, by_far_vat, by_far_handler, by_message, by_reply, by_introduction]
WAYS += [by_gift, by_garbage, by_task, by_watch]


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_visible_before_it_is_durable(way, monkeypatch):
    """However it leaves; and it is, as soon as the disk has it."""
    store = DiskStore()
    async with played(store, monkeypatch) as scene, trio.open_nursery() as nursery:
        act, visible = await way(scene, nursery)
        asked = store.commits_asked
        store.shut()
        act()
        await until(lambda: store.commits_asked > asked)
        await trio.sleep(0.25)
        assert not visible()
        store.gate.set()
        await until(visible)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("way", WAYS)
async def test_if_the_disk_fails_nothing_more_is_visible_and_a_restart_goes_on_before_it(way, monkeypatch):
    """The error comes out of the block, who waits is told, the state is that of the last durable churn."""
    store = DiskStore()
    error = OSError(5, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        async with played(store, monkeypatch) as scene, trio.open_nursery() as nursery:
            act, visible = await way(scene, nursery)
            before = scene.desk._behaviour.count
            asked = store.commits_asked
            store.shut()
            act()
            await until(lambda: store.commits_asked > asked)
            store.error = error
            store.gate.set()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.25)
                assert not visible()
    store.error = None
    async with open_persistent_vat(env, lambda: None, store) as (vat, (_, _, desk)):
        assert await vat.run(lambda: desk._behaviour.count) == before


async def test_what_leaves_does_so_in_the_order_of_churns_and_many_share_a_commit():
    """Whatever way it leaves; churns that changed nothing do not overtake."""
    store = DiskStore()
    seen = []
    async with open_vat("other") as other:
        listener = await other.run(spawn, Desk)
        async with open_persistent_vat(env, lambda: spawn(Desk), store) as (vat, desk):
            asked = store.commits_asked
            store.shut()
            for number in range(20):
                vat.send(desk).tell(listener)
                function = (lambda: None) if number % 2 else desk.work
                run_outside(vat.vat, function, (), lambda _, number=number: seen.append(number))
                await trio.testing.wait_all_tasks_blocked()
            assert seen == []
            store.gate.set()
            await until(lambda: len(seen) == 20)
            assert seen == list(range(20))
            assert store.commits_asked - asked <= 3
        told = listener._behaviour.seen
        assert list(told) == sorted(told)
        assert len(told) == 20


def desk_of_its_own():
    return spawn(Desk)


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ("write", OSError(28, "No space left on device")),
        ("sync", OSError(5, "Input/output error")),
        ("write", OSError(5, "Input/output error")),
    ],
)
async def test_a_vat_on_a_disk_that_fails_stops_with_the_disks_error(operation, error):
    """Once an fsync has failed nothing of what was to be synced counts; what was told before does."""
    armed = []

    def trap(_step, name):
        return (When.BEFORE, error) if armed and name == operation else None

    files = FaultyFiles(trap=trap)
    told = []
    with pytest.raises(OSError, match=error.strerror):
        async with open_persistent_vat(env, desk_of_its_own, SyrupStore("/s", _files=files)) as (vat, desk):
            told += [await vat.send(desk).work() for _ in range(3)]
            armed.append(True)
            with trio.CancelScope(shield=True):  # the block is cancelled
                with pytest.raises(VatClosedError):
                    told.append(await vat.send(desk).work())
                with pytest.raises(VatClosedError):
                    await vat.run(desk.work)
            await trio.sleep_forever()
    assert told == [1, 2, 3]
    armed.clear()
    files = files.after_power_loss(Random(0))
    async with open_persistent_vat(env, desk_of_its_own, SyrupStore("/s", _files=files)) as (vat, desk):
        assert await vat.send(desk).work() in (4, 5)


async def test_who_waits_for_a_churn_that_was_still_not_durable_at_the_end_is_told():
    """The disk hangs, the vat is closed: nobody hangs with it."""
    store = DiskStore()
    told = []
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            async with open_persistent_vat(env, lambda: spawn(Desk), store) as (vat, desk):
                asked = store.commits_asked
                store.shut()

                async def wait(waiting, *args):
                    with pytest.raises(VatClosedError):
                        await waiting(*args)
                    told.append(args)

                nursery.start_soon(wait, vat.run, desk.work)
                await until(lambda: store.commits_asked > asked)
                nursery.start_soon(wait, vat.run, lambda: None)
                await trio.testing.wait_all_tasks_blocked(0.05)
    assert len(told) == 2
