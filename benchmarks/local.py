"""Local sends: in one vat, each with a promise and rollback.

python benchmarks/local.py [--quick] [--json FILE] [--peers none|all|a,b]

The floor is a bare loop that gives the same: a promise for each call, a log to undo what a failing call has
changed, and a queue. "no guarantees" is a loop over a queue of calls, nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import trio

from _measure import OURS, PER_SECOND, PURE, Bar, Contestant, Row, Run, Took, is_pure, main, plain, timed
from _network import Process
from goblins_py import actor, open_vat, send, spawn

BURST = 1000
FLOOR = "bare loop, same guarantees"


@actor
class Counter:
    """Counts."""

    value: int = 0

    def add(self, amount: int) -> int:
        """More."""
        self.value += amount
        return self.value


class PlainCounter:
    """The same without any guarantee."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int) -> int:
        """More."""
        self.value += amount
        return self.value


class Kept:
    """A counter whose changes can be undone."""

    def __init__(self, log: list[tuple[object, str, object]]) -> None:
        self.value, self._log = 0, log

    def add(self, amount: int) -> int:
        """More."""
        self._log.append((self, "value", self.value))
        self.value += amount
        return self.value


class Promised:
    """A result to be, and who waits for it."""

    __slots__ = ("error", "is_settled", "result", "waiting")

    def __init__(self) -> None:
        self.is_settled, self.result, self.error = False, None, None
        self.waiting: list[Callable[[object], None]] | None = None


def bare(count: int) -> None:
    """Queues of calls, run one after the other."""
    counter = PlainCounter()
    for first in range(0, count, BURST):
        queue = deque((counter.add, (1,)) for _ in range(min(BURST, count - first)))
        while queue:
            method, args = queue.popleft()
            method(*args)


def guaranteed(count: int) -> None:
    """The same with promises, and undone where it fails."""
    log: list[tuple[object, str, object]] = []
    counter = Kept(log)
    for first in range(0, count, BURST):
        queue = deque((Promised(), counter.add, (1,)) for _ in range(min(BURST, count - first)))
        while queue:
            deliver(*queue.popleft(), log)


def deliver(
    promise: Promised, method: Callable[..., object], args: tuple[int], log: list[tuple[object, str, object]]
) -> None:
    """One call, and its promise settled."""
    try:
        promise.result = method(*args)
    except BaseException as error:
        for changed, name, before in reversed(log):
            setattr(changed, name, before)
        promise.error = error
    promise.is_settled = True
    log.clear()
    for heard in promise.waiting or ():
        heard(promise)


async def sends(count: int, burst: int) -> Took:
    """Sends from turns of so many messages each."""
    async with open_vat() as vat:
        counter = await vat.run(spawn, Counter)

        def blast(size: int) -> None:
            for _ in range(size):
                send(counter).add(1)

        worked, start = time.process_time(), time.perf_counter()
        for first in range(0, count, burst):
            await vat.run(blast, min(burst, count - first))
        return Took(time.perf_counter() - start, time.process_time() - worked)


def ours(burst: int) -> Run:
    """In a vat of its own each time."""
    return lambda count: trio.run(sends, count, burst)


def serve(pipe: Any) -> None:
    """The same in a process, for what is chosen by its environment."""
    run = ours(BURST)
    pipe.send("ready")
    while (count := pipe.recv()) is not None:
        pipe.send(run(count))


def without_native_parts(stack: ExitStack) -> Run:
    """Ours in such a process."""
    process = Process("local", "serve", {"GOBLINS_PURE": "1"})
    stack.callback(process.end)
    return process.ask


def pykka_actor(stack: ExitStack) -> Any:
    """One that counts, in its thread."""
    import pykka

    class Counting(pykka.ThreadingActor):
        value = 0

        def on_receive(self, message: int) -> int:
            self.value += message
            return self.value

    counting = Counting.start()
    stack.callback(counting.stop)
    return counting


def pykka_ask(stack: ExitStack) -> Run:
    """A call, and its answer."""
    counting = pykka_actor(stack)

    def work(count: int) -> None:
        for _ in range(count):
            counting.ask(1)

    return timed(work)


def pykka_tell(stack: ExitStack) -> Run:
    """Calls without answers, and one at the end."""
    counting = pykka_actor(stack)

    def work(count: int) -> None:
        for _ in range(count):
            counting.tell(1)
        counting.ask(1)

    return timed(work)


def xoscar_calls(stack: ExitStack) -> Run:
    """Calls and answers in a pool of one process."""
    import xoscar

    class Counting(xoscar.Actor):
        value = 0

        def add(self, amount: int) -> int:
            self.value += amount
            return self.value

    async def work(count: int) -> float:
        pool = await xoscar.create_actor_pool("127.0.0.1", n_process=0)
        async with pool:
            counting = await xoscar.create_actor(Counting, address=pool.external_address, uid="counting")
            start = time.perf_counter()
            for _ in range(count):
                await counting.add(1)
            return time.perf_counter() - start

    return lambda count: asyncio.run(work(count))


def rows(options: argparse.Namespace) -> list[Row]:
    """One."""
    contestants = [
        Contestant(OURS, "ours", plain(ours(BURST)), "1,000 a turn"),
        Contestant("goblins_py, 10 a turn", "also", plain(ours(10))),
        Contestant(FLOOR, "floor", plain(timed(guaranteed))),
        Contestant("bare loop, no guarantees", "also", plain(timed(bare))),
        Contestant("pykka tell", "peer", pykka_tell, "no answers", "pykka"),
        Contestant("pykka ask", "peer", pykka_ask, "", "pykka"),
        Contestant("xoscar", "peer", xoscar_calls, "one at a time", "xoscar"),
    ]
    if not is_pure():
        contestants.insert(1, Contestant(PURE, "also", without_native_parts))
    bars = [Bar(400_000), Bar(0.44, FLOOR), Bar(200_000, of=PURE), Bar(0.22, FLOOR, of=PURE)]
    return [Row("Local sends", PER_SECOND, contestants, bars)]


if __name__ == "__main__":
    main(__doc__, rows)
