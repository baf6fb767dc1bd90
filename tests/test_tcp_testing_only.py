"""tcp-testing-only: plain TCP in two framings, told apart by the first byte; and the suite's objects."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from goblins_py import open_persistent_vat, open_vat, spawn, spawn_mycapn
from goblins_py.abc import WITHOUT_IDENTITIES
from goblins_py.actors import PersistenceEnv
from goblins_py.errors import (
    ConnectFailedError,
    InvalidHintError,
    NetlayerError,
    SyrupDecodeError,
    UnknownTransportError,
)
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.runtime import mycapn_env
from goblins_py.syrup import Symbol, decode
from goblins_py.testing._check_netlayer import check_netlayer
from netlayer_kit import NurseryIo, RunInTest
from netlayers import TcpTestingOnlyNetlayer, _tcp_meeting, tcp_testing_only_env
from netlayers._syrup_frames import LARGEST_MESSAGE, Deframer, frame
from netlayers._tcp_connection import FramedTcpConnection, TcpConnection
from persistence import MemoryStore
from runtime_kit import Greeter

EXAMPLE = Path(__file__).parent.parent / "examples" / "ocapn_test_suite.py"
FRAMINGS = ["none", "syrup"]

# --- frames -----------------------------------------------------------------------


def messages(deframer):
    found = []
    while (message := deframer.next_message()) is not None:
        found.append(message)
    return found


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_frames_are_read_however_they_are_split(chunk):
    """Nothing stands between two of them."""
    sent = [b"a", b"<5'hello>", bytes(300)]
    data = b"".join(map(frame, sent))
    assert data.startswith(b"1:a9:<5'hello>300:")
    deframer, received = Deframer(), []
    for start in range(0, len(data), chunk):
        deframer.feed(data[start : start + chunk])
        received += messages(deframer)
    deframer.finish()
    assert received == sent


@pytest.mark.parametrize("data", [b"0:", b"<5'hello>", b"5+", b"[]", b"8388609:", b"99999999999:", b"3,abc"])
def test_what_is_no_frame_is_refused_at_once(data):
    """An empty message too, and one over the limit before its body has come."""
    deframer = Deframer()
    deframer.feed(data)
    with pytest.raises(SyrupDecodeError):
        messages(deframer)


def test_largest_message_fits_and_no_larger_one():
    """8 MiB, as sessions take."""
    deframer = Deframer()
    deframer.feed(frame(bytes(LARGEST_MESSAGE)))
    assert [len(message) for message in messages(deframer)] == [LARGEST_MESSAGE]
    for size in (0, LARGEST_MESSAGE + 1):
        with pytest.raises(ValueError, match=f"{size} bytes"):
            frame(bytes(size))


def test_stream_that_ends_within_a_frame_is_refused():
    """Between two of them it may end."""
    deframer = Deframer()
    deframer.finish()
    deframer.feed(b"5:hel")
    assert deframer.next_message() is None
    with pytest.raises(SyrupDecodeError):
        deframer.finish()


# --- connections ------------------------------------------------------------------


@asynccontextmanager
async def connected(kind):
    """A connection of this kind, and a plain stream at its other end. Little fits between them."""
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection = kind(ours)
    with trio.fail_after(10):
        async with trio.SocketStream(trio.socket.from_stdlib_socket(theirs)) as peer:
            yield connection, peer
            await connection.aclose()


async def read_all(stream, size):
    data = b""
    while len(data) < size:
        data += await stream.receive_some()
    return data


async def test_a_framed_connection_carries_whole_messages():
    """However they arrive, each receive is one."""
    async with connected(FramedTcpConnection) as (connection, peer):
        assert connection.message_oriented
        assert connection.proof == WITHOUT_IDENTITIES
        await connection.send(b"one")
        await connection.send(b"two more")
        assert await read_all(peer, 15) == b"3:one8:two more"
        await peer.send_all(b"1:a1:b1:c2")
        assert [await connection.receive() for _ in range(3)] == [b"a", b"b", b"c"]
        await peer.send_all(b":xy")
        assert await connection.receive() == b"xy"


async def test_a_message_taken_in_part_is_finished_by_the_next_send():
    """send_nowait says that it took nothing; nothing is sent twice."""
    message = os.urandom(200_000)
    async with connected(FramedTcpConnection) as (connection, peer):
        assert connection.send_nowait(b"small") == 5
        assert connection.send_nowait(message) == 0
        assert connection.send_nowait(message) == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send, message)
            assert await read_all(peer, 200_014) == b"5:small200000:" + message
        assert connection.send_nowait(b"after") == 5
        assert await read_all(peer, 7) == b"5:after"


@pytest.mark.parametrize("data", [b"<5'hello>", b"0:", b"99999999:"])
async def test_a_bad_frame_breaks_the_connection(data):
    """Both ways: whoever sends it cannot be talked to."""
    async with connected(FramedTcpConnection) as (connection, peer):
        await peer.send_all(data)
        for operation in (connection.receive, lambda: connection.send(b"x")):
            with pytest.raises(trio.BrokenResourceError, match="no framed message"):
                await operation()


async def test_a_stream_that_ends_within_a_frame_is_broken():
    """Between frames it just ends."""
    async with connected(FramedTcpConnection) as (connection, peer):
        await peer.send_all(b"1:a9:half")
        await peer.aclose()
        assert await connection.receive() == b"a"
        with pytest.raises(trio.BrokenResourceError):
            await connection.receive()


@pytest.mark.parametrize("size", [0, LARGEST_MESSAGE + 1])
async def test_a_message_that_no_frame_can_hold_breaks_the_connection(size):
    """It cannot be left out, and nothing of it is sent."""
    async with connected(FramedTcpConnection) as (connection, peer):
        with pytest.raises(trio.BrokenResourceError, match=f"{size} bytes"):
            await connection.send(bytes(size))
        await connection.aclose()
        assert await peer.receive_some() == b""


@pytest.mark.parametrize("kind", [TcpConnection, FramedTcpConnection])
async def test_a_cancelled_send_leaves_the_connection_lost(kind):
    """What came after half a message would be garbage."""
    async with connected(kind) as (connection, _):
        with trio.move_on_after(0.01) as scope:
            await connection.send(bytes(1_000_000))
        assert scope.cancelled_caught
        with pytest.raises(trio.BrokenResourceError, match="cancelled"):
            await connection.send(b"x")
        with pytest.raises(trio.BrokenResourceError, match="cancelled"):
            connection.send_nowait(b"x")


async def test_only_one_task_may_send_and_one_receive():
    """The second is told, the first goes on."""
    async with connected(TcpConnection) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(connection.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await connection.receive()
        await peer.send_all(b"x")


# --- the netlayer -----------------------------------------------------------------


def locator(**hints):
    return PeerLocator("tcp-testing-only", "alice", hints)


@asynccontextmanager
async def set_up(*args, guests=None, **fields):
    """A netlayer, and who gets the connections that are made to it."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            guests = guests or RunInTest()
            netlayer = TcpTestingOnlyNetlayer(*args, **fields)
            netlayer.setup(NurseryIo(nursery), guests)
            yield netlayer, guests
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("listen", [True, False])
async def test_the_netlayer_keeps_the_contract(framing, listen):
    """In both framings, and dialling only."""
    await check_netlayer(
        lambda: spawn(TcpTestingOnlyNetlayer, "alice"),
        make_dialler=lambda: spawn(TcpTestingOnlyNetlayer, "bob", framing=framing, listen=listen),
    )


@pytest.mark.parametrize(
    ("said", "whole", "heard"),
    [(b"<5'hello>", False, b"<5'hello>"), (b"9:<5'hello>", True, b"<5'hello>")],
)
async def test_the_first_byte_tells_the_framing(said, whole, heard):
    """Whatever our own framing for dialling is."""
    for framing in FRAMINGS:
        async with set_up("alice", framing=framing) as (alice, guests):
            async with await trio.open_tcp_stream("127.0.0.1", alice.port) as stream:
                await stream.send_all(said)
                connection = await guests.connection()
                assert connection.message_oriented is whole
                assert await connection.receive() == heard
                await connection.send(b"<3'you>")
                assert await stream.receive_some() == (b"7:" if whole else b"") + b"<3'you>"


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n", b"\0"])
async def test_a_first_byte_of_something_else_is_hung_up_on(said):
    """No session is started for it, and others are served."""
    async with set_up("alice") as (alice, guests):
        async with await trio.open_tcp_stream("127.0.0.1", alice.port) as stream:
            await stream.send_all(said)
            assert await stream.receive_some() == b""
        async with await trio.open_tcp_stream("127.0.0.1", alice.port) as stream:
            await stream.send_all(b"<")
            await guests.connection()


async def test_a_silent_stranger_is_hung_up_on(monkeypatch):
    """After ten seconds; here sooner."""
    monkeypatch.setattr(_tcp_meeting, "FIRST_BYTE_TIMEOUT", 0.01)
    async with set_up("alice") as (alice, _):
        async with await trio.open_tcp_stream("127.0.0.1", alice.port) as stream:
            assert await stream.receive_some() == b""


class HangUp(RunInTest):
    """Says goodbye to whoever comes."""

    async def run(self, connection):
        await connection.send(b"goodbye")
        await connection.aclose()


async def test_who_is_hung_up_on_while_talking_sees_an_end_and_no_reset():
    """What was said last arrives, also if more is on its way to us."""
    async with set_up("alice", guests=HangUp()) as (alice, _):
        async with await trio.open_tcp_stream("127.0.0.1", alice.port) as stream:
            await stream.send_all(b"<" + bytes(1000))
            assert await stream.receive_some(7) == b"goodbye"
            for _ in range(5):
                await stream.send_all(bytes(1000))
                await trio.sleep(0.001)
            assert await stream.receive_some() == b""


async def test_location_has_host_and_port_as_strings_and_the_port_is_kept():
    """State is all that a restored one needs."""
    async with set_up("a text of one's own") as (alice, _):
        location = alice.our_location()
        assert alice.netlayer_name() == location.transport == "tcp-testing-only"
        assert location.designator == "a text of one's own"
        assert dict(location.hints) == {"host": "127.0.0.1", "port": str(alice.port)}
    async with set_up("a text of one's own", port=alice.port) as (restored, _):
        assert dict(restored.our_location().hints) == dict(location.hints)


async def test_one_that_only_dials_has_no_hints():
    """Nobody can dial it."""
    async with set_up("bob", listen=False) as (bob, _):
        assert bob.our_location().hints is None
        assert bob.port is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"designator": ""}, "needs a designator"),
        ({"framing": "netstring"}, "none, syrup"),
        ({"port": 0}, "no port number"),
        ({"port": 65536}, "no port number"),
        ({"host": "example.com"}, "IP address"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused(fields, text):
    """By setup, in words, before anything is started."""
    netlayer = TcpTestingOnlyNetlayer(**{"designator": "alice", **fields})
    with pytest.raises(NetlayerError, match=text):
        netlayer.setup(NurseryIo(None), RunInTest())


def test_nothing_can_be_asked_before_setup():
    """But its name."""
    netlayer = TcpTestingOnlyNetlayer("alice")
    assert netlayer.netlayer_name() == "tcp-testing-only"
    for question in (netlayer.our_location, lambda: netlayer.connect_to(locator())):
        with pytest.raises(NetlayerError, match="not set up"):
            question()


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        (PeerLocator("tcp-tls", "alice", None), UnknownTransportError, "tcp-tls"),
        (PeerLocator("tcp-testing-only", "alice", None), InvalidHintError, "no host"),
        (locator(port="1"), InvalidHintError, "no host"),
        (locator(host="127.0.0.1"), InvalidHintError, "port"),
        (locator(host="127.0.0.1", port="0"), InvalidHintError, "port"),
        (locator(host="127.0.0.1", port="65536"), InvalidHintError, "port"),
        (locator(host="127.0.0.1", port="+1"), InvalidHintError, "port"),
    ],
)
async def test_a_locator_that_cannot_be_dialled_breaks_the_promise(target, error, text):
    """With what is wrong about it."""
    async with set_up("bob", listen=False) as (bob, _):
        with pytest.raises(error, match=text):
            await bob.connect_to(target).wait()


async def test_nobody_there_is_a_failed_connect_that_names_the_address():
    """One note for each that was tried."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    async with set_up("bob", listen=False) as (bob, _):
        with pytest.raises(ConnectFailedError, match=f"127.0.0.1:{port}") as caught:
            await bob.connect_to(locator(host="127.0.0.1", port=str(port))).wait()
        assert [note.startswith(f"127.0.0.1:{port}: ") for note in caught.value.__notes__] == [True]


# --- sessions over it -------------------------------------------------------------


@asynccontextmanager
async def person(name, framing):
    with trio.fail_after(30):
        async with open_vat(name) as vat:
            mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTestingOnlyNetlayer, name, framing=framing)))
            yield vat, mycapn


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_objects_are_called_over_it(framing):
    """Pipelined, and many at once: each message arrives for itself."""
    async with person("alice", framing) as (alice, hers), person("bob", framing) as (bob, his):
        greeter = await alice.run(spawn, Greeter, "Alice")
        sturdyref = await alice.send(hers).register(greeter, "tcp-testing-only")
        enlivened = bob.send(his).enliven(sturdyref.uri)
        assert (await bob.send(enlivened).greet("Bob")).startswith("Hello Bob")
        answers = [bob.send(enlivened).echo(number, "x" * 1000) for number in range(200)]
        assert [(await answer)[0] for answer in answers] == list(range(200))
        (large,) = await bob.send(enlivened).echo(bytes(2**20))
        assert len(large) == 2**20


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"<8'op:abort6\"enough><8'op:abort6\"enough>", "goes on"),
        (b"<8'op:abort6\"eno", "ends within"),
    ],
)
async def test_a_message_that_is_not_one_record_ends_the_session(message, text):
    """With an abort that says so, framed as the peer does."""
    async with person("alice", "none") as (alice, hers):
        location = await alice.send(hers).self_location("tcp-testing-only")
        async with await trio.open_tcp_stream("127.0.0.1", int(location.hints["port"])) as stream:
            await stream.send_all(frame(message))
            deframer, found = Deframer(), []
            while data := await stream.receive_some():
                deframer.feed(data)
                found += messages(deframer)
    labels = [decode(each).label for each in found]
    assert labels == [Symbol("op:start-session"), Symbol("op:abort")]
    assert text in decode(found[1]).fields[0]


async def test_sturdyrefs_outlive_a_restart():
    """The port that was free is state."""
    env = PersistenceEnv(Greeter, extends=[mycapn_env, tcp_testing_only_env])
    store = MemoryStore()

    def roots():
        return spawn_mycapn(spawn(TcpTestingOnlyNetlayer, "alice")), spawn(Greeter, "Alice")

    uris = []
    for _ in range(2):
        async with open_persistent_vat(env, roots, store) as (vat, (mycapn, greeter)):
            uris.append((await vat.send(mycapn).register(greeter, "tcp-testing-only")).uri)
    assert uris[0] == uris[1]


# --- the suite's objects ----------------------------------------------------------


@contextmanager
def example(*options):
    """The example in a process of its own; its locator."""
    command = [sys.executable, str(EXAMPLE), "--seconds", "60", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield PeerLocator.from_uri(process.stdout.readline().strip())
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_the_example_serves_what_the_suite_asks_for(framing):
    """All five objects; SIGTERM ends it, and in good order."""
    with example("--designator", "suite") as peer:
        assert peer.designator == "suite"
        async with person("bob", framing) as (vat, mycapn):
            await call_all(peer, vat, mycapn)


async def call_all(peer, vat, mycapn):
    def named(swiss_num):
        return vat.send(mycapn).enliven(Sturdyref(peer, swiss_num))

    factory = vat.send(named(b"JadQ0++RzsD4M+40uLxTWVaVqM10DcBJ"))()
    car = vat.send(factory)([Symbol("red"), Symbol("zoomracer")])
    assert await vat.send(car)() == "Vroom! I am a red zoomracer car!"
    assert await vat.send(named(b"IO58l1laTyhcrgDKbEzFOO32MDd6zE5w"))(1, "two") == (1, "two")
    promise, resolver = await vat.send(named(b"IokCxYmMj04nos2JN1TDoY1bT8dXh6Lr"))()
    vat.send(resolver).fulfill("done")
    assert await promise == "done"
    echo = Sturdyref(peer, b"IO58l1laTyhcrgDKbEzFOO32MDd6zE5w")
    enlivened = vat.send(named(b"gi02I1qghIwPiKGKleCQAOhpy3ZtYRpB"))(echo)
    assert await vat.send(enlivened)("itself") == ("itself",)
    heard = trio.Event()
    guest = await vat.run(spawn, lambda text: heard.set() if text == "Hello" else None)
    await vat.send(named(b"VMDDd1voKWarCe2GvgLbxbVFysNzRPzx"))(guest)
    await heard.wait()


def test_a_connection_knows_the_address_of_its_far_end():
    """None if there is no such thing, or it is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()) as sock:
            assert TcpConnection(sock).remote_address == "127.0.0.1"
        assert TcpConnection(sock).remote_address is None
    one, other = socket.socketpair()
    with one, other:
        assert TcpConnection(one).remote_address is None
