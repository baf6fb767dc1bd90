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
        self._parts: list[bytes | tuple[bytes, ...]] = []
        self._has_long = False

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

    def put_long(self, *pieces: bytes) -> None:
        """Add one message whose pieces need not be copied for a stream."""
        self._has_long = True
        self._parts.append(pieces)
        self.queued += sum(map(len, pieces))
        if len(self._parts) == 1:
            self.on_output()

    def take(self) -> list[bytes]:
        """All messages that are to be written; they stay `queued` until they are `sent`."""
        parts, self._parts = self._parts, []
        if self._has_long:
            self._has_long = False
            return [b"".join(part) if type(part) is tuple else part for part in parts]  # type: ignore[misc]
        return parts  # type: ignore[return-value]

    def take_pieces(self) -> list[bytes]:
        """The same, but a long message may be in pieces."""
        if not self._has_long:
            return self.take()
        self._has_long = False
        parts, self._parts = self._parts, []
        return [piece for part in parts for piece in (part if type(part) is tuple else (part,))]  # type: ignore[misc]

    def sent(self, count: int) -> None:
        """So many bytes have left; perhaps some that were given up in the meantime."""
        self.queued = max(0, self.queued - count)

    def clear(self) -> None:
        """Nobody will ever write it."""
        self._parts.clear()
        self._has_long = False
        self.queued = 0


def _nobody() -> None:
    """Whoever carries the bytes has not come yet; it will ask."""
