"""Programs that a test starts, kills -9 and starts again."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio


@attrs.define(eq=False)
class Victim:
    """A server in a process of its own, which prints a URI once it is up: the same one each time.

    Attributes:
        program: a file beside this one.
        args: of its command line.
        up: set while it is up.
    """

    program: str
    args: list[str]
    uri: str | None = None
    process: trio.Process | None = None
    up: trio.Event = attrs.field(factory=trio.Event)
    kills: int = 0

    async def start(self):
        """Returns when it is up."""
        command = [sys.executable, str(Path(__file__).with_name(self.program)), *self.args]
        self.process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
        line = b""
        while not line.endswith(b"\n"):
            data = await self.process.stdout.receive_some()
            assert data, f"{self.program} did not start"
            line += data
        uri = line.decode().strip()
        assert self.uri in {None, uri}, "its designator, its port or its swiss number has changed"
        self.uri = uri
        self.up.set()

    async def kill(self):
        """End it as a failure of power would. Idempotent."""
        self.up = trio.Event()
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            await process.stdout.aclose()
            self.kills += 1


@asynccontextmanager
async def running(*victims):
    """All of them, killed at the end in any case."""
    try:
        for victim in victims:
            await victim.start()
        yield
    finally:
        with trio.CancelScope(shield=True):
            for victim in victims:
                await victim.kill()
