"""Accepting tcp-tls connections: preamble, handshake, the first byte of a session."""

from __future__ import annotations

import socket
from typing import Final

import trio
from OpenSSL import SSL

from goblins_py.abc import UNPROVED, Establisher, Proof
from netlayers._reception import HANDSHAKE_TIMEOUT, Reception
from netlayers._tcp_options import tune
from netlayers._tls_connection import TlsConnection, shake_hands
from netlayers._tls_identity import Identity, presented_designator

__all__ = ["HANDSHAKE_TIMEOUT", "TlsListener"]


class TlsListener(Reception):
    """Serves some listening sockets with one identity.

    Args:
        max_connections: of established connections, and of handshakes.
        handshake_timeout: seconds.
        unproved: what counts as shown by a dialler that shows no certificate.
    """

    def __init__(
        self,
        identity: Identity,
        establisher: Establisher,
        max_connections: int,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        *,
        unproved: Proof = UNPROVED,
    ) -> None:
        super().__init__(establisher, max_connections, handshake_timeout)
        self.identity: Final = identity
        self.unproved: Final = unproved

    async def meet(self, sock: socket.socket) -> TlsConnection | None:
        """See `Reception.meet`."""
        tune(sock)
        await _send_all(sock, self.identity.preamble)
        await trio.lowlevel.wait_readable(sock)  # a stranger that stays silent costs no TLS state
        tls = SSL.Connection(self.identity.server, sock)
        tls.set_accept_state()
        await shake_hands(tls, sock)
        designator = presented_designator(tls)
        proof = self.unproved if designator is None else Proof.of(designator)
        connection = TlsConnection(tls, sock, proof)
        return connection if await connection.await_first_byte() else None


async def _send_all(sock: socket.socket, data: bytes) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)
