"""Several promises as one, and promises that do not wait for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from goblins_py.actors._on import make_promise, on
from goblins_py.actors._promise import Broken, Promise, Resolve
from goblins_py.actors._turn import Effect, Home, require_turn

__all__ = ["all_of", "any_of", "race", "timeout"]

T = TypeVar("T")


def all_of(*promises: Promise[Any] | Any) -> Promise[tuple[Any, ...]]:
    """A promise of all results, in the order given; breaks with the first that breaks. None: an empty tuple."""
    joined, resolver = make_promise()
    results: list[Any] = [None] * len(promises)
    missing = set(range(len(promises)))

    def note(position: int) -> Callable[[Any], None]:
        def fulfilled(result: Any) -> None:
            results[position] = result
            missing.discard(position)
            if not missing:
                resolver.fulfill(tuple(results))

        return fulfilled

    for position, promise in enumerate(promises):
        on(promise, note(position), resolver.break_)
    if not promises:
        resolver.fulfill(())
    return joined


def any_of(*promises: Promise[T] | T) -> Promise[T]:
    """A promise of the first result; breaks, with an `ExceptionGroup` of all reasons, once all have broken."""
    joined, resolver = make_promise()
    reasons: dict[int, BaseException] = {}

    def note(position: int) -> Callable[[BaseException], None]:
        def broken(reason: BaseException) -> None:
            reasons[position] = reason
            if len(reasons) == len(promises):
                resolver.break_(BaseExceptionGroup("all promises broke", [reasons[i] for i in sorted(reasons)]))

        return broken

    for position, promise in enumerate(promises):
        on(promise, resolver.fulfill, note(position))
    if not promises:
        resolver.break_(ValueError("any_of needs at least one promise"))
    return joined


def race(*promises: Promise[T] | T) -> Promise[T]:
    """A promise that settles as the first of them that settles, either way."""
    joined, resolver = make_promise()
    for promise in promises:
        on(promise, resolver.fulfill, resolver.break_)
    return joined


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
    joined = cast("Promise[T]", race(promise))
    reason = TimeoutError(f"no answer within {seconds:g} s")
    require_turn().effects.append(_Later(seconds, Resolve(joined, Broken(reason))))
    return joined
