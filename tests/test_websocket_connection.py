"""A websocket as a connection of CapTP: frames of every kind, and what hostile ones can do."""

import logging
import math

import attrs
import pytest
import trio
import trio.testing
from websockets.frames import Close, Frame, Opcode

from goblins_py.abc import UNPROVED
from netlayer_kit import RunInTest
from netlayers import WebsocketNetlayer
from netlayers._websocket_auth import auth_message
from netlayers._websocket_keepalive import Keepalive
from websocket_kit import alice, set_up, until


def binary(data, *, fin=True):
    return Frame(Opcode.BINARY, data, fin)


def more(data, *, fin):
    return Frame(Opcode.CONT, data, fin)


async def connected(server, **fields):
    """Bob's connection to alice and her end of it."""
    bob = set_up(server.io, listen=False, **fields)
    ours = await bob.connect_to(server.location).wait()
    await ours.send(b"!")
    theirs = await server.accepted.connection()
    assert await theirs.receive() == b"!"
    return ours, theirs


@attrs.define
class Accepting:
    """Stands for a server whose accepted connections the test takes."""

    server: object
    accepted: RunInTest

    def __getattr__(self, name):
        return getattr(self.server, name)


async def guest_of(server):
    """A stock peer that has said its first word, and her end of the connection."""
    guest = await server.guest()
    await guest.send(binary(b"first"))
    theirs = await server.accepted.connection()
    assert theirs.proof == UNPROVED
    assert await theirs.receive() == b"first"
    return guest, theirs


class accepting:  # noqa: N801 - used as a function
    """`alice`, with the connections that she accepts in the test's hands."""

    def __init__(self, **fields):
        self.accepted = RunInTest()
        self._context = alice(establisher=self.accepted, **fields)

    async def __aenter__(self):
        return Accepting(await self._context.__aenter__(), self.accepted)

    async def __aexit__(self, *exc):
        return await self._context.__aexit__(*exc)


# --- what peers do ---


async def test_fragments_are_joined():
    """With control frames between them; Goblins never fragments, a proxy may."""
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        await guest.send(
            binary(b"a", fin=False), Frame(Opcode.PING, b"x"), more(b"", fin=False), more(b"b", fin=True)
        )
        assert await theirs.receive() == b"ab"
        assert (await guest.next_frame()) == Frame(Opcode.PONG, b"x")


async def test_several_messages_in_one_read_are_told_apart():
    """And a cancelled receive loses none."""
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        await guest.send(*(binary(bytes([65 + number])) for number in range(5)))
        got = [await theirs.receive()]
        with trio.CancelScope() as scope:
            scope.cancel()
            await theirs.receive()
        got += [await theirs.receive() for _ in range(4)]
        assert got == [b"A", b"B", b"C", b"D", b"E"]


async def test_closing_is_answered_and_ends_the_stream():
    """For good; what came before it is there."""
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        await guest.send(binary(b"last"), Frame(Opcode.CLOSE, Close(1000, "bye").serialize()))
        assert [await theirs.receive() for _ in range(3)] == [b"last", b"", b""]
        assert (await guest.next_frame()).opcode is Opcode.CLOSE
        with pytest.raises(trio.BrokenResourceError):
            await theirs.send(b"too late")


async def test_hanging_up_without_a_word_ends_the_stream():
    """As Goblins does."""
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        await guest.stream.aclose()
        assert await theirs.receive() == b""


async def test_we_say_that_we_close():
    """With status 1000."""
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        await theirs.aclose()
        frame = await guest.next_frame()
        assert (frame.opcode, Close.parse(bytes(frame.data)).code) == (Opcode.CLOSE, 1000)
        assert await guest.next_frame() is None


async def test_each_frame_is_a_tls_record_of_its_own():
    """Goblins waits on the socket, and not for what TLS holds already."""
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        records = []
        receive = guest.stream._tls.recv
        guest.stream._tls.recv = lambda size: records.append(receive(size)) or records[-1]
        await guest.send(Frame(Opcode.PING, b"x"))
        for number in range(20):
            assert theirs.send_nowait(b"message %d" % number) in {9, 10}
        await trio.testing.wait_all_tasks_blocked()
        theirs.keep_alive(0.0, math.inf)
        theirs.keep_alive(0.0, math.inf)
        await theirs.send(b"end")
        while not records or not records[-1].endswith(b"end"):
            await guest.next_frame()
        frames = [record for record in records if record]
        assert all(record[1] == len(record) - 2 for record in frames)
        assert len(frames) >= 21


# --- what hostile ones do ---


@pytest.mark.parametrize(
    ("frames", "masked", "code"),
    [
        ([Frame(Opcode.TEXT, b"hello")], True, 1003),
        ([binary(b"")], True, 1003),
        ([binary(b"x")], False, 1002),
        ([more(b"x", fin=True)], True, 1002),
        ([binary(b"a", fin=False), binary(b"b")], True, 1002),
        ([Frame(Opcode.BINARY, b"x", True, True)], True, 1002),
        ([Frame(Opcode.CLOSE, b"x")], True, 1002),
    ],
)
async def test_frames_that_mean_nothing_here_break_the_connection(frames, masked, code, monkeypatch):
    """The peer is told why, what came before is there, and others are served."""
    monkeypatch.setattr(Frame, "check", lambda self: None)
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        await guest.send(binary(b"before"))
        monkeypatch.undo()
        data = b"".join(_serialize(frame, masked) for frame in frames)
        await guest.stream.send(data)
        assert await theirs.receive() == b"before"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError):
                await theirs.receive()
        frame = await guest.next_frame()
        assert (frame.opcode, Close.parse(bytes(frame.data)).code) == (Opcode.CLOSE, code)
        with pytest.raises(trio.BrokenResourceError):
            await theirs.send(b"x")


def _serialize(frame, masked):
    checked = Frame(frame.opcode, frame.data, frame.fin)
    data = bytearray(checked.serialize(mask=masked))
    if frame.rsv1:
        data[0] |= 0x40
    return bytes(data)


@pytest.mark.parametrize("split", [False, True])
async def test_message_over_the_limit_is_refused_before_it_is_read(split):
    """Whole or in fragments; one of just the size passes."""
    async with accepting(max_message_size=1000) as server:
        guest, theirs = await guest_of(server)
        await guest.send(binary(b"x" * 1000))
        assert len(await theirs.receive()) == 1000
        if split:
            await guest.send(binary(b"x" * 600, fin=False), more(b"x" * 401, fin=False))
        else:
            await guest.stream.send(binary(b"x" * 1001).serialize(mask=True)[:8])
        with pytest.raises(trio.BrokenResourceError, match="1000 bytes"):
            await theirs.receive()
        frame = await guest.next_frame()
        assert Close.parse(bytes(frame.data)).code == 1009


async def test_flood_of_empty_fragments_is_ended(monkeypatch):
    """They would never make a message that is too long."""
    monkeypatch.setattr("netlayers._websocket_connection._MOST_FRAGMENTS", 100)
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        await guest.send(binary(b"", fin=False), *(more(b"", fin=False) for _ in range(200)))
        with pytest.raises(trio.BrokenResourceError, match="fragments"):
            await theirs.receive()


async def test_flood_of_pings_fills_nothing():
    """From a peer that reads none of the answers."""
    async with accepting(encrypted=False) as server:
        guest, theirs = await guest_of(server)
        pings = b"".join(Frame(Opcode.PING, b"x" * 125).serialize(mask=True) for _ in range(500))
        most = 0
        with trio.move_on_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(theirs.receive)
                for _ in range(200):  # 13 MB: more than all the buffers between us
                    with trio.move_on_after(0.5) as stuck:
                        await guest.stream.send(pings)
                    assert not stuck.cancelled_caught, "pings are not read any more"
                    most = max(most, len(theirs._queue))
                nursery.cancel_scope.cancel()
        assert 0 < most <= 256


async def test_large_messages_pass_with_pings_between_their_bytes():
    """A pong goes out between messages, never within one; both ends send more than fits anywhere."""
    async with accepting(encrypted=False) as server:
        guest, theirs = await guest_of(server)
        message = bytes(range(256)) * 2**14
        assert theirs.send_nowait(message) == 0
        await guest.send(*(Frame(Opcode.PING, b"%d" % number) for number in range(100)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.receive)
            nursery.start_soon(theirs.send, message)
            frames = [await guest.next_frame()]
            while frames[-1].opcode is not Opcode.BINARY:
                frames.append(await guest.next_frame())
            assert bytes(frames[-1].data) == message
            assert (await guest.next_frame()).opcode is Opcode.PONG
            nursery.cancel_scope.cancel()


# --- the start ---


@pytest.mark.parametrize(
    "first",
    [
        binary(b"<16'op:start-session>"),
        binary(auth_message(bytes(32)) + b"x"),
        binary(auth_message(bytes(128))),
        Frame(Opcode.TEXT, auth_message(bytes(32))),
        binary(auth_message(bytes(5000))),
        Frame(Opcode.CLOSE, b""),
    ],
)
async def test_nothing_is_signed_for_anything_but_peer_auth(first, caplog):
    """Trailing bytes, a proof that does not hold, too many bytes: the connection is closed."""
    async with accepting() as server:
        stranger = await server.stranger()
        await stranger.send(first)
        frame = await stranger.next_frame()
        assert frame is None or frame.opcode is Opcode.CLOSE
        await until(lambda: server.netlayer.statistics()["handshake_failed"] == 1)
        assert "unexpected" not in caplog.text


async def test_messages_are_short_until_the_peers_know_each_other():
    """Of a peer that may send 8 MiB later."""
    async with accepting() as server:
        stranger = await server.stranger()
        await stranger.stream.send(binary(bytes(4097)).serialize(mask=True)[:8])
        frame = await stranger.next_frame()
        assert Close.parse(bytes(frame.data)).code == 1009


async def test_request_that_never_ends_is_given_up():
    """16 KiB of headers are enough for anybody."""
    async with accepting(encrypted=False) as server:
        stream = await server.stream()
        await stream.send(b"GET / HTTP/1.1\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 100)
        await trio.sleep(0.05)
        await stream.send((b"X: " + b"y" * 7000 + b"\r\n") * 3)
        await until(lambda: server.netlayer.statistics()["handshake_failed"] == 1)


# --- keeping alive ---


async def test_idle_connection_says_something_now_and_then():
    """A pong that nobody asked for, and no ping; busy ones need none."""
    async with accepting() as server:
        guest, theirs = await guest_of(server)
        assert theirs.keep_alive(0.0, math.inf)  # it has just said who it is
        assert theirs.keep_alive(0.0, math.inf)
        await theirs.send(b"busy")
        assert theirs.keep_alive(0.0, math.inf)
        assert theirs.keep_alive(0.0, math.inf)
        assert [(await guest.next_frame()).opcode for _ in range(3)] == [
            Opcode.PONG,
            Opcode.BINARY,
            Opcode.PONG,
        ]


async def test_silence_of_a_peer_that_owes_us_words_ends_the_connection(autojump_clock):
    """While one that owes us nothing may be silent for ever."""
    keepalive = Keepalive()
    async with trio.open_nursery() as nursery:
        silent, stock = SilentConnection(), SilentConnection()
        keepalive.add(silent, speaks=True)
        keepalive.add(stock, speaks=False)
        nursery.start_soon(keepalive.run)
        await trio.sleep(200)
        assert (silent.closed_at, stock.closed_at) == (75, None)
        assert stock.asked == 13
        nursery.cancel_scope.cancel()


async def test_a_silent_connection_that_cannot_be_closed_leaves_others_looked_after(autojump_clock, caplog):
    """It is logged and forgotten."""
    keepalive = Keepalive()
    async with trio.open_nursery() as nursery:
        broken, silent = BrokenConnection(), SilentConnection()
        keepalive.add(broken, speaks=True)
        nursery.start_soon(keepalive.run)
        await trio.sleep(100)
        keepalive.add(silent, speaks=True)
        await trio.sleep(100)
        assert silent.closed_at is not None
        assert ["a silent connection could not be closed in order"] == [
            each.getMessage() for each in caplog.records
        ]
        nursery.cancel_scope.cancel()


class SilentConnection:
    """What the keepalive sees of a connection on which nothing ever comes."""

    def __init__(self):
        self.since, self.closed_at, self.asked = trio.current_time(), None, 0

    def keep_alive(self, now, patience):
        self.asked += 1
        return now - self.since <= patience

    async def aclose(self):
        self.closed_at = trio.current_time() - self.since
        await trio.lowlevel.checkpoint()


class BrokenConnection(SilentConnection):
    """One whose stream fails as it is closed."""

    async def aclose(self):
        raise OSError("no such descriptor")


async def test_connection_that_waited_too_long_is_over():
    """Only the time that it waited for the stream counts, not that in which nobody asked it."""
    async with accepting() as server:
        ours, _ = await connected(server)
        now = trio.current_time()
        assert ours.keep_alive(now + 1000, 60)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.receive)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert ours.keep_alive(now + 50, 60)
            assert not ours.keep_alive(now + 70, 60)
            nursery.cancel_scope.cancel()
        await ours.aclose()
        assert not ours.keep_alive(now, 60)


async def test_both_ends_of_ours_look_after_it_and_forget_it():
    """Closed connections are not kept."""
    async with accepting() as server:
        bob = set_up(server.io, listen=False)
        ours = await bob.connect_to(server.location).wait()
        keepalive = bob._dialler.keepalive
        assert list(keepalive._speaking) == [ours]
        await ours.aclose()
        await keepalive._due(math.inf)[0].aclose()
        assert list(keepalive._speaking) == []


async def test_errors_of_strangers_are_logged_quietly(caplog):
    """No traceback that they could fill a disk with."""
    caplog.set_level(logging.INFO)
    async with accepting(encrypted=False) as server:
        for junk in (
            b"\x16\x03\x01\x02\x00",
            b"GET / HTTP/1.1\r\n\x00: \x00\r\n\r\n",
            b"\r\n",
            b"PRI * HTTP/2.0\r\n\r\n",
        ):
            stream = await server.stream()
            await stream.send(junk)
            await stream.aclose()
        await until(lambda: sum(server.netlayer.statistics().values()) >= 8)
        assert "Traceback" not in caplog.text
        assert isinstance(server.netlayer, WebsocketNetlayer)
