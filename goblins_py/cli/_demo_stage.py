"""The processes of the demo: started, watched, killed, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Final, Self

import attrs

from goblins_py.cli._failure import ExitCode, Failure

__all__ = ["Finished", "Stage"]

_PATIENCE: Final = 20.0
"""Seconds that any one process is waited for: many times what it takes."""
_POLL: Final = 0.02


@attrs.frozen
class Finished:
    """What a process left: exit code, and what it printed."""

    code: int
    out: str
    err: str


class Stage:
    """Runs processes in one folder. A context manager, that kills what is left of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._starting = False
        self._interrupted_by: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def interrupt(self, number: int, _: FrameType | None) -> None:
        """Handle a signal: exit. While a process is being started that waits, so that none gets lost."""
        self._interrupted_by = number
        self._heed()

    def _heed(self) -> None:
        if self._interrupted_by is not None and not self._starting:
            sys.exit(128 + self._interrupted_by)

    def goblins(self, *args: str) -> Finished:
        """Run a `goblins` command to its end."""
        process = self._start("-m", "goblins_py", *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(ExitCode.BROKEN, f"goblins {args[0]} did not end within {_PATIENCE:g} s") from None
        return Finished(process.returncode, out.decode().strip(), err.decode().strip())

    def serve(self, *args: str, who: str = "alice", file: str = "uri") -> str:
        """Start somebody's server; the URI that it prints, which is in that file then."""
        uri = self._folder / file
        with uri.open("wb") as out, self._log(who).open("ab") as err:
            server = self._servers[who] = self._start("-m", "goblins_py", *args, stdout=out, stderr=err)
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and server.poll() is None:
            text = uri.read_text(encoding="utf-8")
            if text.endswith("\n"):
                return text.strip()
            time.sleep(_POLL)
        raise Failure(ExitCode.BROKEN, f"goblins {args[0]} printed no URI{self.last_words(who)}")

    def write(self, file: str, text: str) -> None:
        """Put a line into a file of the folder."""
        (self._folder / file).write_text(f"{text}\n", encoding="utf-8")

    def kill_during(self, program: str, count: int) -> tuple[int, str]:
        """Kill the server with SIGKILL after a program has printed so many numbers.

        Returns:
            The last number that it printed, and its last words.
        """
        with (self._folder / "uri").open("rb") as uri:
            process = self._start(program, stdin=uri, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        bound = threading.Timer(_PATIENCE, process.kill)  # it cannot keep us waiting for a line
        bound.start()
        try:
            last = self._count(process, count)
            out, err = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(ExitCode.BROKEN, f"{program} did not notice that its peer was killed") from None
        finally:
            bound.cancel()
        return max([last, *map(int, out.split())]), err.decode().strip()

    def _count(self, process: subprocess.Popen[bytes], count: int) -> int:
        last = 0
        for number, line in enumerate(process.stdout or (), start=1):
            last = int(line)
            if number == count:
                self._end(signal.SIGKILL)
                break
        return last

    def stop(self, who: str = "alice") -> int:
        """Stop a server with SIGTERM; its exit code."""
        return self._end(signal.SIGTERM, who)

    def kill(self, who: str) -> None:
        """Kill a server with SIGKILL."""
        self._end(signal.SIGKILL, who)

    def last_words(self, who: str = "alice") -> str:
        """The end of a server's log, to be appended to an error."""
        log = self._log(who)
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return f" (its last words: {lines[-1].strip()})" if lines else ""

    def _log(self, who: str) -> Path:
        return self._folder / f"{who}.log"

    def _end(self, number: signal.Signals, who: str = "alice") -> int:
        server = self._servers.get(who)
        if server is None:
            raise Failure(ExitCode.BROKEN, "there is no server")
        server.send_signal(number)
        try:
            return server.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(ExitCode.BROKEN, f"the server did not heed {number.name}") from None

    def _start(
        self,
        *args: str,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | int,
    ) -> subprocess.Popen[bytes]:
        self._starting = True
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, with our own programs
                [sys.executable, *args],
                cwd=self._folder,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            )
            self._stack.callback(_finish, process)
        finally:
            self._starting = False
        self._heed()
        return process


def _finish(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
