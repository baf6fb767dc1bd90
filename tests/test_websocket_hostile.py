"""A websocket listener against strangers: silent, slow, many, wrong. Honest peers are served meanwhile."""

import resource
from pathlib import Path

import pytest
import trio
from websockets.frames import Frame, Opcode

from goblins_py.runtime._sockets import dial_tcp
from netlayers._websocket_auth import auth_message
from netlayers._websocket_listener import WebsocketListener
from websocket_kit import alice, read_to_end, until

MANY = 2000
UPGRADE = (
    "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: websocket\n"
    "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
)


def megabytes():
    """Resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / 1e6


@pytest.fixture
def many_descriptors():
    """Both ends of `MANY` connections are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MANY + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} descriptors are needed, and {hard} allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("first", [b"", b"GET / HT", b"\x16\x03\x01\x02\x00\x01"])
async def test_two_thousand_that_do_nothing_cost_little_and_keep_nobody_out(many_descriptors, first):
    """They only take each other's places."""
    async with alice(max_connections=200) as server:
        assert await server.is_serving()
        before = megabytes()
        for number in range(MANY):
            sock = await dial_tcp("127.0.0.1", server.netlayer.port)
            server.io.sockets.append(sock)
            if first:
                sock.send(first)
            if number % 500 == 0:
                assert await server.is_serving()
        await until(lambda: server.netlayer.statistics()["accepted"] >= MANY)
        counts = server.netlayer.statistics()
        assert counts["handshake_evicted"] + counts["handshake_failed"] >= MANY - 250
        assert megabytes() - before < 60
        assert await server.is_serving()


async def test_slow_handshakes_end_in_time(monkeypatch):
    """However busily they trickle: one deadline holds for all of it."""
    monkeypatch.setattr(WebsocketListener.__init__, "__kwdefaults__", {**_DEFAULTS, "handshake_timeout": 0.5})
    async with alice(encrypted=False) as server:
        stream = await server.stream()
        with pytest.raises(trio.BrokenResourceError):
            for byte in b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100:
                await stream.send(bytes([byte]))
                await trio.sleep(0.01)
        assert server.netlayer.statistics()["handshake_failed"] == 1
        slow = await server.stranger()  # open, and then silent
        assert await slow.is_ended()
        unauthenticated = await server.guest()  # proved to, and then silent
        assert await unauthenticated.is_ended()
        assert server.netlayer.statistics()["handshake_failed"] == 3
        assert await server.is_serving()


_DEFAULTS = dict(WebsocketListener.__init__.__kwdefaults__)


async def test_flood_of_plain_requests_is_answered_and_forgotten():
    """Each on a connection of its own, which is hung up on; an honest peer gets through meanwhile."""
    async with alice(encrypted=False, max_connections=50) as server:
        answers = []

        async def ask_on_and_on():
            for _ in range(50):
                answer = await server.request("GET / HTTP/1.1\nHost: h\n\n")
                answers.append(answer)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask_on_and_on)
            for _ in range(5):
                assert await server.is_serving()
        assert sum("426" in answer for answer in answers) > 900
        assert server.netlayer._listener._admission._handshakes == {}


async def test_requests_behind_a_request_are_not_served():
    """One for each connection: nothing queues up."""
    async with alice(encrypted=False) as server:
        stream = await server.stream()
        await stream.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 100)
        assert (await read_to_end(stream)).count(b"HTTP/1.1") == 1


async def test_established_connections_beyond_the_limit_are_refused():
    """Those that talk stay."""
    async with alice(max_connections=5) as server:
        guests = [await server.guest() for _ in range(5)]
        for guest in guests:
            await guest.send(Frame(Opcode.BINARY, b"hello"))
            assert bytes((await guest.next_frame()).data) == b"hello"
        late = await server.guest()
        await late.send(Frame(Opcode.BINARY, b"hello"))
        assert (await late.next_frame()).opcode is Opcode.CLOSE
        assert server.netlayer.statistics()["refused"] == 1
        await guests[0].send(Frame(Opcode.BINARY, b"still here"))
        assert bytes((await guests[0].next_frame()).data) == b"still here"


async def test_junk_behind_a_request_for_a_websocket_ends_it(caplog):
    """Quietly."""
    async with alice(encrypted=False) as server:
        assert await server.request(UPGRADE + "GET / HTTP/1.1\n\n") == ""
        await until(lambda: server.netlayer.statistics()["handshake_failed"] == 1)
        assert "unexpected" not in caplog.text


async def test_messages_may_follow_the_proof_at_once():
    """An eager client does not wait to be answered."""
    async with alice(encrypted=False) as server:
        stranger = await server.stranger()
        await stranger.send(Frame(Opcode.BINARY, auth_message(bytes(32))), Frame(Opcode.BINARY, b"hello"))
        frames = [await stranger.next_frame() for _ in range(2)]
        assert bytes(frames[1].data) == b"hello"


async def test_large_messages_of_many_peers_are_bounded_by_their_limit():
    """Each holds one unfinished message, up to the limit and no more."""
    async with alice(encrypted=False, max_message_size=100_000) as server:
        before = megabytes()
        for _ in range(100):
            guest = await server.guest()
            frame = Frame(Opcode.BINARY, bytes(99_000), False).serialize(mask=True)
            await guest.stream.send(frame)
        await trio.sleep(0.1)
        assert megabytes() - before < 80
        assert await server.is_serving()
