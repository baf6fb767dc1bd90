"""Ours: an echo object and who calls it, over tcp-tls or another netlayer."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any

import trio

from _network import CHUNK, CHUNKS_IN_FLIGHT, IN_FLIGHT, clocked, obey_async
from goblins_py import Promise, actor, all_of, open_vat, send, send_only, spawn, spawn_mycapn
from goblins_py.captp import SessionLimits
from goblins_py.runtime import OpenVat
from netlayers import TcpTlsNetlayer, WebsocketNetlayer

NETLAYERS: dict[str, Callable[..., Any]] = {
    "tcp-tls": functools.partial(spawn, TcpTlsNetlayer),
    "wss": functools.partial(spawn, WebsocketNetlayer),
    "ws": functools.partial(spawn, WebsocketNetlayer, encrypted=False),
}


@actor
class Echo:
    """Gives back what it gets, or only says how much it was."""

    def echo(self, value: object) -> object:
        return value

    def size(self, value: bytes) -> int:
        return len(value)


def listening(netlayer: str, limits: SessionLimits | None = None, **options: Any) -> Any:
    """A mycapn that can be reached; in a turn."""
    return spawn_mycapn(NETLAYERS[netlayer]("127.0.0.1", **options), limits=limits)


def dialling(netlayer: str, limits: SessionLimits | None = None) -> Any:
    """A mycapn that cannot; in a turn."""
    return spawn_mycapn(NETLAYERS[netlayer](listen=False), limits=limits)


def transport(netlayer: str) -> str:
    """Its name in a locator."""
    return "tcp-tls" if netlayer == "tcp-tls" else "websocket"


async def _serve(pipe: Pipe, netlayer: str) -> None:
    async with open_vat("server") as vat:
        mycapn = await vat.run(listening, netlayer)
        echo = await vat.run(spawn, Echo)
        pipe.send((await vat.send(mycapn).register(echo, transport(netlayer))).uri)
        await trio.to_thread.run_sync(pipe.recv)


def serve(pipe: Pipe, folder: str, netlayer: str = "tcp-tls") -> None:
    """One process."""
    trio.run(_serve, pipe, netlayer)


class Caller:
    """The workloads."""

    def __init__(self, vat: OpenVat, echo: object, uri: str) -> None:
        self._vat, self._echo, self._uri = vat, echo, uri

    async def round_trips(self, count: int) -> None:
        for number in range(count):
            await self._vat.send(self._echo).echo(number)

    async def pipelined(self, count: int) -> None:
        """As a program outside of vats does it: as soon as the oldest call is answered, one more."""
        send, echo = self._vat.send, self._echo
        waiting = [send(echo).echo(number) for number in range(min(IN_FLIGHT, count))]
        for number in range(count - len(waiting)):
            await waiting[number % IN_FLIGHT]
            waiting[number % IN_FLIGHT] = send(echo).echo(number)
        for promise in waiting:
            await promise

    async def from_turns(self, count: int) -> None:
        """As an object does it: many calls in a turn; the next turn begins when half are answered."""

        def burst(size: int) -> Promise[object]:
            return all_of(*[send(self._echo).echo(number) for number in range(size)])

        waiting = []
        for start in range(0, count, IN_FLIGHT // 2):
            waiting.append(await self._vat.run(burst, min(IN_FLIGHT // 2, count - start)))
            if len(waiting) == 2:
                await waiting.pop(0)
        for promise in waiting:
            await promise

    async def one_way(self, count: int) -> None:
        """Bursts without answers, an answer at the end of each."""

        def burst(size: int) -> None:
            for number in range(size):
                send_only(self._echo).echo(number)

        for start in range(0, count, IN_FLIGHT):
            await self._vat.run(burst, min(IN_FLIGHT, count - start))
            await self._vat.send(self._echo).echo(0)

    async def bulk(self, count: int) -> None:
        chunk, waiting = bytes(CHUNK), []
        for _ in range(count):
            waiting.append(self._vat.send(self._echo).size(chunk))
            if len(waiting) == CHUNKS_IN_FLIGHT:
                await waiting.pop(0)
        for promise in waiting:
            await promise

    async def connect(self, count: int) -> float:
        """Only a new peer has a new session: it is made before the clock starts, and ends after it."""
        seconds = 0.0
        for _ in range(count):
            async with open_vat() as vat:
                mycapn = await vat.run(dialling, "tcp-tls")
                await vat.send(mycapn).self_location("tcp-tls")
                start = time.perf_counter()
                await vat.send(vat.send(mycapn).enliven(self._uri)).echo(1)
                seconds += time.perf_counter() - start
        return seconds


async def _call(pipe: Pipe, uri: str, netlayer: str) -> None:
    async with open_vat("caller") as vat:
        mycapn = await vat.run(dialling, netlayer)
        echo = await vat.send(mycapn).enliven(uri)
        caller = Caller(vat, echo, uri)
        workloads = {
            "round trips": clocked(caller.round_trips),
            "pipelined": clocked(caller.pipelined),
            "pipelined from turns": clocked(caller.from_turns),
            "one-way": clocked(caller.one_way),
            "bulk": clocked(caller.bulk),
            "connect": caller.connect,
        }
        await obey_async(pipe, trio.to_thread.run_sync, workloads)


def call(pipe: Pipe, uri: str, folder: str, netlayer: str = "tcp-tls") -> None:
    """The other process."""
    trio.run(_call, pipe, uri, netlayer)
