"""Accepting tcp-tls connections: preamble, handshake, admission, then the establisher.

Runs as trio tasks outside of any vat, and touches no actor. What one connection does ends
one connection: the accept loop survives everything but its own cancellation.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

import attrs
import trio
from OpenSSL import SSL

from goblins_py.abc import UNPROVED, Establisher, NearOnly, Proof
from goblins_py.errors import NetlayerError
from netlayers._admission import Admission, Statistics
from netlayers._tcp_options import tune
from netlayers._tls_connection import TlsConnection, shake_hands
from netlayers._tls_identity import Identity, presented_designator

__all__ = ["HANDSHAKE_TIMEOUT", "TlsListener"]

logger = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 10.0
"""Seconds from accept to the first byte of a session."""

_PAUSE = 0.1
"""Seconds of rest after an accept that failed, e.g. because there are no descriptors left."""


@attrs.define(eq=False)
class TlsListener(NearOnly):
    """Serves some listening sockets with one identity.

    Attributes:
        max_connections: of established connections, and of handshakes.
        handshake_timeout: seconds.
        unproved: what counts as shown by a dialler that shows no certificate.
    """

    identity: Identity
    establisher: Establisher
    max_connections: int
    handshake_timeout: float = HANDSHAKE_TIMEOUT
    unproved: Proof = UNPROVED
    statistics: Statistics = attrs.field(init=False, factory=Statistics)
    _admission: Admission[trio.CancelScope] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._admission = Admission(self.max_connections, self.statistics)

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Accept until cancelled, or until the sockets are closed and all connections done.

        In the end all its connections and `sockets` are closed.
        """
        try:
            async with trio.open_nursery() as nursery:
                for sock in sockets:
                    nursery.start_soon(self._accept_from, sock, nursery)
        finally:
            for sock in sockets:
                sock.close()

    async def _accept_from(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        while listening.fileno() != -1:
            try:
                await trio.lowlevel.wait_readable(listening)
                sock, _ = listening.accept()
            except BlockingIOError:
                continue  # it went away again
            except trio.ClosedResourceError:
                return  # no more are wanted; those that we have go on
            except OSError as exc:
                await self._recover(exc)
            else:
                self._begin(sock, nursery)

    async def _recover(self, exc: OSError) -> None:
        """Make room and wait: EMFILE and the like pass, ECONNABORTED is not even ours."""
        logger.info("accept failed, trying again: %s", exc)
        self._cancel(self._admission.evict())
        await trio.sleep(_PAUSE)

    def _begin(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        sock.setblocking(False)
        handshake = trio.CancelScope(deadline=trio.current_time() + self.handshake_timeout)
        self._cancel(self._admission.begin(handshake))
        nursery.start_soon(self._serve, sock, handshake)

    def _cancel(self, evicted: trio.CancelScope | None) -> None:
        if evicted is not None:
            evicted.cancel()

    async def _serve(self, sock: socket.socket, handshake: trio.CancelScope) -> None:
        with sock:
            connection = await self._greet(sock, handshake)
            if connection is None:
                return
            try:
                await self.establisher.run(connection)
            except Exception:
                logger.exception("a session ended with an error that it should have handled")
            finally:
                self._admission.leave()
                await connection.aclose()

    async def _greet(self, sock: socket.socket, handshake: trio.CancelScope) -> TlsConnection | None:
        """The established connection, or None: failed, too late, evicted, or one too many."""
        connection = None
        try:
            with handshake:
                connection = await _meet(self.identity, sock, self.unproved)
        except (OSError, trio.BrokenResourceError, NetlayerError) as exc:
            logger.debug("a handshake failed: %s", exc)
        except Exception:  # whatever a stranger sends must not end the accept loop
            logger.exception("a handshake failed in an unexpected way")
        finally:
            if connection is None:
                self._admission.fail(handshake)
        if connection is None or self._admission.establish(handshake):
            return connection
        logger.info("connection refused: there are %d already", self.max_connections)
        await connection.aclose()
        return None


async def _meet(identity: Identity, sock: socket.socket, unproved: Proof) -> TlsConnection | None:
    """From accept to the first byte of a session; None if the stream ended before it.

    Raises:
        OSError, trio.BrokenResourceError, NetlayerError: the far end is no good.
    """
    tune(sock)
    await _send_all(sock, identity.preamble)
    await trio.lowlevel.wait_readable(sock)  # a stranger that stays silent costs no TLS state
    tls = SSL.Connection(identity.server, sock)
    tls.set_accept_state()
    await shake_hands(tls, sock)
    designator = presented_designator(tls)
    connection = TlsConnection(tls, sock, unproved if designator is None else Proof.of(designator))
    return connection if await connection.await_first_byte() else None


async def _send_all(sock: socket.socket, data: bytes) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)
