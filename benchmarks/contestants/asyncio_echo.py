"""Floor: messages of one size over the TLS streams of asyncio, each read and written by itself.

A connection begins with one byte: ECHO gives messages back (those that begin with QUIET without answer),
COUNT says one byte for each chunk. The other echoes speak the same.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from _network import CHUNK, CHUNKS_IN_FLIGHT, IN_FLIGHT, MESSAGE, clocked, obey_async

ECHO, COUNT = b"e", b"c"
QUIET = ord("q")
ASKING, QUIETLY = b"a" * MESSAGE, b"q" * MESSAGE


def server_context(folder: str) -> ssl.SSLContext:
    """Of a server with the certificate of that folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(folder) / "server.pem")
    return context


def client_context(folder: str) -> ssl.SSLContext:
    """Of a client that trusts the authority of that folder."""
    return ssl.create_default_context(cafile=str(Path(folder) / "ca.pem"))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    try:
        if await reader.readexactly(1) == ECHO:
            while True:
                message = await reader.readexactly(MESSAGE)
                if message[0] != QUIET:
                    writer.write(message)
        left = CHUNK
        while data := await reader.read(2**18):
            left -= len(data)
            while left <= 0:
                writer.write(COUNT)
                left += CHUNK
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def _serve(pipe: Pipe, folder: str) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_context(folder))
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)


def serve(pipe: Pipe, folder: str) -> None:
    """One process."""
    asyncio.run(_serve(pipe, folder))


class Caller:
    """The workloads."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port, self._context = port, context

    async def open(self, how: bytes) -> None:
        """Connect for that kind of work."""
        self._reader, self._writer = await self._connected(how)

    async def _connected(self, how: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        streams = await asyncio.open_connection("localhost", self._port, ssl=self._context)
        streams[1].write(how)
        return streams

    async def round_trips(self, count: int) -> None:
        for _ in range(count):
            self._writer.write(ASKING)
            await self._reader.readexactly(MESSAGE)

    async def pipelined(self, count: int) -> None:
        first = min(IN_FLIGHT, count)
        for _ in range(first):
            self._writer.write(ASKING)
        for _ in range(count - first):
            await self._reader.readexactly(MESSAGE)
            self._writer.write(ASKING)
        for _ in range(first):
            await self._reader.readexactly(MESSAGE)

    async def one_way(self, count: int) -> None:
        for start in range(0, count, IN_FLIGHT):
            for _ in range(min(IN_FLIGHT, count - start)):
                self._writer.write(QUIETLY)
            await self.round_trips(1)

    async def bulk(self, count: int) -> None:
        chunk = bytes(CHUNK)
        for number in range(count):
            self._writer.write(chunk)
            await self._writer.drain()
            if number >= CHUNKS_IN_FLIGHT:
                await self._reader.readexactly(1)
        await self._reader.readexactly(min(count, CHUNKS_IN_FLIGHT))

    async def connect(self, count: int) -> float:
        seconds = 0.0
        for _ in range(count):
            start = time.perf_counter()
            reader, writer = await self._connected(ECHO)
            writer.write(ASKING)
            await reader.readexactly(MESSAGE)
            seconds += time.perf_counter() - start
            writer.close()
            await writer.wait_closed()
        return seconds


def workloads(small: Any, large: Any) -> dict[str, Callable[[int], Awaitable[float]]]:
    """What the callers of an echo do: one for messages, one for chunks."""
    return {
        "round trips": clocked(small.round_trips),
        "pipelined": clocked(small.pipelined),
        "one-way": clocked(small.one_way),
        "bulk": clocked(large.bulk),
        "connect": small.connect,
    }


async def _call(pipe: Pipe, port: int, folder: str) -> None:
    context = client_context(folder)
    small, large = Caller(port, context), Caller(port, context)
    await small.open(ECHO)
    await large.open(COUNT)
    await obey_async(pipe, asyncio.to_thread, workloads(small, large))


def call(pipe: Pipe, port: int, folder: str) -> None:
    """The other process."""
    asyncio.run(_call(pipe, port, folder))
