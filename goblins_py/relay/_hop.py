"""One way of an inner session, one hop on: passes messages to a client, or to the next object on the way.

What was sent on and not acknowledged is counted. An answer is asked for once in a while, and stands for all
before it. Whoever sends to us is answered when little is unacknowledged, so our own clients slow down; one
that does not wait for answers is stopped by its quota. No base session is paused: other accounts share it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from goblins_py.actors import Promise, Ref, Resolver, is_near, make_promise, on, send, send_only
from goblins_py.relay._quota import Meter

__all__ = ["OVERHEAD", "Hop"]

OVERHEAD: Final = 64
"""What a message counts beside its bytes."""
_ASK_EVERY: Final = 32 * 1024
_SOFT: Final = 128 * 1024
"""Unacknowledged bytes above which nobody is answered."""
_HARD: Final = 2**20
"""Unacknowledged bytes above which a sender does not heed that it gets no answers."""


class Hop:
    """One hop; all of it in turns.

    Args:
        target: an object that takes `deliver` and `abort`.
        meter: of the account that pays for what waits here.
        on_failed: told once, in a turn, when a message could not be delivered.
    """

    def __init__(self, target: Ref[Any], meter: Meter, *, on_failed: Callable[[BaseException], None]) -> None:
        self.target = target
        self._meter = meter
        self._on_failed = on_failed
        self._near = is_near(target)
        self._queued = 0
        self._unasked = 0
        self._asked = False
        self._takes_reasons = self._near
        self._room: tuple[Promise[Any], Resolver[Any]] | None = None
        self._over = False

    def refusal(self, size: int) -> str | None:
        """Why this message cannot be passed on; None if it can."""
        if size > self._meter.quota.message_size:
            return f"a message of more than {self._meter.quota.message_size} bytes"
        if self._queued > _HARD:
            return "too much was sent that the other side has not taken"
        if self._meter.queued > self._meter.quota.queued_bytes:
            return f"more than {self._meter.quota.queued_bytes} bytes wait for this account"
        return None

    def deliver(self, message: bytes) -> object:
        """Pass a message on.

        Returns:
            True if more may be sent at once, or a promise of it.
        """
        if self._near:
            return self.target.deliver(message)
        size = len(message) + OVERHEAD
        self._queued += size
        self._meter.queued += size
        self._unasked += size
        if self._asked and self._unasked < _ASK_EVERY:
            send_only(self.target).deliver(message)
        else:
            self._ask(message)
        return True if self._queued <= _SOFT else self._wait_for_room()

    def _ask(self, message: bytes) -> None:
        count, self._unasked, self._asked = self._unasked, 0, True
        answer = send(self.target).deliver(message)
        on(answer, partial(self._taken, count), self._on_failed)

    def _taken(self, count: int, answer: object) -> None:
        """The next hop has taken so much. One of our own kind says True, and takes reasons."""
        if self._over:
            return
        self._queued -= count
        self._meter.queued -= count
        self._takes_reasons = self._takes_reasons or answer is True
        if self._queued <= _SOFT and self._room is not None:
            (_, resolver), self._room = self._room, None
            resolver.fulfill(True)

    def _wait_for_room(self) -> Promise[Any]:
        if self._room is None:
            self._room = make_promise()
        return self._room[0]

    def abort(self, reason: str) -> None:
        """Tell the next hop that it is over, and why, if it takes reasons; one that is lost is not told."""
        if self._near:
            self.target.abort(reason)
        elif self._takes_reasons and reason:
            send_only(self.target).abort(reason)
        else:
            send_only(self.target).abort()

    def close(self) -> None:
        """Nothing waits here any more."""
        if self._over:
            return
        self._over = True
        self._meter.queued -= self._queued
        if self._room is not None:
            self._room[1].fulfill(False)
            self._room = None
