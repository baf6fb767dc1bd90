"""Calling objects: what the turns of a vat can do."""

from __future__ import annotations

from types import CoroutineType
from typing import Any, cast

from goblins_py.actors._behaviour import perform
from goblins_py.actors._methods import FIRST, SUSPENDED, SuspendedMethod, apply_become
from goblins_py.actors._passable import SIMPLE, crossed, passable_args, passable_kwargs
from goblins_py.actors._promise import Broken, Message, Promise, Resolve, outcome_of
from goblins_py.actors._reference import Ref
from goblins_py.actors._report import message_label, report_failure
from goblins_py.actors._turn import Turn
from goblins_py.errors import NotNearError

__all__ = ["VatTurn"]


class VatTurn(Turn):
    """A turn that can call objects."""

    __slots__ = ()

    def near_call(self, target: object, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        if not isinstance(target, Ref) or target._connector is not None or target._home is not self.home:
            raise NotNearError("only an object of the same vat can be called at once: use send(...)")
        converted, _ = passable_args(args)
        named = passable_kwargs(kwargs)[0] if kwargs else kwargs
        mark = self.mark()
        try:
            result = self._invoke(target, converted, named)
            if type(result) is CoroutineType:
                return self._begin(result, target, message_label(target, args))
            return crossed(result)
        except BaseException:
            self.rollback(mark)
            raise

    def deliver(self, message: object) -> object:
        letter: Message = message  # type: ignore[assignment]  # a cast is a call, and this is hot
        ref: Ref[object] = letter.target  # type: ignore[assignment]
        behaviour = self.frame = ref._behaviour
        result = perform(behaviour, letter.args, letter.kwargs)
        successor, self.frame, self.becoming = self.becoming, None, None
        if successor is not None:
            apply_become(self, ref, successor)
        if type(result) is CoroutineType:
            method = SuspendedMethod(result, ref=ref, answer=letter.answer, label=letter.label)
            return method.stretch(self, FIRST)
        return result if letter.answer is None or type(result) in SIMPLE else crossed(result)

    def _invoke(self, ref: Ref[object], args: tuple[object, ...], kwargs: dict[str, object] | None) -> object:
        """Run a method; the result as it is, maybe a coroutine."""
        frame, becoming = self.frame, self.becoming
        behaviour = self.frame = ref._behaviour
        self.becoming = None
        try:
            result = perform(behaviour, args, kwargs)
            successor = cast(object, self.becoming)
        finally:
            self.frame = frame
            self.becoming = becoming
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
                self.effects.append(Resolve(answer, outcome_of(result)))
        except BaseException as error:  # noqa: BLE001 - it breaks the promise, as in a turn
            self.rollback(mark)
            report_failure(self.home.name, label, error)
            self.effects.append(Resolve(answer, Broken(error, heard=True)))
        return answer
