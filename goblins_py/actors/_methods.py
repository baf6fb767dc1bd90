"""`async def` methods: a coroutine that runs in stretches, each a turn of its own.

The coroutine yields the promise that it awaits (see `Promise.__await__`); the vat resumes it when
that has settled. Anything else that it yields is not for a vat to wait for, and is thrown back.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any, Final, cast

from goblins_py.actors._crossroads import Junction
from goblins_py.actors._passable import crossed
from goblins_py.actors._promise import Answering, Broken, Crossroads, Fulfilled, Listener, Outcome, Promise
from goblins_py.actors._reference import Link, Ref, bind
from goblins_py.actors._turn import Effect, Home, Turn
from goblins_py.errors import ActorError

__all__ = ["FIRST", "SUSPENDED", "Await", "Resume", "SuspendedMethod", "apply_become"]

SUSPENDED: Final = object()
"""What a stretch returns that has come to an await."""

FIRST: Final = Fulfilled(None)
"""What a coroutine is started with."""

_SCOPE_OPEN: Final = "a trio scope or nursery may not stay open across an await in a method"
_NO_PROMISE: Final = "in a method only promises can be awaited: use io.start for trio code"

_log = logging.getLogger("goblins_py.actors")


def apply_become(turn: Turn, ref: Ref[object], successor: object) -> None:
    """The method has returned: from now on the object behaves as it said."""
    former = getattr(ref._behaviour, "_goblins_ref", None)
    bind(ref, successor)
    if isinstance(getattr(successor, "_goblins_ref", None), Link):
        turn.undo.append((successor, "_goblins_ref", None))
    if isinstance(former, Link):
        turn.change(former, "former", True)
    turn.change(ref, "_behaviour", successor)


class SuspendedMethod:
    """A coroutine of a method or handler, and what is needed to go on with it.

    Attributes:
        ref, behaviour: whose method it is; None for a handler.
        answer: what becomes of its result; None if nobody asked.
        raw: its result is for code outside the vat, and crosses no message border.
    """

    __slots__ = ("answer", "becoming", "behaviour", "coroutine", "label", "raw", "ref")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, object],
        *,
        ref: Ref[object] | None,
        answer: Promise[object] | None,
        label: str,
        raw: bool = False,
    ) -> None:
        self.coroutine = coroutine
        self.ref = ref
        self.behaviour = None if ref is None else ref._behaviour
        self.answer = answer
        self.label = label
        self.raw = raw
        self.becoming: object = None

    def stretch(self, turn: Turn, outcome: Outcome) -> object:
        """Run to the next await, or to the end; its result, or SUSPENDED, or raise what it raises."""
        outer = turn.frame, turn.becoming
        turn.frame, turn.becoming = self.behaviour, self.becoming
        try:
            result = self._advance(turn, self._checked(outcome))
            self.becoming = turn.becoming
        finally:
            turn.frame, turn.becoming = outer
        if result is SUSPENDED:
            return SUSPENDED
        if self.ref is not None and self.becoming is not None:
            apply_become(turn, self.ref, self.becoming)
        return result if self.raw else crossed(result)

    def _checked(self, outcome: Outcome) -> Outcome:
        if self.ref is not None and self.ref._behaviour is not self.behaviour:
            return Broken(ActorError("while this method waited its object became something else"))
        return outcome

    def _advance(self, turn: Turn, outcome: Outcome) -> object:
        host = turn.home.host
        mark = host.scope_mark()
        while True:
            try:
                awaited = self._step(outcome)
            except StopIteration as stop:
                return cast(object, stop.value)
            if not isinstance(awaited, Promise):
                outcome = Broken(ActorError(_NO_PROMISE))
            elif host.scope_mark() != mark:
                outcome = Broken(ActorError(_SCOPE_OPEN))
            else:
                turn.effects.append(Await(awaited, self))
                return SUSPENDED

    def _step(self, outcome: Outcome) -> object:
        if isinstance(outcome, Fulfilled):
            return self.coroutine.send(outcome.value)
        try:
            return self.coroutine.throw(outcome.reason)
        finally:
            outcome.reason.__traceback__ = None  # if it goes on from here, `raise` makes a new one

    def close(self) -> None:
        """Give the coroutine up; its `finally` blocks run."""
        try:
            self.coroutine.close()
        except BaseException:  # noqa: BLE001 - nobody is left who could be told
            _log.exception("%s failed while it was being closed", self.label)


class Await(Effect):
    """When the turn succeeds: resume the method once the promise has settled."""

    __slots__ = ("method", "promise")

    def __init__(self, promise: Promise[object], method: SuspendedMethod) -> None:
        self.promise = promise
        self.method = method

    def commit(self, vat: Home) -> None:
        junction = cast(Junction, vat)
        junction.suspended.add(self.method)
        cast(Crossroads, vat).listen(self.promise, _Resumer(self.method))

    def cancel(self) -> None:
        self.method.close()


class _Resumer(Listener):
    """Puts the next stretch of a method into the queue."""

    __slots__ = ("method",)

    def __init__(self, method: SuspendedMethod) -> None:
        self.method = method

    def notify(self, vat: Home, outcome: Outcome) -> None:
        junction = cast(Junction, vat)
        if self.method in junction.suspended:
            junction.suspended.discard(self.method)
            junction.queue.append(Resume(self.method, outcome))


class Resume(Answering):
    """The next stretch of a method."""

    __slots__ = ("cause", "method")

    def __init__(self, method: SuspendedMethod, outcome: Outcome) -> None:
        self.method = method
        self.answer = method.answer
        self.cause: Outcome = outcome

    @property
    def label(self) -> str:
        return self.method.label

    def perform(self, turn: Turn) -> object:
        return self.method.stretch(turn, self.cause)
