"""Local sends per second in one vat, with a promise and rollback for each, beside a bare loop.

python benchmarks/local.py [--count 100000]
"""

from __future__ import annotations

import argparse
import time
from collections import deque

import trio

from goblins_py import actor, open_vat, send, spawn


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


def bare(count: int) -> float:
    """A queue of calls, run one after the other."""
    counter = PlainCounter()
    start = time.perf_counter()
    queue = deque((counter.add, (1,)) for _ in range(count))
    while queue:
        method, args = queue.popleft()
        method(*args)
    return count / (time.perf_counter() - start)


async def sends(count: int, burst: int) -> float:
    """Sends from turns of `burst` messages each."""
    async with open_vat() as vat:
        counter = await vat.run(spawn, Counter)

        def blast() -> None:
            for _ in range(burst):
                send(counter).add(1)

        start = time.perf_counter()
        for _ in range(count // burst):
            await vat.run(blast)
        return count / (time.perf_counter() - start)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Local sends per second in one vat")
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    floor = bare(count)
    print(f"bare loop, no guarantees        {floor:12,.0f}/s")
    for burst in (10, 1000):
        rate = max(trio.run(sends, count, burst) for _ in range(3))
        print(f"send with promise, {burst:4} a turn  {rate:12,.0f}/s   {rate / floor:5.3f}")


if __name__ == "__main__":
    main()
