"""Opening a store of 100,000 small objects.

python benchmarks/opening.py [--quick] [--folder .] [--json FILE] [--peers none|all|a,b]

Each is opened in a process of its own. Ours is the whole store read and its objects' portraits there; the vat
has actors made of them, too. The floor is one pickle of all objects; sqlite has a pickle for each.
"""

from __future__ import annotations

import argparse
import functools
import pickle
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import trio

from _measure import BYTES, OURS, PER_SECOND, Bar, Contestant, Row, Run, Took, main
from _network import Process
from goblins_py import PersistenceEnv, actor, open_persistent_vat, spawn
from persistence import SqliteStore, SyrupStore

KEY = bytes(range(32))
STORES: dict[str, Callable[[str], Any]] = {
    OURS: SyrupStore,
    "goblins_py, encrypted": lambda path: SyrupStore(path, key=KEY),
    "goblins_py, SqliteStore": SqliteStore,
}
VAT = "goblins_py, the whole vat"


@actor
class Counter:
    """A small object."""

    name: str
    value: int = 0


class Small:
    """The same, to be pickled."""

    def __init__(self, name: str, value: int) -> None:
        self.name, self.value = name, value


def all_small(objects: int) -> dict[int, Small]:
    """All of them, by slot."""
    return {slot: Small(f"counter {slot}", slot) for slot in range(objects)}


# --- what is opened ---------------------------------------------------------------------------


async def _fill(make: Callable[[str], Any], path: str, objects: int) -> None:
    environment = PersistenceEnv(Counter)
    async with open_persistent_vat(environment, functools.partial(roots, objects), make(path)):
        pass


def roots(objects: int) -> tuple[object, ...]:
    """All of them: what no root leads to would be forgotten."""
    return tuple(spawn(Counter, f"counter {slot}", slot) for slot in range(objects))


def fill_store(name: str, path: str, objects: int) -> None:
    """A store of ours."""
    trio.run(_fill, STORES.get(name, SyrupStore), path, objects)


def fill_pickle(path: str, objects: int) -> None:
    """One pickle of all."""
    Path(path).write_bytes(pickle.dumps(all_small(objects), pickle.HIGHEST_PROTOCOL))


def fill_sqlite(path: str, objects: int) -> None:
    """A pickle for each."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE record (slot INTEGER PRIMARY KEY, data BLOB)")
        rows = ((slot, pickle.dumps(each, 5)) for slot, each in all_small(objects).items())
        database.executemany("INSERT INTO record VALUES (?, ?)", rows)
    database.close()


def fill_zodb(path: str, objects: int) -> None:
    """A persistent object each, in a tree."""
    from BTrees.IOBTree import IOBTree
    from persistent.mapping import PersistentMapping
    from ZODB import DB, FileStorage

    database = DB(FileStorage.FileStorage(path))
    with database.transaction() as connection:
        tree = connection.root()["all"] = IOBTree()
        for slot in range(objects):
            tree[slot] = PersistentMapping({"name": f"counter {slot}", "value": slot})
    database.close()


# --- how, in a process of its own ---------------------------------------------------------------


async def _open_store(name: str, path: str) -> object:
    store = STORES[name](path)
    snapshot = await store.open()
    took = time.perf_counter()
    await store.aclose()
    assert snapshot is not None
    return took


async def _open_vat(path: str) -> object:
    environment = PersistenceEnv(Counter)
    async with open_persistent_vat(environment, tuple, SyrupStore(path)):
        return time.perf_counter()


def open_pickle(path: str) -> object:
    """All of them."""
    kept = pickle.loads(Path(path).read_bytes())
    return time.perf_counter() if kept else None


def open_sqlite(path: str) -> object:
    """One by one."""
    rows = sqlite3.connect(path).execute("SELECT slot, data FROM record")
    kept = {slot: pickle.loads(data) for slot, data in rows}
    return time.perf_counter() if kept else None


def open_zodb(path: str) -> object:
    """Each touched."""
    from ZODB import DB, FileStorage

    database = DB(FileStorage.FileStorage(path), cache_size=10**7)
    kept = {slot: each["value"] for slot, each in database.open().root()["all"].items()}
    return time.perf_counter() if kept else None


OPEN: dict[str, Callable[[str], object]] = {
    VAT: functools.partial(trio.run, _open_vat),
    "pickle": open_pickle,
    "sqlite and pickle": open_sqlite,
    "ZODB": open_zodb,
    **{name: functools.partial(trio.run, _open_store, name) for name in STORES},
}
FILL: dict[str, Callable[[str, int], None]] = {
    "pickle": fill_pickle,
    "sqlite and pickle": fill_sqlite,
    "ZODB": fill_zodb,
    **{name: functools.partial(fill_store, name) for name in (VAT, *STORES)},
}


def peak() -> int:
    """Bytes of memory at most of this process so far; what `getrusage` says begins with its parent's."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def fill(pipe: Any, name: str, path: str, objects: int) -> None:
    """A process that fills: a class has another name in the script itself."""
    FILL[name](path, objects)
    pipe.send("filled")


def serve(pipe: Any, name: str, path: str) -> None:
    """The process: seconds, seconds of the processor, and bytes."""
    pipe.send("ready")
    pipe.recv()
    before, worked, start = peak(), time.process_time(), time.perf_counter()
    end = OPEN[name](path)
    pipe.send((end - start, time.process_time() - worked, peak() - before))
    pipe.recv()


def filled(folder: Path, objects: int, name: str) -> str:
    """The path of a store."""
    path = str(folder / re.sub(r"\W", "-", name))
    Process("opening", "fill", {}, name, path, objects).end()
    return path


def opened(name: str, path_of: Callable[[str], str], stack: ExitStack, *, is_weighed: bool = False) -> Run:
    """Opened each time."""
    path = path_of(name)

    def run(count: int) -> Took | float:
        process = Process("opening", "serve", {}, name, path)
        seconds, cpu, more = process.ask("open")
        process.end()
        return more if is_weighed else Took(seconds, cpu)

    return run


def rows(options: argparse.Namespace) -> list[Row]:
    """Objects per second, and memory."""
    objects = 100 if options.smoke else 10_000 if options.quick else 100_000
    folder = Path(options.stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
    path_of = functools.cache(functools.partial(filled, folder, objects))  # both rows open the same
    roles = {OURS: "ours", "pickle": "floor", "sqlite and pickle": "peer", "ZODB": "peer"}

    def contestants(*, is_weighed: bool) -> list[Contestant]:
        names = (*STORES, VAT, "pickle", "sqlite and pickle", "ZODB")
        return [
            Contestant(
                name,
                roles.get(name, "also"),
                functools.partial(opened, name, path_of, is_weighed=is_weighed),
                package="ZODB" if name == "ZODB" else "",
            )
            for name in names
        ]

    title = f"Opening {objects:,} small objects"
    speed = Row(
        title,
        PER_SECOND,
        contestants(is_weighed=False),
        [Bar(250_000), Bar(0.46, "pickle")],
        count=objects,
        rounds=3,
    )
    if not Path("/proc/self/status").exists():
        return [speed]
    memory = Row(f"{title}: most memory", BYTES, contestants(is_weighed=True), count=objects, rounds=1)
    return [speed, memory]


if __name__ == "__main__":
    main(__doc__, rows)
