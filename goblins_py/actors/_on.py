"""Promises in a turn: make one, settle it, wait for one, hear of a severed session."""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any, Final, Generic, TypeVar, cast, overload

from goblins_py.actors._crossroads import Junction
from goblins_py.actors._methods import FIRST, SuspendedMethod
from goblins_py.actors._outgoing import Outgoing, Posting
from goblins_py.actors._passable import crossed, passable
from goblins_py.actors._promise import (
    Answering,
    Broken,
    Detour,
    Fulfilled,
    Listen,
    Listener,
    Outcome,
    Promise,
    RemotePending,
    Resolve,
    outcome_of,
)
from goblins_py.actors._reference import Connector, Ref, Severable
from goblins_py.actors._turn import Effect, Home, Turn, require_turn
from goblins_py.errors import Refusal, RemoteError
from goblins_py.syrup import Symbol

__all__ = [
    "HandlerTurn",
    "Resolver",
    "make_promise",
    "on",
    "on_sever",
    "promise_of",
    "resolver_for",
    "resolves",
]

T = TypeVar("T")


class Resolver(Ref[Any], Generic[T]):
    """The other half of a promise, itself a reference: pass it to whoever shall settle the promise.

    The first resolution counts, later ones are ignored. In another vat use `send(resolver).fulfill(...)`.
    """

    __slots__ = ()

    def fulfill(self, value: T | Promise[T]) -> None:
        """Make the promise this value, or let it follow this promise. A near call."""
        require_turn().near_call(self, (_FULFILL, value), {})

    def break_(self, reason: object) -> None:
        """Break the promise. A near call.

        Args:
            reason: an exception (raised at whoever waits), or any passable value (raised as `Refusal`).
        """
        turn = require_turn()
        error = reason if isinstance(reason, BaseException) else Refusal(passable(reason))
        if self._home is turn.home:
            cast(_Resolution, self._behaviour).settle(turn, Broken(error))
        else:
            turn.near_call(self, (_BREAK, reason), {})  # raises NotNearError


_FULFILL: Final = Symbol("fulfill")
_BREAK: Final = Symbol("break")


class _Resolution:
    """The behaviour of a resolver."""

    __slots__ = ("_goblins_ref", "promise")

    def __init__(self, promise: Promise[object]) -> None:
        self.promise = promise
        self._goblins_ref: object = None

    def settle(self, turn: Turn, outcome: Outcome | Promise[object]) -> None:
        turn.effects.append(Resolve(self.promise, outcome))

    def fulfill(self, value: object = None) -> None:
        self.settle(require_turn(), outcome_of(value))

    def break_(self, reason: object = None) -> None:
        turn = require_turn()
        self.settle(turn, Broken(RemoteError(reason)))

    __goblins_methods__: Final = {"fulfill": fulfill, "break": break_, "break_": break_}


def make_promise() -> tuple[Promise[Any], Resolver[Any]]:
    """A promise and what settles it."""
    promise: Promise[Any] = Promise(require_turn().home)
    return promise, resolver_for(promise)


def resolver_for(promise: Promise[Any]) -> Resolver[Any]:
    """Another resolver of a promise; for CapTP, whose questions are exported as resolvers."""
    return Resolver(promise._home, _Resolution(promise))


def promise_of(resolver: Resolver[Any]) -> Promise[object]:
    """The promise that it settles."""
    return cast(_Resolution, resolver._behaviour).promise


def resolves(resolver: Resolver[Any], promise: Promise[Any]) -> None:
    """Say what a resolver settles that was made without; for those who restore it."""
    resolver._behaviour = _Resolution(promise)


@overload
def on(
    promise: Promise[T],
    fulfilled: Callable[[T], object] | None = None,
    broken: Callable[[BaseException], object] | None = None,
    finally_: Callable[[], object] | None = None,
) -> Promise[Any]: ...
@overload
def on(
    promise: object,
    fulfilled: Callable[[Any], object] | None = None,
    broken: Callable[[BaseException], object] | None = None,
    finally_: Callable[[], object] | None = None,
) -> Promise[Any]: ...
def on(promise: Any, fulfilled: Any = None, broken: Any = None, finally_: Any = None) -> Promise[Any]:
    """Run handlers when a promise settles, each in a turn of its own.

    Args:
        promise: or any other value, which counts as fulfilled.
        fulfilled: gets the value. broken: gets the exception. finally_: gets nothing, runs after them.

    Returns:
        A promise of what the handler returns; without one for the case, of the outcome itself.
    """
    turn = require_turn()
    answer: Promise[Any] = Promise(turn.home)
    if not isinstance(promise, Promise):
        promise = Promise(turn.home, Fulfilled(passable(promise)))
    turn.effects.append(Listen(promise, _Handlers(fulfilled, broken, finally_, answer)))
    return answer


class _Handlers(Listener):
    """The handlers of one `on`."""

    __slots__ = ("answer", "broken", "finally_", "fulfilled")

    def __init__(self, fulfilled: Any, broken: Any, finally_: Any, answer: Promise[object]) -> None:
        self.fulfilled = fulfilled
        self.broken = broken
        self.finally_ = finally_
        self.answer = answer

    def notify(self, vat: Home, outcome: Outcome) -> None:
        junction = cast(Junction, vat)
        if isinstance(outcome, Fulfilled):
            handler, told = self.fulfilled, outcome.value
        else:
            handler, told = self.broken, outcome.reason
        if handler is None:
            junction.resolve(self.answer, outcome if isinstance(outcome, Fulfilled) else outcome.passed_on())
        else:
            junction.queue.append(HandlerTurn(handler, (told,), answer=self.answer, cause=outcome))
        if self.finally_ is not None:
            junction.queue.append(HandlerTurn(self.finally_, ()))


class HandlerTurn(Answering):
    """A handler that runs in a turn of its own."""

    __slots__ = ("args", "cause", "handler")

    def __init__(
        self,
        handler: Callable[..., object],
        args: tuple[object, ...],
        *,
        answer: Promise[object] | None = None,
        cause: Outcome | None = None,
    ) -> None:
        self.handler = handler
        self.args = args
        self.answer = answer
        self.cause: Outcome | None = cause

    @property
    def label(self) -> str:
        return f"handler {getattr(self.handler, '__qualname__', type(self.handler).__name__)}"

    def perform(self, turn: Turn) -> object:
        result = self.handler(*self.args)
        if type(result) is CoroutineType:
            return SuspendedMethod(result, ref=None, answer=self.answer, label=self.label).stretch(
                turn, FIRST
            )
        return None if self.answer is None else crossed(result)


class _SeverHandler(Severable):
    """Runs a handler in its vat when a connection ends."""

    __slots__ = ("handler", "home")

    def __init__(self, home: Home, handler: Callable[[str], object]) -> None:
        self.home = home
        self.handler = handler

    def severed(self, reason: str) -> None:
        self.home.post(HandlerTurn(self.handler, (reason,)))


class _Watch(Effect, Outgoing):
    """Asks the connector of a remote reference, on its home's thread."""

    __slots__ = ("connector", "home", "watcher")

    def __init__(self, home: Home, connector: Connector, watcher: Severable) -> None:
        self.home = home
        self.connector = connector
        self.watcher = watcher

    def commit(self, vat: Home) -> None:
        junction = cast(Junction, vat)
        junction.outbox.append(self if self.home is vat else Posting(self.home, self))

    def release(self) -> None:
        self.connector.watch(self.watcher)


def on_sever(ref: object, handler: Callable[[str], object]) -> None:
    """Run `handler(reason)` in a turn when the session behind a remote reference or promise ends.

    Soon, if it has already. Never for local ones.
    """
    turn = require_turn()
    connector, home = _connector_of(ref)
    if connector is not None:
        turn.effects.append(_Watch(home, connector, _SeverHandler(turn.home, handler)))


def _connector_of(ref: object) -> tuple[Connector | None, Home]:
    turn = require_turn()
    if isinstance(ref, Ref):
        return ref._connector, ref._home
    if isinstance(ref, Promise):
        state = ref._state
        if ref._home is turn.home and isinstance(state, Detour):
            state = state.became
        if ref._home is turn.home and isinstance(state, RemotePending):
            return state.connector, ref._home
        if ref._home is turn.home and isinstance(state, Fulfilled):
            return _connector_of(state.value) if isinstance(state.value, Ref) else (None, ref._home)
        return None, ref._home
    raise TypeError(f"on_sever takes a reference or a promise, not a {type(ref).__name__}")
