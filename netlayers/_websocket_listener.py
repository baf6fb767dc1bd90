"""Accepting websocket connections: TLS, the HTTP request, the proof of who we are, the first message.

What is decided about a request is in `_websocket_door`; here bytes are moved, and everything is bounded:
one deadline for all of it, 16 KiB of request, 4 KiB for each message until both ends are known.
"""

from __future__ import annotations

import http
import os
import socket
from collections.abc import Callable
from typing import Final

import attrs
import trio
from OpenSSL import SSL
from websockets.http11 import Request, Response
from websockets.protocol import Event
from websockets.server import ServerProtocol

from goblins_py.abc import UNPROVED, WITHOUT_IDENTITIES, Connection, Establisher, Proof
from goblins_py.errors import NetlayerError
from netlayers._reception import HANDSHAKE_TIMEOUT, Reception
from netlayers._tcp_connection import TcpConnection
from netlayers._tcp_options import tune
from netlayers._tls_connection import TlsConnection, shake_hands
from netlayers._websocket_auth import (
    CHALLENGE_SIZE,
    MAX_AUTH_SIZE,
    DesignatorKey,
    answer_auth,
    proved_dialler,
    read_auth_message,
)
from netlayers._websocket_connection import SILENT, WebsocketConnection
from netlayers._websocket_door import Door
from netlayers._websocket_keepalive import Keepalive

__all__ = ["WebsocketListener", "WebsocketTerms"]

_LARGEST_REQUEST: Final = 16 * 1024
"""Bytes of request line and headers."""


@attrs.frozen(eq=False)
class WebsocketTerms:
    """What a listener needs to know beside where to listen.

    Attributes:
        max_message_size: bytes of one message of a peer.
        unproved: what counts as shown by a dialler that proves nothing.
    """

    key: DesignatorKey
    door: Door
    max_message_size: int
    unproved: Proof = UNPROVED


class WebsocketListener(Reception):
    """Serves some listening sockets.

    Args:
        max_connections: of established connections, and of handshakes.
        keepalive: what looks after the connections that are made.

    Attributes:
        context: the TLS settings of the connections to come; None: they are not encrypted.
        pages: how many plain requests were answered, with a page or an error.
    """

    def __init__(
        self,
        terms: WebsocketTerms,
        establisher: Establisher,
        max_connections: int,
        *,
        keepalive: Keepalive,
        context: SSL.Context | None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(establisher, max_connections, handshake_timeout)
        self.context = context
        self.pages = 0
        self._terms = terms
        self._keepalive = keepalive
        self._random_bytes = random_bytes

    async def meet(self, sock: socket.socket) -> WebsocketConnection | None:
        """See `Reception.meet`."""
        tune(sock)
        await trio.lowlevel.wait_readable(sock)  # a stranger that stays silent costs no TLS state
        stream = await self._open_stream(sock)
        connection = await self._upgrade(stream)
        if connection is None:
            await stream.aclose()
            return None
        return connection if await connection.await_first_message() else None

    async def _open_stream(self, sock: socket.socket) -> Connection:
        if self.context is None:
            return TcpConnection(sock)
        tls = SSL.Connection(self.context, sock)
        tls.set_accept_state()
        await shake_hands(tls, sock)
        return TlsConnection(tls, sock, WITHOUT_IDENTITIES)

    async def _upgrade(self, stream: Connection) -> WebsocketConnection | None:
        """Answer one request; None: it was not for a websocket, or was refused."""
        protocol = ServerProtocol(max_size=MAX_AUTH_SIZE, logger=SILENT)
        request, events = await _read_request(stream, protocol)
        challenge = self._random_bytes(CHALLENGE_SIZE)
        response = None if request is None else self._terms.door.answer(protocol, request, challenge)
        if response is None or response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
            await stream.send(_farewell(protocol, response))
            self.pages += 1
            return None
        if protocol.eof_sent:
            raise NetlayerError("what followed its request is no websocket")
        protocol.send_response(response)
        await stream.send(b"".join(protocol.data_to_send()))
        connection = WebsocketConnection(stream, protocol, events)
        await self._authenticate(connection, challenge)
        return connection

    async def _authenticate(self, connection: WebsocketConnection, challenge: bytes) -> None:
        """Let the dialler make us prove our designator, and see whether it proves its own."""
        terms = self._terms
        message = await connection.receive()
        try:
            designator = proved_dialler(read_auth_message(message), challenge, terms.key.designator)
        except NetlayerError:
            await connection.aclose()
            raise
        await connection.send(answer_auth(terms.key, message))
        connection.admit(
            terms.unproved if designator is None else Proof.of(designator), terms.max_message_size
        )
        self._keepalive.add(connection, speaks=designator is not None)


async def _read_request(stream: Connection, protocol: ServerProtocol) -> tuple[Request | None, list[Event]]:
    """The request, if it is one, and what follows it already.

    Raises:
        NetlayerError: it is too large, or the far end hung up.
    """
    size = 0
    while True:
        data = await stream.receive()
        size += len(data)
        if not data:
            raise NetlayerError("it hung up before its request was complete")
        protocol.receive_data(data)
        events = protocol.events_received()
        if events and isinstance(events[0], Request):
            return events[0], events[1:]
        if protocol.handshake_exc is not None:
            return None, []
        if size > _LARGEST_REQUEST:
            raise NetlayerError(f"its request has over {_LARGEST_REQUEST} bytes")


def _farewell(protocol: ServerProtocol, response: Response | None) -> bytes:
    """What is said to somebody who gets no websocket."""
    if response is not None:
        return response.serialize()
    return b"".join(protocol.data_to_send()) or b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
