"""Who may stay: decides, purely, about the connections of a listener. Whoever asks then acts."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from goblins_py.abc import NearOnly

__all__ = ["Admission", "Statistics"]

H = TypeVar("H")


@attrs.define(eq=False)
class Statistics(NearOnly):
    """What has happened at a listener since `setup`; numbers of connections.

    Attributes:
        accepted: by TCP.
        established: handshake done and the first byte of a session arrived.
        refused: would have been established, but `max_connections` were.
        handshake_evicted: closed for being the oldest of too many handshakes.
        handshake_failed: hung up, spoke nonsense or took too long before that.
    """

    accepted: int = 0
    established: int = 0
    refused: int = 0
    handshake_evicted: int = 0
    handshake_failed: int = 0


class Admission(Generic[H]):
    """Counts handshakes and established connections, each up to `limit`.

    They have a pool each: silent strangers cannot take the place of peers that talk.
    """

    def __init__(self, limit: int, statistics: Statistics) -> None:
        self._limit = limit
        self._statistics = statistics
        self._handshakes: dict[H, None] = {}  # oldest first
        self._established = 0

    def begin(self, handshake: H) -> H | None:
        """A connection was accepted.

        Returns:
            The handshake to end in its favour, if there are too many: the oldest.
        """
        self._statistics.accepted += 1
        evicted = self.evict() if len(self._handshakes) >= self._limit else None
        self._handshakes[handshake] = None
        return evicted

    def evict(self) -> H | None:
        """Give up the oldest handshake, and say which; None if there is none."""
        oldest = next(iter(self._handshakes), None)
        if oldest is not None:
            del self._handshakes[oldest]
            self._statistics.handshake_evicted += 1
        return oldest

    def establish(self, handshake: H) -> bool:
        """A handshake is done: whether the connection may stay. If so, `leave` when it ends."""
        self._handshakes.pop(handshake, None)
        if self._established >= self._limit:
            self._statistics.refused += 1
            return False
        self._statistics.established += 1
        self._established += 1
        return True

    def fail(self, handshake: H) -> None:
        """A handshake has ended otherwise. An evicted one was counted already."""
        if handshake in self._handshakes:
            del self._handshakes[handshake]
            self._statistics.handshake_failed += 1

    def leave(self) -> None:
        """An established connection has ended."""
        self._established -= 1
