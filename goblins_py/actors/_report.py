"""What is logged of turns that fail: once, with names, without values."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from goblins_py.actors._reference import Ref
from goblins_py.errors import (
    GoblinsError,
    HandoffError,
    NoSuchMethodError,
    Refusal,
    RemoteError,
    UnknownSwissNumError,
)
from goblins_py.syrup import Symbol

__all__ = ["message_label", "report_failure", "report_unheard", "without_traceback"]

_log = logging.getLogger("goblins_py.actors")
_OWN: Final = "goblins_py.actors."

_CALLERS_FAULT: Final = (Refusal, UnknownSwissNumError, HandoffError, NoSuchMethodError)
"""What a stranger can bring about as often as it likes: one line, and not as an error."""
_MOST_FRAMES: Final = 40


def message_label(target: object, args: tuple[object, ...]) -> str:
    """Actor and method, e.g. "Greeter.greet"; no arguments."""
    behaviour = target._behaviour if isinstance(target, Ref) else target
    kind = getattr(behaviour, "__name__", type(behaviour).__name__)
    if args and type(args[0]) is Symbol:
        return f"{kind}.{_printable(args[0].name)}"
    return str(kind)


def _printable(name: str) -> str:
    """A name that a peer chose, fit for a log: no line ends, no terminal's controls, not long."""
    return name[:80].encode("unicode_escape").decode("ascii")


def report_failure(vat: str, label: str, error: BaseException) -> None:
    """Log a failed turn with its traceback, our own frames left out; a refusal in one line.

    Afterwards the error, and what led to it, hold on to no frames any more: whoever keeps it keeps only it.
    """
    if isinstance(error, _CALLERS_FAULT):
        _log.info("%s in vat %r refused", label, vat)
    else:
        for each in _chain(error):
            each.__traceback__ = _users_part(each.__traceback__)
        _log.error("the turn %s in vat %r failed and was undone", label, vat, exc_info=error)
    without_traceback(error)


def _users_part(traceback: TracebackType | None) -> TracebackType | None:
    frames: list[TracebackType] = []
    while traceback is not None:
        if not str(traceback.tb_frame.f_globals.get("__name__", "")).startswith(_OWN):
            frames.append(traceback)
        traceback = traceback.tb_next
    users: TracebackType | None = None
    if len(frames) > _MOST_FRAMES:  # a recursion: both ends tell all
        frames = frames[: _MOST_FRAMES // 2] + frames[-_MOST_FRAMES // 2 :]
    for each in reversed(frames):
        users = TracebackType(users, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return users


def report_unheard(vat: str, reason: BaseException) -> None:
    """Log that a promise broke and nobody ever asked."""
    telling = isinstance(reason, GoblinsError) and not isinstance(reason, RemoteError | Refusal)
    text = f"{type(reason).__name__}: {reason}" if telling else type(reason).__name__
    _log.warning("a promise of vat %r broke and nobody heard of it: %s", vat, text)


def without_traceback(error: BaseException) -> BaseException:
    """The error, no longer holding on to the frames that raised it (nor those of its causes)."""
    for each in _chain(error):
        each.__traceback__ = None
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and all that led to it."""
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        current = errors.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        errors += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            errors += current.exceptions
