"""`goblins demo --prelay`: two people who can only dial out share a URI, through a relay."""

from __future__ import annotations

import time
from typing import Final

from rich.text import Text

from goblins_py.cli._demo_stage import Finished, Stage
from goblins_py.cli._demo_story import Story, quoted, staged
from goblins_py.cli._failure import ExitCode

__all__ = ["demo_prelay"]

_RELAY: Final = ("relay", "serve", "--store", "relay.syrup")
_SERVE: Final = (
    *("serve", "guest_book.py:GuestBook", "--arg", "Alice's guest book"),
    *("--prelay", "@account", "--store", "alice.syrup"),
)
_TRIES: Final = 40
_PAUSE: Final = 0.25


def demo_prelay() -> None:
    """Play it. Raises `Failure` naming the step that went wrong."""
    with staged() as stage:
        _PrelayDemo(stage).play()


class _PrelayDemo(Story):
    """The story. Neither Alice nor Bob listens on any port: for each other they are as good as behind NAT."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._admin = ""
        self._uri = ""

    def play(self) -> None:
        """All steps, in order."""
        self._print(
            Text("Alice and Bob sit behind routers that let nobody in. Carol has a public address.", "bold")
        )
        self._carol_relays()
        self._alice_gets_an_account()
        self._alice_serves()
        self._bob_signs()
        self._the_relay_is_killed()
        self._the_relay_is_back()
        self._farewell()

    def _carol_relays(self) -> None:
        self._step("Carol runs a relay", "Anybody with a public address can. Its objects are ordinary ones.")
        self._command("Carol", f"goblins {quoted(_RELAY)} > admin")
        self._admin = self._stage.serve(*_RELAY, who="carol", file="admin")
        self._result("the URI of its admin object; whoever has that makes accounts")

    def _alice_gets_an_account(self) -> None:
        self._step("Carol makes Alice an account", "Its URI can be used once, by Alice.")
        self._command("Carol", "goblins relay add-account @admin alice > account")
        done = self._stage.goblins("relay", "add-account", "@admin", "alice")
        self._check(done.code == 0, f"there is no account: {done.err}")
        self._stage.write("account", done.out)

    def _alice_serves(self) -> None:
        self._step("Alice serves her guest book", "Her process dials the relay, and listens on no port.")
        self._command("Alice", f"goblins {quoted(_SERVE)} > uri")
        self._uri = self._stage.serve(*_SERVE)
        self._check(".prelay/s/" in self._uri, "that is no prelay URI")
        self._result(self._uri)
        self._print("   It leads to the relay, there to Alice's endpoint, and through that to the book.")

    def _bob_signs(self) -> None:
        self._step("Bob signs it", "He has the URI from her. His process only dials, too.")
        done = self._bob_calls("sign", "Bob", "What a nice place!")
        self._check((done.code, done.out) == (0, "1"), f"Bob could not sign: {done.err}")
        self._result(f"{done.out}      the number of his entry, on Alice's disk")
        done = self._stage.goblins("relay", "stats", "@admin")
        self._check("alice" in done.out, "the relay does not know Alice")
        self._command("Carol", "goblins relay stats @admin")
        for line in done.out.splitlines():
            self._result(line)

    def _the_relay_is_killed(self) -> None:
        self._step("The relay is killed", "kill -9. Nobody can reach Alice now, and who tries is told.")
        self._stage.kill("carol")
        done = self._bob_calls("read")
        self._check(done.code == ExitCode.UNREACHABLE, "somebody answers though the relay is gone")
        self._result(done.err)

    def _the_relay_is_back(self) -> None:
        self._step("Carol starts it again", "With the same command. Alice's process has been looking for it.")
        again = self._stage.serve(*_RELAY, who="carol", file="admin")
        self._check(again == self._admin, "the admin's URI is another one")
        done = self._until_reached()
        self._check(done.code == 0, f"Bob's URI does not work any more: {done.err}")
        self._check("What a nice place!" in done.out, "Bob's entry is gone")
        self._command("Bob  ", "goblins call @uri read")
        self._result("his entry is there: the same URI leads to the same book")

    def _until_reached(self) -> Finished:
        """Bob reads; Alice may need a moment to be back at the relay."""
        done = self._stage.goblins("call", "@uri", "read")
        for _ in range(_TRIES):
            if done.code == 0:
                break
            time.sleep(_PAUSE)
            done = self._stage.goblins("call", "@uri", "read")
        return done

    def _farewell(self) -> None:
        for who in ("alice", "carol"):
            code = self._stage.stop(who)
            self._check(code == 0, f"{who}'s process did not end well: exit code {code}")
        self._print(Text("\nAll of it held.", "bold green"))
        self._print("   Mind: Carol could have read and changed all of it. This prelay is in clear.")
