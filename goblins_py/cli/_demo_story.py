"""What the demos are told with: a stage of real processes, and a console. Steps check what they claim."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from goblins_py.cli._demo_programs import GUEST_BOOK, SIGN_GUEST_BOOK
from goblins_py.cli._demo_stage import Finished, Stage
from goblins_py.cli._failure import ExitCode, Failure

__all__ = ["Story", "quoted", "staged"]


@contextmanager
def staged() -> Generator[Stage]:
    """A stage with the guest book's programs. Whatever goes wrong, no process and no file stays behind."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="goblins-demo-")))
        stage = cleanup.enter_context(Stage(folder))
        for number in (signal.SIGTERM, signal.SIGINT):
            cleanup.callback(signal.signal, number, signal.signal(number, stage.interrupt))
        (folder / "guest_book.py").write_text(GUEST_BOOK, encoding="utf-8")
        (folder / "sign_guest_book.py").write_text(SIGN_GUEST_BOOK, encoding="utf-8")
        yield stage


def quoted(args: Sequence[str]) -> str:
    """Arguments as one would type them."""
    return " ".join(f'"{arg}"' if not arg or " " in arg else arg for arg in args)


class Story:
    """Steps, commands and results, as they are told."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        console = Console(highlight=False, soft_wrap=True)
        self._print: Callable[..., None] = console.print
        self._number = 0

    def _step(self, title: str, text: str) -> None:
        self._number += 1
        self._print(Text(f"\n{self._number}. {title}", "bold green"))
        self._print(Text(f"   {text}"))

    def _command(self, who: str, command: str) -> None:
        self._print(Text.assemble("   ", (f"{who} $ ", "bold cyan"), (command, "cyan")))

    def _result(self, text: str) -> None:
        self._print(Text(f"   {text}", "yellow"))

    def _check(self, holds: bool, claim: str) -> None:  # noqa: FBT001 - reads as an assertion
        if not holds:
            text = f"step {self._number} failed: {claim}{self._stage.last_words()}"
            raise Failure(ExitCode.BROKEN, text)

    def _bob_calls(self, *args: str) -> Finished:
        self._command("Bob  ", f"goblins call @uri {quoted(args)}")
        return self._stage.goblins("call", "@uri", *args)
