"""Guile Goblins as the other end of a test: a process in a folder of its own, on our loopback network.

    with GuilePeer("server.scm") as peer:       # a script of tests/guile
        uris = peer.uris()                      # NAME -> URI, once it is READY
        ...
        peer.kill()                             # or freeze() and thaw()

Everything here blocks and takes a time-out, so that it serves plain tests and, through
`trio.to_thread.run_sync`, trio tests alike. Tests get the class from the `guile` fixture (tests/conftest.py),
which skips them, or in CI fails them, if there is no Guile to be had.
"""

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from guile.make_chroot import chroot, is_complete

SCRIPTS = Path(__file__).parent / "guile"
PATIENCE = 60.0

# Runs in a mount and process namespace of its own, as process 1 of it: nothing that it mounts or starts is
# left. Scripts are not compiled: interpreted, the server is ready after 0.6 s (its RSA key takes most of it),
# compiled after 0.9 s from a cache and 1.8 s without, and a cache can be stale.
ENTER = """
set -e
mount --bind "$SCRIPTS" "$ROOT/scripts"
if [ -n "$SHARE" ]; then mount --bind "$SHARE" "$ROOT/share"; fi
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
exec chroot "$ROOT" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin GUILE_AUTO_COMPILE=0 \
    /usr/bin/guile -L /scripts "/scripts/$@"
"""


class GuilePeerError(AssertionError):
    """The Guile side ended, or did not say in time what was expected; the text holds what it did say."""


def why_not() -> str | None:
    """What is missing for a Guile peer on this machine, or None."""
    if os.geteuid() != 0:
        return "a Guile peer lives in a chroot, which needs root"
    if not shutil.which("unshare"):
        return "a Guile peer needs util-linux's unshare"
    if not is_complete(chroot()):
        return "no Guile Goblins here; as root on Debian: python3 tests/guile/make_chroot.py"
    return None


def _port_of(uri: str) -> int | None:
    """Of a URI over TCP: Goblins tells it before it listens there."""
    found = re.search(r"port=([0-9]+)|%3A([0-9]+)", uri)
    return int(found[1] or found[2]) if found else None


def _listening() -> set[int]:
    """The ports at which anybody on this machine listens; nobody is disturbed by being asked."""
    text = "".join(path.read_text() for path in Path("/proc/net").glob("tcp*"))
    rows = [line.split() for line in text.splitlines()]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


class GuilePeer:
    """One Guile process that runs a script of tests/guile.

    Use it as a context manager: whatever happens inside, no process is left after it. `share` names a folder
    that the script sees as /share.
    """

    def __init__(self, script: str, *args: str, share: Path | None = None) -> None:
        self.script = script
        settings = {"ROOT": str(chroot()), "SCRIPTS": str(SCRIPTS), "SHARE": str(share or "")}
        self.said: deque[str] = deque(maxlen=200)
        self._lines: queue.Queue[str | None] = queue.Queue()
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "sh", "-c", ENTER, "sh"]
        self._process = subprocess.Popen(
            [*command, script, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={"PATH": os.environ["PATH"], **settings},
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_output(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.said.append(line.rstrip("\n"))
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self.said.append(f"stderr: {line.rstrip()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream
            stream.close()

    def next_line(self, timeout: float = PATIENCE) -> str:
        """The next line of its standard output.

        Raises:
            GuilePeerError: it ended, or said nothing in that time.
        """
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise self._complaint(f"said nothing for {timeout} s") from None
        if line is None:
            self._lines.put(None)
            raise self._complaint("ended")
        return line

    def lines_until(self, last: str, timeout: float = PATIENCE) -> Iterator[str]:
        """Its lines, up to and without the one that is `last`; the time-out is for each line."""
        while (line := self.next_line(timeout)) != last:
            yield line

    def uris(self, timeout: float = PATIENCE) -> dict[str, str]:
        """What server.scm serves: its objects' URIs by name, once it listens where they say."""
        found = dict(line.split(" ", 1) for line in self.lines_until("READY", timeout))
        until = time.monotonic() + timeout
        while missing := {port for uri in found.values() if (port := _port_of(uri))} - _listening():
            if time.monotonic() > until:
                raise GuilePeerError(f"{self.script} does not listen at {missing}")
            time.sleep(0.05)
        return found

    def results(self, timeout: float = PATIENCE) -> tuple[int, list[str]]:
        """How many checks client.scm passed, and its complaints about the others."""
        lines = list(self.lines_until("DONE", timeout))
        return sum(line.startswith("ok ") for line in lines), [
            line for line in lines if line.startswith("FAIL ")
        ]

    def say(self, line: str) -> None:
        """Give it a line of standard input."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL, to Guile and all around it; when this returns they are dead. Harmless on a dead one."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for reader in self._readers:  # the pipes end when the last process that holds them has
            reader.join(PATIENCE)

    def freeze(self) -> None:
        """Stop it, connections open: a peer that is silent without having hung up."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    def _complaint(self, what: str) -> GuilePeerError:
        return GuilePeerError("\n".join([f"Guile's {self.script} {what}. It said:", *self.said]))
