"""Vats without an event loop, for tests of actors: what a call causes has happened when it returns."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, Final, TypeVar, TypeVarTuple, cast

from goblins_py.actors import (
    Delta,
    Effect,
    Home,
    Keeper,
    Outcome,
    Promise,
    Sender,
    Vat,
    current_turn,
    listen_outside,
    run_outside,
    sender_for,
    unwrap,
)
from goblins_py.errors import ActorError

__all__ = ["SyncVat", "SyncVats"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_TURNS: Final = 1_000_000
_START: Final = 1_800_000_000.0


class SyncVats:
    """Some vats of one process, that run whenever one of them is used, on the caller's thread.

    Time stands still but for `advance`. There is no I/O, and nothing is saved.
    """

    def __init__(self) -> None:
        self._vats: list[SyncVat] = []
        self._timers: list[tuple[float, int, Home, Effect]] = []
        self._order = itertools.count()
        self._now = 0.0

    def open(self, name: str = "vat") -> SyncVat:
        """One more vat."""
        opened = SyncVat(self, name)
        self._vats.append(opened)
        return opened

    def settle(self) -> None:
        """Run until all vats are quiet."""
        while any([each.step() for each in self._vats]):  # noqa: C419 - each of them, every time
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass, and happen what happens meanwhile."""
        self.settle()
        until = self._now + seconds
        while self._timers and self._timers[0][0] <= until:
            self._now, _, home, item = heapq.heappop(self._timers)
            home.post(item)
            self.settle()
        self._now = until

    @property
    def wall_time(self) -> float:
        """Seconds since 1970, as these vats have it: they start at the same moment in every run."""
        return _START + self._now

    def later(self, seconds: float, home: Home, item: Effect) -> None:
        """For the vats: post the item then."""
        heapq.heappush(self._timers, (self._now + seconds, next(self._order), home, item))


class SyncVat:
    """A vat of `SyncVats`.

    Attributes:
        vat: the vat itself.
        deltas: what its churns would have saved, oldest first; see `keep`.
    """

    def __init__(self, vats: SyncVats, name: str) -> None:
        self._vats = vats
        self.vat = Vat(_Host(vats), name)
        self.deltas: list[Delta] = []

    def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run `function(*args)` as a turn, and all that follows; its result, or raise what it raised.

        Raises:
            ActorError: called in a turn. VatClosedError.
        """
        if current_turn() is not None:
            raise ActorError("run cannot be called in a turn: call the function")
        outcomes: list[Outcome] = []
        run_outside(self.vat, function, args, outcomes.append)
        self._vats.settle()
        return cast(T, unwrap(outcomes[0], keep_traceback=True))

    def send(self, ref: object) -> Sender:
        """`send` from outside of turns; `take` gets what its promises become."""
        return sender_for(self.vat, ref)

    def take(self, promise: Promise[T]) -> T:
        """What the promise has become, once all vats are quiet.

        Raises:
            What broke it. ActorError: it has not settled.
        """
        outcomes: list[Outcome] = []
        leave = listen_outside(promise, outcomes.append)
        self._vats.settle()
        if not outcomes:
            leave()
            self._vats.settle()
            raise ActorError("the vats are quiet, and the promise has not settled")
        return cast(T, unwrap(outcomes[0]))

    def keep(self, keeper: Keeper | None) -> None:
        """Make the vat persistent: its churns have deltas."""
        self.vat.keeper = keeper

    def close(self) -> None:
        """End the vat."""
        for outgoing in self.vat.close():
            outgoing.release()
        self._vats.settle()

    def step(self) -> bool:
        """Run one churn, if there is anything to run."""
        if not self.vat.busy:
            return False
        churn = self.vat.run(_TURNS)
        if churn is not None:
            if churn.delta is not None:
                self.deltas.append(churn.delta)
            for outgoing in churn.outbox:
                outgoing.release()
        return True


class _Host:
    """What a vat asks of its host, where nothing waits and nothing is opened."""

    def __init__(self, vats: SyncVats) -> None:
        self._vats = vats
        self._count = 0

    def wake(self) -> None:
        """Whoever posts settles."""

    def post_later(self, seconds: float, home: Home, item: Effect) -> None:
        self._vats.later(seconds, home, item)

    async def wait(self, promise: object) -> object:
        raise ActorError("there is no event loop here: use take(promise)")

    def wait_blocking(self, promise: object, timeout: float | None) -> object:
        outcomes: list[Outcome] = []
        leave = listen_outside(cast("Promise[Any]", promise), outcomes.append)
        self._vats.settle()
        if not outcomes:
            leave()
            raise TimeoutError("the vats are quiet, and the promise has not settled")
        return unwrap(outcomes[0])

    def random_bytes(self, count: int) -> bytes:
        """The same ones in every run."""
        self._count += 1
        return self._count.to_bytes(count, "big")

    def wall_time(self) -> float:
        return self._vats.wall_time

    def scope_mark(self) -> object:
        return None
