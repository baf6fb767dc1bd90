"""How the world outside gets at a vat: run something as a turn, send, wait for a promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any, cast

from goblins_py.actors._crossroads import Junction
from goblins_py.actors._methods import FIRST, SUSPENDED, SuspendedMethod
from goblins_py.actors._outgoing import Outgoing
from goblins_py.actors._promise import (
    Broken,
    Following,
    Fulfilled,
    Listen,
    Outcome,
    OutsideListener,
    Promise,
    RemotePending,
)
from goblins_py.actors._send import Sender, make_message
from goblins_py.actors._turn import Effect, Home, Turn, Work
from goblins_py.actors._vat import Vat

__all__ = ["listen_outside", "outcome_now", "run_outside", "send_outside", "sender_for"]

Told = Callable[[Outcome], None]
"""Gets an outcome; called on the vat's thread when it is durable, or from anywhere if the vat closes."""


class _Tell(Outgoing):
    __slots__ = ("outcome", "told")

    def __init__(self, told: Told, outcome: Outcome) -> None:
        self.told = told
        self.outcome = outcome

    def release(self) -> None:
        self.told(self.outcome)

    def drop(self, reason: BaseException) -> None:
        self.told(Broken(reason))


class _Waiter(OutsideListener):
    """Waits for a promise from outside any vat."""

    __slots__ = ("told",)

    def __init__(self, told: Told) -> None:
        self.told = told

    def notify(self, vat: Home, outcome: Outcome) -> None:
        junction: Junction = vat  # type: ignore[assignment]  # a cast is a call, and this is hot
        junction.outsiders.discard(self)
        junction.outbox.append(_Tell(self.told, outcome))

    def abandon(self, reason: BaseException) -> None:
        self.told(Broken(reason))


class _Leave(Effect):
    """A waiter waits no more."""

    __slots__ = ("promise", "waiter")

    def __init__(self, promise: Promise[object], waiter: _Waiter) -> None:
        self.promise = promise
        self.waiter = waiter

    def commit(self, vat: Home) -> None:
        cast(Junction, vat).dismiss(self.promise, self.waiter)


def listen_outside(promise: Promise[Any], told: Told) -> Callable[[], None]:
    """Have `told` called once with the promise's outcome; any thread.

    Returns:
        A function that removes the waiter again; `told` may have been called by then.
    """
    waiter = _Waiter(told)
    promise._home.post(Listen(promise, waiter))
    return lambda: promise._home.post(_Leave(promise, waiter))


def outcome_now(promise: Promise[Any]) -> Outcome | None:
    """What it has settled to, as somebody is told who listens; None: that is not known here and now.

    On the thread of its vat, which keeps no store.
    """
    state = promise._state
    if type(state) is RemotePending:  # as most that are awaited
        return None
    home: Vat = promise._home  # type: ignore[assignment]  # a cast is a call, and this is hot
    if isinstance(state, Following):
        end = home._end_of_chain(promise)
        state = end._state if end._home is home else state
    if home.closed or not isinstance(state, Fulfilled | Broken):
        return None
    if isinstance(state, Broken):
        state.heard = True
    return state


class _Thunk(Work):
    """A function to be run as the first turn of a churn, for somebody outside."""

    __slots__ = ("args", "function", "told")

    def __init__(self, function: Callable[..., object], args: tuple[object, ...], told: Told) -> None:
        self.function = function
        self.args = args
        self.told = told

    def refuse(self, reason: BaseException) -> None:
        self.told(Broken(reason))

    drop = refuse

    def perform(self, turn: Turn) -> object:
        result = self.function(*self.args)
        if type(result) is not CoroutineType:
            return result
        answer: Promise[object] = Promise(turn.home)
        label = getattr(self.function, "__qualname__", "a coroutine")
        method = SuspendedMethod(result, ref=None, answer=answer, label=label, raw=True)
        return answer if (ended := method.stretch(turn, FIRST)) is SUSPENDED else ended

    def done(self, vat: Home, result: object) -> None:
        cast(Junction, vat).outbox.append(_Tell(self.told, Fulfilled(result)))

    def failed(self, vat: Home, error: BaseException) -> None:
        cast(Junction, vat).outbox.append(_Tell(self.told, Broken(error)))


def run_outside(vat: Vat, function: Callable[..., object], args: tuple[object, ...], told: Told) -> None:
    """Run `function(*args)` as a turn; any thread.

    `told` gets its result as it is (a promise of it, if it is a coroutine that came to an await), or what it
    raised with its traceback.
    """
    vat.post(_Thunk(function, args, told))


def send_outside(
    vat: Vat, target: object, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Promise[Any]:
    """Send from outside; the promise belongs to `vat`. Any thread.

    Raises:
        NotPassableError: an argument is no value.
    """
    answer: Promise[Any] = Promise(vat)
    vat.post(make_message(target, args, kwargs, answer))
    return answer


def sender_for(vat: Vat, target: object) -> Sender:
    """`send` for code outside of turns."""
    return Sender(target, lambda target, /, *args, **kwargs: send_outside(vat, target, args, kwargs))
