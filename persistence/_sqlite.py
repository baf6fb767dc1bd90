"""A store's SQLite database: opened, read, written, compacted. Blocking; runs in the database's own thread.

Two tables, of the records that all stores keep (`_records`), each with the CRC32 of its slot and bytes:
SQLite finds damage to its own structure, but not to what it keeps. The database is in WAL mode with
synchronous=FULL, so a commit is one write and one sync of the log. Who writes holds the lock on `path.lock`;
who only reads takes none, and SQLite gives him one state, whatever is committed meanwhile.

Only here, and in what opens the connection, is apsw used.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast
from zlib import crc32

import apsw
import attrs

from goblins_py.abc import Delta, Portrait, Snapshot
from goblins_py.actors import without_gc
from goblins_py.errors import StoreCorruptError, SyrupEncodeError, VersionMismatchError
from persistence._facts import Progress, StoreFacts
from persistence._files import FileLayer
from persistence._records import (
    GRAPH_KEY,
    Change,
    Graph,
    PortraitRecord,
    RecordError,
    RecordReader,
    encode_change,
    merge,
)

__all__ = ["APPLICATION_ID", "Database", "explained", "make_file"]

APPLICATION_ID: Final = int.from_bytes(b"gobl", "big")
_VERSION: Final = 1
_BUSY: Final = 5000
_SLOTS: Final = 1 << 63
_LOG_SIZE: Final = 1 << 23
"""Bytes of the log's file that stay for the next commits; it grows beyond for a large one."""
_SPARE: Final = 64
"""Unused pages that are worth no work."""
_PIECE: Final = 256
"""Pages that a commit gives back at most, so that it takes bounded time."""

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE record (slot INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
"""The graph's record is at slot -1."""

_ALL: Final = "SELECT slot, crc, data FROM record ORDER BY slot"
_PUT: Final = "INSERT OR REPLACE INTO record VALUES (?, ?, ?)"
_DROP: Final = "DELETE FROM record WHERE slot = ?"


def make_file(path: str, files: FileLayer) -> None:
    """Make an empty file that only its owner may read, unless there is one; the others get its mode."""
    try:
        files.close(files.create(path))
    except FileExistsError:
        return
    files.sync_directory(path)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """SQLite's errors as those of a store. None of their texts holds anything of a record."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError) as error:
        raise StoreCorruptError(f"the database is damaged, or is none: {error}") from None
    except (apsw.SQLError, apsw.MismatchError, apsw.TooBigError) as error:
        # Our statements fit our own tables.
        raise StoreCorruptError(f"this is not a goblins store's database: {error}") from None
    except UnicodeDecodeError:  # its text would say what is there
        raise StoreCorruptError("the database is damaged: a text that is no UTF-8") from None
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError,
            apsw.BusyError, apsw.LockedError, apsw.ProtocolError, apsw.NoMemError) as error:  # fmt: skip
        number = _NUMBERS.get(type(error), errno.EIO)
        raise OSError(number, f"{os.strerror(number)} ({error})", path) from None


_NUMBERS: Final = {
    apsw.FullError: errno.ENOSPC,
    apsw.ReadOnlyError: errno.EROFS,
    apsw.PermissionsError: errno.EACCES,
    apsw.BusyError: errno.EBUSY,
    apsw.LockedError: errno.EBUSY,
    apsw.NoMemError: errno.ENOMEM,
}


@attrs.define(eq=False)
class Database:
    """An open database. Only its own thread may call its methods.

    Attributes:
        connection: to it. path: of its file.
        graph: what the store holds beside portraits; None if it is new.
    """

    connection: apsw.Connection
    path: str
    graph: Graph | None = attrs.field(default=None, init=False, repr=False)
    _identity: tuple[int, int] | None = attrs.field(default=None, init=False)

    def take(self) -> None:
        """Make ready for writing; a new database gets its table. All that is read later is durable.

        Raises:
            StoreCorruptError, VersionMismatchError, OSError.
        """
        with explained(self.path):
            connection = self.connection
            self._distrust()
            is_new = self._is_new()
            if is_new:
                connection.pragma("auto_vacuum", 2)
            connection.pragma("journal_mode", "wal")
            connection.pragma("journal_size_limit", _LOG_SIZE)
            connection.pragma("synchronous", "full")
            connection.pragma("fullfsync", True)
            connection.pragma("checkpoint_fullfsync", True)
            if is_new:
                connection.execute(_SCHEMA)
            # A process that was killed may have left commits in the page cache only: this syncs them.
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
            self._give_back()
        self._identity = self._found()

    def look(self) -> None:
        """Make ready for reading only, and check that this is a store."""
        with explained(self.path):
            self._distrust()
            self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self.connection.pragma("query_only", True)
            self._is_new()

    def _distrust(self) -> None:
        """Nothing that somebody wrote into the file as a view or a trigger is run."""
        self.connection.set_busy_timeout(_BUSY)
        for unused in (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER):
            self.connection.config(unused, 0)

    def _is_new(self) -> bool:
        """Whether there is nothing in it yet; and it is no other database, nor damaged."""
        pragma = self.connection.pragma
        found, version = cast("int", pragma("application_id")), cast("int", pragma("user_version"))
        tables = self.connection.execute("SELECT count(*) FROM sqlite_schema").get
        if (found, version, tables) == (0, 0, 0):
            return True
        if found != APPLICATION_ID:
            raise StoreCorruptError("this is not a goblins store, but another database")
        if version > _VERSION:
            raise VersionMismatchError(
                f"the store has format version {version}; this program reads up to version {_VERSION}"
            )
        verdict = pragma("quick_check", 1)
        if verdict != "ok":
            raise StoreCorruptError(f"the database is damaged: {verdict}")
        return False

    def _give_back(self, *, most: int = 0, spare: int = 0) -> bool:
        """A file of which more than half is unused becomes smaller. Says whether it did and is done.

        Args:
            most: pages to give back; 0 is all. spare: so many unused pages are left alone.
        """
        if not self._is_wasteful(spare):
            return False
        self.connection.execute(f"PRAGMA incremental_vacuum({most})").fetchall()
        return not self._is_wasteful(spare)

    def _is_wasteful(self, spare: int) -> bool:
        pragma = self.connection.pragma
        free, pages = cast("int", pragma("freelist_count")), cast("int", pragma("page_count"))
        return free > spare and 2 * free > pages

    def _found(self) -> tuple[int, int] | None:
        try:
            status = Path(self.path).stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    # --- reading ---

    def read(self, progress: Progress | None = None) -> tuple[Snapshot | None, dict[int, int]]:
        """What it holds, and slot to bytes of the record.

        Raises:
            StoreCorruptError: damaged.
        """
        portraits, sizes, reader = dict[int, Portrait](), dict[int, int](), RecordReader()
        done, total = 0, Path(self.path).stat().st_size
        graph: Graph | None = None
        with explained(self.path), without_gc():
            if self._is_new():
                return None, sizes
            for slot, crc, data in self.connection.execute(_ALL):
                record = _read(reader, slot, crc, data)
                if isinstance(record, Graph):
                    graph = record
                else:
                    portraits[slot], sizes[slot] = record[1], len(data)
                done += len(data)
                if progress is not None:
                    progress(min(done, total), total)
        self.graph = graph
        if graph is None:
            if portraits:
                raise StoreCorruptError("the store is damaged: it does not know its vat")
            return None, sizes
        return Snapshot(graph.vat_id, graph.roots_version, graph.roots, portraits), sizes

    def facts(self, progress: Progress | None = None) -> StoreFacts:
        """Read and judge all of it; see `read`."""
        with self.connection:
            snapshot, sizes = self.read(progress)
        files = [Path(self.path), Path(self.path + "-wal")]
        return StoreFacts(
            kind="sqlite",
            version=_VERSION,
            encryption="none",
            size=sum(path.stat().st_size for path in files if path.exists()),
            live=sum(sizes.values()),
            unfinished=0,
            snapshot=snapshot,
            sizes=sizes,
        )

    # --- writing ---

    def append(self, deltas: Sequence[Delta]) -> None:
        """Make the deltas durable, all or (if we crash) none.

        Raises:
            SyrupEncodeError, ValueError: a delta cannot be stored; nothing was written.
            OSError: it could not be written.
        """
        change = merge(deltas, self.graph)
        if any(slot >= _SLOTS for slot in (*change.portraits, *change.removed)):
            raise SyrupEncodeError("a slot that is no number of 63 bits")
        records = encode_change(change)
        if not records:
            return
        rows = [(slot, _crc(slot, data), data) for slot, data in records if slot is not None]
        with explained(self.path):
            self._write(rows, change)
        self.graph = change.graph or self.graph
        if self._found() != self._identity:
            raise OSError(f"store {self.path} was removed or replaced while it was in use")

    def _write(self, rows: Sequence[tuple[int, int, bytes]], change: Change) -> None:
        """One transaction, so that what is given back costs no sync of its own."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_PUT, rows)
            if change.removed:
                connection.executemany(_DROP, [(slot,) for slot in change.removed])
            is_smaller = self._give_back(most=_PIECE, spare=_SPARE)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if is_smaller:
            with suppress(apsw.Error):  # the commit is durable; a later checkpoint does it
                connection.wal_checkpoint()

    def vacuum(self) -> None:
        """Rewrite the whole file without what is unused."""
        with explained(self.path):
            self.connection.execute("VACUUM")
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _crc(slot: int, data: bytes) -> int:
    return crc32(data, crc32(b"%d" % slot))


def _read(reader: RecordReader, slot: object, crc: object, data: object) -> Graph | PortraitRecord:
    if not isinstance(slot, int) or not isinstance(data, bytes):
        raise StoreCorruptError("the store is damaged: a row with values of the wrong kind")
    if _crc(slot, data) != crc:
        raise StoreCorruptError(f"the store is damaged: the record of slot {slot}")
    try:
        record = reader.read(data)
    except RecordError as error:
        raise StoreCorruptError(f"the store is damaged: {error}, at slot {slot}") from None
    if isinstance(record, Graph) and slot == GRAPH_KEY:
        return record
    if isinstance(record, tuple) and slot == record[0]:
        return record
    raise StoreCorruptError(f"the store is damaged: another record is at slot {slot}")
