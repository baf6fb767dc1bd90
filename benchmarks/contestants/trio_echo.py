"""Floor: the same as `asyncio_echo` over the SSLStream of trio."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any

import trio

from _network import CHUNK, CHUNKS_IN_FLIGHT, IN_FLIGHT, MESSAGE, obey_async
from contestants.asyncio_echo import (
    ASKING,
    COUNT,
    ECHO,
    QUIET,
    QUIETLY,
    client_context,
    server_context,
    workloads,
)


class Messages:
    """What is received, cut into messages."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._buffer = stream, bytearray()

    async def exactly(self, size: int) -> bytes:
        """The next so many bytes."""
        while len(self._buffer) < size:
            data = await self._stream.receive_some()
            if not data:
                raise EOFError
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


async def answer(stream: Any) -> None:
    """One connection."""
    messages = Messages(stream)
    try:
        if await messages.exactly(1) == ECHO:
            while True:
                message = await messages.exactly(MESSAGE)
                if message[0] != QUIET:
                    await stream.send_all(message)
        left = CHUNK
        while data := await stream.receive_some():
            left -= len(data)
            while left <= 0:
                await stream.send_all(COUNT)
                left += CHUNK
    except (EOFError, trio.BrokenResourceError):
        await trio.aclose_forcefully(stream)


class Caller:
    """The workloads, over whatever `connect` makes a stream of."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect

    async def open(self, how: bytes) -> None:
        """Connect for that kind of work."""
        self._stream = await self._connect()
        await self._stream.send_all(how)
        self._messages = Messages(self._stream)

    async def round_trips(self, count: int) -> None:
        for _ in range(count):
            await self._stream.send_all(ASKING)
            await self._messages.exactly(MESSAGE)

    async def pipelined(self, count: int) -> None:
        first = min(IN_FLIGHT, count)
        for _ in range(first):
            await self._stream.send_all(ASKING)
        for _ in range(count - first):
            await self._messages.exactly(MESSAGE)
            await self._stream.send_all(ASKING)
        for _ in range(first):
            await self._messages.exactly(MESSAGE)

    async def one_way(self, count: int) -> None:
        for start in range(0, count, IN_FLIGHT):
            for _ in range(min(IN_FLIGHT, count - start)):
                await self._stream.send_all(QUIETLY)
            await self.round_trips(1)

    async def bulk(self, count: int) -> None:
        chunk = bytes(CHUNK)
        for number in range(count):
            await self._stream.send_all(chunk)
            if number >= CHUNKS_IN_FLIGHT:
                await self._messages.exactly(1)
        await self._messages.exactly(min(count, CHUNKS_IN_FLIGHT))

    async def connect(self, count: int) -> float:
        seconds = 0.0
        for _ in range(count):
            one = Caller(self._connect)
            start = time.perf_counter()
            await one.open(ECHO)
            await one.round_trips(1)
            seconds += time.perf_counter() - start
            await trio.aclose_forcefully(one._stream)
        return seconds


async def call_over(connect: Callable[[], Awaitable[Any]], pipe: Pipe) -> None:
    """The calling process, over any kind of stream."""
    small, large = Caller(connect), Caller(connect)
    await small.open(ECHO)
    await large.open(COUNT)
    await obey_async(pipe, trio.to_thread.run_sync, workloads(small, large))


async def _serve(pipe: Pipe, folder: str) -> None:
    context = server_context(folder)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        pipe.send(listeners[0].transport_listener.socket.getsockname()[1])
        await trio.to_thread.run_sync(pipe.recv)
        nursery.cancel_scope.cancel()


def serve(pipe: Pipe, folder: str) -> None:
    """One process."""
    trio.run(_serve, pipe, folder)


def call(pipe: Pipe, port: int, folder: str) -> None:
    """The other process."""
    context = client_context(folder)

    async def connect() -> Any:
        return await trio.open_ssl_over_tcp_stream("localhost", port, ssl_context=context)

    trio.run(call_over, connect, pipe)
