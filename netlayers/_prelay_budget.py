"""How much all prelay connections of one netlayer together may have under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Budget"]

_MOST: Final = 16 * 2**20
"""Bytes: half of what a base session queues before it refuses messages. One refused that asks for no answer
would be lost unnoticed."""


class Budget:
    """What is unacknowledged, as far as answers were asked for; so all of it is given back one day."""

    def __init__(self, limit: int = _MOST) -> None:
        self._limit = limit
        self._used = 0
        self._waiting: set[Callable[[], object]] = set()

    @property
    def used(self) -> int:
        """Bytes under way."""
        return self._used

    def has_room(self, wake: Callable[[], object]) -> bool:
        """May more be sent? If not, `wake` is called when it may."""
        if self._used <= self._limit:
            return True
        self._waiting.add(wake)
        return False

    def take(self, count: int) -> None:
        """So much is under way."""
        self._used += count

    def give_back(self, count: int) -> None:
        """It is acknowledged, or nobody waits for it any more."""
        self._used -= count
        if self._used <= self._limit:
            waiting, self._waiting = self._waiting, set()
            for wake in waiting:
                wake()
