"""A store in an SQLite database, by apsw: for those who want its tools, its proven format, or its backups.

Here is the asynchronous face only: the database's thread, what cancellation does, and how long a commit
may take. What is in the database is in `_sqlite`, which is imported when a store is made: apsw is optional.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
import trio

from goblins_py.abc import Delta, Snapshot, Store
from goblins_py.errors import PersistenceError, StoreLockedError
from persistence._facts import Progress, StoreFacts
from persistence._files import FileLayer

if TYPE_CHECKING:
    import apsw

    from persistence._sqlite import Database

__all__ = ["SqliteStore"]

_T = TypeVar("_T")


@attrs.define(eq=False)
class _Open:
    """An open database: its connection, which has a thread, and the lock (None: only for reading)."""

    connection: apsw.AsyncConnection
    database: Database
    lock: int | None


class SqliteStore(Store):
    """Keeps a vat's portraits in the SQLite database `path`, readable by its owner only.

    Beside it are `path.lock`, an empty file that is never removed and says nothing by being there, and
    SQLite's own `path-wal` and `path-shm`. Needs apsw: `pip install goblins_py[sqlite]`.

    Args:
        path: made when first opened; its directory must exist and be writable.
        timeout: seconds that a commit may take. What takes longer has failed, and the store with it.
        read_only: do not take the store, only read it, even while a vat uses it. It takes no commits.

    Raises:
        ModuleNotFoundError: apsw is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 60.0,
        read_only: bool = False,
        _vfs: str | None = None,
    ) -> None:
        _need_apsw()
        self._path = os.fspath(path)
        self._timeout = timeout
        self._reads_only = read_only
        self._vfs = _vfs
        self._files = FileLayer()
        self._open: _Open | None = None
        self._failure: Exception | None = None

    def __repr__(self) -> str:
        return f"SqliteStore({self._path!r})"

    @property
    def path(self) -> str:
        """As it was given."""
        return self._path

    async def open(self) -> Snapshot | None:
        """Take the store and read it; see `Store`.

        Raises:
            FileNotFoundError: read-only, and there is no such file.
        """
        if self._open is not None:
            raise StoreLockedError(f"{self._path} is open already, by this object")
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True):
            opened, snapshot = await self._take()
        self._open, self._failure = opened, None
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            await self.aclose()
            raise
        return snapshot

    async def _take(self) -> tuple[_Open, Snapshot | None]:
        path = await trio.to_thread.run_sync(os.path.realpath, self._path)
        lock = None if self._reads_only else self._files.lock(path + ".lock")
        try:
            opened = await self._connect(path, lock)
            try:
                snapshot = await opened.connection.async_run(self._first_read(opened.database))
            except BaseException:
                await opened.connection.aclose()
                raise
        except BaseException:
            if lock is not None:
                self._files.close(lock)
            raise
        return opened, snapshot

    def _first_read(self, database: Database) -> Callable[[], Snapshot | None]:
        def read() -> Snapshot | None:
            if self._reads_only:
                database.look()
            else:
                database.take()
            snapshot, _ = database.read()
            return snapshot

        return read

    async def _connect(self, path: str, lock: int | None) -> _Open:
        import apsw  # noqa: PLC0415 - optional
        from apsw import aio  # noqa: PLC0415 - optional

        from persistence._sqlite import Database, explained, make_file  # noqa: PLC0415 - needs apsw

        if lock is not None:
            await trio.to_thread.run_sync(make_file, path, self._files)
        flags = apsw.SQLITE_OPEN_READWRITE
        before = apsw.async_controller.set(cast("Any", aio.Trio))  # a class is one that makes them
        try:
            with explained(path):
                connection = await apsw.Connection.as_async(path, flags, self._vfs)
        finally:
            apsw.async_controller.reset(before)
        return _Open(connection, Database(connection, path), lock)  # type: ignore[arg-type]

    async def commit(self, deltas: Sequence[Delta]) -> None:
        """Keep these changes; see `Store`.

        Raises:
            PersistenceError: the store is not open, or read-only.
            OSError: also if it took longer than `timeout`; whether it will be kept is not known then.
        """
        opened = self._taken()
        try:
            await self._bounded(opened, lambda: opened.database.append(deltas))
        except (TypeError, ValueError):
            raise  # refused, and nothing was written
        except Exception as error:
            self._failure = error
            raise

    async def aclose(self) -> None:
        """Let go of the store; see `Store`."""
        opened, self._open = self._open, None
        if opened is None:
            await trio.lowlevel.checkpoint()
            return
        try:
            with _patient(self._timeout) as scope, suppress(Exception):
                await opened.connection.aclose()
            if scope.cancelled_caught:
                trio.lowlevel.spawn_system_task(_close_at_last, opened.connection)
        finally:
            if opened.lock is not None:
                self._files.close(opened.lock)

    # --- beyond the contract ---

    async def inspect(self, progress: Progress | None = None) -> StoreFacts:
        """Read the whole database, and judge it. The store need not be open, and may be in use.

        Raises:
            OSError, StoreCorruptError, VersionMismatchError: it cannot be read.
        """
        reader = SqliteStore(self._path, read_only=True, timeout=self._timeout, _vfs=self._vfs)
        await reader.open()
        try:
            opened = reader._taken(for_reading=True)
            found: StoreFacts = await opened.connection.async_run(lambda: opened.database.facts(progress))
            return found
        finally:
            await reader.aclose()

    async def compact(self, progress: Progress | None = None) -> None:
        """Rewrite the file without what is unused. Commits wait meanwhile.

        Raises:
            OSError: it could not; the file is as before. PersistenceError: the store is not open.
        """
        opened = self._taken()
        with trio.CancelScope(shield=True):
            await opened.connection.async_run(opened.database.vacuum)

    def _taken(self, *, for_reading: bool = False) -> _Open:
        if self._open is None:
            raise PersistenceError("the store is not open")
        if self._open.lock is None and not for_reading:
            raise PersistenceError(f"{self._path} was opened read-only: it takes no commits")
        if self._failure is not None:
            number = getattr(self._failure, "errno", None) or errno.EIO
            raise OSError(number, f"the store failed earlier ({type(self._failure).__name__}); reopen it")
        return self._open

    async def _bounded(self, opened: _Open, work: Callable[[], _T]) -> _T:
        """Do it in the database's thread, whoever cancels us, but wait for `timeout` only."""
        with _patient(self._timeout):
            try:
                result: _T = await opened.connection.async_run(work)
                return result
            except trio.TooSlowError:
                pass
        raise OSError(errno.ETIMEDOUT, f"the disk took more than {self._timeout:g} s", self._path)


def _patient(seconds: float) -> trio.CancelScope:
    """Nobody cancels what is in it, but it ends."""
    return trio.CancelScope(shield=True, deadline=trio.current_time() + seconds)


async def _close_at_last(connection: apsw.AsyncConnection) -> None:
    """Close it when the disk lets go of it; in any case its thread ends then."""
    try:
        await connection.aclose()
    except BaseException:
        connection.async_controller.close()  # type: ignore[no-untyped-call]
        raise


def _need_apsw() -> None:
    try:
        import apsw.aio  # noqa: F401, PLC0415 - optional
    except ImportError:
        text = "SqliteStore needs apsw 3.54 or newer: pip install 'goblins_py[sqlite]'"
        raise ModuleNotFoundError(text, name="apsw") from None
