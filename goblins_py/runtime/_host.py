"""The trio side of one vat: its loop, its output, its clock.

Churns run here, on the vat's thread, and what they leave is released here: at once, or for a persistent
vat when its delta is durable (output commit). Who has something to write registers with
`flush_soon` and is asked once after each bout of churns, so that many messages make one write.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar, cast

import trio

from goblins_py.abc import Store
from goblins_py.actors import (
    Effect,
    HandlerTurn,
    Home,
    Outcome,
    Outgoing,
    Promise,
    Vat,
    listen_outside,
    outcome_now,
    unwrap,
)
from goblins_py.errors import ActorError
from goblins_py.runtime._commits import Commits
from goblins_py.runtime._io import VatIo
from goblins_py.runtime._waiting import Turnstile, Wait

__all__ = ["Flushable", "TrioHost"]

T = TypeVar("T")

_log = logging.getLogger("goblins_py.runtime")

_TURNS: Final = 500
"""Turns between two looks at the clock."""
_BOUT: Final = 0.01
"""Seconds that churns may run before I/O gets its chance."""
_BURST: Final = 6
"""Runs after which what they have said is written, though others follow."""
_TIDY: Final = 1.0
"""Seconds between two looks at whether a persistent vat is idle and has garbage."""
_FULL_GC: Final = 10.0
"""Seconds at least between two full collections in an idle process, ..."""
_GC_SHARE: Final = 50
"""... and so many times what the last one took."""
_BACKLOG: Final = 1000
"""Items waiting for their churn above which nobody reads from the network."""


class Flushable(Protocol):
    """Something with bytes to write."""

    def flush(self) -> None:
        """Write what can be written without waiting."""


class TrioHost:
    """Carries one vat in one trio run.

    Attributes:
        vat, io: set right after creation.
        has_store: whether its store was opened, and is to be closed.
    """

    vat: Vat
    io: VatIo | None = None

    def __init__(self, store: Store | None = None, wall_clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall_clock = wall_clock
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._sleeper: trio.lowlevel.Task | None = None  # the loop, if it has nothing to do
        self._turnstile = Turnstile()
        self._running = False
        self._flushables: set[Flushable] = set()
        self._commits = Commits(store, self.release, self.run_pending)
        self._timers: trio.Nursery | None = None
        self.has_store = False

    @property
    def token(self) -> trio.lowlevel.TrioToken:
        """Of the trio run that carries the vat."""
        return self._token

    @property
    def on_own_thread(self) -> bool:
        """Is this called on the vat's thread?"""
        return threading.get_ident() == self._thread

    # --- for the vat -------------------------------------------------------------

    def wake(self) -> None:
        if threading.get_ident() == self._thread:
            if not self._running:
                self._rouse()
            return
        try:
            self._token.run_sync_soon(self._rouse, idempotent=True)
        except trio.RunFinishedError:
            self.vat.close()  # from another thread, but nothing else runs any more

    def _rouse(self) -> None:
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            trio.lowlevel.reschedule(sleeper)

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def wall_time(self) -> float:
        return self._wall_clock()

    def scope_mark(self) -> object:
        # Private to trio, but the only thing that tells: a scope that a method leaves open at an await
        # would become the parent of whatever the vat's task does next.
        task = trio.lowlevel.current_task()
        return getattr(task, "_cancel_status", None), len(task.child_nurseries)

    def post_later(self, seconds: float, home: Home, item: Effect) -> None:
        async def later() -> None:
            await trio.sleep(max(0, seconds))  # nor does NaN end the vat
            home.post(item)

        if self._timers is None:
            raise ActorError("the vat has not started")
        self._timers.start_soon(later)

    async def wait(self, promise: object) -> object:
        """Wait for a promise of this vat; in any trio task, of any thread."""
        awaited: Promise[object] = promise  # type: ignore[assignment]  # a cast is a call, and this is hot
        here = threading.get_ident() == self._thread
        if here and self._store is None:  # nothing has to be durable before it may be told
            known = outcome_now(awaited)
            if known is not None:
                await self._turnstile.checkpoint()
                return unwrap(known)
        wait = Wait(self._token if here else None)
        if here and self._store is not None:
            self.run_pending()
            if self._is_promised(awaited, wait):
                return unwrap(await self._told(wait))
        leave = listen_outside(awaited, wait.told)
        if here:
            self.run_pending()  # what was sent so far leaves now: this task waits, and the loop need not
        try:
            outcome = await self._told(wait)
        except BaseException:
            leave()
            raise
        return unwrap(outcome)

    async def _told(self, wait: Wait) -> Outcome:
        await (wait.park() if wait.outcome is None else self._turnstile.checkpoint())
        return wait.outcome  # type: ignore[return-value]  # it is told by now

    def _is_promised(self, promise: Promise[object], wait: Wait) -> bool:
        """It needs no churn to learn of what has settled: it is told when all until now is durable."""
        if self.failed is not None or self.vat.busy:
            return False
        wait.expected = outcome_now(promise)
        if wait.expected is not None:
            self._commits.hold(wait)
        return wait.expected is not None

    def wait_blocking(self, promise: object, timeout: float | None) -> object:
        if threading.get_ident() == self._thread:
            raise ActorError("the vat's own thread cannot block: await the promise")
        done = threading.Event()
        outcomes: list[Outcome] = []

        def told(outcome: Outcome) -> None:
            outcomes.append(outcome)
            done.set()

        leave = listen_outside(cast("Promise[object]", promise), told)
        try:
            if not done.wait(timeout):
                raise TimeoutError(f"not settled within {timeout:g} s")
        except BaseException:
            leave()
            raise
        return unwrap(outcomes[0])

    # --- running ------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """The vat's loop, started once there are timers.

        Ends only by cancellation; a bug of ours closes the vat, so that nobody waits for it.
        """
        try:
            async with trio.open_nursery() as self._timers:
                task_status.started()
                await self._loop()
        except Exception:
            self.release(self.vat.close())
            raise

    async def _loop(self) -> None:
        while True:
            if self.vat.busy or self._flushables:
                self.run_pending()
                await trio.lowlevel.checkpoint()
            else:  # also if somebody who waited has done what it was woken for
                self._sleeper = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._stop_sleeping)

    def _stop_sleeping(self, _: object) -> trio.lowlevel.Abort:
        self._sleeper = None
        return trio.lowlevel.Abort.SUCCEEDED

    def feed(self, items: Iterable[Effect]) -> None:
        """Post what came from a peer and run what follows, without a detour over the loop."""
        running, self._running = self._running, True
        try:
            for item in items:
                self.vat.post(item)
        finally:
            self._running = running
        self.run_pending()

    @trio.lowlevel.enable_ki_protection
    def run_pending(self) -> None:
        """Run churns for a bout, then let everything that has bytes write them."""
        if self._running:
            return
        self._running = True
        try:
            self._run_bout(self.vat)
            self._flush_all()
        finally:
            self._running = False
        if self.vat.busy:
            self._rouse()

    def _run_bout(self, vat: Vat) -> None:
        now = time.perf_counter
        until = now() + _BOUT
        count = 0
        while vat.busy:
            churn = vat.run(_TURNS)
            if churn is not None:
                if self._store is None:  # nothing to wait for
                    self.release(churn.outbox)
                else:
                    self._commits.add(churn)
            count += 1
            if not count % _BURST and self._flushables:  # peers work meanwhile
                self._flush_all()
            if now() > until:
                return

    def _flush_all(self) -> None:
        if self._flushables:
            flushables, self._flushables = self._flushables, set()
            for flushable in flushables:
                flushable.flush()

    def flush_soon(self, flushable: Flushable) -> None:
        """Call its `flush` after the churns that run now, else soon."""
        self._flushables.add(flushable)
        if not self._running:
            self._rouse()

    @property
    def crowded(self) -> bool:
        """Should nobody bring more work just now?"""
        return self._commits.is_behind or self.vat.backlog > _BACKLOG

    async def room(self) -> None:
        """Wait until more work may be brought."""
        while self.crowded:
            await trio.lowlevel.checkpoint()
            if self._commits.is_behind:
                await self._settled.wait()

    # --- output commit -----------------------------------------------------------------

    async def commit_forever(self) -> None:
        """Make churns durable, many with one sync, and release them in order.

        Raises:
            OSError: the store failed. Nothing more is released, the vat is closed.
        """
        await self._commits.run(self.end)

    @property
    def failed(self) -> Exception | None:
        """Why the store took no more."""
        return self._commits.failed

    @property
    def _settled(self) -> trio.Event:
        return self._commits.settled

    def end(self) -> None:
        """Close the vat; what is not durable by now is never released, and who waits for it is told."""
        self._commits.drop(self.vat.closed_error())
        self.release(self.vat.close())

    async def tidy_forever(self) -> None:
        """Have what Python collects removed from the store, also while no message comes.

        Cycles are looked for when the vat has changed something and is idle: nothing else would.
        """
        looked_at, next_gc = 0, 0.0
        while True:
            saved = self._commits.saved
            await trio.sleep(_TIDY)
            if looked_at != saved == self._commits.saved and trio.current_time() >= next_gc:
                looked_at = saved
                next_gc = trio.current_time() + max(_FULL_GC, _GC_SHARE * _collect_all())
            if self.vat.keeper is not None and self.vat.keeper.tidy():
                self.vat.post(HandlerTurn(_nothing, ()))

    async def settle(self) -> None:
        """Wait until the vat is quiet and all of it is durable and released; or the store has failed."""
        while (self.vat.busy or not self._settled.is_set()) and self.failed is None:
            self.run_pending()
            await self._settled.wait()
            await trio.lowlevel.checkpoint()

    def release(self, outbox: list[Outgoing]) -> None:
        """Let go of what may leave the vat."""
        for outgoing in outbox:
            try:
                outgoing.release()
            except Exception:  # noqa: BLE001 - the rest must still leave
                _log.exception("something that left a vat could not be released")


def _nothing() -> None:
    """A churn of its own, to save what has changed without one."""


def _collect_all() -> float:
    """Have Python look for cycles everywhere; how many seconds that took."""
    started = time.perf_counter()
    gc.collect()
    return time.perf_counter() - started
