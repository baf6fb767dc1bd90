"""pycapnp: Cap'n Proto's RPC, in C++, over the TLS streams of asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import capnp

from _network import CHUNK, CHUNKS_IN_FLIGHT, IN_FLIGHT, in_flight, obey_async
from contestants.asyncio_echo import client_context, server_context

SCHEMA = capnp.load(str(Path(__file__).with_name("echo.capnp")))


class Echo(SCHEMA.Echo.Server):
    """Gives back what it gets."""

    async def echo(self, value: int, **_: object) -> int:
        return value

    async def size(self, value: bytes, **_: object) -> int:
        return len(value)


async def _answer(stream: Any) -> None:
    await capnp.TwoPartyServer(stream, bootstrap=Echo()).on_disconnect()


async def _serve(pipe: Pipe, folder: str) -> None:
    server = await capnp.AsyncIoStream.create_server(_answer, "127.0.0.1", 0, ssl=server_context(folder))
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)


def serve(pipe: Pipe, folder: str) -> None:
    """One process."""
    asyncio.run(capnp.run(_serve(pipe, folder)))


async def connects(open_stream: Callable[[], Awaitable[Any]], count: int) -> float:
    """A new connection each time."""
    seconds = 0.0
    for _ in range(count):
        start = time.perf_counter()
        stream = await open_stream()
        client = capnp.TwoPartyClient(stream)
        await client.bootstrap().cast_as(SCHEMA.Echo).echo(1)
        seconds += time.perf_counter() - start
        client.close()
        stream.close()
    return seconds


async def _call(pipe: Pipe, port: int, folder: str) -> None:
    context = client_context(folder)

    async def open_stream() -> Any:
        return await capnp.AsyncIoStream.create_connection("localhost", port, ssl=context)

    client = capnp.TwoPartyClient(await open_stream())
    echo = client.bootstrap().cast_as(SCHEMA.Echo)
    chunk = bytes(CHUNK)
    workloads = {
        "round trips": lambda count: in_flight(lambda: echo.echo(1), count, 1),
        "pipelined": lambda count: in_flight(lambda: echo.echo(1), count, IN_FLIGHT),
        "bulk": lambda count: in_flight(lambda: echo.size(chunk), count, CHUNKS_IN_FLIGHT),
        "connect": lambda count: connects(open_stream, count),
    }
    await obey_async(pipe, asyncio.to_thread, workloads)


def call(pipe: Pipe, port: int, folder: str) -> None:
    """The other process."""
    asyncio.run(capnp.run(_call(pipe, port, folder)))
