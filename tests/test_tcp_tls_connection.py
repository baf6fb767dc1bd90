"""The two ends of an established tcp-tls connection."""

import socket
import struct

import pytest
import trio

from goblins_py.abc import UNPROVED, Proof
from netlayers import generate_tls_private_key
from netlayers._certificates import canonical_pair
from netlayers._tls_identity import make_identity
from tcp_tls_kit import (
    ALICE,
    ALICE_PAIR,
    BOB,
    HandOver,
    alice,
    anonymous_context,
    connected,
    tcp_socket,
    tls_client,
    until,
)


async def receive_exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        chunk = await connection.receive()
        assert 0 < len(chunk) <= 64 * 1024
        data += chunk
    return bytes(data)


async def test_bytes_go_both_ways_in_order():
    """The smallest conversation."""
    async with connected() as (bob, alice_end):
        await bob.send(b"hello ")
        await bob.send(b"Alice")
        assert await receive_exactly(alice_end, 11) == b"hello Alice"
        await alice_end.send(b"hello Bob")
        assert await bob.receive() == b"hello Bob"


@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
@pytest.mark.parametrize("listening", [True, False])
async def test_every_kind_of_key_serves_either_end(kind, listening):
    """Both ends prove who they are with it."""
    identity = make_identity(*canonical_pair(generate_tls_private_key(kind), None))
    listener, dialler = (identity, BOB) if listening else (ALICE, identity)
    async with alice(identity=listener) as server:
        connection = await server.dial(dialler)
        await connection.send(b"ping")
        assert await connection.receive() == b"ping"
        assert connection.proof == Proof.of(listener.designator)
        await connection.aclose()


async def test_both_ends_are_proved():
    """The dialler by the pinned certificate, the listener's guest by the one it showed."""
    async with connected() as (bob, alice_end):
        assert bob.proof == Proof.of(ALICE.designator)
        assert alice_end.proof == Proof.of(BOB.designator)


async def test_dialler_without_a_certificate_is_unproved():
    """It is served all the same."""
    establisher = HandOver()
    async with alice(establisher) as server:
        with await tcp_socket(server.address) as sock:
            tls = await tls_client(sock, anonymous_context())
            tls.send(b"hi")
            accepted = await establisher.outlet.receive()
            assert accepted.proof == UNPROVED
            assert await accepted.receive() == b"hi"


async def test_a_mebibyte_arrives_whole_both_ways_at_once():
    """Sends wait for each other's reader; nobody gets stuck."""
    data = bytes(range(256)) * 4096
    async with connected() as (bob, alice_end), trio.open_nursery() as nursery:
        nursery.start_soon(bob.send, data)
        nursery.start_soon(alice_end.send, data[::-1])
        results = []

        async def read(end):
            results.append((end, await receive_exactly(end, len(data))))

        nursery.start_soon(read, bob)
        await read(alice_end)
        await until(lambda: len(results) == 2)
        assert dict(results) == {bob: data[::-1], alice_end: data}


async def test_send_nowait_says_how_much_was_taken_and_send_goes_on():
    """What the system does not take stays with the caller; nothing is lost or doubled."""
    data = bytes(range(251)) * 80_000
    async with connected() as (bob, alice_end), trio.open_nursery() as nursery:
        taken = bob.send_nowait(data)
        assert 0 < taken < len(data)
        assert bob.send_nowait(data[taken:]) == 0
        nursery.start_soon(bob.send, data[taken:])
        assert await receive_exactly(alice_end, len(data)) == data


async def test_sending_nothing_does_nothing():
    """An empty record would be the far end's puzzle."""
    async with connected() as (bob, alice_end):
        await bob.send(b"")
        assert bob.send_nowait(b"") == 0
        await bob.send(b"x")
        assert await alice_end.receive() == b"x"


async def test_small_records_are_received_together():
    """Goblins sends each token as a record: one receive takes all that are there."""
    async with connected() as (bob, alice_end):
        for token in b"0123456789":
            assert bob.send_nowait(bytes([token])) == 1
        await trio.sleep(0.05)
        first = await alice_end.receive()
        assert first + await receive_rest(alice_end, 10 - len(first)) == b"0123456789"
        assert len(first) > 1


async def receive_rest(connection, size):
    return await receive_exactly(connection, size) if size else b""


async def test_far_end_that_closes_ends_the_stream():
    """What was sent before is read first; then the end, always."""
    async with connected() as (bob, alice_end):
        await alice_end.send(b"last words")
        await alice_end.aclose()
        assert await bob.receive() == b"last words"
        assert await bob.receive() == b""
        assert await bob.receive() == b""


async def test_end_without_close_notify_is_an_end():
    """Goblins just closes the socket."""
    async with connected() as (bob, alice_end):
        await alice_end.send(b"bye")
        alice_end._sock.shutdown(socket.SHUT_WR)
        assert await bob.receive() == b"bye"
        assert await bob.receive() == b""


async def test_half_closed_stream_can_still_be_answered():
    """The far end said all that it had to say, and listens."""
    async with connected() as (bob, alice_end):
        bob._tls.shutdown()
        bob._sock.shutdown(socket.SHUT_WR)
        assert await alice_end.receive() == b""
        await alice_end.send(b"still here")
        assert bob._tls.recv(100) == b"still here"


async def test_reset_breaks_the_connection():
    """A TCP reset is no clean end."""
    async with connected() as (bob, alice_end):
        alice_end._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        alice_end._sock.close()
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await bob.receive()
        for operation in (bob.receive, lambda: bob.send(b"x")):
            with pytest.raises(trio.BrokenResourceError):
                await operation()


async def test_damaged_record_breaks_the_connection():
    """Someone on the way changed bytes: nothing of them is believed."""
    async with connected() as (bob, alice_end):
        alice_end._sock.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(trio.BrokenResourceError):
            await bob.receive()


async def test_failed_send_breaks_both_halves_with_its_reason():
    """OpenSSL reads no more after a failed write; whoever receives hears why."""
    async with connected() as (bob, _):
        bob._sock.shutdown(socket.SHUT_WR)
        for operation in (lambda: bob.send(b"too late"), bob.receive, lambda: bob.send(b"again")):
            with pytest.raises(trio.BrokenResourceError, match="Broken pipe"):
                await operation()


async def test_lost_connection_harms_no_other():
    """OpenSSL's queue of errors is one for the whole thread."""
    async with connected() as (bob, _), connected() as (carol, alice_end):
        bob._sock.shutdown(socket.SHUT_WR)
        with pytest.raises(trio.BrokenResourceError):
            await bob.send(b"too late")
        with trio.move_on_after(0.01):
            await carol.receive()
        await alice_end.send(b"unharmed")
        assert await carol.receive() == b"unharmed"


async def test_closing_wakes_whoever_waits():
    """Both halves get ClosedResourceError, and every later call as well."""
    woken = []

    async def expect_closed(operation):
        with pytest.raises(trio.ClosedResourceError):
            await operation()
        woken.append(operation)

    async with connected() as (bob, _), trio.open_nursery() as nursery:
        nursery.start_soon(expect_closed, bob.receive)
        nursery.start_soon(expect_closed, lambda: bob.send(bytes(50_000_000)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        await bob.aclose()
        await until(lambda: len(woken) == 2)
        await bob.aclose()
        for operation in (bob.receive, lambda: bob.send(b"x")):
            await expect_closed(operation)
        with pytest.raises(trio.ClosedResourceError):
            bob.send_nowait(b"x")


async def test_cancelled_receive_loses_nothing():
    """The next call goes on."""
    async with connected() as (bob, alice_end):
        with trio.move_on_after(0.01):
            await bob.receive()
        await alice_end.send(b"kept")
        await until(lambda: bob._sock.recv(1, socket.MSG_PEEK))
        with trio.CancelScope() as scope:
            scope.cancel()
            await bob.receive()
        assert scope.cancelled_caught
        assert await bob.receive() == b"kept"


async def test_cancelled_send_ends_sending_but_not_receiving():
    """Half a record may be out: what came after it would be garbage."""
    async with connected() as (bob, alice_end):
        with trio.move_on_after(0.01) as scope:
            await bob.send(bytes(50_000_000))
        assert scope.cancelled_caught
        with pytest.raises(trio.BrokenResourceError):
            await bob.send(b"more")
        await alice_end.send(b"I still hear nothing")
        assert await bob.receive() == b"I still hear nothing"


async def test_two_tasks_doing_the_same_is_an_error():
    """One may send while another receives, no more of each."""
    async with connected() as (bob, _), trio.open_nursery() as nursery:
        nursery.start_soon(bob.receive)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(trio.BusyResourceError):
            await bob.receive()
        nursery.cancel_scope.cancel()


async def test_both_halves_may_wait_for_the_same_readiness():
    """TLS may have to write in order to read; trio lets only one task wait for that."""
    woken = []

    async def wait_to_write(connection):
        await connection._wait(trio.lowlevel.wait_writable)
        woken.append(connection)

    async with connected() as (bob, alice_end), trio.open_nursery() as nursery:
        size = bob.send_nowait(bytes(50_000_000))
        for _ in range(2):
            nursery.start_soon(wait_to_write, bob)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert woken == []
        await receive_exactly(alice_end, size)
        await until(lambda: len(woken) == 2)


async def test_every_operation_is_a_checkpoint():
    """Also when it need not wait."""
    async with connected() as (bob, alice_end):
        with trio.testing.assert_checkpoints():
            await bob.send(b"x")
        await until(lambda: alice_end._sock.recv(1, socket.MSG_PEEK))
        with trio.testing.assert_checkpoints():
            await alice_end.receive()
        with trio.testing.assert_checkpoints():
            await bob.aclose()
        await alice_end.receive()
        with trio.testing.assert_checkpoints():
            assert await alice_end.receive() == b""


async def test_aclose_closes_even_when_cancelled():
    """No descriptor stays open."""
    async with connected() as (bob, _):
        with trio.CancelScope() as scope:
            scope.cancel()
            await bob.aclose()
        assert bob._sock.fileno() == -1


async def test_sockets_have_the_options_that_notice_dead_peers():
    """Both ends: no delay, keepalive, and 30 s for data that nobody acknowledges."""
    async with connected() as (bob, alice_end):
        for end in (bob, alice_end):
            sock = end._sock
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
            assert not sock.get_inheritable()


async def test_tls_is_1_3_and_resumes_nothing():
    """No session is kept that could be resumed without the certificate."""
    async with connected() as (bob, _):
        assert bob._tls.get_protocol_version_name() == "TLSv1.3"


def test_nothing_secret_shows_in_an_identity():
    """Not the key, nor the contexts that hold it."""
    shown = repr(make_identity(*ALICE_PAIR))
    assert "PRIVATE" not in shown
    assert "context" not in shown.lower()


async def test_both_ends_know_the_address_of_the_other():
    """Also once it has hung up."""
    async with connected() as (ours, theirs):
        for end in (ours, theirs):
            assert end.remote_address in {"127.0.0.1", "::1"}
        await ours.aclose()
        assert await theirs.receive() == b""
        assert ours.remote_address == theirs.remote_address


@pytest.mark.parametrize(
    ("pieces", "acknowledged"),
    [
        ([b"<" * 300, b"x" * 48, b"x" * 48], 0),  # whole messages, the first of them a start-session
        ([b"<", b"16'op:start-session", b"x" * 48], 3),  # as Goblins does it: token by token
        ([b"<" * 300, b"<", b"x" * 48, b"x" * 100], 2),  # found out later
    ],
)
async def test_only_who_writes_token_by_token_is_acknowledged_at_once(pieces, acknowledged, monkeypatch):
    """It costs a system call for each read."""
    counted = []
    monkeypatch.setattr("netlayers._tls_connection.acknowledge_at_once", counted.append)
    async with connected() as (bob, alice_end):
        counted.clear()
        alice_end._piecemeal = None
        for piece in pieces:
            await bob.send(piece)
            assert await receive_exactly(alice_end, len(piece)) == piece
    assert acknowledged == len(counted)


async def test_records_that_are_there_are_received_at_once():
    """The first of them says nothing of those behind it: the socket is asked."""
    async with connected() as (bob, alice_end):
        sizes = (20, 16 * 1024, 100, 16 * 1024, 7)
        for size in sizes:
            await bob.send(bytes(size))
        while len(alice_end._sock.recv(2**17, socket.MSG_PEEK)) < sum(sizes) + 22 * len(sizes):
            await trio.sleep(0.01)
        assert sum(sizes) == len(await alice_end.receive())
