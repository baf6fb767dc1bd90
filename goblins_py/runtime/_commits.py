"""Output commit: what leaves a vat is held until what it comes of is durable, many churns with one sync.

Batches are committed by a task; a churn that comes alone is handed to the store at once, which saves it two
rounds of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from goblins_py.abc import Store
from goblins_py.actors import Churn, Delta, Outgoing

__all__ = ["Commits"]

_BACKLOG: Final = 1000
"""Churns, or things to release, that wait for the disk or are on it, above which it is too slow."""


class Commits:
    """Of one vat, on its thread.

    Args:
        store: None if nothing is saved.
        release: lets go of what may leave the vat. resume: runs what comes of that.

    Attributes:
        failed: why the store took no more.
        saved: how many deltas are durable.
        settled: all is durable and released. Another one whenever there is more.
    """

    def __init__(
        self, store: Store | None, release: Callable[[list[Outgoing]], None], resume: Callable[[], None]
    ) -> None:
        self.failed: Exception | None = None
        self.saved = 0
        self.settled = trio.Event()
        self.settled.set()
        self._store = store
        self._release = release
        self._resume = resume
        self._deltas: list[Delta] = []
        self._held: list[Outgoing] = []
        self._in_store: list[Outgoing] = []
        self._is_writing = False
        self._batch = 0
        self._error: Exception | None = None
        self._wakeup = trio.Event()
        self._landing = trio.Event()

    @property
    def is_behind(self) -> bool:
        """Is the disk too slow for what is saved?"""
        in_store = self._batch if self._is_writing else 0
        return in_store + len(self._deltas) > _BACKLOG or len(self._in_store) + len(self._held) > _BACKLOG

    def add(self, churn: Churn) -> None:
        """Release what a churn leaves, when all until now is durable."""
        outbox, delta = churn.outbox, churn.delta
        if self.failed is not None:
            return
        if delta is not None and self._store is not None:
            self._deltas.append(delta)
        elif self.settled.is_set():
            if outbox:
                self._release(outbox)
            return
        self._held += outbox
        if self.settled.is_set():
            self.settled = trio.Event()
        self._go_on()

    def hold(self, outgoing: Outgoing) -> None:
        """Release this, when all until now is durable."""
        if self.settled.is_set():
            outgoing.release()
        else:
            self._held.append(outgoing)

    def drop(self, reason: BaseException) -> None:
        """What is not durable by now is never released, and who waits for it is told."""
        lost, self._in_store, self._held, self._deltas = self._in_store + self._held, [], [], []
        for outgoing in lost:
            outgoing.drop(reason)

    async def run(self, failed: Callable[[], None]) -> None:
        """Commit; ends only by cancellation, when the store is not at work.

        Args:
            failed: called before an error of the store is raised.

        Raises:
            OSError: the store failed. Nothing more is released.
        """
        try:
            while True:
                await self._wakeup.wait()
                self._wakeup = trio.Event()
                try:
                    await self._catch_up()
                except BaseException as error:
                    if isinstance(error, Exception):
                        self.failed = error
                        failed()
                    self.settled.set()
                    raise
        finally:
            with trio.CancelScope(shield=True):
                while self._is_writing:
                    await self._landing.wait()

    async def _catch_up(self) -> None:
        if self._error is not None:
            raise self._error
        while not self._is_writing and (self._deltas or self._held):
            deltas = self._begin_batch()
            try:
                if deltas and self._store is not None:
                    await self._store.commit(deltas)
            finally:
                self._is_writing = False
            self._let_go()
            self._resume()
        if not self._is_writing:
            self.settled.set()

    def _begin_batch(self) -> list[Delta]:
        """All that has come so far; what comes while the disk works is the next batch."""
        deltas, self._deltas = self._deltas, []
        self._in_store, self._held = self._held, []
        self._batch = len(deltas)
        self._is_writing = True
        return deltas

    def _let_go(self) -> None:
        self.saved += self._batch
        durable, self._in_store = self._in_store, []
        self._release(durable)

    # --- churns that come alone ------------------------------------------------------

    def _go_on(self) -> None:
        if self._is_writing:
            return
        is_alone = self._batch <= 1 and self._deltas  # else others are about to come
        if is_alone and self._store is not None and self._store._begin_commit(self._deltas, self._landed):
            self._begin_batch()
            self._landing = trio.Event()
        else:
            self._wakeup.set()

    def _landed(self, error: Exception | None) -> None:
        self._is_writing = False
        self._landing.set()
        if error is not None:
            self._error = error
            self._wakeup.set()
            return
        self._let_go()
        if self._deltas or self._held:
            self._go_on()
        elif not self._is_writing:
            self.settled.set()
