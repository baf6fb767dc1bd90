"""Every kind of store that there is, by name: what tests of all stores run over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from goblins_py.abc import Store
from persistence import MemoryStore, SqliteStore, SyrupStore
from persistence._sealing import Cost

KEY = bytes(range(32))
CHEAP = Cost(passes=1, memory=8192)
"""A passphrase in no time, and as safe as that."""


def memory(_: Path) -> Callable[[], Store]:
    store = MemoryStore()
    return lambda: store


def syrup(**options: object) -> Callable[[Path], Callable[[], Store]]:
    return lambda folder: lambda: SyrupStore(folder / "vat.syrup", **options)


def one_syrup_object(folder: Path) -> Callable[[], Store]:
    store = SyrupStore(folder / "vat.syrup")
    return lambda: store


def sqlite(folder: Path) -> Callable[[], Store]:
    return lambda: SqliteStore(folder / "vat.sqlite")


def one_sqlite_object(folder: Path) -> Callable[[], Store]:
    store = SqliteStore(folder / "vat.sqlite")
    return lambda: store


STORES: Mapping[str, Callable[[Path], Callable[[], Store]]] = {
    "memory": memory,
    "syrup": syrup(),
    "syrup, one object": one_syrup_object,
    "syrup, always compacting": syrup(min_compact=0),
    "syrup, with history": syrup(history=3, min_compact=0, checkpoint_every=0),
    "syrup, with a key": syrup(key=KEY, min_compact=0),
    "syrup, with a passphrase": syrup(passphrase="open sesame", _cost=CHEAP),
    "syrup, with a key and history": syrup(key=KEY, history=2, min_compact=0, checkpoint_every=0),
    "sqlite": sqlite,
    "sqlite, one object": one_sqlite_object,
}
"""Name to what, given a folder, makes a function that makes stores on the same storage."""
