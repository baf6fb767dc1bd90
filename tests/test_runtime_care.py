"""What the runtime takes care of: idle garbage, a slow disk, Ctrl-C in a turn, reasons that arrive."""

import gc
import signal
import weakref
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from goblins_py import (
    PersistenceEnv,
    actor,
    live,
    mycapn_env,
    open_persistent_vat,
    open_vat,
    spawn,
    spawn_mycapn,
)
from goblins_py.actors import send_only
from netlayers import LoopbackNetlayer, LoopbackNetwork, loopback_env
from runtime_kit import Greeter, alice_and_bob, person
from test_runtime_persistence import GatedStore, mycapn_netlayer

FLOOD = 8000
"""Messages, each of which is something to be saved."""
FEW = 4000
"""More than may wait for the disk, with what one read brings; less than the flood."""


# --- garbage of idle programs ---------------------------------------------------------------


@pytest.fixture
def idle():
    """Python by itself never collects anything that is in a cycle."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Knot:
    """Holds itself, and something else."""

    def __init__(self, held):
        self.held = held
        self.itself = self


@pytest.mark.usefixtures("idle")
async def test_an_idle_program_gives_back_what_is_in_a_cycle(autojump_clock):
    """Nobody allocates anything, so Python does not collect; the peer hears of it all the same, and soon."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        knot = Knot(await bob.enliven(sturdyref))
        held, imports = weakref.ref(knot), knot.held._connector.references.imports
        del knot
        await trio.sleep(0.3)
        assert held() is not None
        assert len(imports) > 1
        await trio.sleep(3)
        assert held() is None
        assert len(imports) == 1  # the bootstrap object


# --- a disk that is slower than the network --------------------------------------------------


@actor
class Counter:
    """Counts; whoever made it sees what has not been saved yet, too."""

    count: int = 0
    seen: list | None = live()

    def incr(self):
        """One more."""
        self.count += 1
        if self.seen is not None:
            self.seen.append(self.count)


env = PersistenceEnv(Counter, extends=[mycapn_env, loopback_env])


async def test_what_a_stuck_disk_cannot_save_is_not_read_from_the_network():
    """The peer has to wait, not our memory; nothing is lost."""
    network, store, seen = LoopbackNetwork(), GatedStore(), []

    def roots():
        return spawn_mycapn(spawn(LoopbackNetlayer, "alice")), spawn(Counter)

    async with (
        person("bob", network) as bob,
        open_persistent_vat(env, roots, store) as (vat, (mycapn, counter)),
    ):
        counter._behaviour.seen = seen
        await vat.run(lambda: mycapn_netlayer(mycapn).attach(network))
        remote = await bob.enliven(await vat.send(mycapn).register(counter, "loopback"))
        store.shut_gate()
        await bob.vat.run(lambda: [send_only(remote).incr() for _ in range(FLOOD)])
        for _ in range(5):
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert 0 < len(seen) < FEW
        store.gate.set()
        with trio.fail_after(30):
            while len(seen) < FLOOD:
                await trio.sleep(0.01)
        assert seen == list(range(1, FLOOD + 1))


# --- Ctrl-C ------------------------------------------------------------------------------------


class Interrupted:
    """A plain object: somebody presses Ctrl-C while it is at work."""

    def __init__(self):
        self.done = []

    def __call__(self):
        signal.raise_signal(signal.SIGINT)
        self.done.append("the rest of the turn")


async def near(interrupted):
    """Called in its own program."""
    async with open_vat() as vat:
        await vat.send(await vat.run(spawn, interrupted))()


async def far(interrupted):
    """Called by a peer: the turn runs in the task that reads."""
    async with alice_and_bob() as (alice, bob, _network):
        await bob.vat.send(await share(alice, bob, interrupted))()


async def share(owner, other, behaviour):
    """A reference of the owner's, enlivened by the other."""
    ref = await owner.vat.run(spawn, behaviour)
    return await other.enliven(await owner.vat.send(owner.mycapn).register(ref, "loopback"))


@pytest.mark.parametrize("call", [near, far])
def test_ctrl_c_in_the_middle_of_a_turn_comes_after_it(call):
    """The turn is whole; then the program ends as it would without us."""
    interrupted = Interrupted()
    with pytest.raises(BaseException) as caught:
        trio.run(call, interrupted)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert interrupted.done == ["the rest of the turn"]


# --- the last word ---------------------------------------------------------------------------


async def test_whoever_is_aborted_can_read_why_while_still_sending(autojump_clock):
    """We read on for half a second: closing at once would reset the connection, and the reason be lost."""
    async with alice_and_stranger() as connection:
        await connection.send(b"5:bytesthat are no CapTP")
        assert b"op:abort" in await hear(connection)
        aborted = trio.current_time()
        for _ in range(4):
            await connection.send(bytes(2**20))  # much more than fits on the way: it is read
            await trio.sleep(0.1)
        assert await connection.receive() == b""
        assert trio.current_time() - aborted == pytest.approx(0.5)


async def test_who_hangs_up_having_been_aborted_is_not_waited_for(autojump_clock):
    """There is nothing more to be read."""
    async with alice_and_stranger() as connection:
        await connection.send(b"5:bytesthat are no CapTP")
        assert b"op:abort" in await hear(connection)
        aborted = trio.current_time()
        await connection.aclose()
    assert trio.current_time() - aborted < 0.5


@asynccontextmanager
async def alice_and_stranger():
    """A connection to Alice of somebody who says what he likes."""
    network = LoopbackNetwork()
    async with person("alice", network) as alice:
        _, sturdyref = await alice.share(Greeter, "Alice")
        connection = await network.dial("stranger", sturdyref.peer.designator)
        yield connection
        await connection.aclose()


async def hear(connection):
    """All that Alice says until her reason is there."""
    heard = b""
    while b"op:abort" not in heard:
        heard += await connection.receive()
    return heard
