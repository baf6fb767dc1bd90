"""`goblins demo`: the whole system in a few seconds, with real processes, told step by step.

Every step checks what it claims; whatever goes wrong, no process and no file stays behind.
"""

from __future__ import annotations

import json
from typing import Final

from rich.syntax import Syntax
from rich.text import Text

from goblins_py.cli._demo_programs import GUEST_BOOK
from goblins_py.cli._demo_stage import Stage
from goblins_py.cli._demo_story import Story, quoted, staged
from goblins_py.cli._failure import ExitCode

__all__ = ["demo"]

_BURST: Final = 40
"""Entries that Bob has been told of when Alice's process is killed."""
_SERVE: Final = ("serve", "guest_book.py:GuestBook", "--arg", "Alice's guest book", "--store", "alice.syrup")
_WIDTH: Final = 96


def demo() -> None:
    """Play it. Raises `Failure` naming the step that went wrong."""
    with staged() as stage:
        _Demo(stage).play()


class _Demo(Story):
    """The story. Alice's machine and Bob's are processes here; between real machines nothing differs."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._uri = ""
        self._told = 0

    def play(self) -> None:
        """All steps, in order."""
        self._introduce()
        self._alice_serves()
        self._bob_signs()
        self._a_message_fails()
        self._alice_is_killed()
        self._alice_is_back()
        self._nothing_is_missing()
        self._farewell()

    # --- the steps ---------------------------------------------------------------

    def _introduce(self) -> None:
        self._print(Text("Alice keeps a guest book, Bob signs it. This is the whole guest book:\n", "bold"))
        code = GUEST_BOOK.partition('"""\n')[2].strip()
        self._print(Syntax(code, "python", theme="ansi_dark", background_color="default", code_width=_WIDTH))

    def _alice_serves(self) -> None:
        self._step(
            "Alice serves it",
            "Her process is a vat: a place where objects live, that handles one message after the other.",
        )
        self._command("Alice", f"goblins {quoted(_SERVE)} > uri")
        self._uri = self._stage.serve(*_SERVE)
        self._result(self._uri)
        self._print(
            "   That is a sturdyref. It says who Alice's process is (the hash of its certificate), how to"
        )
        self._print(
            "   reach it (the netlayer tcp-tls, host and port), and after /s/ an unguessable number for this"
        )
        self._print(
            "   one object. Having it is the permission to use the book, and the only one: a capability."
        )

    def _bob_signs(self) -> None:
        self._step("Bob signs it", "Alice gave him the URI. His is another process, with a vat of its own.")
        done = self._bob_calls("sign", "Bob", "What a nice place!")
        self._check(done.code == 0 and done.out == "1", f"Bob could not sign: {done.err}")
        self._told = 1
        self._result(
            f"{done.out}      the number of his entry; it was on Alice's disk before this answer left"
        )

    def _a_message_fails(self) -> None:
        self._step(
            "Somebody signs without a name", "The book raises an exception, after it has added the entry."
        )
        done = self._bob_calls("sign", "", "Guess who")
        self._check(done.code == ExitCode.BROKEN, "an entry without a name was taken")
        self._result(done.err)
        self._print(
            "   Each message is a turn, and a turn that fails is undone: there is no such entry. Why it"
        )
        self._print("   failed is in Alice's log; strangers are not told.")

    def _alice_is_killed(self) -> None:
        self._step(
            "Alice's process is killed", "Bob signs as fast as he can, and in the middle of it: kill -9."
        )
        self._command("Bob  ", "python sign_guest_book.py < uri")
        self._told, words = self._stage.kill_during("sign_guest_book.py", _BURST)
        self._check(self._told > _BURST, f"Bob was told of {self._told} entries only: {words}")
        self._result(f"2 3 4 ... {self._told}      so many entries Bob was told of, and then:")
        self._result(words)
        done = self._bob_calls("read")
        self._check(done.code == ExitCode.UNREACHABLE, "somebody answers though Alice's process is gone")
        self._result(done.err)

    def _alice_is_back(self) -> None:
        self._step("Alice starts it again", "With the same command, so from the same store.")
        again = self._stage.serve(*_SERVE)
        self._check(again == self._uri, "the URI is another one")
        self._result("the URI is the same: Bob's still works")

    def _nothing_is_missing(self) -> None:
        self._step("Bob reads the book", "Is everything there that he was told was saved?")
        done = self._bob_calls("read", "--json")
        self._check(done.code == 0, f"Bob's URI does not work any more: {done.err}")
        entries = json.loads(done.out)
        self._check(
            len(entries) >= self._told, f"{self._told} entries were acknowledged, {len(entries)} are there"
        )
        self._check(all(entry["guest"] == "Bob" for entry in entries), "an entry that was undone is there")
        unheard = len(entries) - self._told
        more = f", and {unheard} more whose answer the kill cut off" if unheard else ""
        self._result(f"{len(entries)} entries: all {self._told} that he was told of{more}")

    def _farewell(self) -> None:
        code = self._stage.stop()
        self._check(code == 0, f"Alice's process did not end well: exit code {code}")
        self._print(Text("\nAll of it held. Try it yourself:", "bold green"))
        self._print("   goblins serve --help, goblins call --help, goblins repl")
