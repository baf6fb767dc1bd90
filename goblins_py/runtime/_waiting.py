"""A trio task that waits for one outcome of a vat. Leaner than an event: there are as many as messages."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import cast

import trio

from goblins_py.actors import Broken, Fulfilled, Outcome, Outgoing

__all__ = ["Waiter"]


class Waiter(Outgoing):
    """For the current task.

    Args:
        token: of its trio run.

    Attributes:
        expected: what is told on release.
    """

    __slots__ = ("_is_asleep", "_outcome", "_task", "_thread", "_token", "expected")

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token
        self._task = trio.lowlevel.current_task()
        self._thread = threading.get_ident()
        self._outcome: Outcome | None = None
        self._is_asleep = False
        self.expected: Fulfilled | None = None

    def told(self, outcome: Outcome) -> None:
        """Any thread."""
        if threading.get_ident() == self._thread:
            self._wake(outcome)
            return
        with suppress(trio.RunFinishedError):  # then nobody waits any more
            self._token.run_sync_soon(self._wake, outcome)

    def release(self) -> None:
        self._wake(cast("Fulfilled", self.expected))

    def drop(self, reason: BaseException) -> None:
        self._wake(Broken(reason, heard=True))

    def _wake(self, outcome: Outcome) -> None:
        self._outcome = outcome
        if self._is_asleep:
            self._is_asleep = False
            trio.lowlevel.reschedule(self._task)

    async def wait(self) -> Outcome:
        """A checkpoint, also if it is there."""
        if self._outcome is None:
            self._is_asleep = True
            await trio.lowlevel.wait_task_rescheduled(self._give_up)
        else:
            await trio.lowlevel.checkpoint()
        return cast("Outcome", self._outcome)

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._is_asleep = False
        return trio.lowlevel.Abort.SUCCEEDED
