"""How a command fails: an exit code and one clear line on stderr, never a traceback."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["ExitCode", "Failure", "one_line", "printable"]

_LONGEST: Final = 2000
"""Characters of a foreign text that are shown."""


class ExitCode(IntEnum):
    """What a shell script can tell failures apart by."""

    OK = 0
    BROKEN = 1
    """It did not work: the object broke the promise, the store cannot be used, the port is taken..."""
    USAGE = 2
    """The command line makes no sense, or a URI is malformed. Nothing was done."""
    UNREACHABLE = 3
    """The peer cannot be reached. No object was sent anything."""
    TIMED_OUT = 4
    """No answer in time. The message may have arrived."""
    INTERRUPTED = 130
    """Ctrl-C, as shells count it."""


class Failure(Exception):  # noqa: N818 - it is no error of the program's
    """Ends the command.

    Attributes:
        code: what the process exits with.
    """

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def printable(text: str) -> str:
    """A text from elsewhere as one harmless line: nothing in it can steer the terminal."""
    short = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return "".join(each if each.isprintable() else _escaped(each) for each in short)


def _escaped(character: str) -> str:
    return " " if character in "\n\t" else repr(character)[1:-1]


def one_line(error: BaseException) -> str:
    """What an error says, with its notes (one per address tried), in one line."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return printable(f"{text} ({'; '.join(notes)})" if notes else text)
