"""One input of the REPL, run as a turn; with `await`, each stretch between awaits is one.

A failing turn takes back the names that it bound, too: else they would name objects that never came to be.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Generator
from types import CodeType, CoroutineType, FunctionType
from typing import Any, Final

import attrs

from goblins_py.actors import Promise, Ref, Resolver, make_promise, race, send, spawn
from goblins_py.repl._errors import short_traceback

__all__ = ["LABEL", "Input"]

LABEL: Final = "goblins_repl_input"
"""What the vat's log calls such a turn; the REPL tells of its failures itself."""


@attrs.define(eq=False)
class Input:
    """One input.

    Attributes:
        namespace: of the REPL.
        shown: the values of its expressions, to be shown if it succeeds.
        told: how the failure of a stretch looks, noted while its traceback is there.
        promise: of its end, if it awaits.
        stopper: send to it, and the await at which it is ends with a KeyboardInterrupt.
    """

    code: CodeType
    namespace: dict[str, Any]
    shown: list[object] = attrs.field(factory=list)
    told: str | None = None
    promise: Promise[Any] | None = None
    stopper: Ref[Any] | None = None
    _before: dict[str, Any] = attrs.field(factory=dict)
    _stop: tuple[Promise[Any], Resolver[Any]] | None = None

    @property
    def awaits(self) -> bool:
        """Does it have an `await` of its own?"""
        return bool(self.code.co_flags & inspect.CO_COROUTINE)

    def run(self) -> None:
        """Run it as the turn that is current: an input without `await`."""
        self._before = dict(self.namespace)
        self._call()

    def begin(self) -> Promise[Any]:
        """Have it run in turns of its own; a promise of its end: an input with `await`."""

        async def stretches() -> None:
            self._stop = make_promise()
            await self._stretches(self._call())

        stretches.__name__ = stretches.__qualname__ = LABEL
        self.stopper = spawn(self._interrupt)
        promise: Promise[Any] = send(spawn(stretches))()
        self.promise = promise
        return promise

    def _interrupt(self) -> None:
        if self._stop is not None:
            self._stop[1].break_(KeyboardInterrupt())

    def take_back(self) -> None:
        """Bind the names as they were before the stretch that failed."""
        if self._before:
            self.namespace.clear()
            self.namespace.update(self._before)

    def _call(self) -> Any:
        function: Callable[[], Any] = FunctionType(self.code, self.namespace)
        return function()

    @types.coroutine
    def _stretches(self, coroutine: CoroutineType[Any, Any, None]) -> Generator[object, object, None]:
        advance: Callable[[Any], object] = coroutine.send
        outcome: object = None
        while True:
            self._before = dict(self.namespace)
            try:
                awaited = advance(outcome)
            except StopIteration:
                return
            except BaseException as error:
                self.told = short_traceback(error)
                raise
            try:
                outcome = yield self._interruptible(awaited)
                advance = coroutine.send
            except BaseException as error:  # noqa: BLE001 - the coroutine gets it
                outcome, advance = error, coroutine.throw

    def _interruptible(self, awaited: object) -> object:
        if isinstance(awaited, Promise) and self._stop is not None:
            return race(awaited, self._stop[0])
        return awaited  # the vat says why that cannot be awaited
