"""Plain TCP meetings for tcp-testing-only: dialling a locator, accepting strangers. Nothing is checked.

Who listens learns from the first byte whether the dialler frames its messages: a digit begins a frame,
`<` a record. So a dialler that waits to be spoken to is not served, as the draft demands.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Sequence
from typing import Final, Literal

import trio

from goblins_py.abc import Asker, Establisher, Io
from goblins_py.errors import ConnectFailedError, InvalidHintError, UnknownTransportError
from goblins_py.locators import PeerLocator
from netlayers._tcp_connection import FramedTcpConnection, TcpConnection, hang_up, linger
from netlayers._tcp_options import tune

__all__ = ["TRANSPORT", "Framing", "dial", "read_address", "serve"]

logger = logging.getLogger(__name__)

TRANSPORT: Final = "tcp-testing-only"
DIAL_TIMEOUT: Final = 10.0
FIRST_BYTE_TIMEOUT: Final = 10.0
"""Seconds that an accepted connection may stay silent."""
_LINGER: Final = 1.0
"""Seconds to read on where we hung up first."""
_PAUSE: Final = 0.1
"""Seconds of rest after an accept that failed."""

Framing = Literal["none", "syrup"]

_DIGITS: Final = frozenset(b"0123456789")


def read_address(locator: PeerLocator) -> tuple[str, int]:
    """Host and port of a locator. Pure.

    Raises:
        UnknownTransportError: it is of another transport. InvalidHintError: not both hints, or a
            `port` that is no number from 1 to 65535.
    """
    if locator.transport != TRANSPORT:
        raise UnknownTransportError(f"{TRANSPORT} cannot dial {locator.transport}")
    hints = locator.hints or {}
    host, port = hints.get("host"), hints.get("port", "")
    if not host:
        raise InvalidHintError(f"the locator has no host hint, and {TRANSPORT} needs one")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise InvalidHintError("the locator's port hint is no number from 1 to 65535")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def dial(
    io: Io, locator: PeerLocator, framing: Framing, *, asked_by: Asker | None = None
) -> TcpConnection:
    """Connect to the address in a locator; whoever answers there is taken for that peer.

    Args:
        asked_by: see `Io.dial`.

    Raises:
        UnknownTransportError, InvalidHintError: see `read_address`. ConnectFailedError: nobody
            answered; one note per address tried. Nothing stays open then, nor after cancellation.
    """
    host, port = read_address(locator)
    try:
        with trio.fail_after(DIAL_TIMEOUT):
            sock = await io.dial(host, port, asked_by)
    except trio.TooSlowError:
        raise _failure(host, port, [f"{host}:{port}: no answer within {DIAL_TIMEOUT:g} s"]) from None
    except OSError as exc:
        notes: list[str] = getattr(exc, "__notes__", [])
        raise _failure(host, port, notes or [f"{host}:{port}: {exc.strerror or exc}"]) from None
    return FramedTcpConnection(sock) if framing == "syrup" else TcpConnection(sock)


def _failure(host: str, port: int, notes: list[str]) -> ConnectFailedError:
    error = ConnectFailedError(f"cannot connect to {host}:{port} by {TRANSPORT}")
    for note in notes:
        error.add_note(note)
    return error


async def serve(sockets: Sequence[socket.socket], establisher: Establisher) -> None:
    """Accept connections until cancelled. In the end all of them and `sockets` are closed."""
    try:
        async with trio.open_nursery() as nursery:
            for sock in sockets:
                nursery.start_soon(_accept_from, sock, establisher, nursery)
    finally:
        for sock in sockets:
            sock.close()


async def _accept_from(listening: socket.socket, establisher: Establisher, nursery: trio.Nursery) -> None:
    while True:
        try:
            await trio.lowlevel.wait_readable(listening)
            sock, _ = listening.accept()
        except BlockingIOError:
            continue  # it went away again
        except trio.ClosedResourceError:
            return
        except OSError as exc:  # no descriptors left, and the like: it passes
            logger.info("accept failed, trying again: %s", exc)
            await trio.sleep(_PAUSE)
        else:
            nursery.start_soon(_meet, sock, establisher)


async def _meet(sock: socket.socket, establisher: Establisher) -> None:
    """One connection from its first byte to its last."""
    with sock:
        connection = await _recognise(sock)
        if connection is None:
            hang_up(sock)
            return
        try:
            await establisher.run(connection)
        except Exception:
            logger.exception("a session ended with an error that it should have handled")
        finally:
            await connection.aclose()
        await linger(sock, _LINGER)


async def _recognise(sock: socket.socket) -> TcpConnection | None:
    """What the first byte, which stays to be read, makes of it; None if nothing sensible comes."""
    first = b""
    try:
        sock.setblocking(False)
        tune(sock)
        with trio.move_on_after(FIRST_BYTE_TIMEOUT):
            await trio.lowlevel.wait_readable(sock)
            first = sock.recv(1, socket.MSG_PEEK)
    except OSError as exc:
        logger.debug("a connection was lost before its first byte: %s", exc)
    if first == b"<":
        return TcpConnection(sock, retain=True)
    if first and first[0] in _DIGITS:
        return FramedTcpConnection(sock, retain=True)
    return None
