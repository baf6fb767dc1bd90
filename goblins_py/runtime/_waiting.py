"""Waiting for a promise in a trio task, without any object or task switch that can be spared."""

from __future__ import annotations

import contextlib
import threading
from typing import Final, cast

import trio

from goblins_py.actors import Broken, Outcome, Outgoing

__all__ = ["Turnstile", "Wait"]

_PASSES: Final = 64
"""So many times a task may go on at once before all others have had their turn."""


class Wait(Outgoing):
    """One task that waits for one outcome. Made in that task.

    Args:
        token: of the task's trio run, where it is known already.

    Attributes:
        outcome: what it waits for, once told.
        expected: what is told on release, where it leaves a vat that has to be durable before.
    """

    __slots__ = ("_parked", "_task", "_thread", "_token", "expected", "outcome")

    def __init__(self, token: trio.lowlevel.TrioToken | None = None) -> None:
        self.outcome: Outcome | None = None
        self.expected: Outcome | None = None
        self._task = trio.lowlevel.current_task()
        self._token = token or trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._parked = False

    def told(self, outcome: Outcome) -> None:
        """The outcome has come; any thread."""
        self.outcome = outcome
        if threading.get_ident() == self._thread:
            self._wake()
        else:
            with contextlib.suppress(trio.RunFinishedError):  # then nobody waits any more
                self._token.run_sync_soon(self._wake)

    def release(self) -> None:
        self.told(cast(Outcome, self.expected))

    def drop(self, reason: BaseException) -> None:
        self.told(Broken(reason, heard=True))

    def _wake(self) -> None:
        if self._parked:
            self._parked = False
            trio.lowlevel.reschedule(self._task)

    async def park(self) -> None:
        """Sleep until told; at once if that has happened, so look before whether `outcome` is there."""
        if self.outcome is None:
            self._parked = True
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._parked = False
        return trio.lowlevel.Abort.SUCCEEDED


class Turnstile:
    """Checkpoints for what need not wait: always for cancellation, for other tasks only now and then.

    A whole checkpoint takes as long as ten messages.
    """

    __slots__ = ("_passed",)

    def __init__(self) -> None:
        self._passed = 0

    async def checkpoint(self) -> None:
        """Raises Cancelled; what else runs has its turn at the latest after some passes."""
        self._passed += 1
        if self._passed >= _PASSES:
            self._passed = 0
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
