"""Compaction of a large store, while somebody commits.

python benchmarks/compaction.py [--quick] [--folder .] [--json FILE]
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trio

from _measure import MILLISECONDS, OURS, Contestant, Row, Unit, main, plain
from goblins_py.abc import Delta, Portrait
from opening import fill_store
from persistence import SyrupStore

KIND = "opening.Counter"


async def latencies(store: SyrupStore, is_enough: Callable[[int], bool]) -> list[float]:
    """Seconds of one small commit after the other."""
    found: list[float] = []
    while not is_enough(len(found)):
        start = time.perf_counter()
        await store.commit([Delta({1: Portrait(KIND, 0, {"name": "one", "value": len(found)})})])
        found.append(time.perf_counter() - start)
    return found


async def compaction(path: str) -> dict[str, float]:
    """What it takes, and what commits wait for."""
    store = SyrupStore(path, min_compact=1 << 40)
    await store.open()
    size = (await trio.Path(path).stat()).st_size
    quiet = await latencies(store, lambda done: done > 500)
    busy: list[float] = []
    is_done = False

    async def commit_on() -> None:
        busy.extend(await latencies(store, lambda _: is_done))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commit_on)
        await trio.lowlevel.checkpoint()
        start = time.perf_counter()
        await store.compact()
        took, is_done = time.perf_counter() - start, True
    await store.aclose()
    medians = {"quiet": statistics.median(quiet), "busy": statistics.median(busy)}
    return medians | {"longest": max(busy), "size": size, "seconds": took}


def rows(options: argparse.Namespace) -> list[Row]:
    """It happens once; the rows tell of it."""
    objects = 1000 if options.smoke else 10_000 if options.quick else 100_000

    @functools.cache
    def result() -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = str(Path(folder) / "store")
            fill_store(OURS, path, objects)
            return trio.run(compaction, path)

    def told(what: str) -> Callable[..., Callable[[int], float]]:
        return plain(lambda count: result()[what])

    commits = [
        Contestant("median commit, otherwise", "floor", told("quiet")),
        Contestant("median commit, meanwhile", "ours", told("busy")),
        Contestant("longest commit, meanwhile", "also", told("longest")),
    ]
    speed = Contestant(OURS, "ours", plain(lambda count: result()["seconds"] / result()["size"]))
    return [
        Row(f"Commits while {objects:,} objects are compacted", MILLISECONDS, commits, count=1, rounds=1),
        Row("Compaction", Unit("MB/s", 1e-6), [speed], count=1, rounds=1),
    ]


if __name__ == "__main__":
    main(__doc__, rows)
