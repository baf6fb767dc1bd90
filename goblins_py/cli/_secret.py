"""Keys and passphrases for the command line: from anywhere but the command line itself."""

from __future__ import annotations

import base64
import binascii
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import rich_click as click

from goblins_py.cli._failure import ExitCode, Failure, one_line

__all__ = ["SOURCES", "Unlocking", "read_unlocking"]

SOURCES: Final = "env:NAME, @FILE, - (a line of stdin) or ask"
_KEY_SIZE: Final = 32


@attrs.frozen
class Unlocking:
    """What opens an encrypted store: at most one of the two."""

    key: bytes | None = attrs.field(default=None, repr=False)
    passphrase: str | None = attrs.field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.key is not None or self.passphrase is not None


def read_unlocking(key: str | None, passphrase: str | None, *, is_new: bool = False) -> Unlocking:
    """What the options say.

    Args:
        key, passphrase: where to find it, as in `SOURCES`.
        is_new: ask for a new one twice.

    Raises:
        Failure: it is not there, or no key.
    """
    if key is not None and passphrase is not None:
        raise Failure(ExitCode.USAGE, "a store has a key or a passphrase, not both")
    if key is not None:
        return Unlocking(key=_key(_read(key, "key", is_new=is_new)))
    if passphrase is not None:
        return Unlocking(passphrase=_read(passphrase, "passphrase", is_new=is_new))
    return Unlocking()


def ask_for(encryption: str, path: str) -> Unlocking:
    """Ask who sits there, if anybody does, for what opens a store.

    Raises:
        Failure: nobody does.
    """
    if not sys.stdin.isatty():
        text = f"{path} is encrypted with a {encryption}: give --{encryption} {SOURCES}"
        raise Failure(ExitCode.USAGE, text)
    given = _read("ask", encryption, is_new=False)
    return Unlocking(key=_key(given)) if encryption == "key" else Unlocking(passphrase=given)


def _read(source: str, what: str, *, is_new: bool) -> str:
    given = _look(source, what, is_new=is_new)
    try:
        given.encode()
    except UnicodeError:
        raise Failure(ExitCode.USAGE, f"the {what} is not UTF-8") from None
    return given


def _look(source: str, what: str, *, is_new: bool) -> str:
    if source == "ask":
        return _ask(what, is_new=is_new)
    if source == "-":
        return _first_line(sys.stdin.readline, what, "stdin")
    if source.startswith("@"):
        return _first_line(lambda: _line_of(Path(source[1:])), what, source[1:])
    if source.startswith("env:"):
        name = source.removeprefix("env:")
        return _first_line(lambda: os.environ.get(name, ""), what, f"the environment variable {name}")
    text = f"a {what} written out would show in the list of processes: give it as {SOURCES}"
    raise Failure(ExitCode.USAGE, text)


def _ask(what: str, *, is_new: bool) -> str:
    return str(click.prompt(what.capitalize(), hide_input=True, confirmation_prompt=is_new, err=True))


def _line_of(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline()


def _first_line(read: Callable[[], str], what: str, where: str) -> str:
    try:
        line = read().rstrip("\r\n")
    except UnicodeError:  # its text says which byte is there
        raise Failure(ExitCode.USAGE, f"the {what} is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise Failure(ExitCode.USAGE, f"the {what} cannot be read: {one_line(error)}") from None
    if not line:
        raise Failure(ExitCode.USAGE, f"there is no {what} in {where}")
    return line


def _key(text: str) -> bytes:
    """32 bytes, as 64 hexadecimal digits or in base64."""
    text = text.strip()
    for read in (bytes.fromhex, lambda given: base64.b64decode(given, validate=True)):
        try:
            key = read(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == _KEY_SIZE:
            return key
    raise Failure(ExitCode.USAGE, f"a key is {_KEY_SIZE} bytes, as hexadecimal digits or in base64")
