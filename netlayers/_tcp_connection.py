"""CapTP over bare TCP sockets, waited for with trio: as a stream, or framed. Nothing here is secure.

Knows nothing of locators or listeners. Who says `retain` closes the socket himself: see `linger`.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from enum import Enum
from typing import ClassVar, Final

import trio

from goblins_py.abc import WITHOUT_IDENTITIES, Connection, Proof
from goblins_py.errors import SyrupDecodeError
from netlayers._syrup_frames import Deframer, frame
from netlayers._tcp_options import acknowledge_at_once, remote_address

__all__ = ["FramedTcpConnection", "TcpConnection", "hang_up", "linger"]

_MOST: Final = 64 * 1024
"""The most that one `receive` of a stream returns, in bytes."""
_SMALL: Final = 1024
"""What a peer without TCP_NODELAY may hold the next message back for: see `acknowledge_at_once`."""
_DISCARDED: Final = 256 * 1024
"""How much unread input is thrown away on close, in bytes."""


class _Half(Enum):
    """One direction of a connection."""

    READY = "ready"
    BUSY = "busy"  # a task is in send or receive
    LOST = "lost"  # broken, or left in the middle of a write by a cancellation
    ENDED = "ended"  # (receiving only) the far end will send no more


class TcpConnection(Connection):
    """A TCP connection as a stream of bytes.

    Args:
        retain: leave the socket open, its sending side shut, when this is closed.
    """

    notices_loss: ClassVar[bool] = True

    def __init__(self, sock: socket.socket, *, retain: bool = False) -> None:
        self._sock = sock
        self._remote_address = remote_address(sock)
        self._retain = retain
        self._closed = False
        self._incoming = _Half.READY
        self._outgoing = _Half.READY
        self._reason = "a send was cancelled"  # why a half is LOST

    @property
    def proof(self) -> Proof:
        """See `Connection.proof`: there is none."""
        return WITHOUT_IDENTITIES

    @property
    def remote_address(self) -> str | None:
        """See `Connection.remote_address`."""
        return self._remote_address

    async def send(self, data: bytes) -> None:
        """See `Connection.send`. What the system has room for leaves with one system call."""
        await self._send_all(memoryview(data))

    async def _send_all(self, rest: memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self._check_open(self._outgoing)
        self._outgoing = _Half.BUSY
        try:
            while rest := rest[self._write(rest) :]:
                await trio.lowlevel.wait_writable(self._sock)
        except BaseException:
            self._outgoing = _Half.LOST
            raise
        self._outgoing = _Half.READY

    def send_nowait(self, data: bytes) -> int:
        """See `Connection.send_nowait`."""
        self._check_open(self._outgoing)
        return self._write(data)

    async def receive(self) -> bytes:
        """See `Connection.receive`. It returns what one system call does, up to 64 KiB."""
        self._check_open(self._incoming)
        if self._incoming is _Half.ENDED:
            await trio.lowlevel.checkpoint()
            return b""
        self._incoming = _Half.BUSY
        try:
            return await self._read()
        finally:
            if self._incoming is _Half.BUSY:  # neither ended nor lost; perhaps cancelled
                self._incoming = _Half.READY

    async def aclose(self) -> None:
        """See `Connection.aclose`. Tasks in `send` and `receive` get `trio.ClosedResourceError`."""
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._sock)
            hang_up(self._sock)
            if not self._retain:
                self._sock.close()
        await trio.lowlevel.checkpoint()

    async def _read(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._sock.recv(_MOST)
            except BlockingIOError:
                continue
            except OSError as exc:
                raise self._lose(exc) from None
            if not data:
                self._incoming = _Half.ENDED
            elif len(data) < _SMALL:
                acknowledge_at_once(self._sock)
            return data

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data) if data else 0
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise self._lose(exc) from None

    def _check_open(self, half: _Half) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this connection was closed here")
        if half is _Half.LOST:
            raise trio.BrokenResourceError(self._reason)
        if half is _Half.BUSY:
            raise trio.BusyResourceError("another task is using this connection the same way")

    def _lose(self, exc: OSError) -> trio.BrokenResourceError:
        return self._break(os.strerror(exc.errno) if exc.errno else str(exc))

    def _break(self, reason: str) -> trio.BrokenResourceError:
        self._reason = reason
        self._outgoing = self._incoming = _Half.LOST
        return trio.BrokenResourceError(reason)


class FramedTcpConnection(TcpConnection):
    """A TCP connection of whole messages, each a Syrup byte string. A bad frame breaks it."""

    message_oriented: ClassVar[bool] = True

    def __init__(self, sock: socket.socket, *, retain: bool = False) -> None:
        super().__init__(sock, retain=retain)
        self._deframer = Deframer()
        self._begun: memoryview | None = None  # of a message that send_nowait could not finish

    async def send(self, data: bytes) -> None:
        """See `Connection.send`. A message that is empty or over 8 MiB breaks the connection."""
        self._check_open(self._outgoing)
        await self._send_all(self._unsent(data))
        self._begun = None

    def send_nowait(self, data: bytes) -> int:
        """See `Connection.send_nowait`.

        A message that was not taken must come first in the next `send` or `send_nowait`: part
        of it may be out already.
        """
        self._check_open(self._outgoing)
        rest = self._unsent(data)
        rest = rest[self._write(rest) :]
        self._begun = rest or None
        return 0 if rest else len(data)

    def _unsent(self, data: bytes) -> memoryview:
        if self._begun is not None:
            return self._begun
        try:
            return memoryview(frame(data))
        except ValueError as error:
            raise self._break(str(error)) from None

    async def receive(self) -> bytes:
        """See `Connection.receive`: one message."""
        self._check_open(self._incoming)
        await trio.lowlevel.checkpoint()
        try:
            while (message := self._deframer.next_message()) is None:
                data = await super().receive()
                if not data:
                    self._deframer.finish()
                    return b""
                self._deframer.feed(data)
        except SyrupDecodeError as error:
            raise self._break(f"what came is no framed message: {error}") from None
        return message


async def linger(sock: socket.socket, seconds: float) -> None:
    """Read on where we have hung up, until the far end has, too.

    Whatever it sent meanwhile would else be answered with a reset, and it might never read what
    we said last.
    """
    with trio.move_on_after(seconds), suppress(OSError):
        while True:
            await trio.lowlevel.wait_readable(sock)
            with suppress(BlockingIOError):
                if not sock.recv(_MOST):
                    return


def hang_up(sock: socket.socket) -> None:
    """End our side, and take in what has come: closing with unread input would be a reset."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        for _ in range(_DISCARDED // _MOST):
            if not sock.recv(_MOST):
                break
