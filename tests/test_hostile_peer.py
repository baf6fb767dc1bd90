"""Hostile peers over real TLS: memory stays bounded, and an honest peer is served meanwhile."""

import gc
import resource
import socket
import struct
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from OpenSSL import SSL

from captp_kit import to_bytes
from goblins_py import actor, open_vat, spawn, spawn_mycapn
from goblins_py.captp import SessionKeys
from goblins_py.captp._greeting import greeting
from goblins_py.captp._records import (
    DescAnswer,
    DescExport,
    DescImportObject,
    OpAbort,
    OpDeliver,
    OpGcExports,
    OpListen,
    OpStartSession,
    read_record,
)
from goblins_py.errors import DesignatorMismatchError
from goblins_py.locators import PeerLocator, Sturdyref, parse_uri
from goblins_py.syrup import NEED_DATA, Decoder, Symbol
from netlayers import TcpTlsNetlayer
from tcp_tls_kit import anonymous_context, tcp_socket, tls_client

PATIENCE = 30
"""Seconds for one story; each takes about one."""
SOON = 5
"""Seconds that an honest round trip may take meanwhile: far more than it does, far less than a stall."""
MUCH = 150 * 2**20
"""Bytes by which the process, strangers included, may grow under attack."""

S = Symbol


@actor
class Echo:
    """What is served."""

    def echo(self, *args):
        return args

    def big(self, size):
        return "x" * size


def memory():
    """Bytes that the process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Stranger:
    """Somebody who has got as far as TLS, and says what they like."""

    def __init__(self, tls):
        self._tls = tls
        self._decoder = Decoder(special=read_record)

    async def send(self, *messages):
        """Operations, descriptors, bytes."""
        for message in messages:
            data = memoryview(message if isinstance(message, bytes) else to_bytes(message))
            while data:
                try:
                    data = data[self._tls.send(data[:16384]) :]
                except SSL.WantWriteError:
                    await trio.lowlevel.wait_writable(self._tls.fileno())

    async def receive(self):
        """Some bytes; none at the end."""
        while True:
            try:
                return self._tls.recv(65536)
            except SSL.WantReadError:
                await trio.lowlevel.wait_readable(self._tls.fileno())
            except (SSL.Error, OSError):
                return b""

    async def operations(self):
        """What is said to them, until the far end hangs up."""
        while data := await self.receive():
            self._decoder.feed(data)
            for operation in iter(self._decoder.next_value, NEED_DATA):
                yield operation

    async def end(self):
        """Why they were aborted, once the far end has hung up."""
        with trio.fail_after(SOON):
            said = [operation async for operation in self.operations()]
        return said[-1].reason if isinstance(said[-1], OpAbort) else None

    def hang_up(self):
        """Without a word: the far end gets a reset."""
        sock = self._tls._socket
        if sock.fileno() != -1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def leave(self):
        """Politely."""
        with suppress(SSL.Error):
            self._tls.shutdown()
        self._tls._socket.close()


class Town:
    """Alice serves, Bob is honest; everybody else is up to the test."""

    def __init__(self, bob, uri, echo):
        self.bob = bob
        self.sturdyref = parse_uri(uri)
        self.echo = echo
        hints = self.sturdyref.peer.hints
        self.address = (hints["host"], int(hints["port"]))
        self._before = memory()
        self._strangers = []

    def disperse(self):
        """All strangers hang up."""
        for stranger in self._strangers:
            stranger.hang_up()

    async def is_fine(self, times=3):
        """Bob is served, each time soon, and the process has not grown much."""
        for number in range(times):
            with trio.fail_after(SOON):
                assert (number,) == await self.bob.send(self.echo).echo(number)
        gc.collect()
        assert memory() - self._before < MUCH
        return True

    async def stranger(self):
        """Somebody after the TLS handshake."""
        stranger = Stranger(await tls_client(await tcp_socket(self.address), anonymous_context()))
        self._strangers.append(stranger)
        return stranger

    async def peer(self):
        """Somebody who has started a session, and whose answer 1 is the object."""
        stranger = await self.stranger()
        await stranger.send(START, OpDeliver(DescExport(0), (S("fetch"), self.sturdyref.swiss_num), 1, False))
        return stranger


MALLORY = PeerLocator("tcp-tls", "mallory")
START = greeting(SessionKeys.from_seed(b"m" * 32), MALLORY)
ECHO = DescAnswer(1)


@asynccontextmanager
async def town(*, handshake=10.0, **options):
    """Alice and Bob in vats of their own, talking already."""
    with trio.fail_after(PATIENCE):
        async with open_vat("alice") as alice, open_vat("bob") as bob:
            netlayer = await alice.run(lambda: spawn(TcpTlsNetlayer, "127.0.0.1", **options))
            mycapn = await alice.run(lambda: spawn_mycapn(netlayer, handshake_timeout=handshake))
            served = await alice.run(spawn, Echo)
            sturdyref = await alice.send(mycapn).register(served, "tcp-tls")
            dialler = await bob.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
            echo = await bob.send(dialler).enliven(sturdyref.uri)
            place = Town(bob, sturdyref.uri, echo)
            try:
                yield place
            finally:
                place.disperse()


SPEECHES = {
    "garbage": ([b"\x00\xff garbage"], "unexpected byte"),
    "HTTP": ([b"GET / HTTP/1.1\r\n\r\n"], "unexpected byte"),
    "a record of 1 GiB": ([START, b"<10'op:deliver1073741824:"], "value_size limit"),
    "a record of 1 GiB at once": ([b"1073741824:"], "value_size limit"),
    "a number without end": ([START, b"9" * 100_000], "digits limit"),
    "a depth bomb": ([START, b"[" * 1_000_000], "depth limit"),
    "a depth bomb in arguments": ([START, b"<10'op:deliver<11'desc:export0+>" + b"[" * 1000], "depth limit"),
    "a wrong signature": (
        [OpStartSession("1.0", START.public_key, PeerLocator("tcp-tls", "m").to_record(), START.signature)],
        "Invalid location signature",
    ),
    "a wrong version": (
        [OpStartSession("0.1", START.public_key, MALLORY.to_record(), START.signature)],
        "CapTP version is incompatible",
    ),
    "a second start": ([START, START], "op:start-session"),
    "a message before the start": ([OpDeliver(DescExport(0), (), False, False)], "an operation"),
    "no start for long": ([b"<16'op:start-session100000\"" + b"x" * 70_000], "greeting_size limit"),
    "an unknown export": ([START, OpDeliver(DescExport(9), (), False, False)], "unknown export position 9"),
    "an unknown answer": ([START, OpDeliver(DescAnswer(9), (), False, False)], "unknown answer position 9"),
    "an unknown argument": ([START, OpDeliver(DescExport(0), (DescExport(9),), False, False)], "position 9"),
    "a listen to nothing": ([START, OpListen(DescExport(9), DescImportObject(1))], "position 9"),
    "too much given back": ([START, OpGcExports((9,), (1,))], "op:gc-exports"),
    "a boolean for a position": ([START, b"<10'op:deliver<11'desc:exportf>[]ff>"], "malformed"),
    "an unheard-of operation": ([START, b"<10'op:unknown>", b"<7'op:what1+>"], ""),
}


async def test_each_kind_of_nonsense_ends_its_own_session_with_a_reason():
    """Said why, hung up on; and Bob's session is none the wiser."""
    async with town() as place:
        told = {}

        async def speak(name, speech):
            stranger = await place.stranger()
            with suppress(SSL.Error, OSError):  # they may hang up while we talk
                await stranger.send(*speech)
            told[name] = await stranger.end()

        async with trio.open_nursery() as nursery:
            for name, (speech, _) in SPEECHES.items():
                nursery.start_soon(speak, name, speech)
            assert await place.is_fine(10)
        for name, (_, reason) in SPEECHES.items():
            assert told[name] is not None, name
            assert reason in told[name], name
        assert await place.is_fine()


async def test_truncated_records_and_hang_ups_end_nothing_else():
    """In the middle of TLS, of the start, of a record; with a reset or politely."""
    async with town() as place:
        start = to_bytes(START)
        for speech in ([], [start[:100]], [start], [start, b"<10'op:deliver<11'desc:export0+>[5'fet"]):
            stranger = await place.stranger()
            await stranger.send(*speech)
            stranger.hang_up()
            stranger = await place.stranger()
            await stranger.send(*speech)
            stranger.leave()
        for data in (b"", b"\x16\x03\x01", b"\x00" * 1000):
            sock = await tcp_socket(place.address)
            sock.send(data)
            sock.close()
        assert await place.is_fine()


async def test_who_never_starts_is_hung_up_on():
    """Those who begin a start and stop; others are served all the while."""
    async with town(handshake=1.0) as place:
        strangers = [await place.stranger() for _ in range(20)]
        for stranger in strangers:
            await stranger.send(b"<16'op:")
        assert await place.is_fine(20)
        assert {"no op:start-session within 1 s"} == {await stranger.end() for stranger in strangers}
        assert await place.is_fine()


async def test_slow_tricklers_cost_only_what_they_send():
    """Fifty peers who send large messages, a few bytes at a time."""
    async with town() as place:
        strangers = [await place.peer() for _ in range(50)]
        for stranger in strangers:
            await stranger.send(b"<10'op:deliver<11'desc:answer1+>[4'echo8000000:")
        for _ in range(100):
            for stranger in strangers:
                await stranger.send(b"drip")
            await trio.sleep(0.001)
        assert await place.is_fine()


async def test_a_thousand_connections_at_once_do_not_stop_the_honest():
    """Silent ones, ones with TLS and nothing else, at a listener that takes two hundred."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if wanted < 2500:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        async with town(max_connections=200) as place:
            socks = [await tcp_socket(place.address) for _ in range(900)]
            strangers = [await place.stranger() for _ in range(100)]
            for stranger in strangers[:50]:
                await stranger.send(START)
            assert await place.is_fine()
            for sock in socks:
                sock.close()
            place.disperse()
            assert await place.is_fine()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def flood(stranger, message, limit):
    """Send and never read, until nothing is taken for a while; how much that was."""
    sent = 0
    with trio.move_on_after(15):
        while sent < limit:
            with trio.move_on_after(0.7) as scope:
                await stranger.send(message)
            if scope.cancelled_caught:
                return sent
            sent += len(message)
    return sent


def calls(*args, count):
    """Messages that want an answer each."""
    return to_bytes(OpDeliver(ECHO, args, False, DescImportObject(7))) * count


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        pytest.param(calls(S("echo"), "x" * 4000, count=20), 60 * 2**20, id="echoes"),
        pytest.param(calls(S("big"), 100_000, count=100), 30 * 2**20, id="small calls with big answers"),
    ],
)
async def test_floods_of_calls_from_one_who_does_not_read_stop(message, limit):
    """Alice stops reading from them: they come to a standstill, nobody else does."""
    async with town() as place:
        stranger = await place.peer()
        sent = await flood(stranger, message, limit)
        assert sent < limit
        assert await place.is_fine(10)


async def test_a_flood_of_messages_that_want_no_answer_is_worked_off():
    """It is read as fast as it is run, and others get their turns."""
    async with town() as place:
        stranger = await place.peer()
        message = to_bytes(OpDeliver(ECHO, (S("echo"), 1), False, False)) * 200
        for _ in range(20):
            await stranger.send(message)
            assert await place.is_fine(1)


async def test_a_wrong_certificate_is_not_believed():
    """Who listens at Alice's address with another certificate is not the one who was meant."""
    async with town() as place:
        peer = place.sturdyref.peer
        other = PeerLocator(peer.transport, "a" * len(peer.designator), peer.hints)
        async with open_vat("carol") as carol:
            mycapn = await carol.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
            with pytest.raises(DesignatorMismatchError):
                await carol.send(mycapn).enliven(Sturdyref(other, place.sturdyref.swiss_num))
        assert await place.is_fine()
