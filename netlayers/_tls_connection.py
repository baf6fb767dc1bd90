"""TLS by pyOpenSSL directly on a non-blocking socket, waited for with trio.

This file alone deals with OpenSSL's four ways of saying "not now" and "no more". It knows
nothing of preambles, designators or listeners. Not through memory BIOs: that halves the
number of round trips per second.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import ClassVar

import trio
from OpenSSL import SSL

from goblins_py.abc import Connection, Proof
from netlayers._tcp_options import acknowledge_at_once, remote_address

__all__ = ["TlsConnection", "shake_hands"]

_RECORD = 16 * 1024
"""The most plaintext that one TLS record holds, in bytes."""

_MOST = 64 * 1024
"""The most that one `receive` returns, in bytes."""

_TOKENS = 64
"""Below so many bytes at once, a peer may have written one token: see `acknowledge_at_once`."""

_SHORTEST = 20
"""Hardly an operation has fewer bytes, so whoever writes fewer at once writes token by token."""

_DISCARDED = 256 * 1024
"""How much unread input is thrown away on close, in bytes: see `_leave`."""


_Waiter = Callable[[socket.socket], Awaitable[None]]


class _Half(Enum):
    """One direction of a connection."""

    READY = "ready"
    BUSY = "busy"  # a task is in send or receive
    LOST = "lost"  # broken, or left in the middle of a record by a cancellation
    ENDED = "ended"  # (receiving only) the far end will send no more


async def shake_hands(tls: SSL.Connection, sock: socket.socket) -> None:
    """Do the TLS handshake. Closes nothing, whatever happens.

    Raises:
        trio.BrokenResourceError: it failed; the text says why. After that, and after
            cancellation, the connection is of no use.
    """
    while True:
        try:
            return tls.do_handshake()
        except SSL.WantReadError:
            await trio.lowlevel.wait_readable(sock)
        except SSL.WantWriteError:
            await trio.lowlevel.wait_writable(sock)
        except SSL.Error as exc:
            raise trio.BrokenResourceError(f"TLS handshake: {_explain(exc)}") from None


class TlsConnection(Connection):
    """A connection whose TLS handshake is done. It owns the socket."""

    notices_loss: ClassVar[bool] = True

    def __init__(self, tls: SSL.Connection, sock: socket.socket, proof: Proof) -> None:
        self._tls = tls
        self._sock = sock
        self._proof = proof
        self._remote_address = remote_address(sock)
        self._incoming = _Half.READY
        self._outgoing = _Half.READY
        self._held = b""  # read already, for the next receive
        self._fault: SSL.Error | None = None  # met while collecting; for the next receive
        self._dry = False  # OpenSSL has nothing until the socket is readable
        self._more = _input_probe(sock)
        self._piecemeal: bool | None = None  # the peer writes token by token; None until it has written
        self._reason = "a send was cancelled"  # why a half is LOST
        self._closed = False
        self._crowd = trio.lowlevel.ParkingLot()
        self._crowded = False

    @property
    def proof(self) -> Proof:
        """See `Connection.proof`."""
        return self._proof

    @property
    def remote_address(self) -> str | None:
        """See `Connection.remote_address`."""
        return self._remote_address

    async def send(self, data: bytes) -> None:
        """See `Connection.send`. It writes records of 16 KiB, each by one system call."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open(self._outgoing)
        self._outgoing = _Half.BUSY
        try:
            waited = await self._write_all(memoryview(data))
        except BaseException:
            self._outgoing = _Half.LOST
            raise
        self._outgoing = _Half.READY
        if not waited:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def send_nowait(self, data: bytes) -> int:
        """See `Connection.send_nowait`.

        What was not taken must come first in the next `send` or `send_nowait`, and as long at
        least: OpenSSL may hold its first record back, encrypted already.
        """
        if self._closed or self._outgoing is not _Half.READY:
            self._check_open(self._outgoing)
        if 0 < len(data) <= _RECORD:
            return self._write(data)[0]
        rest = memoryview(data)
        while rest:
            taken, awaited = self._write(rest)
            rest = rest[taken:]
            if awaited is not None:
                break
        return len(data) - len(rest)

    async def receive(self) -> bytes:
        """See `Connection.receive`. It returns all records that have arrived, up to 64 KiB."""
        if self._closed or self._incoming is not _Half.READY:
            self._check_open(self._incoming)
        if self._held or self._incoming is _Half.ENDED:
            await trio.lowlevel.checkpoint()
            data, self._held = self._held, b""
            return data
        self._incoming = _Half.BUSY
        try:
            # Either way a checkpoint, and before anything is taken: a cancellation loses nothing.
            awaited: _Waiter = trio.lowlevel.wait_readable if self._dry else _checkpoint
            while True:
                await self._wait(awaited)
                if self._closed:
                    self._refuse_if_closed()
                try:
                    return self._collect()
                except SSL.WantReadError:
                    awaited = trio.lowlevel.wait_readable
                except SSL.WantWriteError:
                    awaited = trio.lowlevel.wait_writable
                except SSL.Error as exc:
                    return self._end(exc)
        finally:
            if self._incoming is _Half.BUSY:  # neither ended nor lost; perhaps cancelled
                self._incoming = _Half.READY

    async def await_first_byte(self) -> bool:
        """Wait until something can be received; False: the stream has ended instead.

        Raises: as `receive`, which will serve what has come.
        """
        self._held = await self.receive()
        return bool(self._held)

    async def aclose(self) -> None:
        """See `Connection.aclose`. Tasks in `send` and `receive` get `trio.ClosedResourceError`."""
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._sock)
            self._leave()
            self._sock.close()
            self._crowd.unpark_all()
        await trio.lowlevel.checkpoint()

    # --- receiving ---

    def _end(self, exc: SSL.Error) -> bytes:
        if not _is_end(exc):
            raise self._lose(exc) from None
        self._incoming = _Half.ENDED
        return b""

    def _collect(self) -> bytes:
        """All records that are here. Goblins sends each token as one: do not wake up for each."""
        if self._fault is not None:
            raise self._fault
        self._dry = False
        data = self._tls.recv(_RECORD)  # a whole record: OpenSSL reads no further, and keeps nothing back
        if len(data) < _RECORD and not self._more():
            self._dry = True
        else:
            data = self._collect_more(data)
        size = len(data)
        if size < _TOKENS and (self._piecemeal is not False or size < _SHORTEST):
            self._piecemeal = True
            acknowledge_at_once(self._sock)
        elif self._piecemeal is None:  # its first record is all of its op:start-session
            self._piecemeal = False
        return data

    def _collect_more(self, first: bytes) -> bytes:
        chunks, size = [first], len(first)
        try:
            while size <= _MOST - _RECORD:
                chunks.append(self._tls.recv(_RECORD))
                size += len(chunks[-1])
                if len(chunks[-1]) < _RECORD and not self._more():
                    self._dry = True
                    break
        except SSL.WantReadError:
            self._dry = True
        except SSL.WantWriteError:
            pass
        except SSL.Error as exc:
            self._fault = exc  # OpenSSL says it once only
        return b"".join(chunks)

    # --- sending ---

    async def _write_all(self, rest: memoryview) -> bool:
        """Whether that took waiting."""
        waited = False
        while rest:
            taken, awaited = self._write(rest)
            rest = rest[taken:]
            if awaited is not None:
                await self._wait(awaited)
                self._refuse_if_closed()
                waited = True
        return waited

    def _write(self, rest: bytes | memoryview) -> tuple[int, _Waiter | None]:
        """How many bytes were taken, and what to wait for if none."""
        try:
            return self._tls.send(rest[:_RECORD]), None
        except SSL.WantWriteError:
            return 0, trio.lowlevel.wait_writable
        except SSL.WantReadError:
            return 0, trio.lowlevel.wait_readable
        except SSL.Error as exc:
            raise self._lose(exc) from None

    # --- both ---

    def _check_open(self, half: _Half) -> None:
        self._refuse_if_closed()
        if half is _Half.LOST:
            raise trio.BrokenResourceError(self._reason)
        if half is _Half.BUSY:
            raise trio.BusyResourceError("another task is using this connection the same way")

    def _lose(self, exc: SSL.Error) -> trio.BrokenResourceError:
        """Both ways: OpenSSL reads no more after a failed write, nor writes after a failed read."""
        if self._incoming is not _Half.LOST:
            self._reason = _explain(exc)
        self._outgoing = _Half.LOST
        if self._incoming is not _Half.ENDED:
            self._incoming = _Half.LOST
        return trio.BrokenResourceError(self._reason)

    def _refuse_if_closed(self) -> None:
        # After each wait, before OpenSSL could touch a descriptor that is someone else's now.
        if self._closed:
            raise trio.ClosedResourceError("this connection was closed here")

    async def _wait(self, awaited: _Waiter) -> None:
        """Wait for the socket, also if the other half already waits for the same."""
        try:
            await awaited(self._sock)
        except trio.BusyResourceError:  # trio lets one task wait in each direction
            self._crowded = True
            await self._crowd.park()
        finally:
            if self._crowded:
                self._crowded = False
                self._crowd.unpark_all()

    def _leave(self) -> None:
        """Say goodbye as far as that needs no waiting."""
        if self._outgoing is _Half.READY:
            with suppress(SSL.Error):
                self._tls.shutdown()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            # Closing with unread input would reset the connection, and the far end could
            # lose what we said last.
            for _ in range(_DISCARDED // _MOST):
                if not self._sock.recv(_MOST):
                    break


async def _checkpoint(_: socket.socket) -> None:
    """Where there is nothing to wait for."""
    await trio.lowlevel.checkpoint()


def _input_probe(sock: socket.socket) -> Callable[[], object]:
    """A function that says whether the socket is readable: an SSL_read that fails takes ten times as long."""
    if not hasattr(select, "poll"):
        return lambda: True  # then SSL_read has to tell
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return partial(poll.poll, 0)


def _is_end(exc: SSL.Error) -> bool:
    """Whether the far end is done. Some peers end without close_notify: Goblins does."""
    match exc:
        case SSL.ZeroReturnError() | SSL.SysCallError(args=(-1, *_)):
            return True
        case _:
            return False


def _explain(exc: SSL.Error) -> str:
    if _is_end(exc):
        return "the far end hung up"
    match exc:
        case SSL.SysCallError(args=(int(number), *_)):
            return os.strerror(number)
        case SSL.Error(args=([*_, (_, _, str(reason))],)) if reason:
            return reason
        case _:
            return "unknown TLS error"
