"""Accepting strangers on TCP: the accept loop, admission, and a life for each connection that was made.

Runs as trio tasks outside of any vat, and touches no actor. What one connection does ends one
connection: the accept loop survives everything but its own cancellation. How strangers become
connections is what a listener adds.
"""

from __future__ import annotations

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import trio

from goblins_py.abc import Connection, Establisher, NearOnly
from goblins_py.errors import NetlayerError
from netlayers._admission import Admission, Statistics

__all__ = ["HANDSHAKE_TIMEOUT", "Reception"]

logger = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds from accept to the first byte of a session."""

_PAUSE = 0.1
"""Seconds of rest after an accept that failed, e.g. because there are no descriptors left."""


class Reception(NearOnly, ABC):
    """Serves some listening sockets.

    Args:
        max_connections: of established connections, and of handshakes.
        handshake_timeout: seconds that `meet` may take.
    """

    def __init__(self, establisher: Establisher, max_connections: int, handshake_timeout: float) -> None:
        self.establisher = establisher
        self.max_connections = max_connections
        self.handshake_timeout = handshake_timeout
        self.statistics = Statistics()
        self._admission: Admission[trio.CancelScope] = Admission(max_connections, self.statistics)

    @abstractmethod
    async def meet(self, sock: socket.socket) -> Connection | None:
        """From accept to the first byte of a session; None if it ended well without becoming one.

        `sock` is closed by who calls.

        Raises:
            OSError, trio.BrokenResourceError, NetlayerError: the far end is no good.
        """

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

    async def _greet(self, sock: socket.socket, handshake: trio.CancelScope) -> Connection | None:
        """The established connection, or None: failed, too late, evicted, or one too many."""
        connection = None
        try:
            with handshake:
                connection = await self.meet(sock)
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
