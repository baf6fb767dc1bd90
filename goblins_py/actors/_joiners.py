"""Several promises as one, and promises that do not wait for ever."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar, cast, overload

from goblins_py.actors._passable import passable
from goblins_py.actors._promise import (
    Broken,
    Crossroads,
    Fulfilled,
    Listen,
    Listener,
    Outcome,
    Promise,
    Resolve,
)
from goblins_py.actors._turn import Effect, Home, require_turn

__all__ = ["all_of", "any_of", "race", "timeout"]

T = TypeVar("T")


class _Join:
    """What joins several outcomes to one; the first verdict counts."""

    def __init__(self, joined: Promise[Any], count: int) -> None:
        self.joined: Promise[Any] | None = joined  # until it is decided
        self.missing = count
        self.outcomes: list[Any] = [None] * count

    def note(self, vat: Home, position: int, outcome: Outcome) -> None:
        """One of the promises has settled."""
        if self.joined is None:
            return
        self.missing -= 1
        self.outcomes[position] = outcome
        verdict = self.verdict(outcome)
        if verdict is not None:
            cast(Crossroads, vat).resolve(self.joined, verdict)
            self.joined = None
            self.outcomes.clear()

    @abstractmethod
    def verdict(self, latest: Outcome) -> Outcome | None:
        """What comes of it all, if that is known now."""


class _All(_Join):
    def verdict(self, latest: Outcome) -> Outcome | None:
        if isinstance(latest, Broken):
            return latest.passed_on()
        return None if self.missing else Fulfilled(tuple([each.value for each in self.outcomes]))


class _Any(_Join):
    def verdict(self, latest: Outcome) -> Outcome | None:
        if isinstance(latest, Fulfilled):
            return latest
        if self.missing:
            return None
        reasons = [each.reason for each in self.outcomes]
        logged = all(each.logged for each in self.outcomes)
        return Broken(BaseExceptionGroup("all promises broke", reasons), heard=logged)


class _First(_Join):
    def verdict(self, latest: Outcome) -> Outcome | None:
        return latest.passed_on() if isinstance(latest, Broken) else latest


class _Position(Listener):
    __slots__ = ("join", "position")

    def __init__(self, join: _Join, position: int) -> None:
        self.join = join
        self.position = position

    def notify(self, vat: Home, outcome: Outcome) -> None:
        self.join.note(vat, self.position, outcome)


def _joined(kind: type[_Join], promises: tuple[object, ...]) -> Promise[Any]:
    turn = require_turn()
    joined: Promise[Any] = Promise(turn.home)
    join = kind(joined, len(promises))
    for position, each in enumerate(promises):
        promise = each if isinstance(each, Promise) else Promise(turn.home, Fulfilled(passable(each)))
        turn.effects.append(Listen(promise, _Position(join, position)))
    return joined


def all_of(*promises: Any) -> Promise[tuple[Any, ...]]:
    """A promise of all results, in the order given; breaks with the first that breaks. Of none: ()."""
    if not promises:
        return Promise(require_turn().home, Fulfilled(()))
    return _joined(_All, promises)


@overload
def any_of(*promises: Promise[T]) -> Promise[T]: ...
@overload
def any_of(*promises: Any) -> Promise[Any]: ...
def any_of(*promises: Any) -> Promise[Any]:
    """A promise of the first result; breaks, with an `ExceptionGroup` of all reasons, once all have broken.

    Raises:
        ValueError: there is nothing to wait for.
    """
    if not promises:
        raise ValueError("any_of needs at least one promise")
    return _joined(_Any, promises)


@overload
def race(*promises: Promise[T]) -> Promise[T]: ...
@overload
def race(*promises: Any) -> Promise[Any]: ...
def race(*promises: Any) -> Promise[Any]:
    """A promise that settles as the first of them that settles, either way.

    Raises:
        ValueError: there is nothing to wait for.
    """
    if not promises:
        raise ValueError("race needs at least one promise")
    return _joined(_First, promises)


class _Later(Effect):
    """Settle a promise after a while."""

    __slots__ = ("resolve", "seconds")

    def __init__(self, seconds: float, resolve: Resolve) -> None:
        self.seconds = seconds
        self.resolve = resolve

    def commit(self, vat: Home) -> None:
        vat.host.post_later(self.seconds, vat, self.resolve)


def timeout(promise: Promise[T], seconds: float) -> Promise[T]:
    """The promise, or a break with `TimeoutError` once that many seconds have passed. The message goes on."""
    if not seconds >= 0:
        raise ValueError("timeout takes seconds, 0 or more")
    joined: Promise[T] = _joined(_First, (promise,))
    reason = TimeoutError(f"no answer within {seconds:g} s")
    require_turn().effects.append(_Later(seconds, Resolve(joined, Broken(reason))))
    return joined
