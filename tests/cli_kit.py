"""Real `goblins` processes for the tests of the command line: bounded in time, and none left behind."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
GOBLINS = [sys.executable, "-W", "error", "-m", "goblins_py"]
PATIENCE = 30.0
"""Seconds that anything may take, on the slowest machine; usually it takes half of one."""

OWN_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Ctrl-C on a pseudo-terminal reaches only those whose controlling terminal it is."""

THINGS = '''
"""An actor with an answer of every kind."""
from pathlib import Path
from goblins_py import Ref, Refusal, actor, make_promise, ref_to

NOT_AN_ACTOR = 5

@actor
class Things:
    count: int = 0

    def echo(self, *things: object) -> object:
        return things

    def up(self, by: int = 1) -> int:
        self.count += by
        return self.count

    def fail(self) -> None:
        self.count += 100
        raise ValueError("an internal detail")

    def refuse(self) -> None:
        raise Refusal("not today")

    def myself(self) -> Ref["Things"]:
        return ref_to(self)

    def never(self) -> object:
        Path("waiting").touch()
        return make_promise()[0]

    def rude(self) -> str:
        raise Refusal("\\x1b[2Jred\\nalert")

    def __call__(self, *things: object) -> object:
        return ("called", *things)

@actor
class Other:
    pass
'''


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return os.environ | {"TERM": "dumb", "COLUMNS": "100", **(extra or {})}


@attrs.frozen
class Done:
    """A process that has ended."""

    code: int
    out: str
    err: str


def run(
    *args: str,
    cwd: Path,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    command=GOBLINS,
    patience: float = PATIENCE,
) -> Done:
    done = subprocess.run(
        [*command, *args],
        cwd=cwd,
        input=stdin,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Server:
    """A `goblins serve` process that has printed its URI."""

    def __init__(
        self, cwd: Path, *args: str, command: Sequence[str] = ("serve",), prefix: Sequence[str] = ()
    ) -> None:
        self.err_path = cwd / f"{'-'.join(command)}.err"
        with self.err_path.open("ab") as err:
            self.process = subprocess.Popen(
                [*prefix, *GOBLINS, *command, *args],
                cwd=cwd,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=err,
            )
        self.uri = self._line()

    def _line(self) -> str:
        stdout = self.process.stdout
        ready, _, _ = select.select([stdout], [], [], PATIENCE)
        line = stdout.readline().decode() if ready else ""
        if not line:
            self.end(signal.SIGKILL)
            raise AssertionError(f"no URI: {self.err}")
        return line.strip()

    @property
    def err(self) -> str:
        return self.err_path.read_text()

    def when_waited_for(self, action: Callable[[], object]) -> None:
        """Do something, in another thread, as soon as somebody has called `never`."""
        waiting = self.err_path.with_name("waiting")
        waiting.unlink(missing_ok=True)

        def wait() -> None:
            until = time.monotonic() + PATIENCE
            while not waiting.exists() and time.monotonic() < until:
                time.sleep(0.02)
            action()

        threading.Thread(target=wait).start()

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Exit code, and what it printed after the URI."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode()


@contextmanager
def serving(cwd: Path, *args: str, prefix: Sequence[str] = ()) -> Iterator[Server]:
    """Serve `things.py:Things` unless told otherwise; killed at the end."""
    (cwd / "things.py").write_text(THINGS)
    server = Server(cwd, *(args or ("things.py:Things",)), prefix=prefix)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
        server.process.stdout.close()


@contextmanager
def relaying(cwd: Path, *args: str, prefix: Sequence[str] = ()) -> Iterator[Server]:
    """`goblins relay serve`, whose URI is the admin's; killed at the end."""
    server = Server(cwd, *args, command=("relay", "serve"), prefix=prefix)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
        server.process.stdout.close()


class Terminal:
    """A process on a pseudo-terminal, and somebody who types."""

    def __init__(self, cwd: Path, *args: str) -> None:
        self._stack = ExitStack()
        self._here, there = pty.openpty()
        self._stack.callback(os.close, self._here)
        env = environment({"XDG_STATE_HOME": str(cwd / "state")})
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", OWN_THE_TERMINAL, *GOBLINS, *args],
                cwd=cwd,
                env=env,
                stdin=there,
                stdout=there,
                stderr=there,
                start_new_session=True,
            )
        finally:
            os.close(there)
        self.seen = ""

    def type(self, *lines: str) -> None:
        for line in lines:
            os.write(self._here, line.encode() + b"\n")

    def press(self, key: str) -> None:
        """A control key: "C" is Ctrl-C."""
        os.write(self._here, bytes([ord(key) - 64]))

    def expect(self, text: str) -> str:
        """Wait for a text (a regular expression); what came before it. What is expected is used up."""
        until = time.monotonic() + PATIENCE
        while not (found := re.search(text, self.seen)):
            if not self._read(until - time.monotonic()):
                raise AssertionError(f"expected {text!r}, saw {self.seen!r}")
        before, self.seen = self.seen[: found.start()], self.seen[found.end() :]
        return before

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._here], [], [], max(0, seconds))
        try:
            data = os.read(self._here, 65536) if ready else b""
        except OSError:  # the other end is closed
            data = b""
        self.seen += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def ask(self, line: str, *more: str) -> str:
        """Type an input at the prompt; what is printed until the next prompt."""
        self.type(line, *more)
        return self.expect(r"\n>>> ")

    def leave(self) -> int:
        """Press Ctrl-D; the exit code."""
        self.press("D")
        until = time.monotonic() + PATIENCE
        while self._read(until - time.monotonic()):
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._stack.close()


@contextmanager
def terminal(cwd: Path, *args: str) -> Iterator[Terminal]:
    """A REPL (or what `args` say) that has shown its first prompt."""
    screen = Terminal(cwd, *(args or ("repl",)))
    try:
        screen.expect(">>> ")
        yield screen
    finally:
        screen.close()


def assert_one_line(text: str, *words: str) -> None:
    """One clear line for people: no traceback, no rest."""
    assert 1 == len(text.splitlines()), text
    assert text.startswith("goblins: ")
    assert [] == [word for word in words if word not in text], text
