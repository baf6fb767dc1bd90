"""Live references to peers' objects over restarts, in whole vats: they lead to the same objects again."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from goblins_py import (
    PersistenceEnv,
    actor,
    make_promise,
    mycapn_env,
    on_sever,
    open_persistent_vat,
    send,
    spawn,
    spawn_mycapn,
    spawn_persistent_vat,
)
from goblins_py.actors import PersistenceRegistry
from goblins_py.errors import ActorError, ConnectFailedError, LocatorError, SessionSeveredError
from goblins_py.lib import durable_ref, lib_env
from netlayers import LoopbackNetlayer, LoopbackNetwork, loopback_env
from persistence import MemoryStore, SyrupStore
from runtime_kit import Greeter, Person, person


@actor
class Notebook:
    """Keeps anything that it is told."""

    notes: object = None

    def write(self, note):
        """Keep it."""
        self.notes = note

    def read(self):
        """What was kept."""
        return self.notes

    def greet(self, guest):
        """Greet through what was kept."""
        return send(self.notes).greet(guest)

    def read_behind(self):
        """What the notebook has that was kept."""
        return send(self.notes).read()

    async def fetch_from(self, other):
        """Keep what another one has."""
        self.notes = await send(other).read()

    async def forever(self):
        """Wait for what never comes."""
        await make_promise()[0]

    def hand_to(self, other):
        """Give what was kept to somebody's notebook."""
        return send(other).write(self.notes)


env = PersistenceEnv(Notebook, extends=[mycapn_env, loopback_env, lib_env])


@pytest.fixture(params=["memory", "syrup"])
def store_of(request, tmp_path):
    """Makes somebody's store; the same one for the same name."""
    stores = {}

    def make(name):
        if request.param == "memory":
            return stores.setdefault(name, MemoryStore())
        return SyrupStore(tmp_path / f"{name}.syrup")

    return make


@pytest.fixture
def memory_of(autojump_clock):
    """The same in memory, with a clock that jumps: disks work in threads, which such a clock overtakes."""
    stores = {}
    return lambda name: stores.setdefault(name, MemoryStore())


@asynccontextmanager
async def keeper(name, network, store):
    """Somebody with a notebook in a persistent vat: the person and the notebook."""

    def roots():
        netlayer = spawn(LoopbackNetlayer, name)
        return netlayer, spawn_mycapn(netlayer), spawn(Notebook)

    async with open_persistent_vat(env, roots, store, name=name) as (vat, (netlayer, mycapn, notebook)):
        await vat.run(netlayer.attach, network)
        yield Person(vat, mycapn, name), notebook


async def remembered(bob, alice, notebook):
    """Bob's greeter is in Alice's notebook now: its sturdyref."""
    greeter, sturdyref = await bob.share(Greeter, "Bob")
    await alice.vat.send(notebook).write(await alice.enliven(sturdyref))
    return greeter, sturdyref


async def test_a_live_reference_leads_to_the_same_object_after_a_restart(store_of):
    """Enlivened by the first message, and not before."""
    network = LoopbackNetwork()
    async with person("bob", network) as bob:
        async with keeper("alice", network, store_of("alice")) as (alice, notebook):
            greeter, _ = await remembered(bob, alice, notebook)
            await alice.vat.send(notebook).greet("a")
        for number in (2, 3):
            async with keeper("alice", network, store_of("alice")) as (alice, notebook):
                assert await bob.vat.send(greeter).count() == number - 1
                assert (await alice.vat.send(notebook).greet("a")).endswith(f"number {number}.")


async def test_it_keeps_its_sturdyref_when_it_is_saved_again_after_its_session_has_ended(store_of):
    """What a reference was had by is known as long as it is."""
    network = LoopbackNetwork()
    async with keeper("alice", network, store_of("alice")) as (alice, notebook):
        async with person("bob", network) as bob:
            _, sturdyref = await bob.share(Greeter, "Bob")
            remote = await alice.enliven(sturdyref)
            severed = trio.Event()
            await alice.vat.run(lambda: on_sever(remote, lambda _: severed.set()))
        await severed.wait()
        await alice.vat.send(notebook).write(remote)
        with pytest.raises(SessionSeveredError):
            await alice.vat.send(notebook).greet("a")
    async with keeper("alice", network, store_of("alice")) as (alice, notebook):
        with pytest.raises(ConnectFailedError):
            await alice.vat.send(notebook).greet("a")


async def test_while_the_peer_is_away_messages_break_and_later_ones_find_it(memory_of):
    """Each try is a dial; soon after the peer is back the reference is, too."""
    network = LoopbackNetwork()
    async with keeper("alice", network, memory_of("alice")) as (alice, notebook):
        async with keeper("bob", network, memory_of("bob")) as (bob, page):
            sturdyref = await bob.vat.send(bob.mycapn).register(page, "loopback")
            await alice.vat.send(notebook).write(await alice.enliven(sturdyref))
    async with keeper("alice", network, memory_of("alice")) as (alice, notebook):
        for _ in range(3):
            with pytest.raises(ConnectFailedError):
                await alice.vat.send(await alice.vat.send(notebook).read()).read()
            await trio.sleep(3)
        async with keeper("bob", network, memory_of("bob")) as (_, page):
            remote = await alice.vat.send(notebook).read()
            await alice.vat.send(remote).write("found")
            assert await alice.vat.send(remote).read() == "found"


async def test_one_that_was_never_enlivened_by_anybody_comes_back_broken(store_of):
    """It came in a message: no sturdyref is known that leads there."""
    network = LoopbackNetwork()
    async with person("bob", network) as bob:
        async with keeper("alice", network, store_of("alice")) as (alice, notebook):
            sturdyref = await alice.vat.send(alice.mycapn).register(notebook, "loopback")
            theirs = await bob.enliven(sturdyref)
            await bob.vat.send(theirs).write(await bob.vat.run(spawn, Greeter, "Bob"))
            assert "Hello" in await alice.vat.send(notebook).greet("a")
        async with keeper("alice", network, store_of("alice")) as (alice, notebook):
            with pytest.raises(ActorError, match="no sturdyref was known"):
                await alice.vat.send(notebook).greet("a")


async def test_passed_on_while_awake_it_leads_the_receiver_straight_to_the_object(store_of):
    """An introduction, so that the receiver goes on when we are gone; asleep, it leads over us."""
    network = LoopbackNetwork()
    async with person("bob", network) as bob, keeper("carol", network, store_of("carol")) as (carol, page):
        async with keeper("alice", network, store_of("alice")) as (alice, notebook):
            await remembered(bob, alice, notebook)
        paged = await carol.vat.send(carol.mycapn).register(page, "loopback")
        async with keeper("alice", network, store_of("alice")) as (alice, notebook):
            theirs = await alice.enliven(paged)
            await alice.vat.send(notebook).hand_to(theirs)
            assert (await carol.vat.send(page).greet("over alice")).endswith("number 1.")
            await alice.vat.send(notebook).hand_to(theirs)
            assert (await carol.vat.send(page).greet("straight")).endswith("number 2.")
        assert (await carol.vat.send(page).greet("alice is gone")).endswith("number 3.")


async def test_a_peer_cannot_have_its_sturdyref_stand_for_somebody_elses_object(store_of):
    """Bob registers Carol's greeter: we hold Carol's, and do not ask Bob for it after a restart."""
    network = LoopbackNetwork()
    async with person("bob", network) as bob, person("carol", network) as carol:
        async with keeper("alice", network, store_of("alice")) as (alice, notebook):
            _, carols = await carol.share(Greeter, "Carol")
            relayed = await bob.enliven(carols)
            bobs = await bob.vat.send(bob.mycapn).register(relayed, "loopback")
            remote = await alice.enliven(bobs)
            await alice.vat.send(notebook).write(remote)
            assert "I am Carol" in await alice.vat.send(notebook).greet("a")
        async with keeper("alice", network, store_of("alice")) as (alice, notebook):
            with pytest.raises(ActorError, match="no sturdyref was known"):
                await alice.vat.send(notebook).greet("a")


async def test_a_durable_promise_held_by_a_peer_can_be_settled_after_a_restart_by_whoever_is_saved(store_of):
    """The notebook holds both; the peer's own hold on the promise ends with the session."""
    network = LoopbackNetwork()
    async with keeper("alice", network, store_of("alice")) as (alice, notebook):
        await alice.vat.run(lambda: notebook.write(make_promise()))
    async with keeper("alice", network, store_of("alice")) as (alice, notebook):
        promise, resolver = await alice.vat.send(notebook).read()
        alice.vat.send(resolver).fulfill("late")
        assert await promise == "late"


async def test_a_durable_reference_heals_after_a_severance_and_after_a_restart(memory_of):
    """The next message enlivens again; calls that were under way break."""
    network = LoopbackNetwork()
    async with keeper("bob", network, memory_of("bob")) as (bob, page):
        uri = (await bob.vat.send(bob.mycapn).register(page, "loopback")).uri
    async with keeper("alice", network, memory_of("alice")) as (alice, notebook):
        healing = await alice.vat.run(durable_ref, alice.mycapn, uri)
        await alice.vat.send(notebook).write(healing)
        async with keeper("bob", network, memory_of("bob")):
            await alice.vat.send(healing).write("first")
            under_way = alice.vat.send(healing).forever()
            await alice.vat.send(healing).read()
        with pytest.raises(SessionSeveredError):
            await under_way
        with pytest.raises(ConnectFailedError):
            await alice.vat.send(healing).read()
        await trio.sleep(1)
        async with keeper("bob", network, memory_of("bob")):
            assert await alice.vat.send(healing).read() == "first"
    async with keeper("bob", network, memory_of("bob")):
        async with keeper("alice", network, memory_of("alice")) as (alice, notebook):
            assert await alice.vat.send(await alice.vat.send(notebook).read()).read() == "first"


async def test_a_durable_reference_takes_sturdyrefs_and_their_uris_only(store_of):
    """A peer's locator is neither."""
    async with keeper("alice", LoopbackNetwork(), store_of("alice")) as (alice, _):
        with pytest.raises(LocatorError):
            await alice.vat.run(durable_ref, alice.mycapn, "ocapn://bob.loopback")


async def test_two_persistent_vats_of_one_process_hold_each_others_objects_over_restarts(store_of):
    """One over a thread, even: whoever wakes first waits for the other."""
    env_of_two = PersistenceEnv(Notebook, Greeter)

    async def both(registry, scene):
        def open_one(name):
            return open_persistent_vat(
                env_of_two, lambda: spawn(Notebook), store_of(name), name=name, registry=registry
            )

        async with open_one("alice") as (alice, notebook), open_one("bob") as (bob, page):
            await scene(alice, notebook, bob, page)

    async def give(alice, notebook, bob, page):
        await alice.send(notebook).write(page)
        await bob.send(page).write(await bob.run(spawn, Greeter, "Bob"))
        await alice.send(notebook).fetch_from(page)

    async def greet(alice, notebook, bob, page):
        greeted.append(await alice.send(notebook).greet("a"))
        assert (await alice.send(notebook).read())._home is bob.vat

    greeted = []
    await both(PersistenceRegistry(), give)
    await both(PersistenceRegistry(), greet)
    await both(PersistenceRegistry(), greet)
    assert [answer[-2] for answer in greeted] == ["1", "2"]


def test_they_may_live_in_different_threads(store_of):
    """The registry is the only thing that they share."""

    def open_one(name):
        return spawn_persistent_vat(
            env, lambda: spawn(Notebook), store_of(name), name=name, registry=registry
        )

    registry = PersistenceRegistry()
    alice, notebook = open_one("alice")
    trio.run(partial(_give_over_threads, alice, notebook, store_of("bob"), registry))
    alice.close()
    registry = PersistenceRegistry()
    alice, notebook = open_one("alice")
    with alice:
        waiting = alice.send(notebook).read_behind()
        with pytest.raises(TimeoutError):
            waiting.wait(0.1)
        bob, _ = open_one("bob")
        with bob:
            assert waiting.wait(5) == "from bob"


async def _give_over_threads(alice, notebook, store, registry):
    async with open_persistent_vat(env, lambda: spawn(Notebook), store, name="bob", registry=registry) as (
        bob,
        page,
    ):
        await bob.send(page).write("from bob")
        await alice.send(notebook).write(page)
        await alice.send(notebook).read_behind()
        await trio.sleep(0.1)
