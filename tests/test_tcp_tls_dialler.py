"""Dialling by tcp-tls: hints, addresses, wrong certificates, peers that never answer."""

import re
import socket
import ssl
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from goblins_py.errors import (
    ConnectFailedError,
    DesignatorMismatchError,
    InvalidHintError,
    NetlayerError,
    UnknownTransportError,
)
from goblins_py.locators import PeerLocator
from goblins_py.runtime._sockets import dial_tcp, listen_tcp
from netlayers._certificates import canonical_pair, designator_of
from netlayers._preamble import encode_preamble
from netlayers._tls_dialler import dial, read_target, server_name
from netlayers._tls_identity import make_identity
from tcp_tls_kit import (
    ALICE,
    ALICE_PAIR,
    BOB,
    DialOnlyIo,
    alice,
    copy,
    impostor,
    is_ended,
    locator_of,
    read_exactly,
    until,
)

DESIGNATOR = ALICE.designator


def dial_at(address, limit=5.0):
    """Bob dials what should be Alice."""
    return dial(BOB, DialOnlyIo(), locator_of(ALICE, address), limit)


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


# --- hints ---


def test_locator_gives_host_and_port():
    """Both are strings on the wire."""
    target = read_target(PeerLocator("tcp-tls", DESIGNATOR, {"host": "example.com", "port": "22100"}))
    assert (target.host, target.port, str(target)) == ("example.com", 22100, "example.com:22100")


def test_missing_port_is_8088():
    """As in Goblins."""
    assert read_target(PeerLocator("tcp-tls", DESIGNATOR, {"host": "h"})).port == 8088


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_address_may_have_brackets(host):
    """People write both."""
    target = read_target(PeerLocator("tcp-tls", DESIGNATOR, {"host": host}))
    assert (target.host, str(target)) == ("::1", "[::1]:8088")


@pytest.mark.parametrize(
    "hints",
    [None, {}, {"port": "80"}, {"host": ""}]
    + [{"host": "h", "port": port} for port in ("", "0", "65536", "-1", "+80", "8O", "٣", " 80", "080000")],
)
def test_hints_that_cannot_be_dialled_are_refused(hints):
    """No host, or a port that is none."""
    with pytest.raises(InvalidHintError):
        read_target(PeerLocator("tcp-tls", DESIGNATOR, hints))


@pytest.mark.parametrize("designator", ["abc", DESIGNATOR[:-1], DESIGNATOR.upper(), "1" * 52, "a" * 53])
def test_designator_that_no_certificate_can_have_is_refused(designator):
    """It need not be dialled to know."""
    with pytest.raises(InvalidHintError):
        read_target(PeerLocator("tcp-tls", designator, {"host": "h"}))


def test_locator_of_another_transport_is_refused():
    """The text names it."""
    with pytest.raises(UnknownTransportError, match="onion"):
        read_target(PeerLocator("onion", DESIGNATOR, {"host": "h"}))


# --- what our dialler says ---


async def test_hello_with_a_server_name_comes_before_the_preamble():
    """A server that has sent nothing gets all of it: so the connection passes SNI routers."""
    seen = []

    async def serve(stream):
        head = await read_exactly(stream, 5)
        seen.append(head + await read_exactly(stream, int.from_bytes(head[3:5], "big")))
        assert await is_ended(stream)

    async with impostor(serve) as address, trio.open_nursery() as nursery:
        nursery.start_soon(fails_with, ConnectFailedError, partial(dial_at, address, 0.5))
        await until(lambda: seen)
        assert server_name_in(seen[0]) == server_name(DESIGNATOR) == f"{DESIGNATOR}.tcp-tls"


async def fails_with(kind, operation):
    with pytest.raises(kind):
        await operation()


def server_name_in(hello):
    """The SNI of a ClientHello record, as an independent TLS reads it."""
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    incoming = ssl.MemoryBIO()
    incoming.write(hello)
    with pytest.raises(ssl.SSLError):
        context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    return names[0]


def test_server_name_is_a_legal_dns_name():
    """Labels of at most 63 letters, digits and hyphens."""
    for label in server_name(DESIGNATOR).split("."):
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label)


async def test_our_certificate_is_not_shown_to_the_wrong_peer():
    """It hangs up as soon as the preamble is known to be another's."""
    after_preamble = []

    async def serve(stream):
        await read_exactly(stream, 5)
        await stream.send_all(encode_preamble(BOB.preamble[4:]))
        rest = b""
        while more := await stream.receive_some(65536):
            rest += more
        after_preamble.append(rest)

    async with impostor(serve) as address:
        with pytest.raises(DesignatorMismatchError):
            await dial_at(address)
        await until(lambda: after_preamble)
        assert len(after_preamble[0]) < 4096  # the rest of the ClientHello, and no more


# --- who answers ---


async def test_another_peer_at_that_address_is_a_mismatch():
    """The text names transport, address and both designators, shortened."""
    async with alice(identity=BOB) as server:
        with pytest.raises(DesignatorMismatchError) as caught:
            await dial_at(server.address)
        text = str(caught.value)
        assert f"127.0.0.1:{server.address[1]} (tcp-tls)" in text
        assert BOB.designator[:8] in text
        assert ALICE.designator[:8] in text
        assert ALICE.designator not in text


async def test_thief_of_a_preamble_cannot_shake_hands():
    """Alice's certificate without Alice's key: TLS is pinned to exactly that certificate."""
    thief = attrs.evolve(make_identity(*canonical_pair(None, None)), preamble=ALICE.preamble)
    async with alice(identity=thief) as server:
        with pytest.raises(ConnectFailedError) as caught:
            await dial_at(server.address)
        assert "certificate verify failed" in caught.value.__notes__[0]
        await until(lambda: server.listener.statistics.handshake_failed == 1)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (b"", "hung up before its preamble"),
        (b"\xc0\x07\x00\x00-----BEGIN", "hung up before its preamble"),
        ((2**30).to_bytes(4, "little") + bytes(1000), "a certificate of 1073741824 bytes"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a certificate of 1347703880 bytes"),
        (bytes(100), "a certificate of 0 bytes"),
        (ALICE.preamble, "hung up"),
        (ALICE.preamble + b"\x15\x03\x03\x00\x02\x02\x28", "TLS handshake: "),
        (ALICE.preamble + b"nonsense" * 1000, "TLS handshake: "),
    ],
)
async def test_nonsense_from_the_server_is_a_failed_connect_with_the_reason(says, reason):
    """One note: the address, and what was wrong."""

    async def serve(stream):
        await read_exactly(stream, 5)
        with suppress(trio.BrokenResourceError):
            await stream.send_all(says)
            await stream.send_eof()
        await is_ended(stream)

    async with impostor(serve) as address:
        before = open_descriptors()
        with pytest.raises(ConnectFailedError) as caught:
            await dial_at(address)
        (note,) = caught.value.__notes__
        assert note.startswith(f"127.0.0.1:{address[1]}: ")
        assert reason in note
        await until(lambda: open_descriptors() <= before)


async def test_preamble_that_is_no_certificate_is_refused_though_its_hash_fits():
    """Whoever made that designator is playing."""

    async def serve(stream):
        await stream.send_all(encode_preamble(b"no certificate"))
        await is_ended(stream)

    async with impostor(serve) as address:
        hints = {"host": address[0], "port": str(address[1])}
        locator = PeerLocator("tcp-tls", designator_of(b"no certificate"), hints)
        with pytest.raises(ConnectFailedError) as caught:
            await dial(BOB, DialOnlyIo(), locator)
        assert "holds no certificate" in caught.value.__notes__[0]


async def test_slow_preamble_is_read_to_its_end_and_no_further():
    """Byte by byte; the ServerHello right behind it goes to TLS."""

    async def serve(stream):
        async with await trio.open_tcp_stream(*server.address) as behind:
            preamble = await read_exactly(behind, len(ALICE.preamble))
            for byte in preamble:
                await stream.send_all(bytes([byte]))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(copy, stream, behind)
                await copy(behind, stream)
                nursery.cancel_scope.cancel()

    async with alice() as server, impostor(serve) as address:
        connection = await dial_at(address)
        await connection.send(b"through")
        assert await connection.receive() == b"through"
        await connection.aclose()


# --- addresses ---


async def test_refused_connection_names_the_address_tried():
    """One note per address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    with pytest.raises(ConnectFailedError) as caught:
        await dial_at(address)
    assert caught.value.__notes__ == [f"127.0.0.1:{address[1]}: Connection refused"]


async def test_unknown_host_is_a_failed_connect():
    """The resolver's reason is the note."""
    locator = PeerLocator("tcp-tls", DESIGNATOR, {"host": "no-such-host.invalid", "port": "1"})
    with trio.fail_after(30), pytest.raises(ConnectFailedError) as caught:
        await dial(BOB, DialOnlyIo(), locator, 20)
    assert caught.value.__notes__[0].startswith("no-such-host.invalid:1: ")


@pytest.mark.parametrize("host", ["a" * 300, "höst..x", "a b", "\x00"])
async def test_impossible_host_is_a_failed_connect_too(host):
    """Whatever the resolver makes of it, it is a NetlayerError."""
    with trio.fail_after(20), pytest.raises(NetlayerError):
        await dial(BOB, DialOnlyIo(), PeerLocator("tcp-tls", DESIGNATOR, {"host": host}), 10)


async def test_ipv6_address_can_be_dialled():
    """By the same port number."""
    async with alice() as server:
        connection = await dial_at(("::1", server.address[1]))
        await connection.send(b"six")
        assert await connection.receive() == b"six"
        await connection.aclose()


async def test_server_that_never_speaks_times_out():
    """The note says how long we waited, and nothing stays open."""

    async def serve(stream):
        await is_ended(stream)

    async with impostor(serve) as address:
        before = open_descriptors()
        with pytest.raises(ConnectFailedError) as caught:
            await dial_at(address, 0.1)
        assert caught.value.__notes__ == [f"127.0.0.1:{address[1]}: no answer within 0.1 s"]
        await until(lambda: open_descriptors() <= before)


async def test_cancelled_dial_leaves_nothing_open():
    """Wherever it was: connecting, before the preamble, in the handshake."""

    async def serve(stream):
        await stream.send_all(ALICE.preamble)
        await is_ended(stream)

    async with impostor(serve) as address:
        before = open_descriptors()
        for delay in (0, 0.001, 0.003, 0.02):
            with trio.move_on_after(delay) as scope:
                await dial_at(address)
            assert scope.cancelled_caught
        await until(lambda: open_descriptors() <= before)


# --- sockets ---


def test_port_in_use_is_named():
    """And nothing of the failed attempt stays bound."""
    sockets = listen_tcp("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    for host in (None, "localhost", "127.0.0.1"):
        with pytest.raises(NetlayerError, match=f"port {port}.* in use"):
            listen_tcp(host, port)
    for sock in sockets:
        sock.close()
    for sock in listen_tcp("localhost", port):
        sock.close()


@pytest.mark.parametrize("host", [None, "localhost"])
def test_both_families_listen_on_one_port(host):
    """Also if any free port will do."""
    sockets = listen_tcp(host, 0)
    assert len(sockets) == 2
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    for sock in sockets:
        assert not sock.getblocking()
        sock.close()


def test_one_address_is_bound_alone():
    """Whoever names one means it."""
    (sock,) = listen_tcp("127.0.0.2", 0)
    assert sock.getsockname()[0] == "127.0.0.2"
    sock.close()


def test_names_are_not_looked_up_for_listening():
    """That would wait, in a turn."""
    with pytest.raises(NetlayerError, match="IP address or localhost"):
        listen_tcp("example.com", 0)


def test_address_of_another_machine_cannot_be_bound():
    """The text says why."""
    with pytest.raises(NetlayerError, match=r"cannot listen on port 0 of 192\.0\.2\.1"):
        listen_tcp("192.0.2.1", 0)


async def test_dialled_socket_is_a_plain_one_without_delay():
    """Non-blocking, and the caller's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = await dial_tcp("127.0.0.1", server.getsockname()[1])
        with sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.getblocking()


async def test_every_address_tried_is_noted():
    """The name may have two."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(OSError, match="cannot connect") as caught:
        await dial_tcp("localhost", port)
    assert f"127.0.0.1:{port}: Connection refused" in caught.value.__notes__


def test_alice_keeps_her_designator_when_restored():
    """The pair is the identity."""
    assert make_identity(*ALICE_PAIR).designator == DESIGNATOR
