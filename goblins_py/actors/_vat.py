"""The vat: an inbox, turns and churns. Synchronous; a host says when it may run.

A turn succeeds whole or not at all. A churn is what comes of one inbox item, until the vat is quiet;
only then (and once it is durable, in a persistent vat) does the host release what leaves the vat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from enum import Enum
from types import CoroutineType
from typing import Any, TypeVar, cast

import attrs

from goblins_py.actors._behaviour import perform
from goblins_py.actors._crossroads import Junction, Outgoing, Work
from goblins_py.actors._methods import FIRST, SUSPENDED, SuspendedMethod, apply_become
from goblins_py.actors._passable import passable, passable_args
from goblins_py.actors._portrait import Delta
from goblins_py.actors._promise import Broken, Fulfilled, Message, Outcome, Promise, Resolve, outcome_of
from goblins_py.actors._reference import NearOnly, Ref
from goblins_py.actors._report import message_label, report_failure, report_unheard, without_traceback
from goblins_py.actors._turn import Effect, Host, Turn, entered
from goblins_py.errors import NotNearError, VatClosedError

__all__ = ["Churn", "Keeper", "Vat", "VatTurn", "crossed"]

W = TypeVar("W")


def crossed(result: object) -> object:
    """A result at the message border."""
    return result if isinstance(result, NearOnly) else passable(result)


class VatTurn(Turn):
    """A turn that can call objects."""

    __slots__ = ()

    def near_call(self, target: object, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        if not isinstance(target, Ref) or target._connector is not None or target._home is not self.home:
            raise NotNearError("only an object of the same vat can be called at once: use send(...)")
        converted, _ = passable_args(args)
        named = {name: crossed(arg) for name, arg in kwargs.items()}
        mark = self.mark()
        try:
            result = self.invoke(target, converted, named)
            if isinstance(result, CoroutineType):
                return self._begin(result, target, message_label(target, args))
            return crossed(result)
        except BaseException:
            self.rollback(mark)
            raise

    def invoke(self, ref: Ref[object], args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Run a method; the result as it is, maybe a coroutine."""
        outer = self.frame, self.becoming
        behaviour = ref._behaviour
        self.frame, self.becoming = behaviour, cast(object, None)
        try:
            result = perform(behaviour, args, kwargs)
            successor = self.becoming
        finally:
            self.frame, self.becoming = outer
        if successor is not None:
            apply_become(self, ref, successor)
        return result

    def _begin(self, coroutine: Any, ref: Ref[object], label: str) -> Promise[object]:
        """The first stretch of an `async def` that was called near: a savepoint of its own."""
        answer: Promise[object] = Promise(self.home)
        method = SuspendedMethod(coroutine, ref=ref, answer=answer, label=label)
        mark = self.mark()
        try:
            result = method.stretch(self, FIRST)
            if result is not SUSPENDED:
                self.effects.append(Resolve(answer, outcome_of(crossed(result))))
        except BaseException as error:
            self.rollback(mark)
            report_failure(self.home.name, label, error)
            self.effects.append(Resolve(answer, Broken(without_traceback(error), heard=True)))
        return answer


@attrs.frozen
class Churn:
    """What a churn leaves behind for the host.

    Attributes:
        outbox: to be released in order, once `delta` is durable.
        delta: what changed; None if nothing did, or the vat is not persistent.
    """

    outbox: list[Outgoing]
    delta: Delta | None


class Keeper(ABC):
    """Watches a persistent vat's turns and notes what has to be saved."""

    @abstractmethod
    def check(self, turn: Turn) -> None:
        """Portray what the turn changed. Raises `NotPortrayableError`: then the turn fails."""

    @abstractmethod
    def take_delta(self) -> Delta | None:
        """What changed since the last call."""


class Phase(Enum):
    """The life of a vat."""

    OPEN = "open"
    CLOSED = "closed"


class Vat(Junction):
    """Objects that share one queue.

    Attributes:
        name: for people, in logs and reprs.
        verbose: tell peers what went wrong in detail (class and text of exceptions).
        keeper: of a persistent vat; set by whoever restores it.
    """

    def __init__(self, host: Host, name: str = "vat", *, verbose: bool = False) -> None:
        super().__init__()
        self.host = host
        self.name = name
        self.verbose = verbose
        self.keeper: Keeper | None = None
        self._phase = Phase.OPEN
        self._inbox: deque[Effect] = deque()

    # --- from anywhere ---------------------------------------------------

    def post(self, item: Effect) -> None:
        if self._phase is Phase.CLOSED:
            item.refuse(VatClosedError(f"vat {self.name!r} is closed"))
            return
        self._inbox.append(item)
        self.host.wake()

    @property
    def busy(self) -> bool:
        """Is there anything to run?"""
        return bool(self.queue or self._inbox)

    @property
    def closed(self) -> bool:
        """Was it closed?"""
        return self._phase is Phase.CLOSED

    # --- for the host ------------------------------------------------------

    def run(self, max_turns: int) -> Churn | None:
        """Run one churn, or go on with the one that was cut; call only while `busy`.

        Returns:
            What it leaves; None if it was cut after `max_turns` turns and nothing may leave yet (a
            persistent vat saves whole churns only; another one lets go of what it has).
        """
        if not self.queue:
            self._inbox.popleft().commit(self)
        queue = self.queue
        while queue and max_turns > 0:
            work = queue.popleft()
            max_turns -= 1
            if isinstance(work, Message):
                self._deliver(work)
            else:
                work.run(self)
        if queue and self.keeper is not None:
            return None
        if self.unheard:
            self._report_unheard()
        outbox, self.outbox = self.outbox, []
        return Churn(outbox, None if self.keeper is None else self.keeper.take_delta())

    def close(self) -> list[Outgoing]:
        """End it: suspended methods get `VatClosedError` in a last turn whose effects are dropped, and
        everyone who waits is told. Idempotent.

        Returns:
            Nothing that needs saving: what outsiders are told.
        """
        if self._phase is Phase.CLOSED:
            return []
        self._phase = Phase.CLOSED
        reason = VatClosedError(f"vat {self.name!r} is closed")
        for method in list(self.suspended):
            self._last_turn(cast(SuspendedMethod, method), Broken(reason))
        self.suspended.clear()
        self.queue.clear()
        while self._inbox:
            self._inbox.popleft().refuse(reason)
        for outsider in list(self.outsiders):
            outsider.abandon(reason)
        self.outsiders.clear()
        outbox, self.outbox = self.outbox, []
        return outbox

    # --- turns ---------------------------------------------------------------

    def resume(self, method: object, outcome: Outcome) -> None:
        self.queue.append(_Resume(cast(SuspendedMethod, method), outcome))

    def _deliver(self, message: Message) -> None:
        ref = cast(Ref[object], message.target)
        self.turn(_deliver_body, message, answer=message.answer, label=lambda: message_label(ref, message.args))

    def turn(
        self,
        body: Callable[[VatTurn, W], object],
        work: W,
        *,
        answer: Promise[object] | None,
        label: Callable[[], str],
        cause: Outcome | None = None,
    ) -> None:
        """Run one turn; its answer gets what it returns, or breaks with what it raises.

        Args:
            cause: what the turn was told; if it raises just that, it is passed on and not reported.
        """
        turn = VatTurn(self)
        entered(turn)
        try:
            result = body(turn, work)
            if result is not SUSPENDED and answer is not None:
                result = outcome_of(crossed(result))
            if self.keeper is not None:
                self.keeper.check(turn)
        except BaseException as error:
            self._undo(turn)
            self._fail(answer, error, label, cause)
            return
        entered(None)
        for effect in turn.effects:
            effect.commit(self)
        if answer is not None and result is not SUSPENDED:
            self.resolve(answer, cast("Outcome | Promise[object]", result))

    def turn_outside(self, body: Callable[[VatTurn], object]) -> Outcome:
        """Run a turn for somebody outside, who gets its result, or its error, as it is."""
        turn = VatTurn(self)
        entered(turn)
        try:
            result = body(turn)
            if self.keeper is not None:
                self.keeper.check(turn)
        except BaseException as error:
            self._undo(turn)
            return Broken(error)
        entered(None)
        for effect in turn.effects:
            effect.commit(self)
        return Fulfilled(result)

    def _undo(self, turn: VatTurn) -> None:
        try:
            turn.rollback()
        finally:
            entered(None)

    def _fail(
        self,
        answer: Promise[object] | None,
        error: BaseException,
        label: Callable[[], str],
        cause: Outcome | None,
    ) -> None:
        if isinstance(cause, Broken) and cause.reason is error:
            broken = cause
        else:
            report_failure(self.name, label(), error)
            broken = Broken(error, heard=True)
        without_traceback(error)
        if answer is not None:
            self.resolve(answer, broken)

    def _last_turn(self, method: SuspendedMethod, outcome: Outcome) -> None:
        turn = VatTurn(self)
        entered(turn)
        try:
            method.stretch(turn, outcome)
        except BaseException as error:
            if error is not cast(Broken, outcome).reason:
                report_failure(self.name, method.label, error)
        finally:
            self._undo(turn)
            method.close()

    def _report_unheard(self) -> None:
        unheard, self.unheard[:] = list(self.unheard), []
        for reason in unheard:
            report_unheard(self.name, reason)


def _deliver_body(turn: VatTurn, message: Message) -> object:
    ref = cast(Ref[object], message.target)
    result = turn.invoke(ref, message.args, message.kwargs or {})
    if isinstance(result, CoroutineType):
        label = message_label(ref, message.args)
        method = SuspendedMethod(result, ref=ref, answer=message.answer, label=label)
        return method.stretch(turn, FIRST)
    return result


class _Resume(Work):
    """The next stretch of a method."""

    __slots__ = ("method", "outcome")

    def __init__(self, method: SuspendedMethod, outcome: Outcome) -> None:
        self.method = method
        self.outcome = outcome

    def run(self, vat: Junction) -> None:
        method = self.method
        cast(Vat, vat).turn(
            _resume_body, self, answer=method.answer, label=lambda: method.label, cause=self.outcome
        )


def _resume_body(turn: VatTurn, work: _Resume) -> object:
    return work.method.stretch(turn, work.outcome)
