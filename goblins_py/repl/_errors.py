"""Errors as their author wants to see them: the frames of the user's own code, and what was raised."""

from __future__ import annotations

import linecache
import logging
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

__all__ = ["ShortFormatter", "short_traceback"]

_PACKAGES: Final = Path(__file__).resolve().parents[2]
_OURS: Final = ("goblins_py", "netlayers", "persistence")
_NOT_THE_USERS: Final = tuple(
    str(path)
    for path in (
        *(_PACKAGES / name for name in _OURS),
        *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    )
)
_OUR_ERRORS: Final = "goblins_py.errors."
_CHAIN: Final = 5
"""Causes that are followed."""


def short_traceback(error: BaseException) -> str:
    """The user's frames, the error with its notes, and what caused it; a few lines."""
    return "\n".join(_lines(error, _CHAIN))


def _lines(error: BaseException, depth: int) -> Iterator[str]:
    if isinstance(error, SyntaxError):
        yield from (line.rstrip() for line in traceback.format_exception_only(error))
        return
    yield from _frames(error.__traceback__)
    yield from (line.rstrip().removeprefix(_OUR_ERRORS) for line in traceback.format_exception_only(error))
    if isinstance(error, BaseExceptionGroup):
        yield from (f"  | {type(each).__name__}: {each}" for each in error.exceptions)
    cause = error.__cause__
    if cause is not None and depth:
        yield "caused by:"
        yield from _lines(cause, depth - 1)


def _frames(tb: TracebackType | None) -> Iterator[str]:
    for (entered, _), frame in zip(traceback.walk_tb(tb), traceback.extract_tb(tb), strict=True):
        package = str(entered.f_globals.get("__name__", "")).partition(".")[0]  # compiled, it knows no path
        if frame.filename.startswith(("<attrs", "<frozen", *_NOT_THE_USERS)) or package in _OURS:
            continue
        where = f"in {frame.name}, " if not frame.name.startswith("<") else ""
        code = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
        yield f"  {Path(frame.filename).name}, {where}line {frame.lineno}: {code}"


class ShortFormatter(logging.Formatter):
    """Log lines whose tracebacks are short ones."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        error = ei[1] if isinstance(ei, tuple) else None
        return short_traceback(error) if isinstance(error, BaseException) else ""
