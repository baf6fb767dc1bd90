"""Dialling by tcp-tls: from a locator to a connection that is proved to lead to that peer.

Our ClientHello goes out before the preamble has come, so that the connection passes SNI
routers, which wait for it. Whatever fails, nothing stays open.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress

import attrs
import trio
from OpenSSL import SSL

from goblins_py.abc import Asker, Io, Proof
from goblins_py.errors import (
    ConnectFailedError,
    DesignatorMismatchError,
    InvalidHintError,
    NetlayerError,
    UnknownTransportError,
)
from goblins_py.locators import PeerLocator
from netlayers._certificates import designator_of
from netlayers._preamble import PreambleReader
from netlayers._tcp_options import tune
from netlayers._tls_connection import TlsConnection, shake_hands
from netlayers._tls_identity import Identity, Pin

__all__ = ["DEFAULT_PORT", "DIAL_TIMEOUT", "TRANSPORT", "Target", "dial", "read_target", "server_name"]

TRANSPORT = "tcp-tls"
DEFAULT_PORT = 8088
"""What a locator without a `port` hint means, as in Goblins."""
DIAL_TIMEOUT = 10.0
"""Seconds for everything until the TLS handshake is done."""

_DESIGNATOR = re.compile(r"[a-z2-7]{52}")
_LARGEST_HELLO = 64 * 1024


@attrs.frozen
class Target:
    """What a tcp-tls locator says about where to dial, checked."""

    host: str
    port: int
    designator: str

    def __str__(self) -> str:
        """The address, as error texts show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_target(locator: PeerLocator) -> Target:
    """Read a locator's hints. Pure.

    Raises:
        UnknownTransportError: it is not for tcp-tls. InvalidHintError: no `host`, a `port`
            that is no number from 1 to 65535, or a designator that no certificate can have.
    """
    if locator.transport != TRANSPORT:
        raise UnknownTransportError(f"tcp-tls cannot dial {locator.transport}")
    if not _DESIGNATOR.fullmatch(locator.designator):
        raise InvalidHintError("the designator is no base32 of a SHA-256 hash")
    hints = locator.hints or {}
    host, port = hints.get("host"), hints.get("port", str(DEFAULT_PORT))
    if not host:
        raise InvalidHintError("the locator has no host hint, and tcp-tls needs one")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise InvalidHintError("the locator's port hint is no number from 1 to 65535")
    return Target(host.removeprefix("[").removesuffix("]"), int(port), locator.designator)


def server_name(designator: str) -> str:
    """The SNI that we send: the host part of the peer's URI. A legal DNS name of 60 characters."""
    return f"{designator}.{TRANSPORT}"


async def dial(
    identity: Identity,
    io: Io,
    locator: PeerLocator,
    limit: float = DIAL_TIMEOUT,
    *,
    asked_by: Asker | None = None,
) -> TlsConnection:
    """Connect to the peer that `locator` designates; returns when the TLS handshake is done.

    Args:
        limit: seconds for all of it.
        asked_by: see `Io.dial`.

    Raises:
        UnknownTransportError, InvalidHintError: see `read_target`. DesignatorMismatchError:
            another peer answered. ConnectFailedError: nobody usable did; one note per address
            tried says why. After any of them, and after cancellation, nothing stays open.
    """
    target = read_target(locator)
    try:
        with trio.fail_after(limit):
            return await _secure(identity, await io.dial(target.host, target.port, asked_by), target)
    except trio.TooSlowError:
        raise _failure(target, [f"{target}: no answer within {limit:g} s"]) from None
    except DesignatorMismatchError:
        raise
    except OSError as exc:
        notes: list[str] = getattr(exc, "__notes__", [])
        raise _failure(target, notes or [f"{target}: {exc.strerror or exc}"]) from None
    except (trio.BrokenResourceError, NetlayerError) as exc:
        raise _failure(target, [f"{target}: {exc}"]) from None


def _failure(target: Target, notes: list[str]) -> ConnectFailedError:
    error = ConnectFailedError(f"cannot connect to {target} by tcp-tls")
    for note in notes:
        error.add_note(note)
    return error


async def _secure(identity: Identity, sock: socket.socket, target: Target) -> TlsConnection:
    """Make a TLS connection of a TCP connection, which it takes over or closes."""
    tls, sock = _say_hello(identity, sock, target)
    try:
        tune(sock)
        pem = await _read_preamble(sock)
        if designator_of(pem) != target.designator:
            raise _mismatch(target, designator_of(pem))
        tls.set_app_data(Pin.of(pem))
        await shake_hands(tls, sock)
    except BaseException:
        sock.close()
        raise
    return TlsConnection(tls, sock, Proof.of(target.designator))


def _say_hello(
    identity: Identity, sock: socket.socket, target: Target
) -> tuple[SSL.Connection, socket.socket]:
    """Put the ClientHello on its way without letting OpenSSL read: the preamble comes first.

    OpenSSL writes to one end of a socket pair, finds nothing to read there, and then has the
    descriptor that it knows pointed at the real connection.

    Returns:
        The TLS state and the socket that now leads to the peer; `sock` is closed.
    """
    near, far = socket.socketpair()
    with sock, far:
        try:
            near.setblocking(False)
            tls = SSL.Connection(identity.client, near)
            tls.set_connect_state()
            tls.set_tlsext_host_name(server_name(target.designator).encode("ascii"))
            with suppress(SSL.WantReadError):
                tls.do_handshake()
            sock.sendall(far.recv(_LARGEST_HELLO))  # a new connection always has room for it
            os.dup2(sock.fileno(), near.fileno(), inheritable=False)
        except BaseException:
            near.close()
            raise
    return tls, near


async def _read_preamble(sock: socket.socket) -> bytes:
    """Read the server's PEM text and not one byte more.

    Raises:
        NetlayerError: it is too long, or the far end hung up. OSError: as `socket.recv`.
    """
    reader = PreambleReader()
    while reader.wanted:
        await trio.lowlevel.wait_readable(sock)
        data = sock.recv(reader.wanted)
        if not data:
            raise NetlayerError("it hung up before its preamble was complete")
        reader.feed(data)
    return reader.pem


def _mismatch(target: Target, designator: str) -> DesignatorMismatchError:
    return DesignatorMismatchError(
        f"at {target} (tcp-tls) another peer answered: {designator[:8]}…, not {target.designator[:8]}…"
    )
