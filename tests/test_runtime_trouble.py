"""Trouble at run time: peers that stop, stores that fail, programs that are cancelled, turns without end."""

import logging
from contextlib import suppress

import pytest
import trio
import trio.testing

from goblins_py import (
    PersistenceEnv,
    Symbol,
    actor,
    make_promise,
    open_persistent_vat,
    open_vat,
    ref_to,
    send_only,
    spawn,
    spawn_persistent_vat,
    spawn_vat,
    timeout,
    value,
)
from goblins_py.errors import ActorError, NotPortrayableError, RemoteError, VatClosedError
from persistence import MemoryStore
from runtime_kit import Greeter, alice_and_bob, until


@actor
class Holder:
    """Holds anything."""

    held: object = None

    def hold(self, thing):
        """Hold it."""
        self.held = thing

    def nest(self, depth):
        """Hold so many layers."""
        nested = None
        for _ in range(depth):
            nested = Layer(nested)
        self.held = nested


@value
class Layer:
    """One inside the other."""

    inner: object


@actor
class Spinner:
    """Once asked, never stops sending to itself, and to whoever listens."""

    count: int = 0
    listener: object = None

    def spin(self, listener=None):
        """Go on for ever."""
        self.count += 1
        self.listener = listener
        if listener is not None:
            send_only(listener).hold(self.count)
        send_only(ref_to(self)).spin(listener)

    def ask(self):
        """Answer all the same."""
        return "here"


env = PersistenceEnv(Greeter, Holder, Layer, Spinner)


class FailingStore(MemoryStore):
    """Takes the first commit, and then no more."""

    async def commit(self, deltas):
        """Fail like a full disk, once there is something."""
        if self.commits:
            raise OSError(28, "No space left on device")
        await super().commit(deltas)


async def test_a_vat_opened_in_a_cancelled_scope_is_just_cancelled():
    """No error of ours takes the place of the cancellation."""
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_vat() as vat:
            await vat.run(lambda: None)
    assert scope.cancelled_caught


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
async def test_a_timeout_that_is_no_time_fails_its_turn_only(seconds):
    """The vat goes on."""
    async with open_vat() as vat:
        promise, _ = await vat.run(make_promise)
        with pytest.raises(ValueError, match="seconds"):
            await vat.run(timeout, promise, seconds)
        assert await vat.run(lambda: 1) == 1


async def test_a_turn_without_end_does_not_starve_the_others():
    """A churn that never ends is cut, and others get their turns."""
    async with alice_and_bob() as (alice, bob, _network):
        spinner, sturdyref = await alice.share(Spinner)
        remote = await bob.enliven(sturdyref)
        alice.vat.send(spinner).spin()
        with trio.fail_after(10):
            assert await bob.vat.send(remote).ask() == "here"


async def test_a_persistent_vat_lets_nothing_of_an_unfinished_churn_out_when_it_closes():
    """What is not saved was never said."""
    async with open_vat("other") as other:
        listener = await other.run(spawn, Holder)
        async with open_persistent_vat(env, lambda: spawn(Spinner), MemoryStore()) as (vat, spinner):
            vat.send(spinner).spin(listener)
            await trio.sleep(0.05)
        assert await other.run(lambda: listener._behaviour.held) is None


@pytest.mark.parametrize("depth", [1, 30, 50, 63, 64, 90, 99])
async def test_state_is_saved_or_fails_its_turn_however_deep_it_is(depth):
    """A depth that the store cannot read back never stops the vat."""
    async with open_persistent_vat(env, lambda: spawn(Holder), MemoryStore()) as (vat, holder):
        with suppress(NotPortrayableError, TypeError):
            await vat.send(holder).nest(depth)
        await vat.send(holder).hold("still here")


def test_who_waits_for_a_vat_whose_store_fails_is_told():
    """Neither run nor send hangs."""
    vat, greeter = spawn_persistent_vat(env, lambda: spawn(Greeter, "Alice"), FailingStore())
    with pytest.raises(VatClosedError):
        vat.run(lambda: greeter.greet("Bob"))
    with pytest.raises(VatClosedError):
        vat.send(greeter).greet("Bob").wait(5)
    with pytest.raises(OSError, match="No space"):
        vat.close()


def test_a_vat_cannot_be_spawned_on_the_background_thread():
    """It would wait for itself, and every vat there with it."""
    with spawn_vat() as vat:

        async def nested():
            return spawn_vat()

        promise = vat.run(vat.io.start, nested)
        with pytest.raises(ActorError, match="background"):
            promise.wait(5)


async def test_a_peer_that_stops_reading_and_dies_leaves_nothing_behind():
    """A congested session ends with its connection."""
    async with alice_and_bob() as (alice, bob, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        session = greeter._connector
        network.partition("alice", "bob")
        for _ in range(40):
            bob.vat.send(greeter).echo(bytes(100_000))
        await until(lambda: session.congested)
        network.drop("alice", "bob")
        await until(lambda: session.reason)
        assert session.queued == 0


async def test_what_strangers_ask_for_in_vain_is_one_quiet_line(caplog):
    """Neither a wrong swiss number nor an unknown method fills the log, nor writes lines of its own."""
    caplog.set_level(logging.INFO)
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        for name in ("nothing", "x\nERROR forged \x1b[31m"):
            with pytest.raises(RemoteError):
                await bob.vat.send(greeter)[Symbol(name)]()
    said = [record for record in caplog.records if "refused" in record.getMessage()]
    assert len(said) == 2
    assert all(record.levelno == logging.INFO and not record.exc_info for record in said)
    assert not any("\n" in record.getMessage() or "\x1b" in record.getMessage() for record in said)


async def test_sessions_come_and_go_in_the_log(caplog):
    """For whoever runs a server: who, since when, and why it ended; no secrets."""
    caplog.set_level(logging.INFO)
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        await bob.enliven(sturdyref)
    said = [record.getMessage() for record in caplog.records if record.name == "goblins_py.runtime"]
    assert any("has started" in text for text in said)
    assert any("was severed: the peer aborted" in text for text in said)
