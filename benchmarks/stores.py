"""What durability costs: churns per second, bytes per change, opening and compacting, beside baselines.

python benchmarks/stores.py [--seconds 3] [--rounds 3] [--objects 100000 1000000] [--folder .] [--json]

All rows of a run are measured on the same disk, in `--folder`. The baselines do the least that could be
called durable with the same records: `sqlite3` commits each change by itself (WAL, synchronous=FULL);
`writer thread` takes whatever is queued, appends it to a file with one write and one fdatasync, and wakes the
trio tasks that wait.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from goblins_py import PersistenceEnv, actor, open_persistent_vat, spawn
from goblins_py.abc import Delta, Portrait
from goblins_py.syrup import Record, Symbol, encode
from persistence import MemoryStore, SqliteStore, SyrupStore

CLIENTS = (1, 8, 64)
KEY = bytes(range(32))


@actor
class Counter:
    """A small object."""

    name: str
    value: int = 0

    def add(self, amount: int) -> int:
        """More."""
        self.value += amount
        return self.value


STORES = {
    "SyrupStore": SyrupStore,
    "SyrupStore, key": lambda path: SyrupStore(path, key=KEY),
    "SyrupStore, history": lambda path: SyrupStore(path, history=10),
    "SqliteStore": SqliteStore,
    "MemoryStore (no disk)": lambda path: MemoryStore(),
}


def record(slot: int, value: int) -> bytes:
    """What a store keeps of a counter."""
    state = {"name": f"counter {slot}", "value": value}
    return encode(Record(Symbol("portrait"), (slot, "stores.Counter", 0, state)))


def written() -> int:
    """Bytes that this process has handed to the system so far."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar"):
            return int(line.split()[1])
    return 0


# --- churns per second ---------------------------------------------------------------


async def for_a_while(
    clients: int, seconds: float, once: Callable[[int], Awaitable[object]]
) -> tuple[float, float]:
    """Each client does it again and again: times per second, and bytes written each time."""
    counts = [0] * clients
    start, before = time.perf_counter(), written()

    async def client(number: int) -> None:
        while time.perf_counter() - start < seconds:
            await once(number)
            counts[number] += 1

    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(client, number)
    return sum(counts) / (time.perf_counter() - start), (written() - before) / max(1, sum(counts))


async def vat_churns(
    make: Callable[[str], object], path: str, clients: int, seconds: float
) -> tuple[float, float]:
    """Through a whole persistent vat: send, turn, portrait, commit, answer."""

    def roots():
        return tuple(spawn(Counter, f"counter {number}") for number in range(64))

    async with open_persistent_vat(PersistenceEnv(Counter), roots, make(path)) as (vat, counters):
        return await for_a_while(clients, seconds, lambda number: vat.send(counters[number]).add(1))


async def sqlite3_commits(path: str, clients: int, seconds: float) -> tuple[float, float]:
    """One small commit after the other, of one thread; the number of clients changes nothing."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=wal")
    database.execute("PRAGMA synchronous=full")
    database.execute("CREATE TABLE record (slot INTEGER PRIMARY KEY, data BLOB)")
    count, start, before = 0, time.perf_counter(), written()
    while time.perf_counter() - start < seconds:
        slot = count % clients
        database.execute("INSERT OR REPLACE INTO record VALUES (?, ?)", (slot, record(slot, count)))
        count += 1
    took, amount = time.perf_counter() - start, written() - before
    database.close()
    return count / took, amount / count


async def writer_thread(path: str, clients: int, seconds: float) -> tuple[float, float]:
    """Batches of records, each written and synced at once, and those who wait are woken."""
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
            data = b"".join(each[0] for each in batch if each)
            end += os.pwrite(handle, data, end)
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

    result = await for_a_while(clients, seconds, once)
    todo.put(None)
    thread.join()
    return result


def rates(folder: Path, seconds: float, rounds: int) -> dict[str, dict[int, list[tuple[float, float]]]]:
    """Every row with every number of clients; rounds are interleaved, so that a busy moment hits all."""
    rows: dict[str, Callable[[str, int], tuple[float, float]]] = {
        "sqlite3 baseline": lambda path, clients: trio.run(sqlite3_commits, path, clients, seconds),
        "writer thread baseline": lambda path, clients: trio.run(writer_thread, path, clients, seconds),
    }
    for name, make in STORES.items():
        rows[name] = lambda path, clients, make=make: trio.run(vat_churns, make, path, clients, seconds)
    found = {name: {clients: [] for clients in CLIENTS} for name in rows}
    for _ in range(rounds):
        for clients in CLIENTS:
            for name, run in rows.items():
                with tempfile.TemporaryDirectory(dir=folder) as inner:
                    found[name][clients].append(run(str(Path(inner) / "store"), clients))
    return found


# --- opening and compacting -------------------------------------------------------------


async def fill(store: object, objects: int) -> None:
    """A store with so many small objects."""
    await store.open()
    await store.commit([Delta({0: Portrait("stores.Counter", 0, {"name": "first", "value": 0})},
                              vat_id=bytes(32), roots=(0,))])  # fmt: skip
    for start in range(0, objects, 50_000):
        portraits = {
            slot: Portrait("stores.Counter", 0, {"name": f"counter {slot}", "value": slot})
            for slot in range(start, min(objects, start + 50_000))
        }
        await store.commit([Delta(portraits)])
    await store.aclose()


@contextmanager
def measured(result: list[float]) -> Iterator[None]:
    """Seconds, seconds of the processor, and MiB at most that the process did not have before."""
    before, start, worked = peak(), time.perf_counter(), time.process_time()
    yield
    result += [time.perf_counter() - start, time.process_time() - worked, peak() - before]


def peak() -> float:
    """MiB at most of this process; what `getrusage` says begins with its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0


async def open_it(store: object) -> list[float]:
    """What opening costs, as `measured`."""
    result: list[float] = []
    with measured(result):
        snapshot = await store.open()
    await store.aclose()
    assert snapshot is not None
    return result


def read_by_sqlite3(path: str) -> list[float]:
    """The baseline: all blobs of the same database, and nothing made of them."""
    result: list[float] = []
    with measured(result):
        rows = sqlite3.connect(path).execute("SELECT slot, data FROM record").fetchall()
    assert rows
    return result


def in_a_process(what: str, path: str) -> list[float]:
    """`open_it` or the baseline in a process of its own, whose memory is nobody else's."""
    command = [sys.executable, __file__, "--opened", what, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def openings(folder: Path, objects: int) -> dict[str, list[float]]:
    """Each store, opened with so many objects."""
    found = {}
    for name in ("SyrupStore", "SyrupStore, key", "SqliteStore"):
        path = str(folder / f"{objects}")
        trio.run(fill, STORES[name](path), objects)
        if name == "SqliteStore":
            found["sqlite3, blobs only"] = in_a_process("sqlite3", path)
        found[name] = in_a_process(name, path)
        for left in folder.glob(f"{objects}*"):
            left.unlink()
    return found


async def compaction(path: str, objects: int) -> dict[str, float]:
    """A large store is compacted while somebody commits: how long that takes, and how long commits do."""
    store = SyrupStore(path, min_compact=1 << 40)
    await fill(store, objects)
    await store.open()
    size = (await trio.Path(path).stat()).st_size
    quiet = await latencies(store, lambda done: done > 500)
    busy: list[float] = []
    start, is_done = time.perf_counter(), False

    async def commit_on() -> None:
        busy.extend(await latencies(store, lambda _: is_done))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commit_on)
        await store.compact()
        took, is_done = time.perf_counter() - start, True
    await store.aclose()
    return {
        "MB": size / 1e6,
        "seconds": took,
        "MB/s": size / 1e6 / took,
        "commits meanwhile": len(busy),
        "median commit before, ms": 1e3 * statistics.median(quiet),
        "median commit meanwhile, ms": 1e3 * statistics.median(busy),
        "longest commit meanwhile, ms": 1e3 * max(busy),
    }


async def latencies(store: SyrupStore, is_enough: Callable[[int], bool]) -> list[float]:
    """Of one small commit after the other."""
    found: list[float] = []
    while not is_enough(len(found)):
        start = time.perf_counter()
        await store.commit([Delta({1: Portrait("stores.Counter", 0, {"name": "one", "value": len(found)})})])
        found.append(time.perf_counter() - start)
    return found


# --- the report ----------------------------------------------------------------------------


def print_rates(found: dict[str, dict[int, list[tuple[float, float]]]]) -> None:
    """Medians, and ratios to both baselines."""
    print("durable churns per second, medians; (x sqlite3, x writer thread of the same column)")
    middle = {
        name: {c: statistics.median(r for r, _ in each[c]) for c in CLIENTS} for name, each in found.items()
    }
    print(
        f"{'':24}" + "".join(f"{clients:>16} clients" for clients in CLIENTS) + "   bytes per change (1, 64)"
    )
    bases = list(middle.values())[:2]
    for name, row in middle.items():
        cells = [f"{row[c]:9,.0f} ({row[c] / bases[0][c]:5.2f} {row[c] / bases[1][c]:5.2f})" for c in CLIENTS]
        amount = [statistics.median(size for _, size in found[name][c]) for c in (CLIENTS[0], CLIENTS[-1])]
        print(f"{name:24} {' '.join(cells)}   {amount[0]:7,.0f} {amount[1]:7,.0f}")
    print(f"the record itself has {len(record(1, 1000))} bytes")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="What durability costs")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--objects", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--opened", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.opened:
        what, path = options.opened
        print(
            json.dumps(read_by_sqlite3(path) if what == "sqlite3" else trio.run(open_it, STORES[what](path)))
        )
        return
    found = rates(options.folder, options.seconds, options.rounds)
    with tempfile.TemporaryDirectory(dir=options.folder) as inner:
        opened = {objects: openings(Path(inner), objects) for objects in options.objects}
        compacted = trio.run(compaction, str(Path(inner) / "large"), max([1000, *options.objects[:1]]))
    if options.json:
        print(json.dumps({"rates": found, "openings": opened, "compaction": compacted}))
        return
    print_rates(found)
    for objects, each in opened.items():
        print(f"\nopening {objects:,} small objects")
        base = each["sqlite3, blobs only"][1]
        for name, (took, worked, more) in each.items():
            costs = f"{took:8.2f} s, {worked:8.2f} s of CPU ({worked / base:6.1f})"
            print(f"{name:24} {costs}  {more:8,.0f} MiB more")
    print("\ncompaction, with commits going on")
    for word, value in compacted.items():
        print(f"{word:30} {value:10,.2f}")


if __name__ == "__main__":
    main()
