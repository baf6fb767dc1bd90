"""What the REPL prints: results on stdout, what is to be said about them on stderr."""

from __future__ import annotations

import pprint
import queue
import threading
from itertools import count
from typing import Any

from rich.console import Console
from rich.highlighter import ReprHighlighter
from rich.text import Text

from goblins_py.actors import Broken, Outcome, Promise, listen_outside
from goblins_py.repl._errors import short_traceback
from goblins_py.repl._failures import FailedTurns

__all__ = ["Display"]

_PATIENCE = 0.2
"""Seconds that a result which is a promise is given to settle, before the next prompt."""


class Display:
    """Shows results and errors, and promises twice: as they come, and when they settle."""

    def __init__(self, failures: FailedTurns) -> None:
        self._failures = failures
        self._out = Console(soft_wrap=True, highlight=False)
        self._err = Console(stderr=True, soft_wrap=True, highlight=False)
        self._numbers = count(1)
        self._settled: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()

    def result(self, value: object) -> None:
        """The value of an expression."""
        if isinstance(value, Promise):
            self._promise(value)
        else:
            self._out.print(self._pretty(value))

    def _pretty(self, value: object) -> Text:
        # rich's own would look into values and show what their reprs keep secret
        text = Text(pprint.pformat(value, width=self._out.width, sort_dicts=False))
        ReprHighlighter().highlight(text)
        return text

    def _promise(self, promise: Promise[Any]) -> None:
        number = next(self._numbers)
        settled = threading.Event()
        outcomes: list[Outcome] = []

        def told(outcome: Outcome) -> None:
            outcomes.append(outcome)
            settled.set()
            self._settled.put((number, outcome))

        listen_outside(promise, told)
        if not settled.wait(_PATIENCE):
            self._out.print(Text(f"<promise {number}: not settled yet; await _ waits for it>"))
        self.settled()

    def settled(self) -> None:
        """Show the promises that have settled since."""
        while not self._settled.empty():
            number, outcome = self._settled.get()
            if isinstance(outcome, Broken):
                self._out.print(Text(f"<promise {number}> broke"))
                self.failure(outcome.reason)
            else:
                self._out.print(Text(f"<promise {number}> = ") + self._pretty(outcome.value))

    def failure(self, error: BaseException, told: str | None = None) -> None:
        """An error, and the turn elsewhere that it comes from.

        Args:
            told: how it looks where it came to us.
        """
        turn = self._failures.take(error)
        if turn is not None:
            self.note(f"{turn.label} failed, and was undone:")
            self.error(turn.text)
            told = "" if told is None else _frames_of(told)
        if told != "":
            self.error(told or short_traceback(error))

    def other_failures(self) -> None:
        """Turns that failed and that no input waited for."""
        for turn in self._failures.take_all():
            self.note(f"{turn.label} failed, and was undone:")
            self.error(turn.text)

    def error(self, text: str) -> None:
        """An error, whose last line says what it is."""
        self._err.print(Text(text, "red"))

    def note(self, text: str) -> None:
        """Something that the REPL itself has to say."""
        self._err.print(Text(text, "dim"))

    def banner(self, title: str, lines: dict[str, str]) -> None:
        """What to know at the start."""
        width = max(map(len, lines))
        self._err.print(Text(title, "bold green"))
        for what, text in lines.items():
            self._err.print(Text.assemble("  ", (what.ljust(width), "cyan"), "  ", text))


def _frames_of(told: str) -> str:
    """Where it came to us, without saying again what it is."""
    return "\n".join(line for line in told.splitlines() if line.startswith("  "))
