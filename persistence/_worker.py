"""Blocking work, one piece after the other, in a thread that trio lends.

Leaner than `trio.to_thread`: a commit waits for nothing but its turn, the disk and one wake-up. The work
sees no context variables, and cannot be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import trio

__all__ = ["Worker"]

_T = TypeVar("_T")


class Worker:
    """Does what it is given in the order in which it was asked."""

    def __init__(self) -> None:
        self._is_busy = False
        self._waiting = trio.lowlevel.ParkingLot()

    async def do(self, work: Callable[[], _T]) -> _T:
        """Do it, and wait for its outcome whoever cancels us."""
        if self._is_busy:
            with trio.CancelScope(shield=True):
                await self._waiting.park()  # who was before leaves it busy for us
        self._is_busy = True
        try:
            return await _in_thread(work)
        finally:
            self._is_busy = bool(self._waiting.unpark())

    def begin(self, work: Callable[[], object], told: Callable[[Exception | None], None]) -> bool:
        """Do it now, and tell its error, or None, in this thread; False if something else is being done."""
        if self._is_busy:
            return False
        self._is_busy = True
        token = trio.lowlevel.current_trio_token()

        def ended(outcome: Any) -> None:
            self._is_busy = bool(self._waiting.unpark())
            told(getattr(outcome, "error", None))

        trio.lowlevel.start_thread_soon(work, lambda outcome: token.run_sync_soon(ended, outcome))
        return True


async def _in_thread(work: Callable[[], _T]) -> _T:
    task, token = trio.lowlevel.current_task(), trio.lowlevel.current_trio_token()

    def deliver(outcome: Any) -> None:
        token.run_sync_soon(trio.lowlevel.reschedule, task, outcome)

    trio.lowlevel.start_thread_soon(work, deliver)
    return cast("_T", await trio.lowlevel.wait_task_rescheduled(_not_now))


def _not_now(_raise_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
