"""The netlayer in memory: what tests rely on when they slow, cut and heal a network."""

from contextlib import asynccontextmanager, suppress

import pytest
import trio

from goblins_py.abc import Proof
from goblins_py.errors import ConnectFailedError, NetlayerError, UnknownTransportError
from goblins_py.locators import PeerLocator
from netlayer_kit import NurseryIo, RunInTest
from netlayers import LoopbackNetlayer, LoopbackNetwork


@asynccontextmanager
async def alice_and_bob(network):
    """Bob has dialled Alice: yields both ends, Bob's first."""
    arrivals = network.join("alice")
    with trio.fail_after(1000):
        bob = await network.dial("bob", "alice")
        alice = await arrivals.receive()
        yield bob, alice
        await bob.aclose()
        await alice.aclose()
    arrivals.close()


async def test_bytes_go_both_ways_in_order():
    """The smallest conversation; both ends know who the other is."""
    async with alice_and_bob(LoopbackNetwork()) as (bob, alice):
        assert bob.proof == Proof.of("alice")
        assert alice.proof == Proof.of("bob")
        await bob.send(b"hello ")
        await bob.send(b"Alice")
        assert await alice.receive() == b"hello "
        assert await alice.receive() == b"Alice"
        await alice.send(b"hello Bob")
        assert await bob.receive() == b"hello Bob"


async def test_chunks_exercise_decoders():
    """One byte at a time, if so wanted."""
    async with alice_and_bob(LoopbackNetwork(chunk=1)) as (bob, alice):
        await bob.send(b"abc")
        assert [await alice.receive() for _ in range(3)] == [b"a", b"b", b"c"]


async def test_closing_ends_the_stream_after_what_was_sent():
    """And then always; whoever still sends learns that nobody reads."""
    async with alice_and_bob(LoopbackNetwork()) as (bob, alice):
        await bob.send(b"bye")
        await bob.aclose()
        assert [await alice.receive() for _ in range(3)] == [b"bye", b"", b""]
        with pytest.raises(trio.BrokenResourceError):
            await alice.send(b"still there?")
        for operation in (bob.receive, lambda: bob.send(b"x")):
            with pytest.raises(trio.ClosedResourceError):
                await operation()


async def test_closing_wakes_whoever_waits():
    """At either end."""
    async with alice_and_bob(LoopbackNetwork()) as (bob, alice), trio.open_nursery() as nursery:

        async def expect_closed():
            with pytest.raises(trio.ClosedResourceError):
                await bob.receive()

        nursery.start_soon(expect_closed)
        await trio.testing.wait_all_tasks_blocked()
        await bob.aclose()
        assert await alice.receive() == b""


async def test_delay_is_kept_and_order_too(autojump_clock):
    """Each way; a dial takes both."""
    network = LoopbackNetwork()
    network.set_delay("alice", "bob", 2.0)
    start = trio.current_time()
    async with alice_and_bob(network) as (bob, alice):
        assert trio.current_time() - start == 4.0
        await bob.send(b"one")
        network.set_delay("alice", "bob", 0.0)
        await bob.send(b"two")
        assert await alice.receive() == b"one"
        assert trio.current_time() - start == 6.0
        assert await alice.receive() == b"two"


async def test_partition_holds_back_and_healing_delivers(autojump_clock):
    """Nothing is lost, only late."""
    network = LoopbackNetwork()
    async with alice_and_bob(network) as (bob, alice):
        network.partition("alice", "bob")
        await bob.send(b"late")
        with trio.move_on_after(100) as scope:
            await alice.receive()
        assert scope.cancelled_caught
        network.heal("bob", "alice")
        assert await alice.receive() == b"late"


async def test_dial_over_a_partition_times_out(autojump_clock):
    """Or goes through as soon as it is healed."""
    network = LoopbackNetwork()
    network.join("alice")
    network.partition("alice", "bob")
    with pytest.raises(ConnectFailedError) as caught:
        await network.dial("bob", "alice")
    assert caught.value.__notes__ == ["alice: no answer within 10 s"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.dial, "bob", "alice")
        await trio.sleep(5)
        network.heal("alice", "bob")


async def test_drop_breaks_both_ends_and_others_go_on():
    """What was under way is lost."""
    network = LoopbackNetwork()
    async with alice_and_bob(network) as (bob, alice):
        await bob.send(b"lost")
        carol = await network.dial("carol", "alice")
        network.drop("alice", "bob")
        for end in (bob, alice):
            for operation in (end.receive, lambda end=end: end.send(b"x")):
                with pytest.raises(trio.BrokenResourceError):
                    await operation()
        await carol.send(b"unharmed")
        await carol.aclose()


async def test_slow_reader_holds_the_sender_back():
    """64 KiB are under way at most."""
    data = bytes(200_000)
    async with alice_and_bob(LoopbackNetwork()) as (bob, alice), trio.open_nursery() as nursery:
        assert bob.send_nowait(data) == 65536
        assert bob.send_nowait(b"more") == 0
        nursery.start_soon(bob.send, data[65536:])
        received = 0
        while received < len(data):
            received += len(await alice.receive())
        assert received == len(data)


async def test_cancelled_receive_loses_nothing():
    """The next call goes on."""
    async with alice_and_bob(LoopbackNetwork()) as (bob, alice):
        await bob.send(b"kept")
        with trio.CancelScope() as scope:
            scope.cancel()
            await alice.receive()
        assert await alice.receive() == b"kept"


async def test_every_operation_is_a_checkpoint():
    """Also when it need not wait."""
    async with alice_and_bob(LoopbackNetwork()) as (bob, alice):
        with trio.testing.assert_checkpoints():
            await bob.send(b"x")
        with trio.testing.assert_checkpoints():
            await alice.receive()
        with trio.testing.assert_checkpoints():
            await bob.aclose()


async def test_nobody_there_is_a_failed_connect():
    """Never joined, left, or the network closed."""
    network = LoopbackNetwork()
    with pytest.raises(ConnectFailedError):
        await network.dial("bob", "alice")
    network.join("alice").close()
    with pytest.raises(ConnectFailedError) as caught:
        await network.dial("bob", "alice")
    assert caught.value.__notes__ == ["alice: nobody listens"]
    arrivals = network.join("alice")
    network.close()
    with pytest.raises(ConnectFailedError):
        await network.dial("bob", "alice")
    arrivals.close()


async def test_restarted_peer_takes_its_place_again():
    """The one before gets no more connections."""
    network = LoopbackNetwork()
    former, current = network.join("alice"), network.join("alice")
    await network.dial("bob", "alice")
    assert current.receive_nowait().proof == Proof.of("bob")
    with pytest.raises(trio.EndOfChannel):
        former.receive_nowait()


# --- the netlayer ---


def locator(designator, transport="loopback"):
    return PeerLocator(transport, designator, None)


async def test_netlayers_connect_by_their_designators():
    """Attached before or after setup, it is all the same."""
    network = LoopbackNetwork()
    accepted = RunInTest()
    alice, bob = LoopbackNetlayer("alice"), LoopbackNetlayer("bob")
    async with trio.open_nursery() as nursery:
        alice.setup(NurseryIo(nursery), accepted)
        alice.attach(network)
        bob.attach(network)
        bob.setup(NurseryIo(nursery), RunInTest())
        assert alice.netlayer_name() == "loopback"
        assert alice.our_location() == locator("alice")
        connection = await bob.connect_to(alice.our_location()).wait()
        await connection.send(b"hi")
        theirs = await accepted.connection()
        assert theirs.proof == Proof.of("bob")
        assert await theirs.receive() == b"hi"
        nursery.cancel_scope.cancel()


async def test_netlayer_that_is_not_attached_cannot_dial():
    """As after a restore."""
    alice = LoopbackNetlayer("alice")
    async with trio.open_nursery() as nursery:
        with pytest.raises(NetlayerError, match="not set up"):
            alice.connect_to(locator("bob"))
        alice.setup(NurseryIo(nursery), RunInTest())
        with pytest.raises(NetlayerError, match="not attached"):
            await alice.connect_to(locator("bob")).wait()
        alice.attach(LoopbackNetwork())
        with pytest.raises(UnknownTransportError, match="tcp-tls"):
            await alice.connect_to(locator("bob", "tcp-tls")).wait()
        nursery.cancel_scope.cancel()


async def test_connections_that_nobody_took_up_are_closed():
    """So the dialler does not wait for a vat that has ended."""
    network = LoopbackNetwork()
    alice = LoopbackNetlayer("alice")
    async with trio.open_nursery() as nursery:
        alice.setup(NurseryIo(nursery), RunInTest())
        alice.attach(network)
        nursery.cancel_scope.cancel()
        with suppress(trio.Cancelled):
            connection = network._connect(network._link("bob", "alice"), "bob", "alice")
    assert await connection.receive() == b""
