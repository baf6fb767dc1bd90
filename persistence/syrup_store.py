"""A store in one file: an append-only journal of Syrup records that survives `kill -9`.

Here is the asynchronous face only: what waits for a thread, and what cancellation does. The
file's life is in `_journal` and `_opening`, its form in `_frames`, `_records` and `_sealing`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

import trio

from goblins_py.abc import Delta, Snapshot, Store
from goblins_py.errors import PersistenceError, StoreLockedError
from persistence._facts import Checkpoint, Progress, StoreFacts
from persistence._files import FileLayer
from persistence._journal import Journal, Options
from persistence._opening import open_journal
from persistence._reading import facts, read_contents, read_only
from persistence._sealing import Cost, Secret
from persistence._worker import Worker

__all__ = ["SyrupStore"]

_SLICE: Final = 1 << 15
"""Bytes that a compaction carries over between two commits."""


class SyrupStore(Store):
    """Keeps a vat's portraits in the file `path`, readable by its owner only.

    Beside it are `path.lock`, an empty file that is never removed and says nothing by being
    there, and at times `path.new`. A symbolic link is followed once, when the store is opened.

    Args:
        path: made when first opened; its directory must exist and be writable.
        min_compact: a smaller file is not compacted, in bytes. A larger one is when more than
            half of it is out of date, a piece with each commit.
        history: how many checkpoints are kept: states of the past that `at` opens. One is made before
            the first change of each run, and by the first change after `checkpoint_every` seconds of it.
            None makes none, and keeps those that are there.
        checkpoint_every: in seconds.
        key: 32 secret bytes under which all records are encrypted; the same from the first opening on.
        passphrase: or what such a key is made from.
        read_only: do not take the store, only read it, even while a vat uses it. It takes no commits.
        at: the number of a checkpoint: as `read_only`, but as it was then.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        min_compact: int = 1 << 20,
        history: int | None = None,
        checkpoint_every: float = 3600.0,
        key: bytes | None = None,
        passphrase: str | None = None,
        read_only: bool = False,
        at: int | None = None,
        _files: FileLayer | None = None,
        _clock: Callable[[], float] = time.time,
        _cost: Cost | None = None,
    ) -> None:
        if history is not None and history < 0:
            raise ValueError("history is a number of checkpoints, from 0")
        self._path = os.fspath(path)
        self._options = Options(min_compact, history, checkpoint_every, _clock)
        self._secret = Secret(key, passphrase, _cost or Cost())
        self._reads_only = read_only or at is not None
        self._at = at
        self._files = FileLayer() if _files is None else _files
        self._journal: Journal | None = None
        self._is_read = False
        self._worker = Worker()

    def __repr__(self) -> str:
        return f"SyrupStore({self._path!r})"

    @property
    def path(self) -> str:
        """As it was given."""
        return self._path

    async def open(self) -> Snapshot | None:
        """Take the store and read it; see `Store`.

        Raises:
            StoreKeyError: the key is another one, or missing; or the store is not encrypted.
            FileNotFoundError, PersistenceError: read-only, and there is no such file, or no such checkpoint.
        """
        if self._journal is not None or self._is_read:
            raise StoreLockedError(f"{self._path} is open already, by this object")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._reads_only:
            snapshot = await self._worker.do(self._read)
            self._is_read = True
        else:
            self._journal, snapshot = await self._worker.do(self._open)
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            await self.aclose()
            raise
        return snapshot

    def _open(self) -> tuple[Journal, Snapshot | None]:
        return open_journal(os.path.realpath(self._path), self._files, self._options, self._secret)

    def _read(self) -> Snapshot | None:
        with read_only(self._path, self._files, self._secret) as file:
            return read_contents(file, at=self._at).snapshot()

    async def commit(self, deltas: Sequence[Delta]) -> None:
        """Keep these changes; see `Store`.

        Raises:
            PersistenceError: the store is not open, or read-only.
        """
        journal = self._taken()
        await self._worker.do(lambda: journal.append(deltas))

    def _begin_commit(self, deltas: Sequence[Delta], told: Callable[[Exception | None], None]) -> bool:
        journal = self._journal
        return journal is not None and self._worker.begin(lambda: journal.append(deltas), told)

    async def aclose(self) -> None:
        """Let go of the store; see `Store`."""
        journal, self._journal, self._is_read = self._journal, None, False
        if journal is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._worker.do(journal.close)

    # --- beyond the contract ---

    async def checkpoint(self) -> int:
        """Keep the present state, durably; returns its number. For before something risky.

        Raises:
            ValueError: the store was opened without `history`, or holds nothing yet.
            OSError, PersistenceError: as `commit`.
        """
        journal = self._taken()
        return await self._worker.do(journal.checkpoint)

    async def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Those that `at` opens, the oldest first. The store need not be open, and may be in use.

        Raises:
            OSError, StoreCorruptError, StoreKeyError: it cannot be read.
        """
        return (await self.inspect()).checkpoints

    async def inspect(self, progress: Progress | None = None) -> StoreFacts:
        """Read the whole file, and judge it. The store need not be open, and may be in use.

        Raises:
            OSError, StoreCorruptError, StoreKeyError, VersionMismatchError: it cannot be read.
        """

        def read() -> StoreFacts:
            with read_only(self._path, self._files, self._secret) as file:
                return facts(file, progress)

        return await self._worker.do(read)

    async def compact(self, progress: Progress | None = None) -> None:
        """Rewrite the file without what is out of date, while commits go on.

        When cancelled, what is under way goes on with the commits.

        Raises:
            OSError, StoreCorruptError: it could not; the file is as before, and the store goes on.
            PersistenceError: the store is not open.
        """
        journal = self._taken()
        before = journal.compactions
        while journal.compactions == before:
            await trio.lowlevel.checkpoint_if_cancelled()
            done, total = await self._worker.do(lambda: journal.compact(_SLICE))
            if progress is not None:
                progress(done, total)

    def _taken(self) -> Journal:
        if self._is_read:
            raise PersistenceError(f"{self._path} was opened read-only: it takes no commits")
        if self._journal is None:
            raise PersistenceError("the store is not open")
        return self._journal
