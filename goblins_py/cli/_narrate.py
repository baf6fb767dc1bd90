"""What commands say to people: on stderr, by rich, and only when there is something to say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from goblins_py.repl import ShortFormatter

__all__ = ["Facts", "configure_logging", "say", "tell"]

Facts: TypeAlias = dict[str, str]
"""What to know, in order: a word and what is to be said about it."""


def _console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str, *, mark: str = "") -> None:
    """One line."""
    line = Text.assemble((f"{mark}: ", "bold yellow") if mark else "", text)
    _console().print(line)


def tell(title: str, facts: Mapping[str, str]) -> None:
    """A title and what belongs under it."""
    console = _console()
    console.print(Text(title, "bold green"))
    width = max(map(len, facts), default=0)
    for word, text in facts.items():
        lines = text.replace("\n", "\n" + " " * (width + 4))
        console.print(Text.assemble("  ", (word.ljust(width), "dim"), "  ", lines))


def configure_logging(verbosity: int, *, default: int = logging.WARNING) -> None:
    """Log to stderr: what is wrong; with -v what happens, with -vv everything."""
    level = {0: default, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    handler = logging.StreamHandler()
    handler.setFormatter(ShortFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
