"""Bytes on their way to the peer."""

from __future__ import annotations

from collections.abc import Callable

from goblins_py.captp._limits import SessionLimits

__all__ = ["Outbox"]


class Outbox:
    """Messages that wait to be written, and the count of bytes that have not left.

    Attributes:
        on_output: called when there is something to write where there was nothing.
        queued: bytes that have not left yet, those included that the carrier has taken.
        soft, hard: bytes above which the peer is read no more, and nothing may be added.
    """

    def __init__(self, limits: SessionLimits) -> None:
        self.on_output: Callable[[], None] = _nobody
        self.queued = 0
        self.soft = limits.queue_soft
        self.hard = limits.queue_hard
        self._parts: list[bytes] = []

    @property
    def full(self) -> bool:
        """Is there so much that nothing may be added?"""
        return self.queued > self.hard

    def put(self, data: bytes) -> None:
        """Add one message."""
        parts = self._parts
        parts.append(data)
        self.queued += len(data)
        if len(parts) == 1:
            self.on_output()

    def take(self) -> list[bytes]:
        """All messages that are to be written; they stay `queued` until they are `sent`."""
        parts, self._parts = self._parts, []
        return parts

    def sent(self, count: int) -> None:
        """So many bytes have left; perhaps some that were given up in the meantime."""
        self.queued = max(0, self.queued - count)

    def clear(self) -> None:
        """Nobody will ever write it."""
        self._parts.clear()
        self.queued = 0


def _nobody() -> None:
    """Whoever carries the bytes has not come yet; it will ask."""
