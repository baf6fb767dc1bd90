"""A store in one file: an append-only journal of Syrup records that survives `kill -9`.

Here is the asynchronous face only: what waits for a thread, and what cancellation does. The
file's life is in `_journal` and `_opening`, its form in `_frames` and `_records`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from goblins_py.abc import Delta, Snapshot, Store
from goblins_py.errors import PersistenceError, StoreLockedError
from persistence._files import FileLayer
from persistence._journal import Journal
from persistence._opening import open_journal

__all__ = ["SyrupStore"]

_T = TypeVar("_T")


class SyrupStore(Store):
    """Keeps a vat's portraits in the file `path`, readable by its owner only.

    Beside it are `path.lock`, an empty file that is never removed and says nothing by being
    there, and at times `path.new`. A symbolic link is followed once, when the store is opened.

    Args:
        path: made when first opened; its directory must exist and be writable.
        min_compact: a smaller file is not compacted, in bytes. A larger one is when more than
            half of it is out of date; the commit that finds this takes that much longer.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        min_compact: int = 1 << 20,
        _files: FileLayer | None = None,
    ) -> None:
        self._path = os.fspath(path)
        self._min_compact = min_compact
        self._files = FileLayer() if _files is None else _files
        self._journal: Journal | None = None
        self._worker = trio.CapacityLimiter(1)  # our own: no other blocking work delays a commit

    def __repr__(self) -> str:
        return f"SyrupStore({self._path!r})"

    async def open(self) -> Snapshot | None:
        """Take the store and read it; see `Store`."""
        if self._journal is not None:
            raise StoreLockedError(f"{self._path} is open already, by this object")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._journal, snapshot = await self._in_thread(self._open)
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            await self.aclose()
            raise
        return snapshot

    def _open(self) -> tuple[Journal, Snapshot | None]:
        path = os.path.realpath(self._path)
        return open_journal(path, self._files, min_compact=self._min_compact)

    async def commit(self, deltas: Sequence[Delta]) -> None:
        """Keep these changes; see `Store`."""
        journal = self._journal
        if journal is None:
            raise PersistenceError("the store is not open")
        await self._in_thread(lambda: journal.append(deltas))

    async def aclose(self) -> None:
        """Let go of the store; see `Store`."""
        journal, self._journal = self._journal, None
        if journal is None:
            await trio.lowlevel.checkpoint()
        else:
            await self._in_thread(journal.close)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Do blocking work, and wait for its outcome whoever cancels us."""
        with trio.CancelScope(shield=True):
            result = await trio.to_thread.run_sync(work, abandon_on_cancel=False, limiter=self._worker)
        return result  # noqa: RET504 -- within the scope, mypy would miss a return
