"""How much all prelay connections of one netlayer together may have under way, or waiting to be received."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Budget"]

_MOST: Final = 16 * 2**20
"""Bytes: half of what a base session queues before it refuses messages. One refused that asks for no answer
would be lost unnoticed."""


class Budget:
    """A sum with a limit: all that is taken is given back one day.

    Of what goes out that is what is unacknowledged, as far as answers were asked for.
    """

    def __init__(self, limit: int = _MOST) -> None:
        self._limit = limit
        self._used = 0
        self._waiting: set[Callable[[], object]] = set()

    @property
    def used(self) -> int:
        """Bytes taken and not given back."""
        return self._used

    @property
    def is_spent(self) -> bool:
        """Is more under way than shall be?"""
        return self._used > self._limit

    def has_room(self, wake: Callable[[], object]) -> bool:
        """May more be sent? If not, `wake` is called when it may."""
        if not self.is_spent:
            return True
        self._waiting.add(wake)
        return False

    def take(self, count: int) -> None:
        """So much more is under way."""
        self._used += count

    def give_back(self, count: int) -> None:
        """It is acknowledged, or nobody waits for it any more."""
        self._used -= count
        if not self.is_spent:
            waiting, self._waiting = self._waiting, set()
            for wake in waiting:
                wake()
