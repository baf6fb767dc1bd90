"""The transaction that a turn is, and which turn is current on this thread.

Lives only here: the undo log, the effects that wait for the end of the turn, and one of
the two _current things that the package has (the current turn). It must not know what
references, promises or vats are: those build on it, through `Home`, `Effect` and `Work`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Protocol

from goblins_py.errors import NoCurrentTurnError

__all__ = [
    "Effect",
    "Home",
    "Host",
    "Mark",
    "Turn",
    "Work",
    "current_turn",
    "no_turn",
    "require_turn",
]

_log = logging.getLogger("goblins_py.actors")


class Host(Protocol):
    """What carries a vat: the runtime, or a test. Everything here may be called from any thread."""

    def wake(self) -> None:
        """Something was posted to the vat's inbox."""

    def post_later(self, seconds: float, home: Home, item: Effect) -> None:
        """Post `item` to the vat when `seconds` have passed; dropped when the vat closes."""

    async def wait(self, promise: object) -> object:
        """Wait in a trio task, outside turns, until the promise settles; its value, or raise."""

    def wait_blocking(self, promise: object, timeout: float | None) -> object:
        """The same for a thread that runs no event loop. Raises TimeoutError."""

    def random_bytes(self, count: int) -> bytes:
        """Bytes that nobody can guess."""

    def wall_time(self) -> float:
        """Seconds since 1970 by a clock that people set: for what counts across restarts. It may jump."""

    def scope_mark(self) -> object:
        """A mark that compares equal while no cancel scope or nursery was opened or closed."""


class Home:
    """A vat, as its references and promises see it."""

    name: str
    host: Host
    queue: deque[Work]

    def post(self, item: Effect) -> None:
        """Put something into the inbox, from any thread; it starts a churn of its own."""
        raise NotImplementedError


class Effect:
    """What a turn asked for and gets when it succeeds; also what is posted to a vat's inbox.

    `commit` takes the vat as `object`, and its subclasses, which know what a vat is, narrow it.
    """

    __slots__ = ()

    def commit(self, vat: Home) -> None:
        """Do it, in the vat, between turns."""
        raise NotImplementedError

    def cancel(self) -> None:
        """The turn failed: let go of what this holds."""

    def refuse(self, reason: BaseException) -> None:
        """It was posted to a closed vat: tell whoever waits."""


class Work(Effect):
    """What a turn is made of: it stands in a vat's queue until it is its turn."""

    __slots__ = ()

    def commit(self, vat: Home) -> None:
        vat.queue.append(self)

    def perform(self, turn: Turn) -> object:
        """Do it, in the turn; what comes of it, or that it goes on later. May raise: the turn fails."""
        raise NotImplementedError

    def done(self, vat: Home, result: object) -> None:
        """The turn has succeeded, and its effects are committed."""
        raise NotImplementedError

    def failed(self, vat: Home, error: BaseException) -> None:
        """The turn has failed, and all of it is undone."""
        raise NotImplementedError

    def drop(self, reason: BaseException) -> None:
        """The vat was closed before its turn came."""


Mark = tuple[int, int]


class Turn:
    """One transaction. `undo` restores what was, `effects` is what will be.

    Attributes:
        home: the vat whose turn this is.
        undo: (object, attribute, old value), newest last.
        effects: in the order in which they were asked for.
        frame: the behaviour whose method runs now, None in a handler.
        becoming: what it will behave as when its method returns, if it said so.
    """

    __slots__ = ("becoming", "effects", "frame", "home", "undo")

    def __init__(self, home: Home) -> None:
        self.home = home
        self.undo: list[tuple[object, str, object]] = []
        self.effects: list[Effect] = []
        self.frame: object = None
        self.becoming: object = None

    def mark(self) -> Mark:
        """A savepoint."""
        return len(self.undo), len(self.effects)

    def rollback(self, mark: Mark = (0, 0)) -> None:
        """Undo all that was done since the savepoint; never raises."""
        undo_from, effects_from = mark
        outer = self.frame, self.becoming
        self.frame = None  # the `finally` blocks of suspended methods run now: they are nobody's method
        while len(self.effects) > effects_from:  # those blocks may add some
            effect = self.effects.pop()
            try:
                effect.cancel()
            except BaseException:  # noqa: BLE001 - whatever it is, the rest must be undone
                _log.exception("something could not be let go of")
        undo = self.undo
        while len(undo) > undo_from:
            thing, attribute, old = undo.pop()
            object.__setattr__(thing, attribute, old)
        self.frame, self.becoming = outer

    def change(self, thing: object, attribute: str, new: object) -> None:
        """Set an attribute so that a failing turn sets it back."""
        self.undo.append((thing, attribute, getattr(thing, attribute)))
        object.__setattr__(thing, attribute, new)

    def near_call(self, target: object, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call an object of the same vat at once, as a savepoint."""
        raise NotImplementedError

    def deliver(self, message: object) -> object:
        """Let an object of the vat have a message, as all that this turn is for."""
        raise NotImplementedError


class _Current(threading.local):
    turn: Turn | None = None


_current: Final = _Current()
"""`_current.turn` is the turn of this thread. Only vats set it. They and the hottest paths use it directly: a
call to a function costs more than all else about it."""


def current_turn() -> Turn | None:
    """The turn that runs on this thread now, if one does."""
    return _current.turn


def require_turn() -> Turn:
    """The current turn; raises `NoCurrentTurnError` outside of one."""
    turn = _current.turn
    if turn is None:
        raise NoCurrentTurnError("this works only in a turn: use vat.run(...), or vat.send(...) from outside")
    return turn


@contextmanager
def no_turn() -> Generator[None]:
    """For code of a program that may look at values in the midst of a turn, and not act."""
    turn = _current.turn
    _current.turn = None
    try:
        yield
    finally:
        _current.turn = turn
