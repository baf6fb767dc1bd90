"""Requests that are repeated until they are answered: the caller's half; the receiver's is `Once`.

An outbox is state: what it shall ask for is saved with the turn that decided so, leaves when that is
durable, and is sent again after each severed session and each restart, in order. What came of it is
told in the turn that takes the request out of the state. So between two stores each request is done
once, and answered once.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final

import attrs

from goblins_py.actors import (
    Promise,
    Ref,
    Resolver,
    actor,
    live,
    make_promise,
    method_symbol,
    on,
    require_turn,
    send,
    send_only,
    spawn,
    timeout,
)
from goblins_py.errors import NotPassableError, QueueFullError, RemoteError
from goblins_py.lib._once import WINDOW, is_too_large, parts_of
from goblins_py.locators import Sturdyref
from goblins_py.syrup import Map, Symbol

__all__ = ["Letter", "Outbox", "spawn_outbox"]

_MAX_WAITING: Final = 1000
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 30.0
_TROUBLE: Final = 200
"""Characters of a reason."""

_NEVER_DONE: Final[Map[Any, Any]] = Map({0: 0})
"""Arguments by name that no object can be called with, as the name is no text."""

_log = logging.getLogger("goblins_py.lib")


@attrs.define(eq=False)
class _Line:
    """One attempt to reach the receiver, and how far we have sent over it.

    Everything goes to the same promise, so that it arrives in order. The first failure ends it.
    """

    once: Promise[Any]
    sent: int


@actor
class Letter:
    """One request: an object of its own, to be written once, and not with each change of its outbox."""

    _method: Symbol
    _args: tuple[Any, ...]
    _kwargs: Map[str, Any]
    _then: Ref[Any] | None

    def read(self) -> tuple[Symbol, tuple[Any, ...], Map[str, Any]]:
        """What is asked."""
        return self._method, self._args, self._kwargs

    def then(self) -> Ref[Any] | None:
        """Who hears what came of it."""
        return self._then


@actor
class Outbox:
    """Sends requests to a `Once` elsewhere until each is answered; see `spawn_outbox`."""

    _mycapn: Ref[Any]
    _to: Sturdyref
    _client: bytes
    _next: int = 1
    _known: int = 0
    _waiting: Map[int, Ref[Letter]] = Map()
    _resolvers: dict[int, Resolver[Any]] | None = live()
    _line: _Line | None = live()
    _trouble: str | None = live()
    _pause: float = live(_FIRST_PAUSE)
    _resting: bool = live(False)
    _left: set[int] | None = live()
    """Requests that may have arrived: what was sent before a restart, or failed on its way."""

    def on_start(self, restored: bool) -> None:  # noqa: FBT001 - the vat calls it so
        """Go on with what is not answered yet."""
        self._left = set(self._waiting)
        self._pump_soon()

    def post(self, method: str | Symbol, /, *args: object, **kwargs: object) -> Promise[Any]:
        """Have the receiver do this.

        Returns:
            A promise of the answer. It does not outlive this process, but the request does.
            It breaks with `RemoteError` if the receiver refused, or failed: then nothing was done there;
            with `NotPassableError` if it turns out that this cannot be sent.

        Raises:
            QueueFullError: a thousand requests wait already. NotPassableError: it is larger than 4 MiB.
        """
        promise, resolver = make_promise()
        if self._resolvers is None:
            self._resolvers = {}
        self._resolvers[self._add(None, method, args, Map(kwargs))] = resolver
        return promise

    def post_then(self, then: Ref[Any], method: str | Symbol, /, *args: object, **kwargs: object) -> None:
        """Have the receiver do this, and tell `then` what came of it, after a restart as well.

        Args:
            then: gets the message `fulfill(result)` or `break_(reason)`, as a resolver does.

        Raises:
            QueueFullError: a thousand requests wait already. NotPassableError: it is larger than 4 MiB.
        """
        self._add(then, method, args, Map(kwargs))

    def status(self) -> Map[str, Any]:
        """`waiting`: how many requests are not answered. `trouble`: why, or None."""
        return Map({"waiting": len(self._waiting), "trouble": self._trouble})

    def _add(
        self, then: Ref[Any] | None, method: str | Symbol, args: tuple[object, ...], kwargs: Map[str, object]
    ) -> int:
        if len(self._waiting) >= _MAX_WAITING:
            raise QueueFullError(f"{_MAX_WAITING} requests wait for their answers already")
        if is_too_large((args, kwargs)):
            raise NotPassableError("a request of more than 4 MiB, or 100,000 values")
        number = self._next
        name = method if isinstance(method, Symbol) else method_symbol(method)
        self._waiting = self._waiting.set(number, spawn(Letter, name, args, kwargs, then))
        self._next += 1
        self._pump_soon()
        return number

    # --- sending -----------------------------------------------------------------

    def _pump_soon(self) -> None:
        """In a turn of its own: what live fields say must not be part of a turn that may fail."""
        on(None, lambda _: self._pump())

    def _pump(self) -> None:
        if not self._waiting or self._resting:
            return
        if self._line is None:
            self._line = _Line(send(self._mycapn).enliven(self._to), self._known)
        line = self._line
        last = min(self._known + WINDOW, self._next - 1)
        for number in range(max(line.sent, self._known) + 1, last + 1):
            if number in self._waiting:
                self._send(line, number)
        line.sent = max(line.sent, last)

    def _send(self, line: _Line, number: int) -> None:
        asked = self._waiting[number].read()
        answer = send(line.once).request(self._client, (number, self._known), *asked)
        on(answer, partial(self._answered, line, number), partial(self._failed, line, number))

    def _answered(self, line: _Line, number: int, answer: object) -> None:
        match answer:
            case (bool(done), outcome):
                self._pause, self._trouble = _FIRST_PAUSE, None
                if number in self._waiting:
                    self._settle(number, outcome, done=done)
            case _:
                self._not_answered(line, TypeError("the object there is no Once"))

    def _settle(self, number: int, outcome: object, *, done: bool) -> None:
        then = self._waiting[number].then()
        self._waiting = self._waiting.delete(number)
        (self._left or set()).discard(number)
        while self._known < self._next - 1 and self._known + 1 not in self._waiting:
            self._known += 1
        resolver = self._resolver(number)
        if then is not None:
            tell = send_only(then)
            tell.fulfill(outcome) if done else tell.break_(outcome)
        elif resolver is not None:
            resolver.fulfill(outcome) if done else resolver.break_(RemoteError(outcome))
        self._pump_soon()

    def _resolver(self, number: int) -> Resolver[Any] | None:
        return (self._resolvers or {}).pop(number, None)

    # --- trouble -----------------------------------------------------------------

    def _failed(self, line: _Line, number: int, error: BaseException) -> None:
        if number in self._waiting:
            if isinstance(error, NotPassableError) and self._can_never_leave(number):
                self._give_up(number, error)
            elif self._left is not None:
                self._left.add(number)
        self._not_answered(line, error)

    def _can_never_leave(self, number: int) -> bool:
        """It could not be sent. It never was, if it was not tried before; or if it fails so each time.

        References may pass at one time and not at another, as the peer holds more or less of ours.
        """
        return number not in (self._left or ()) or not any(
            isinstance(part, Ref | Promise) for part in parts_of(self._waiting[number].read()[1:])
        )

    def _give_up(self, number: int, error: NotPassableError) -> None:
        """Tell who waits, and send something in its place: the receiver takes no number before that one."""
        then, resolver = self._waiting[number].then(), self._resolver(number)
        blank = spawn(Letter, Symbol("given-up"), (), _NEVER_DONE, None)
        self._waiting = self._waiting.set(number, blank)
        if then is not None:
            send_only(then).break_(f"it cannot be sent: {error}"[:_TROUBLE])
        elif resolver is not None:
            resolver.break_(error)

    def _not_answered(self, line: _Line, error: BaseException) -> None:
        """Whether it was done is not known; all that is not answered is sent again after a pause."""
        if line is not self._line:
            return
        trouble = f"{type(error).__name__}: {error}"[:_TROUBLE]
        if trouble != self._trouble:
            _log.info("requests to %r wait: %r", self._to, trouble)  # %r: some of it may be the peer's words
        self._line, self._trouble, self._resting = None, trouble, True
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        never, _ = make_promise()
        on(timeout(never, pause), None, lambda _: self._go_on())

    def _go_on(self) -> None:
        self._resting = False
        self._pump()


def spawn_outbox(mycapn: Ref[Any], to: Sturdyref | str) -> Ref[Outbox]:
    """An object that asks things of a `Once` elsewhere, each of them once, in order, whatever happens.

    It and all that it is given must be savable: the turn that posts a request saves it. A request
    that cannot be answered (its sturdyref was taken back, say) stays, is tried every 30 s, and so are
    those behind it; `status` tells why.

    Args:
        mycapn: of the same vat.
        to: the sturdyref of the `Once`, or its URI.

    Raises:
        LocatorError: malformed.
    """
    sturdyref = Sturdyref.from_uri(to) if isinstance(to, str) else to
    return spawn(Outbox, mycapn, sturdyref, require_turn().home.host.random_bytes(32))
