"""Dialling by websocket: from a locator to a connection that is proved to lead to that peer.

Whatever fails, nothing stays open.
"""

from __future__ import annotations

import base64
import binascii
import socket
from typing import Final

import attrs
import trio
from OpenSSL import SSL
from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.protocol import Event
from websockets.uri import WebSocketURI

from goblins_py.abc import WITHOUT_IDENTITIES, Asker, Connection, Io, NearOnly, Proof
from goblins_py.errors import ConnectFailedError, DesignatorMismatchError, NetlayerError
from goblins_py.locators import PeerLocator
from netlayers._tcp_connection import TcpConnection
from netlayers._tcp_options import tune
from netlayers._tls_connection import TlsConnection, shake_hands
from netlayers._websocket_auth import (
    CHALLENGE_SIZE,
    MAX_AUTH_SIZE,
    DesignatorKey,
    auth_message,
    check_auth_answer,
    dialler_payload,
    public_key_of,
)
from netlayers._websocket_connection import SILENT, WebsocketConnection
from netlayers._websocket_door import CHALLENGE
from netlayers._websocket_keepalive import Keepalive
from netlayers._websocket_tls import check_server, client_context, client_tls
from netlayers._websocket_url import Target, is_loopback, read_target

__all__ = ["DIAL_TIMEOUT", "WebsocketDialler"]

DIAL_TIMEOUT: Final = 10.0
"""Seconds for everything until the peer has proved its designator."""
_LARGEST_RESPONSE: Final = 64 * 1024
"""Bytes of a response; an error page may be long."""


@attrs.define(eq=False)
class WebsocketDialler(NearOnly):
    """Makes connections with one identity.

    Attributes:
        verify: refuse to reach peers in ways that a man in the middle could listen to: over TLS without
            a certificate that holds, or unencrypted beyond this machine.
        max_message_size: bytes of one message of a peer.
    """

    key: DesignatorKey
    io: Io
    keepalive: Keepalive
    verify: bool
    max_message_size: int
    _context: SSL.Context | None = attrs.field(init=False, default=None, repr=False)

    async def dial(
        self, locator: PeerLocator, limit: float = DIAL_TIMEOUT, *, asked_by: Asker | None = None
    ) -> WebsocketConnection:
        """Connect to the peer that `locator` designates; returns when it has proved that it is that one.

        Args:
            limit: seconds for all of it.
            asked_by: see `Io.dial`.

        Raises:
            UnknownTransportError, InvalidHintError: see `read_target`. DesignatorMismatchError:
                another peer answered. ConnectFailedError: nobody usable did; its notes say why. After
                any of them, and after cancellation, nothing stays open.
        """
        target = read_target(locator)
        try:
            self._check(target)
            with trio.fail_after(limit):
                return await self._reach(target, locator.designator, asked_by)
        except trio.TooSlowError:
            raise _failure(target, [f"{target}: no answer within {limit:g} s"]) from None
        except DesignatorMismatchError:
            raise
        except OSError as exc:
            notes: list[str] = getattr(exc, "__notes__", [])
            raise _failure(target, notes or [f"{target}: {exc.strerror or exc}"]) from None
        except (trio.BrokenResourceError, NetlayerError) as exc:
            raise _failure(target, [f"{target}: {exc}"]) from None

    def _check(self, target: Target) -> None:
        if self.verify and not target.secure and not is_loopback(target.host):
            raise NetlayerError(
                "ws:// is not encrypted: beyond this machine it is dialled only with"
                " verify_certificates=False (--insecure)"
            )

    async def _reach(self, target: Target, designator: str, asked_by: Asker | None) -> WebsocketConnection:
        sock = await self.io.dial(target.host, target.port, asked_by)
        try:
            stream = await self._open_stream(sock, target, designator)
            protocol = ClientProtocol(_uri(target), max_size=MAX_AUTH_SIZE, logger=SILENT)
            challenge, events = await _upgrade(stream, protocol)
            connection = WebsocketConnection(stream, protocol, events)
            await self._authenticate(connection, challenge, target, designator=designator)
        except BaseException:
            sock.close()
            raise
        return connection

    async def _open_stream(self, sock: socket.socket, target: Target, designator: str) -> Connection:
        tune(sock)
        if not target.secure:
            return TcpConnection(sock)
        if self._context is None:
            # It reads all of the system's authorities, 75 ms of work: only if need be, and not in our way.
            self._context = await trio.to_thread.run_sync(client_context)
        tls = client_tls(self._context, sock, target.host)
        await shake_hands(tls, sock)
        if self.verify:
            check_server(tls, public_key_of(designator), target.host)
        return TlsConnection(tls, sock, WITHOUT_IDENTITIES)

    async def _authenticate(
        self, connection: WebsocketConnection, challenge: bytes | None, target: Target, *, designator: str
    ) -> None:
        """Have the acceptor prove that it is that peer; prove who we are if it can tell.

        Raises:
            DesignatorMismatchError: it cannot.
        """
        nonce = self.io.random_bytes(CHALLENGE_SIZE)
        payload = nonce if challenge is None else dialler_payload(self.key, challenge, nonce, designator)
        message = auth_message(payload)
        await connection.send(message)
        answer = await connection.receive()
        if not answer:
            raise NetlayerError(f"it hung up instead of proving that it is {designator[:8]}…")
        if not check_auth_answer(designator, message, answer):
            text = f"at {target} (websocket) somebody answered who is not {designator[:8]}…"
            raise DesignatorMismatchError(text)
        connection.admit(Proof.of(designator), self.max_message_size)
        self.keepalive.add(connection, speaks=challenge is not None)


async def _upgrade(stream: Connection, protocol: ClientProtocol) -> tuple[bytes | None, list[Event]]:
    """Make a websocket of a stream: the acceptor's challenge, if it has one, and what follows already.

    Raises:
        NetlayerError: it is none.
    """
    protocol.send_request(protocol.connect())
    await stream.send(b"".join(protocol.data_to_send()))
    response, events = await _read_response(stream, protocol)
    if protocol.handshake_exc is not None:
        raise NetlayerError(f"it is no websocket: {protocol.handshake_exc}")
    return _challenge(response), events


async def _read_response(stream: Connection, protocol: ClientProtocol) -> tuple[Response, list[Event]]:
    size = 0
    while True:
        data = await stream.receive()
        size += len(data)
        protocol.receive_data(data) if data else protocol.receive_eof()
        events = protocol.events_received()
        if events and isinstance(events[0], Response):
            return events[0], events[1:]
        if protocol.handshake_exc is not None or not data:
            raise NetlayerError("what it answered is no HTTP response")
        if size > _LARGEST_RESPONSE:
            raise NetlayerError(f"its response has over {_LARGEST_RESPONSE} bytes")


def _challenge(response: Response) -> bytes | None:
    """What it wants signed; None if it is no peer of ours, which then signs what it gets."""
    found = response.headers.get_all(CHALLENGE)
    if not found:
        return None
    try:
        challenge = base64.b64decode(found[0], validate=True)
    except binascii.Error:
        challenge = b""
    if len(found) != 1 or len(challenge) != CHALLENGE_SIZE:
        raise NetlayerError(f"its {CHALLENGE} header is malformed")
    return challenge


def _uri(target: Target) -> WebSocketURI:
    path, _, query = target.path.partition("?")
    return WebSocketURI(secure=target.secure, host=target.host, port=target.port, path=path, query=query)


def _failure(target: Target, notes: list[str]) -> ConnectFailedError:
    error = ConnectFailedError(f"cannot connect to {target} by websocket")
    for note in notes:
        error.add_note(note)
    return error
