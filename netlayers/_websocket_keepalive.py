"""Keeps idle websockets open, and finds those that have died behind a proxy. One task for all of them.

Peers of our own do this at both ends, so one that has said nothing for a minute is gone. Others owe us
nothing: TCP's keepalive finds them.
"""

from __future__ import annotations

import logging
import math
import weakref
from typing import Final

import trio

from goblins_py.abc import NearOnly
from netlayers._websocket_connection import WebsocketConnection

__all__ = ["Keepalive"]

INTERVAL: Final = 15.0
"""Seconds. Goblins pings after 30 s of silence, and as a client gets that wrong: it must not come to it."""
PATIENCE: Final = 60.0
"""Seconds without a word after which a peer that keeps alive, too, counts as dead."""

logger = logging.getLogger(__name__)


class Keepalive(NearOnly):
    """Looks after connections until they are closed."""

    def __init__(self, interval: float = INTERVAL, patience: float = PATIENCE) -> None:
        self._interval = interval
        self._patience = patience
        self._speaking: weakref.WeakSet[WebsocketConnection] = weakref.WeakSet()
        self._others: weakref.WeakSet[WebsocketConnection] = weakref.WeakSet()

    def add(self, connection: WebsocketConnection, *, speaks: bool) -> None:
        """Look after this one.

        Args:
            speaks: the far end does the same, so its silence means something.
        """
        (self._speaking if speaks else self._others).add(connection)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            due = trio.current_time() + self._interval
            await trio.sleep_until(due)
            # After a sleep of the machine everybody seems silent: give them a round.
            late = trio.current_time() - due > self._interval
            for connection in self._due(math.inf if late else self._patience):
                await _close(connection)

    def _due(self, patience: float) -> list[WebsocketConnection]:
        """Let all say something; those that are over."""
        now, over = trio.current_time(), []
        for group, limit in ((self._speaking, patience), (self._others, math.inf)):
            over_here = [each for each in group if not each.keep_alive(now, limit)]
            group.difference_update(over_here)
            over += over_here
        return over


async def _close(connection: WebsocketConnection) -> None:
    try:
        await connection.aclose()
    except Exception:  # of one that is dead: all others are still to be looked after
        logger.warning("a silent connection could not be closed in order", exc_info=True)
