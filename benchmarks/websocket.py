"""CapTP over wss, ws and tcp-tls between two processes, in one run; and what an idle connection costs.

    python benchmarks/websocket.py [--seconds 2] [--idle 2000] [--json]

Rows take turns, so that figures of one run can be compared; those of different runs cannot. Memory is that of
the serving process, with sessions established and nothing said, divided by their number.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import trio

from goblins_py import PeerLocator, actor, open_vat, parse_uri, spawn, spawn_mycapn
from goblins_py.abc import Connection
from goblins_py.captp._greeting import greeting
from goblins_py.captp._keys import SessionKeys
from goblins_py.captp._records import operation_bytes
from goblins_py.runtime import OpenVat
from netlayers import TcpTlsNetlayer, WebsocketNetlayer

IN_FLIGHT = 1000
CHUNK = bytes(2**20)
ROUNDS = 5
MOST = 10_000

NETLAYERS: dict[str, Callable[..., Any]] = {
    "tcp-tls": partial(spawn, TcpTlsNetlayer),
    "wss": partial(spawn, WebsocketNetlayer),
    "ws": partial(spawn, WebsocketNetlayer, encrypted=False),
}


@actor
class Echo:
    """Gives back what it gets, or only says how much it was."""

    def echo(self, value: object) -> object:
        return value

    def size(self, value: bytes) -> int:
        return len(value)


def megabytes() -> float:
    """Resident memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def serve(pipe: Pipe, name: str) -> None:
    """Another process: an echo object, reached by one netlayer."""
    async with open_vat(name) as vat:
        make = partial(NETLAYERS[name], "127.0.0.1", max_connections=MOST)
        mycapn = await vat.run(lambda: spawn_mycapn(make()))
        echo = await vat.run(spawn, Echo)
        transport = name if name == "tcp-tls" else "websocket"
        pipe.send((await vat.send(mycapn).register(echo, transport)).uri)
        while await trio.to_thread.run_sync(pipe.recv) == "memory":
            pipe.send(megabytes())


def serve_process(pipe: Pipe, name: str) -> None:
    """Entry of the other process."""
    trio.run(serve, pipe, name)


class Server:
    """That process, seen from here."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve_process, args=(theirs, name), daemon=True)
        self._process.start()
        self.uri: str = self._pipe.recv()

    def megabytes(self) -> float:
        """What it uses."""
        self._pipe.send("memory")
        return float(self._pipe.recv())

    def end(self) -> None:
        """Let it go."""
        self._pipe.send("end")
        self._process.join(30)


async def round_trips(vat: OpenVat, echo: object, seconds: float) -> float:
    """One small call at a time: calls per second."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        await vat.send(echo).echo(count)
        count += 1
    return count / (time.perf_counter() - start)


async def pipelined(vat: OpenVat, echo: object, seconds: float) -> float:
    """IN_FLIGHT small calls at a time: calls per second."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for promise in [vat.send(echo).echo(number) for number in range(IN_FLIGHT)]:
            await promise
        count += IN_FLIGHT
    return count / (time.perf_counter() - start)


async def bulk(vat: OpenVat, echo: object, seconds: float) -> float:
    """Byte strings of 1 MiB there, four at a time: MB per second."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for promise in [vat.send(echo).size(CHUNK) for _ in range(4)]:
            count += await promise
    return count / (time.perf_counter() - start) / 1e6


ROWS: dict[str, Callable[[OpenVat, object, float], Awaitable[float]]] = {
    "round trips/s": round_trips,
    "pipelined/s": pipelined,
    "MB/s": bulk,
}


async def measure(uris: dict[str, str], seconds: float) -> dict[str, list[float]]:
    """All rows of all netlayers, several rounds each, taken in turn."""
    found: dict[str, list[float]] = {}
    async with open_vat("a") as a, open_vat("b") as b, open_vat("c") as c:
        reached = {}
        for vat, (name, uri) in zip((a, b, c), uris.items(), strict=True):
            make = partial(NETLAYERS[name], listen=False)
            mycapn = await vat.run(lambda make=make: spawn_mycapn(make()))
            reached[name] = vat, await vat.send(mycapn).enliven(uri)
        for _ in range(ROUNDS):
            for row, run in ROWS.items():
                for name, (vat, echo) in reached.items():
                    found.setdefault(f"{name}: {row}", []).append(await run(vat, echo, seconds / ROUNDS))
    return found


async def hold_idle(server: Server, count: int, name: str) -> float:
    """KB of the server for each of so many sessions with nothing to say."""
    locator = parse_uri(server.uri).peer
    async with open_vat() as vat:
        netlayer = await vat.run(partial(NETLAYERS[name], listen=False))
        await vat.run(netlayer.setup, vat.io, None)
        connections: list[Connection] = []

        async def greet() -> None:
            connection = await (await vat.run(netlayer.connect_to, locator))
            claimed = PeerLocator(locator.transport, f"guest{len(connections)}", None)
            await connection.send(operation_bytes(greeting(SessionKeys.from_seed(os.urandom(32)), claimed)))
            assert await connection.receive()
            connections.append(connection)

        for _ in range(20):  # what the first ones need is not theirs alone
            await greet()
        before = server.megabytes()
        for _ in range(count):
            await greet()
        used = server.megabytes() - before
        for connection in connections:
            await connection.aclose()
    return used / count * 1e3


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="CapTP over websockets and tcp-tls")
    parser.add_argument("--seconds", type=float, default=2.0, help="per row")
    parser.add_argument("--idle", type=int, default=2000, help="idle connections")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    servers = {name: Server(name) for name in NETLAYERS}
    rows = trio.run(measure, {name: server.uri for name, server in servers.items()}, options.seconds)
    for server in servers.values():
        server.end()
    for name in NETLAYERS:
        server = Server(name)  # a fresh one: memory that was used before would be used again
        held = trio.run(hold_idle, server, options.idle, name)
        rows[f"{name}: KB per idle connection at {options.idle}"] = [held]
        server.end()
    if options.json:
        json.dump(rows, sys.stdout)
        return
    print(f"two processes at a time, {os.cpu_count()} cores: min, median, max")
    for name, values in rows.items():
        print(f"  {name:44} {min(values):9,.1f} {statistics.median(values):9,.1f} {max(values):9,.1f}")


if __name__ == "__main__":
    main()
