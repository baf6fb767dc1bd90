"""foolscap on Twisted; it has no other transport than TLS."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection as Pipe
from typing import Any

from foolscap.api import Referenceable, Tub
from twisted.internet import defer, reactor, threads

from _network import CHUNK, CHUNKS_IN_FLIGHT, IN_FLIGHT, in_flight, obey_async


class Echo(Referenceable):
    """Gives back what it gets."""

    def remote_echo(self, value: object) -> object:
        return value

    def remote_swallow(self, value: object) -> None:
        """Nothing comes back."""

    def remote_size(self, value: bytes) -> int:
        return len(value)


def serve(pipe: Pipe, folder: str) -> None:
    """One process."""
    tub = Tub()
    tub.startService()
    port = tub.listenOn("tcp:0:interface=127.0.0.1")
    tub.setLocation(f"tcp:127.0.0.1:{port.getPortnum()}")
    pipe.send(tub.registerReference(Echo(), "echo"))
    threads.deferToThread(pipe.recv).addBoth(lambda _: reactor.stop())
    reactor.run()


async def one_way(echo: Any, count: int) -> float:
    """Bursts, with an answer at the end of each."""
    start = time.perf_counter()
    for first in range(0, count, IN_FLIGHT):
        for number in range(min(IN_FLIGHT, count - first)):
            echo.callRemoteOnly("swallow", number)
        await echo.callRemote("echo", 0)
    return time.perf_counter() - start


async def connect(uri: str, count: int) -> float:
    """A new tub each time, made before the clock starts."""
    seconds = 0.0
    for _ in range(count):
        tub = Tub()
        tub.startService()
        start = time.perf_counter()
        await (await tub.getReference(uri)).callRemote("echo", 1)
        seconds += time.perf_counter() - start
        await tub.stopService()
    return seconds


async def _call(pipe: Pipe, uri: str) -> None:
    tub = Tub()
    tub.startService()
    echo = await tub.getReference(uri)
    chunk = bytes(CHUNK)

    def ask() -> Any:
        return echo.callRemote("echo", 1)

    def give() -> Any:
        return echo.callRemote("size", chunk)

    workloads = {
        "round trips": lambda count: in_flight(ask, count, 1),
        "pipelined": lambda count: in_flight(ask, count, IN_FLIGHT),
        "bulk": lambda count: in_flight(give, count, CHUNKS_IN_FLIGHT),
        "one-way": lambda count: one_way(echo, count),
        "connect": lambda count: connect(uri, count),
    }
    await obey_async(pipe, threads.deferToThread, workloads)


def call(pipe: Pipe, uri: str, folder: str) -> None:
    """The other process."""
    done = defer.ensureDeferred(_call(pipe, uri))
    done.addErrback(lambda failure: failure.printTraceback())
    done.addBoth(lambda _: reactor.stop() if reactor.running else reactor.callWhenRunning(reactor.stop))
    reactor.run()
