"""Ours with many objects, references, sessions, or calls in flight, for `growth` and `memory`.

Each process obeys orders, `(name, number)`, and knows "memory": the bytes that it has now.
"""

from __future__ import annotations

import functools
import gc
import os
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import attrs
import trio

from _network import clocked, obey_async
from contestants.goblins import Caller, dialling, listening, transport
from goblins_py import Promise, Ref, Resolver, actor, live, make_promise, open_vat, send, spawn
from goblins_py.captp import SessionLimits
from goblins_py.runtime import OpenVat

SLICE = 1000
LIMITS = attrs.evolve(SessionLimits(), answers=2_000_000, queue_hard=2**30)
MOST_SESSIONS = 20_000
SAMPLE = 100


def memory() -> int:
    """Bytes that this process has, garbage not counted."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def weigh(number: int) -> float:
    """The same as an order."""
    return memory()


@actor
class Counter:
    """A small object."""

    name: str
    value: int = 0

    def add(self, amount: int) -> int:
        """More."""
        self.value += amount
        return self.value


@actor
class Desk:
    """Echoes, gives away new objects, and holds calls until it is told to answer."""

    _waiting: list[Resolver[int]] | None = live()

    def echo(self, value: object) -> object:
        return value

    def many(self, number: int) -> tuple[Ref[Counter], ...]:
        return tuple(spawn(Counter, "one of many") for _ in range(number))

    def hold(self, number: int) -> Promise[int]:
        promise, resolver = make_promise()
        self._waiting = self._waiting or []
        self._waiting.append(resolver)
        return promise

    def release(self) -> int:
        held, self._waiting = self._waiting or [], None
        for resolver in held:
            resolver.fulfill(1)
        return len(held)


# --- objects of one vat ------------------------------------------------------------------------


async def _objects(pipe: Pipe) -> None:
    kept: list[Ref[Counter]] = []
    async with open_vat() as vat:

        def spawn_some(number: int) -> list[Ref[Counter]]:
            return [spawn(Counter, "one of many") for _ in range(number)]

        async def spawn_many(number: int) -> float:
            for start in range(0, number, SLICE):
                kept.extend(await vat.run(spawn_some, min(SLICE, number - start)))
            return 0

        def blast(some: list[Ref[Counter]], number: int) -> None:
            for each in range(number):
                send(some[each % len(some)]).add(1)

        async def messages(number: int) -> None:
            some = kept[:: max(1, len(kept) // SAMPLE)][:SAMPLE]
            for start in range(0, number, SLICE):
                await vat.run(blast, some, min(SLICE, number - start))

        workloads = {"spawn": spawn_many, "send": clocked(messages), "memory": weigh}
        await obey_async(pipe, trio.to_thread.run_sync, workloads)


def objects(pipe: Pipe) -> None:
    """A process with a vat of many objects."""
    trio.run(_objects, pipe)


# --- a server, a caller, a crowd ----------------------------------------------------------------


async def _serve(pipe: Pipe, netlayer: str) -> None:
    async with open_vat("server") as vat:
        mycapn = await vat.run(functools.partial(listening, netlayer, LIMITS, max_connections=MOST_SESSIONS))
        desk = await vat.run(spawn, Desk)
        pipe.send((await vat.send(mycapn).register(desk, transport(netlayer))).uri)
        await obey_async(pipe, trio.to_thread.run_sync, {"memory": weigh}, is_first=False)


def serve(pipe: Pipe, netlayer: str = "tcp-tls") -> None:
    """A process with a desk."""
    trio.run(_serve, pipe, netlayer)


async def _call(pipe: Pipe, uri: str) -> None:
    kept: list[object] = []
    async with open_vat("caller") as vat:
        mycapn = await vat.run(dialling, "tcp-tls", LIMITS)
        desk = await vat.send(mycapn).enliven(uri)
        caller = Caller(vat, desk, uri)

        async def references(number: int) -> float:
            for start in range(0, number, SLICE):
                kept.extend(await vat.send(desk).many(min(SLICE, number - start)))
            return 0

        async def hold(number: int) -> float:
            await in_flight(vat, desk, kept, number)
            return 0

        async def release(number: int) -> float:
            await answered(vat, desk, kept)
            return 0

        async def held(number: int) -> float:
            start = time.perf_counter()
            await in_flight(vat, desk, kept, number)
            await answered(vat, desk, kept)
            return time.perf_counter() - start

        pipelined = clocked(caller.pipelined)
        orders = {"references": references, "hold": hold, "release": release, "held": held}
        orders |= {"memory": weigh, "pipelined": pipelined}
        await obey_async(pipe, trio.to_thread.run_sync, orders)


async def in_flight(vat: OpenVat, desk: object, kept: list[object], number: int) -> None:
    """So many calls that nobody answers, sent from turns as an object would."""

    def burst(size: int) -> list[object]:
        return [send(desk).hold(each) for each in range(size)]

    for start in range(0, number, SLICE):
        kept.extend(await vat.run(burst, min(SLICE, number - start)))
        await vat.send(desk).echo(1)


async def answered(vat: OpenVat, desk: object, kept: list[Any]) -> None:
    """All of them."""
    await vat.send(desk).release()
    for promise in kept:
        await promise
    kept.clear()


def call(pipe: Pipe, uri: str) -> None:
    """A process with one session."""
    trio.run(_call, pipe, uri)


async def _crowd(pipe: Pipe, uri: str, netlayer: str) -> None:
    async with open_vat("crowd") as vat:

        async def join(number: int) -> float:
            for _ in range(number):
                mycapn = await vat.run(dialling, netlayer)
                desk = await vat.send(mycapn).enliven(uri)
                await vat.send(desk).echo(1)
                kept.append((mycapn, desk))
            return 0

        kept: list[object] = []
        await obey_async(pipe, trio.to_thread.run_sync, {"join": join})


def crowd(pipe: Pipe, uri: str, netlayer: str = "tcp-tls") -> None:
    """A process with many sessions, each of a peer of its own."""
    trio.run(_crowd, pipe, uri, netlayer)
