"""A tcp-tls listener against strangers: slow, silent, wrong, too many."""

import errno
import socket
import struct
from contextlib import suppress

import attrs
import pytest
import trio
from OpenSSL import SSL

from goblins_py.abc import Proof
from goblins_py.runtime._sockets import listen_tcp
from netlayers._admission import Admission, Statistics
from netlayers._certificates import designator_of
from netlayers._tls_dialler import dial
from netlayers._tls_listener import TlsListener
from tcp_tls_kit import (
    ALICE,
    ALICE_PAIR,
    BOB,
    DialOnlyIo,
    HandOver,
    alice,
    anonymous_context,
    is_ended,
    locator_of,
    read_preamble,
    stranger,
    tcp_socket,
    tls_client,
    until,
)


async def is_served(server):
    """Whether an honest peer gets its echo."""
    connection = await server.dial()
    await connection.send(b"honest")
    answer = await connection.receive()
    await connection.aclose()
    return answer == b"honest"


# --- what goes over the wire ---


async def test_preamble_is_sent_at_once_on_accept():
    """A dialler that waits for it before it speaks, as Goblins does, gets it."""
    async with alice() as server, stranger(server.address) as stream:
        assert await read_preamble(stream) == ALICE_PAIR[1].encode()
        assert designator_of(ALICE_PAIR[1].encode()) == server.locator.designator


async def test_client_may_say_hello_before_it_reads_the_preamble():
    """Ours does."""
    async with alice() as server:
        assert await is_served(server)


async def test_preamble_and_handshake_may_trickle_in_byte_by_byte():
    """A slow honest peer is served all the same."""
    async with alice() as server, stranger(server.address) as stream:
        await read_preamble(stream)
        tls = SSL.Connection(anonymous_context(), None)
        tls.set_connect_state()
        await shake_hands_slowly(tls, stream)
        tls.send(b"hi")
        await trickle(stream, tls.bio_read(65536))
        await until(lambda: server.listener.statistics.established == 1)


async def shake_hands_slowly(tls, stream):
    while True:
        try:
            tls.do_handshake()
        except SSL.WantReadError:
            await trickle(stream, tls.bio_read(65536))
            tls.bio_write(await stream.receive_some(65536))
        else:
            return await trickle(stream, tls.bio_read(65536))


async def trickle(stream, data):
    for byte in data:
        await stream.send_all(bytes([byte]))


async def test_only_tls_1_3_is_spoken():
    """An older version fails the handshake."""
    context = anonymous_context()
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    async with alice() as server:
        with await tcp_socket(server.address) as sock, pytest.raises(trio.BrokenResourceError):
            await tls_client(sock, context)
        await until(lambda: server.listener.statistics.handshake_failed == 1)


async def test_ipv6_and_ipv4_share_the_port():
    """One port number in the locator is enough."""
    async with alice() as server, stranger(("::1", server.address[1])) as stream:
        assert await read_preamble(stream) == ALICE_PAIR[1].encode()


async def test_guest_is_proved_by_the_canonical_form_of_its_certificate():
    """Its PEM with 64 columns and LF is what its own preamble would carry."""
    establisher = HandOver()
    async with alice(establisher) as server:
        connection = await server.dial(ALICE)
        await connection.send(b"x")
        accepted = await establisher.outlet.receive()
        assert accepted.proof == Proof.of(ALICE.designator)
        await connection.aclose()


# --- strangers ---


async def test_garbage_instead_of_tls_ends_that_connection_only():
    """Whatever it is; and it is counted."""
    async with alice() as server:
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 5000, b"\x16\x03\x01\xff\xff"):
            async with stranger(server.address) as stream:
                await stream.send_all(garbage)
                with suppress(trio.BrokenResourceError):
                    await stream.send_eof()
                assert await is_ended(stream)
        await until(lambda: server.listener.statistics.handshake_failed == 4)
        assert await is_served(server)


async def test_stranger_that_vanishes_ends_nothing_else():
    """Goblins' own netlayer never accepts again after this."""
    async with alice() as server:
        for reset in (False, True):
            with await tcp_socket(server.address) as sock:
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: server.listener.statistics.handshake_failed == 2)
        assert await is_served(server)


async def test_peer_that_shakes_hands_and_hangs_up_is_not_established():
    """The first byte of a session makes it one."""
    async with alice() as server:
        with await tcp_socket(server.address) as sock:
            tls = await tls_client(sock, anonymous_context())
            tls.shutdown()
        await until(lambda: server.listener.statistics.handshake_failed == 1)
        assert server.listener.statistics.established == 0


@pytest.mark.parametrize("says", [b"", b"\x16\x03\x01"])
async def test_handshake_has_a_time_limit(says):
    """For the silent, and for those who stop in the middle."""
    async with alice(patience=0.1) as server, stranger(server.address) as stream:
        await stream.send_all(says)
        assert await is_ended(stream)
        assert server.listener.statistics.handshake_failed == 1
        assert await is_served(server)


async def test_slow_trickle_does_not_prolong_the_handshake():
    """The limit is for all of it, not for each byte."""
    async with (
        alice(patience=0.2) as server,
        stranger(server.address) as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(keep_talking, stream)
        assert await is_ended(stream)
        nursery.cancel_scope.cancel()


async def keep_talking(stream):
    await stream.send_all(b"\x16\x03\x01\x02\x00")
    try:
        while True:
            await stream.send_all(b"\x01")
            await trio.sleep(0.01)
    except trio.BrokenResourceError:
        pass


async def test_time_limit_does_not_touch_established_connections():
    """After the first byte a peer may be silent as long as it likes."""
    async with alice(patience=0.1) as server:
        connection = await server.dial()
        await connection.send(b"x")
        assert await connection.receive() == b"x"
        await trio.sleep(0.2)
        await connection.send(b"y")
        assert await connection.receive() == b"y"
        await connection.aclose()


# --- too many ---


async def test_oldest_handshake_gives_way_when_there_are_too_many():
    """The silent cannot keep the honest out."""
    async with alice(limit=3) as server:
        silent = [await tcp_socket(server.address) for _ in range(5)]
        statistics = server.listener.statistics
        await until(lambda: statistics.handshake_evicted == 2)
        for sock in silent[:2]:
            assert await is_ended(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))
        assert await is_served(server)
        assert (statistics.accepted, statistics.handshake_evicted) == (6, 3)
        for sock in silent:
            sock.close()


async def test_no_more_than_max_connections_are_established():
    """Further ones are closed at once and counted; when one ends, the next may come."""
    async with alice(limit=2) as server:
        statistics = server.listener.statistics
        guests = [await established(server) for _ in range(2)]
        surplus = await server.dial()
        await surplus.send(b"me too")
        assert await ends(surplus)
        assert (statistics.established, statistics.refused) == (2, 1)
        await guests.pop().aclose()
        await until_served(server)
        for connection in (surplus, *guests):
            await connection.aclose()


async def established(server):
    connection = await server.dial()
    await connection.send(b"x")
    assert await connection.receive() == b"x"
    return connection


async def ends(connection):
    try:
        return await connection.receive() == b""
    except trio.BrokenResourceError:
        return True


async def until_served(server):
    """The place that a closed connection leaves is free as soon as the listener has noticed."""
    while True:
        connection = await server.dial()
        try:
            await connection.send(b"x")
            if await connection.receive():
                return
        except trio.BrokenResourceError:
            pass
        finally:
            await connection.aclose()


async def test_hundreds_of_silent_strangers_do_not_keep_an_honest_peer_waiting():
    """Their handshakes cost next to nothing."""
    async with alice(limit=200) as server:
        silent = [await tcp_socket(server.address) for _ in range(300)]
        with trio.fail_after(2):
            assert await is_served(server)
        for sock in silent:
            sock.close()


def test_admission_counts_an_evicted_handshake_once():
    """It is evicted, not failed as well."""
    statistics = Statistics()
    admission = Admission(1, statistics)
    assert admission.begin("first") is None
    assert admission.begin("second") == "first"
    admission.fail("first")
    admission.fail("second")
    assert counts(statistics) == {"accepted": 2, "handshake_evicted": 1, "handshake_failed": 1}


def test_admission_keeps_handshakes_and_established_connections_apart():
    """A full house still shakes hands, so that it can refuse."""
    statistics = Statistics()
    admission = Admission(1, statistics)
    admission.begin("first")
    assert admission.establish("first")
    assert admission.begin("second") is None
    assert not admission.establish("second")
    admission.leave()
    admission.begin("third")
    assert admission.establish("third")
    assert counts(statistics) == {"accepted": 3, "established": 2, "refused": 1}


def counts(statistics):
    return {name: count for name, count in attrs.asdict(statistics).items() if count}


def test_evicting_from_an_empty_pool_does_nothing():
    """There may be no descriptors left and no handshake to blame."""
    assert Admission(1, Statistics()).evict() is None


# --- what the system does ---


class Unwilling:
    """A listening socket whose accept fails a few times first."""

    def __init__(self, sock, numbers):
        self._sock = sock
        self._numbers = numbers

    def accept(self):
        if self._numbers:
            number = self._numbers.pop()
            raise OSError(number, "made up")
        return self._sock.accept()

    def __getattr__(self, name):
        return getattr(self._sock, name)


async def test_accept_loop_survives_what_the_system_refuses(monkeypatch):
    """No descriptors, aborted connections, no memory: it pauses and goes on."""
    monkeypatch.setattr("netlayers._reception._PAUSE", 0.01)
    original = TlsListener._accept_from
    numbers = [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, errno.ENOBUFS, errno.EAGAIN]

    async def accept_from(self, listening, nursery):
        await original(self, Unwilling(listening, numbers), nursery)

    monkeypatch.setattr(TlsListener, "_accept_from", accept_from)
    async with alice() as server:
        assert await is_served(server)
        assert numbers == []


async def test_session_that_raises_ends_only_itself(caplog):
    """Establishers should not; the listener lives on and logs it."""

    class Careless(HandOver):
        async def run(self, connection):
            raise RuntimeError("careless")

    async with alice(Careless()) as server:
        for _ in range(2):
            connection = await server.dial()
            await connection.send(b"x")
            assert await ends(connection)
            await connection.aclose()
    assert "careless" in caplog.text


async def test_closing_the_listening_sockets_keeps_established_connections():
    """So the runtime stops accepting first, and flushes then."""
    establisher = HandOver()
    listener = TlsListener(ALICE, establisher, 10)
    sockets = listen_tcp("localhost", 0)
    locator = locator_of(ALICE, sockets[0].getsockname())
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run, sockets)
            connection = await dial(BOB, DialOnlyIo(), locator)
            await connection.send(b"x")
            accepted = await establisher.outlet.receive()
            for sock in sockets:
                trio.lowlevel.notify_closing(sock)
                sock.close()
            await trio.testing.wait_all_tasks_blocked(0.01)
            await connection.send(b"y")
            assert await accepted.receive() == b"x"
            assert await accepted.receive() == b"y"
            establisher.release.set()
            assert await connection.receive() == b""
            await connection.aclose()
