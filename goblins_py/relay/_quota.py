"""What one account of a relay may use, and what it does use: decisions on numbers, no clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import attrs

from goblins_py.syrup import Map

__all__ = ["Meter", "Quota"]

_positive: Any = attrs.validators.and_(attrs.validators.instance_of(int), attrs.validators.ge(1))


@attrs.frozen
class Quota:
    """What one account may use.

    Attributes:
        sessions: at a time, each way: those that its client has dialled, and those that others have.
        bytes_per_second: that its client sends, over all its sessions; a second's worth may come at once.
        queued_bytes: that the relay holds for it in all: sent on and not acknowledged yet.
        message_size: bytes of one message.

    Raises:
        TypeError, ValueError: on creation, if one is no integer from 1.
    """

    sessions: int = attrs.field(default=64, validator=_positive)
    bytes_per_second: int = attrs.field(default=64 * 2**20, validator=_positive)
    queued_bytes: int = attrs.field(default=8 * 2**20, validator=_positive)
    message_size: int = attrs.field(default=8 * 2**20, validator=_positive)

    @classmethod
    def of(cls, numbers: Mapping[str, int]) -> Self:
        """The quota with these numbers, and the usual ones elsewhere."""
        return cls(**numbers)

    def numbers(self) -> Map[str, int]:
        """The same as a value that can be state, or be sent."""
        return Map(attrs.asdict(self))


class Meter:
    """What one account uses now.

    Args:
        clock: seconds that go forward.

    Attributes:
        dialled, accepted: sessions.
        queued: bytes sent on and not acknowledged.
        sent, received: bytes of the messages passed on in all, from the account's client and to it.
        aborted: sessions that were ended because of a quota.
    """

    def __init__(self, quota: Quota, clock: Callable[[], float]) -> None:
        self.quota = quota
        self.dialled = 0
        self.accepted = 0
        self.queued = 0
        self.sent = 0
        self.received = 0
        self.aborted = 0
        self._clock = clock
        self._allowance = float(quota.bytes_per_second)
        self._counted_at = clock()

    def spend(self, size: int) -> float:
        """The client sends so many bytes: how many seconds it shall wait before it sends more."""
        now, rate = self._clock(), self.quota.bytes_per_second
        grown = self._allowance + (now - self._counted_at) * rate
        self._counted_at = now
        self._allowance = min(float(rate), grown) - size
        return max(0.0, -self._allowance / rate)
