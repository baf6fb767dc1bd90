"""What is logged of turns that fail: once, with names, without values."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Final

from goblins_py.actors._reference import Ref
from goblins_py.errors import GoblinsError, Refusal, RemoteError
from goblins_py.syrup import Symbol

__all__ = ["message_label", "report_failure", "report_unheard", "without_traceback"]

_log = logging.getLogger("goblins_py.actors")
_OWN: Final = "goblins_py.actors"


def message_label(target: object, args: tuple[object, ...]) -> str:
    """Actor and method, e.g. "Greeter.greet"; no arguments."""
    behaviour = target._behaviour if isinstance(target, Ref) else target
    kind = getattr(behaviour, "__name__", type(behaviour).__name__)
    if args and type(args[0]) is Symbol:
        return f"{kind}.{args[0].name[:80]}"
    return str(kind)


def report_failure(vat: str, label: str, error: BaseException) -> None:
    """Log a failed turn with its traceback, our own frames left out on top; a refusal in one line."""
    if isinstance(error, Refusal):
        _log.info("%s in vat %r refused", label, vat)
        return
    info = (type(error), error, _users_part(error.__traceback__))
    _log.error("the turn %s in vat %r failed and was undone", label, vat, exc_info=info)


def _users_part(traceback: TracebackType | None) -> TracebackType | None:
    whole = traceback
    while traceback is not None and _is_ours(traceback):
        traceback = traceback.tb_next
    return traceback if traceback is not None else whole


def _is_ours(traceback: TracebackType) -> bool:
    return str(traceback.tb_frame.f_globals.get("__name__", "")).startswith(_OWN)


def report_unheard(vat: str, reason: BaseException) -> None:
    """Log that a promise broke and nobody ever asked."""
    telling = isinstance(reason, GoblinsError) and not isinstance(reason, RemoteError | Refusal)
    text = f"{type(reason).__name__}: {reason}" if telling else type(reason).__name__
    _log.warning("a promise of vat %r broke and nobody heard of it: %s", vat, text)


def without_traceback(error: BaseException) -> BaseException:
    """The error, no longer holding on to the frames that raised it (nor those of its causes)."""
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        current = errors.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = None
        errors += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            errors += current.exceptions
    return error
