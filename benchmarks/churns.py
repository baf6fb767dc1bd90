"""Durable churns: small objects of one persistent vat, changed by clients who wait for their answers.

python benchmarks/churns.py [--quick] [--folder .] [--json FILE] [--peers none|all|a,b]

All is written to the same disk, in `--folder`. The others keep the same records with the least that could be
called durable. The floor is a writer thread that takes whatever is queued, appends it with one write and one
fdatasync, and wakes the trio tasks that wait. "plain append" writes and syncs one record after the other,
sqlite and ZODB commit each by itself: more clients change nothing for them.
"""

from __future__ import annotations

import argparse
import functools
import os
import queue
import sqlite3
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from _measure import BYTES, OURS, PER_SECOND, Bar, Contestant, Row, Run, Took, main, plain
from goblins_py import PersistenceEnv, actor, open_persistent_vat, spawn
from goblins_py.syrup import Record, Symbol, encode
from persistence import MemoryStore, SqliteStore, SyrupStore

CLIENTS = (1, 8, 64)
KEY = bytes(range(32))
FLOOR = "batching writer thread"
STORES = {
    OURS: SyrupStore,
    "goblins_py, encrypted": lambda path: SyrupStore(path, key=KEY),
    "goblins_py, with history": lambda path: SyrupStore(path, history=10),
    "goblins_py, SqliteStore": SqliteStore,
    "goblins_py, MemoryStore": lambda path: MemoryStore(),
}

Churns = Callable[[str, int, int], Took]
"""Path, clients and count to what it took."""


@actor
class Counter:
    """A small object."""

    name: str
    value: int = 0

    def add(self, amount: int) -> int:
        """More."""
        self.value += amount
        return self.value


def record(slot: int, value: int) -> bytes:
    """What a store keeps of a counter."""
    state = {"name": f"counter {slot}", "value": value}
    return encode(Record(Symbol("portrait"), (slot, "churns.Counter", 0, state)))


def clocked(start: float, worked: float) -> Took:
    """Since then."""
    return Took(time.perf_counter() - start, time.process_time() - worked)


async def by_clients(clients: int, count: int, once: Callable[[int], Awaitable[object]]) -> Took:
    """Each client does it again and again, so many times all together."""
    left = count
    start, worked = time.perf_counter(), time.process_time()

    async def client(number: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await once(number)

    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(client, number)
    return clocked(start, worked)


async def _vat_churns(make: Callable[[str], Any], path: str, clients: int, count: int) -> Took:
    def roots() -> tuple[object, ...]:
        return tuple(spawn(Counter, f"counter {number}") for number in range(64))

    async with open_persistent_vat(PersistenceEnv(Counter), roots, make(path)) as (vat, counters):
        return await by_clients(clients, count, lambda number: vat.send(counters[number]).add(1))


def vat_churns(make: Callable[[str], Any]) -> Churns:
    """Through a whole persistent vat: send, turn, portrait, commit, answer."""
    return functools.partial(trio.run, _vat_churns, make)


def sqlite_commits(path: str, clients: int, count: int) -> Took:
    """One small commit after the other: WAL, synchronous=FULL."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=wal")
    database.execute("PRAGMA synchronous=full")
    database.execute("CREATE TABLE record (slot INTEGER PRIMARY KEY, data BLOB)")
    start, worked = time.perf_counter(), time.process_time()
    for number in range(count):
        slot = number % clients
        database.execute("INSERT OR REPLACE INTO record VALUES (?, ?)", (slot, record(slot, number)))
    took = clocked(start, worked)
    database.close()
    return took


def plain_append(path: str, clients: int, count: int) -> Took:
    """A write and an fdatasync for each."""
    with Path(path).open("ab", buffering=0) as file:
        start, worked = time.perf_counter(), time.process_time()
        for number in range(count):
            file.write(record(number % clients, number))
            os.fdatasync(file.fileno())
        return clocked(start, worked)


def zodb_commits(path: str, clients: int, count: int) -> Took:
    """One transaction after the other."""
    import transaction
    from persistent.mapping import PersistentMapping
    from ZODB import DB, FileStorage

    database = DB(FileStorage.FileStorage(path))
    with database.transaction() as connection:
        for slot in range(clients):
            connection.root()[slot] = PersistentMapping({"name": f"counter {slot}", "value": 0})
    connection = database.open()
    counters = [connection.root()[slot] for slot in range(clients)]
    start, worked = time.perf_counter(), time.process_time()
    for number in range(count):
        counters[number % clients]["value"] += 1
        transaction.commit()
    took = clocked(start, worked)
    connection.close()
    database.close()
    return took


async def _writer_thread(path: str, clients: int, count: int) -> Took:
    todo: queue.SimpleQueue[tuple[bytes, trio.Event] | None] = queue.SimpleQueue()
    token = trio.lowlevel.current_trio_token()

    def wake(events: list[trio.Event]) -> None:
        for event in events:
            event.set()

    def work() -> None:
        handle, end = os.open(path, os.O_RDWR | os.O_CREAT), 0
        while (first := todo.get()) is not None:
            batch = [first]
            while not todo.empty():
                batch.append(todo.get())
            end += os.pwrite(handle, b"".join(each[0] for each in batch if each), end)
            os.fdatasync(handle)
            token.run_sync_soon(wake, [each[1] for each in batch if each])
        os.close(handle)

    thread = threading.Thread(target=work)
    thread.start()
    values = [0] * clients

    async def once(number: int) -> None:
        values[number] += 1
        done = trio.Event()
        todo.put((record(number, values[number]), done))
        await done.wait()

    took = await by_clients(clients, count, once)
    todo.put(None)
    thread.join()
    return took


def writer_thread(path: str, clients: int, count: int) -> Took:
    """Batches of records, each written and synced at once, and those who wait are woken."""
    return trio.run(_writer_thread, path, clients, count)


def in_folder(folder: Path, churns: Churns, clients: int) -> Run:
    """In a folder of its own each time."""

    def run(count: int) -> Took:
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            return churns(str(Path(inner) / "store"), clients, count)

    return run


def written(run: Run) -> Run:
    """The bytes that it hands to the system, instead of what it takes."""

    def weighed(count: int) -> float:
        before = handed_over()
        run(count)
        return handed_over() - before

    return weighed


def handed_over() -> int:
    """Bytes that this process has given to the system so far; none where it does not say."""
    try:
        lines = Path("/proc/self/io").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def contestants(folder: Path, clients: int) -> list[Contestant]:
    """All of one row."""

    def run(churns: Churns) -> Callable[[Any], Run]:
        return plain(in_folder(folder, churns, clients))

    found = [
        Contestant(name, "ours" if name == OURS else "also", run(vat_churns(make)))
        for name, make in STORES.items()
    ]
    return [
        *found,
        Contestant(FLOOR, "floor", run(writer_thread)),
        Contestant("plain append and fsync", "also", run(plain_append)),
        Contestant("sqlite, WAL, FULL", "peer", run(sqlite_commits)),
        Contestant("ZODB", "peer", run(zodb_commits), "", "ZODB"),
    ]


def rows(options: argparse.Namespace) -> list[Row]:
    """One for each number of clients."""
    bars = {1: [Bar(0.8, FLOOR)], 64: [Bar(0.5, FLOOR)]}
    found = [
        Row(
            f"Durable churns, {clients} client" + "s" * (clients > 1),
            PER_SECOND,
            contestants(options.folder, clients),
            bars.get(clients, ()),
            rounds=7,
            is_cpu_bound=False,
        )
        for clients in CLIENTS
    ]
    weights = [
        Contestant(
            name, "ours" if name == OURS else "also", plain(written(in_folder(options.folder, churns, 1)))
        )
        for name, churns in ((name, vat_churns(STORES[name])) for name in list(STORES)[:-1])
    ]
    title = f"Bytes written per change, of a record of {len(record(1, 1000))}, and opening"
    return [*found, Row(title, BYTES, weights, count=1000, rounds=1)]


if __name__ == "__main__":
    main(__doc__, rows)
