"""What tests of netlayers need of a vat, without one."""

import outcome
import trio

from goblins_py.abc import Establisher, Io
from goblins_py.runtime._sockets import dial_tcp, listen_tcp


class Started:
    """Stands for the promise of what a started task returns."""

    def __init__(self):
        self._outcome = None
        self._done = trio.Event()

    async def run(self, async_fn, args):
        self._outcome = await outcome.acapture(async_fn, *args)
        self._done.set()
        if isinstance(self._outcome, outcome.Error) and isinstance(self._outcome.error, trio.Cancelled):
            self._outcome.unwrap()

    async def wait(self):
        await self._done.wait()
        return self._outcome.unwrap()

    def __await__(self):
        return self.wait().__await__()


class NurseryIo(Io):
    """An `Io` whose tasks run in a nursery of the test's."""

    listen = staticmethod(listen_tcp)
    dial = staticmethod(dial_tcp)
    now = staticmethod(trio.current_time)
    wall_time = random_bytes = None

    def __init__(self, nursery):
        self._nursery = nursery

    def start(self, async_fn, *args):
        started = Started()
        self._nursery.start_soon(started.run, async_fn, args)
        return started


class RunInTest(Establisher):
    """Hands accepted connections to the test; each is closed when the netlayer's task ends."""

    def __init__(self):
        self._inlet, self._outlet = trio.open_memory_channel(100)

    async def run(self, connection):
        try:
            await self._inlet.send(connection)
            await trio.sleep_forever()
        finally:
            await connection.aclose()

    async def connection(self):
        """The next connection that was accepted."""
        return await self._outlet.receive()
