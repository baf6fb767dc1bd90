"""Stores by what the command line says of them: which kind, and what opens them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from goblins_py.cli._failure import ExitCode, Failure, one_line
from goblins_py.cli._secret import Unlocking, ask_for, read_unlocking
from goblins_py.errors import PersistenceError, StoreLockedError
from persistence import SqliteStore, SyrupStore, recognise

__all__ = ["AnyStore", "Target", "kept_store", "kind_by_name", "store_errors"]

AnyStore: TypeAlias = SyrupStore | SqliteStore

_SQLITE_NAMES: Final = frozenset({".sqlite", ".sqlite3", ".db"})


@attrs.frozen
class Target:
    """A store, and what opens it."""

    path: str
    kind: str
    unlocking: Unlocking

    @classmethod
    def named(cls, path: str, key: str | None, passphrase: str | None) -> Target:
        """One that there is, from the command line. Raises `Failure`."""
        if not Path(path).is_file():
            raise Failure(ExitCode.USAGE, f"there is no file {path}")
        with store_errors(path):
            found = recognise(path)
        unlocking = read_unlocking(key, passphrase)
        if found.encryption in {"key", "passphrase"} and not unlocking:
            unlocking = ask_for(found.encryption, path)
        return cls(path, found.name, unlocking)

    def store(self, **options: Any) -> AnyStore:
        """An object for it; options are SyrupStore's, or those that both have. Raises `Failure`."""
        if self.kind == "syrup":
            key, passphrase = self.unlocking.key, self.unlocking.passphrase
            return SyrupStore(self.path, key=key, passphrase=passphrase, **options)
        if options.pop("at", None) is not None:
            raise Failure(ExitCode.USAGE, f"{self.path} has no checkpoints: it is an SQLite database")
        if options.pop("history", 0):
            raise Failure(ExitCode.USAGE, f"{self.path} keeps no past states: it is an SQLite database")
        if self.unlocking:
            raise Failure(ExitCode.USAGE, f"{self.path}: SQLite stores are not encrypted")
        try:
            return SqliteStore(self.path, **options)
        except ModuleNotFoundError as error:
            raise Failure(ExitCode.BROKEN, str(error)) from None


def kind_by_name(path: str) -> str:
    """What a new store of this name is."""
    return "sqlite" if Path(path).suffix in _SQLITE_NAMES else "syrup"


def kept_store(path: str, key: str | None, passphrase: str | None, *, history: int | None = None) -> AnyStore:
    """What a vat is kept in: the store that is there, or a new one.

    Args:
        key, passphrase: where they are found, as in `SOURCES`; a new store is encrypted with them.
        history: how many checkpoints it keeps; None leaves those that are there.

    Raises:
        Failure: it is no store, or cannot be opened so.
    """
    if Path(path).is_file():
        return Target.named(path, key, passphrase).store(history=history)
    unlocking = read_unlocking(key, passphrase, is_new=True)
    return Target(path, kind_by_name(path), unlocking).store(history=history)


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Errors of stores as one line."""
    try:
        yield
    except StoreLockedError:
        raise Failure(ExitCode.BROKEN, f"{what}: it is in use by another process") from None
    except (PersistenceError, OSError) as error:
        raise Failure(ExitCode.BROKEN, f"{what}: {one_line(error)}") from None
