"""Persistent vats: what is saved, when it may be seen, and what a restart brings back."""

import pytest
import trio
import trio.testing

from goblins_py import (
    Map,
    PersistenceEnv,
    Sturdyref,
    actor,
    mycapn_env,
    open_persistent_vat,
    open_vat,
    spawn,
    spawn_mycapn,
    spawn_persistent_vat,
)
from goblins_py.errors import NotPortrayableError, StoreLockedError, UnknownObjectError, VatClosedError
from netlayers import LoopbackNetlayer, LoopbackNetwork, TcpTlsNetlayer, loopback_env, tcp_tls_env
from persistence import MemoryStore, SyrupStore
from runtime_kit import Greeter, person, until


@actor
class Notebook:
    """Keeps anything that it is told."""

    notes: tuple = ()
    where: Sturdyref | None = None

    def write(self, note):
        """Keep a note; how many there are now."""
        self.notes = (*self.notes, note)
        return len(self.notes)

    def remember(self, sturdyref):
        """Keep a sturdyref."""
        self.where = sturdyref

    def read(self):
        """All notes."""
        return self.notes

    def recall(self):
        """The sturdyref."""
        return self.where


@actor
class Starter:
    """Counts its starts."""

    fresh: int = 0
    restored: int = 0

    def on_start(self, restored):
        """Count."""
        if restored:
            self.restored += 1
        else:
            self.fresh += 1

    def counts(self):
        """How often it was started anew, and restored."""
        return (self.fresh, self.restored)


env = PersistenceEnv(Greeter, Notebook, Starter, extends=[mycapn_env, loopback_env, tcp_tls_env])


class GatedStore(MemoryStore):
    """A store whose disk is as slow as the test wants, and breaks when it says so."""

    def __init__(self):
        super().__init__()
        self.open_gate()
        self.failing = False
        self.committing = 0

    def open_gate(self):
        """Let commits through."""
        self.gate = trio.Event()
        self.gate.set()

    def shut_gate(self):
        """Hold commits back."""
        self.gate = trio.Event()

    async def commit(self, deltas):
        """As the contract says, but later."""
        self.committing += 1
        await self.gate.wait()
        if self.failing:
            raise OSError(28, "No space left on device")
        await super().commit(deltas)


async def test_state_survives_a_restart():
    """The same objects, with what they held."""
    store = MemoryStore()
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        assert await vat.send(notebook).write(["a", {"b": 1}]) == 1
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        assert await vat.send(notebook).read() == (("a", Map({"b": 1})),)
        assert await vat.send(notebook).write("c") == 2


async def test_several_roots_come_back_in_order():
    """As `roots` returned them."""
    store = MemoryStore()

    def roots():
        return spawn(Greeter, "Alice"), spawn(Notebook)

    async with open_persistent_vat(env, roots, store) as (vat, (greeter, _)):
        await vat.send(greeter).greet("Bob")
    async with open_persistent_vat(env, roots, store) as (vat, (greeter, notebook)):
        assert await vat.send(greeter).count() == 1
        assert await vat.send(notebook).read() == ()


async def test_objects_that_roots_reach_come_along():
    """A reference in a note is saved with what it points to; cycles too."""
    store = MemoryStore()
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        greeter = await vat.run(spawn, Greeter, "Alice")
        await vat.send(notebook).write(greeter)
        await vat.send(notebook).write(notebook)
        await vat.send(greeter).greet("Bob")
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        greeter, itself = await vat.send(notebook).read()
        assert itself is notebook
        assert await vat.send(greeter).count() == 1


async def test_a_failing_turn_is_not_saved():
    """What was rolled back never was."""
    store = MemoryStore()
    async with open_persistent_vat(env, lambda: spawn(Greeter, "Alice"), store) as (vat, greeter):
        with pytest.raises(ValueError, match="internal"):
            await vat.send(greeter).fail()
    async with open_persistent_vat(env, lambda: spawn(Greeter, "Alice"), store) as (vat, greeter):
        assert await vat.send(greeter).count() == 0


async def test_a_state_that_cannot_be_saved_fails_the_turn():
    """Nothing of the turn remains, and the vat goes on."""
    async with open_persistent_vat(env, lambda: spawn(Notebook), MemoryStore()) as (vat, notebook):
        plain = await vat.run(spawn, lambda: None)
        with pytest.raises(NotPortrayableError, match=r"Notebook|lambda"):
            await vat.send(notebook).write(plain)
        assert await vat.send(notebook).read() == ()
        assert await vat.send(notebook).write("fine") == 1


async def test_on_start_knows_whether_it_was_restored():
    """Once fresh, then restored each time; what it changes is saved."""
    store = MemoryStore()
    for round_ in range(3):
        async with open_persistent_vat(env, lambda: spawn(Starter), store) as (vat, starter):
            assert await vat.send(starter).counts() == (1, round_)


async def test_sturdyrefs_in_state_survive():
    """They are data."""
    store = MemoryStore()
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        sturdyref = Sturdyref.from_uri("ocapn://abc.tcp-tls/s/AQID?host=h&port=1")
        await vat.send(notebook).remember(sturdyref)
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        restored = await vat.send(notebook).recall()
        assert restored == sturdyref
        assert restored.peer.hints == {"host": "h", "port": "1"}


async def test_nothing_is_seen_before_it_is_durable():
    """An answer waits for the disk."""
    store = GatedStore()
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        store.shut_gate()
        answers = []

        async def write():
            answers.append(await vat.send(notebook).write("x"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert answers == []
            store.gate.set()
        assert answers == [1]


async def test_the_vat_computes_while_the_disk_works_and_churns_share_a_sync():
    """Many churns, few commits, all answered in order."""
    store = GatedStore()
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        before = store.committing
        store.shut_gate()
        promises = [vat.send(notebook).write(number) for number in range(100)]
        await trio.testing.wait_all_tasks_blocked(0.02)
        store.gate.set()
        assert [await promise for promise in promises] == list(range(1, 101))
        assert store.committing - before <= 3


async def test_a_peer_sees_nothing_before_it_is_durable():
    """The same over a session."""
    network, store = LoopbackNetwork(), GatedStore()

    def roots():
        mycapn = spawn_mycapn(spawn(LoopbackNetlayer, "alice"))
        return mycapn, spawn(Notebook)

    async with person("bob", network) as bob:
        async with open_persistent_vat(env, roots, store) as (vat, (mycapn, notebook)):
            await _attach(vat, mycapn, network)
            sturdyref = await vat.send(mycapn).register(notebook, "loopback")
            remote = await bob.enliven(sturdyref)
            store.shut_gate()
            answers = []

            async def write():
                answers.append(await bob.vat.send(remote).write("x"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                await until(lambda: store.committing > 2)
                await trio.testing.wait_all_tasks_blocked(0.02)
                assert answers == []
                store.gate.set()
            assert answers == [1]


async def _attach(vat, mycapn, network):
    def attach():
        mycapn_netlayer(mycapn).attach(network)

    await vat.run(attach)


def mycapn_netlayer(mycapn):
    """The first netlayer of a mycapn: tests may look inside."""
    return next(iter(mycapn._behaviour._netlayers.values()))


async def test_a_failing_store_stops_the_vat_and_releases_nothing():
    """The error comes out of the block; who waits is told; a restart goes on from what is durable."""
    store = GatedStore()
    answers = []
    with pytest.raises(OSError, match="No space"):
        async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
            await vat.send(notebook).write("kept")
            store.failing = True
            with pytest.raises((VatClosedError, trio.Cancelled)):
                answers.append(await vat.send(notebook).write("lost"))
            await trio.sleep_forever()
    assert answers == []
    store.failing = False
    async with open_persistent_vat(env, lambda: spawn(Notebook), store) as (vat, notebook):
        assert await vat.send(notebook).read() == ("kept",)


async def test_a_class_that_the_environment_lacks_is_named():
    """Nothing is constructed that is not listed."""
    store = MemoryStore()
    async with open_persistent_vat(env, lambda: spawn(Notebook), store):
        pass
    with pytest.raises(UnknownObjectError, match="Notebook"):
        async with open_persistent_vat(PersistenceEnv(Greeter), lambda: spawn(Greeter, "x"), store):
            pass


async def test_a_second_writer_is_refused(tmp_path):
    """One vat per store."""
    path = tmp_path / "s.syrup"
    async with open_persistent_vat(env, lambda: spawn(Notebook), SyrupStore(path)):
        with pytest.raises(StoreLockedError):
            async with open_persistent_vat(env, lambda: spawn(Notebook), SyrupStore(path)):
                pass


async def test_designator_port_and_swiss_numbers_are_the_same_after_a_restart(tmp_path):
    """The URI that people hold still works."""
    path = tmp_path / "alice.syrup"

    def roots():
        return spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1")), spawn(Greeter, "Alice")

    async with open_vat("bob") as bob:
        capn = await bob.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
        uris = set()
        for round_ in range(3):
            async with open_persistent_vat(env, roots, SyrupStore(path)) as (vat, (mycapn, greeter)):
                uris.add((await vat.send(mycapn).register(greeter, "tcp-tls")).uri)
                remote = await bob.send(capn).enliven(next(iter(uris)))
                assert (await bob.send(remote).greet("Bob")).endswith(f"number {round_ + 1}.")
        assert len(uris) == 1


def test_a_persistent_vat_in_the_background(tmp_path):
    """For plain programs."""
    path = tmp_path / "s.syrup"
    for expected in (1, 2, 3):
        vat, notebook = spawn_persistent_vat(env, lambda: spawn(Notebook), SyrupStore(path))
        with vat:
            assert vat.send(notebook).write("x").wait(5) == expected
