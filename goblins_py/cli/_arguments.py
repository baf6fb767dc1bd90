"""What comes from the command line: URIs off the process list, arguments that look like options."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import rich_click as click

from goblins_py.cli._failure import ExitCode, Failure, one_line

__all__ = ["ArgumentCommand", "read_uri", "store_unlocking"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_NUMBER: Final = re.compile(r"-\.?[0-9]")


def read_uri(source: str) -> str:
    """A URI from where `source` says: `-` (stdin), `@FILE`, `env:NAME`, or as it stands.

    Raises:
        Failure: there is none.
    """
    if source == "-":
        return _first_line(sys.stdin.readline(), "stdin")
    if source.startswith("@"):
        return _first_line(_read(Path(source[1:])), source[1:])
    if source.startswith("env:"):
        name = source.removeprefix("env:")
        return _first_line(os.environ.get(name, ""), f"the environment variable {name}")
    return source


def store_unlocking(command: _Command) -> _Command:
    """The options that open an encrypted `--store`, or make a new one so."""
    key = click.option(
        "--store-key", metavar="SOURCE", help="The store's key, as hex or base64: env:NAME, @FILE, -, ask."
    )
    passphrase = click.option(
        "--store-passphrase", metavar="SOURCE", help="Likewise. A new store is encrypted."
    )
    return key(passphrase(command))


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline()
    except (OSError, ValueError) as error:
        raise Failure(ExitCode.USAGE, f"the URI cannot be read: {one_line(error)}") from None


def _first_line(text: str, where: str) -> str:
    lines = text.strip().splitlines()
    if not lines:
        raise Failure(ExitCode.USAGE, f"there is no URI in {where}")
    return lines[0].strip()


class ArgumentCommand(click.RichCommand):
    """A command whose arguments may be negative numbers, while a mistyped option is still an error."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, arguments = self._sort(args)
        return super().parse_args(ctx, [*options, "--", *arguments])

    def _sort(self, args: Sequence[str]) -> tuple[list[str], list[str]]:
        takes_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        options: list[str] = []
        arguments: list[str] = []
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                arguments += rest
            elif not arg.startswith("-") or arg == "-" or _NUMBER.match(arg):
                arguments.append(arg)
            else:
                options.append(arg)
                if arg in takes_value:
                    options += [value for value in [next(rest, None)] if value is not None]
        return options, arguments
