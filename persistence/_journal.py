"""One store's journal file: appended to, compacted. Blocking; runs in a worker thread.

Only here is decided in which order things become durable:

- a commit is one write and one sync of one frame; it has happened when the sync returned;
- on open, file and directory are synced before anybody is told what they hold: what a killed
  process wrote may be in the page cache only, and must not be lost after it was believed;
- a new file (the first, or a compacted one) is whole and synced before it gets the store's
  name, and nothing is appended to it before that name is durable;
- after a failed write or sync, or where it is unknown which file bears the name, the journal
  has *failed* and takes nothing more.

Compaction is spread over the commits: each carries over a few times as much as it wrote, so that it
keeps up, and none waits for all of it (`_compaction`).

It must not know trio, nor what a portrait looks like (`_records`), nor what a frame looks like
(`_frames`).
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

import attrs

from goblins_py.abc import Delta
from goblins_py.errors import StoreCorruptError
from persistence._compaction import Compaction
from persistence._files import FileLayer
from persistence._frames import VERSION
from persistence._index import Drop, Extent, Index, Op, Put, Stamp
from persistence._new_file import NewFile, Sealing, start_new_file
from persistence._records import CheckpointRecord, Graph, encode_change, encode_checkpoint, merge
from persistence._sealing import Vault

__all__ = ["REWRITE", "Journal", "Options"]

_log = logging.getLogger(__name__)

_SLICE: Final = 8 << 10
"""The least that a commit carries over while a compaction is under way, in bytes."""
_PACE: Final = 4
"""Or this many times what it wrote."""
REWRITE: Final = 1 << 20
"""What a compaction that nobody else waits for carries over at a time."""


@attrs.frozen
class Options:
    """What the user chose.

    Attributes:
        min_compact: the smallest file that is compacted, in bytes.
        history: how many checkpoints are kept; None: those that are there, and none are made.
        checkpoint_every: seconds of a run after which the next commit makes one.
        clock: seconds since 1970.
    """

    min_compact: int = 1 << 20
    history: int | None = None
    checkpoint_every: float = 3600.0
    clock: Callable[[], float] = time.time


@attrs.define(eq=False)
class Journal:
    """An open journal, locked for us.

    Attributes:
        path: of the file. files: how to work on it.
        lock, handle: of the lock file and of the journal.
        vault: how this and later files are sealed. sealing: how this one is.
        index: where each record is. graph: what the store holds beside portraits; None if it is new.
        end: where the next frame goes, in bytes.
        compact_from: the file's size from which on compaction is considered, in bytes.
        compactions: how many were completed. compaction: the one under way.
        failure: why nothing more is taken.
    """

    path: str
    files: FileLayer
    lock: int
    handle: int
    vault: Vault = attrs.field(kw_only=True)
    sealing: Sealing = attrs.field(kw_only=True, repr=False)
    index: Index = attrs.field(kw_only=True)
    graph: Graph | None = attrs.field(kw_only=True, repr=False)
    end: int = attrs.field(kw_only=True)
    options: Options = attrs.field(kw_only=True)
    compact_from: int = attrs.field(init=False)
    compactions: int = attrs.field(default=0, init=False)
    compaction: Compaction | None = attrs.field(default=None, init=False)
    failure: Exception | None = attrs.field(default=None, init=False)
    _marked_at: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.compact_from = self.options.min_compact

    def append(self, deltas: Sequence[Delta]) -> None:
        """Make the deltas durable, all or (if we crash) none; then compact a little if it is worth it.

        Raises:
            SyrupEncodeError, ValueError: a delta cannot be stored; nothing was written.
            OSError: it could not be written, now or earlier; the journal has failed.
        """
        self._expect_sound()
        change = merge(deltas, self.graph)
        records = encode_change(change)
        if not records:
            return
        self._renew()
        stamp = self._due_stamp()
        stamps = [] if stamp is None else [encode_checkpoint(stamp.checkpoint)]
        extents = self._write([*stamps, *(record for _, record in records)])
        if stamp is not None:
            self._note(stamp)
            extents = extents[1:]
        self.graph = change.graph or self.graph
        for (key, _), extent in zip(records, extents, strict=True):
            if key is not None:
                self._put(key, extent)
        if change.removed:
            self._note(Drop(tuple(sorted(change.removed))))
        self._tend(sum(extent.length for extent in extents))

    def checkpoint(self) -> int:
        """Keep the present state; the number that it has from now on.

        Raises:
            ValueError: the store keeps none, or holds nothing yet. OSError: as in `append`.
        """
        self._expect_sound()
        if not self.options.history:
            raise ValueError("this store keeps no checkpoints: open it with history=N")
        if self.graph is None:
            raise ValueError("a store that holds nothing has no state to keep")
        self._renew()
        self._marked_at = self.options.clock()
        stamp = self._next_stamp(self._marked_at)
        self._write([encode_checkpoint(stamp.checkpoint)])
        self._note(stamp)
        return stamp.checkpoint.number

    def close(self) -> None:
        """Let go of file and lock."""
        if self.compaction is not None:
            self.compaction.new.discard()
        try:
            self.files.close(self.handle)
        finally:
            self.files.close(self.lock)

    def _expect_sound(self) -> None:
        if self.failure is not None:
            number = getattr(self.failure, "errno", None) or errno.EIO
            raise OSError(number, f"the store failed earlier ({type(self.failure).__name__}); reopen it")

    def _renew(self) -> None:
        """A file of an old format cannot take all records of this one: the first commit makes a new file.

        Not before: who opens a store and cannot use it leaves it for the program that wrote it.
        """
        try:
            while self.sealing.header.version < VERSION:
                self.compact(REWRITE)
        except Exception as error:
            self.failure = self.failure or error
            raise

    def _write(self, records: Sequence[bytes]) -> list[Extent]:
        """One frame, durable; or fail for good. Returns where in the file the records are."""
        data, extents = self.sealing.frame(records, self.end)
        try:
            self.files.write(self.handle, self.end, data)
            self.files.sync(self.handle)
            if not self.files.is_at(self.handle, self.path):
                raise OSError(f"store {self.path} was removed or replaced while it was in use")
        except Exception as error:
            self._fail(error)
            raise
        self.end += len(data)
        return extents

    def _fail(self, error: Exception) -> None:
        """Take nothing more. The cut also drops pages that the system only pretends to have written."""
        self.failure = error
        try:
            self.files.truncate(self.handle, self.end)
        except OSError:
            _log.warning("store %s: an unfinished commit could not be cut off", self.path)

    def _put(self, key: int, extent: Extent) -> None:
        self.index.put(key, *extent)
        if self.compaction is not None:
            self.compaction.note(Put(key, extent))

    def _note(self, op: Op) -> None:
        self.index.apply(op)
        if self.compaction is not None:
            self.compaction.note(op)

    # --- checkpoints ---

    def _due_stamp(self) -> Stamp | None:
        """A checkpoint before the first change of a run, and then now and then."""
        if not self.options.history:
            return None
        marked, now = self._marked_at, self.options.clock()
        if marked is not None and now - marked < self.options.checkpoint_every:
            return None
        self._marked_at = now
        if self.graph is None or self.index.is_at_checkpoint:
            return None
        return self._next_stamp(now)

    def _next_stamp(self, now: float) -> Stamp:
        last = self.index.last
        return Stamp(CheckpointRecord(last.number + 1 if last else 1, max(0, int(now))))

    # --- compaction ---

    def compact(self, budget: int) -> tuple[int, int]:
        """Go on with a compaction, or begin one: about `budget` bytes. What is done, and all, in bytes.

        `compactions` tells when it is complete. Commits may come between the steps.

        Raises:
            OSError, StoreCorruptError: it was given up; the old file goes on, unless the journal has failed.
        """
        self._expect_sound()
        compaction = self.compaction
        try:
            if compaction is None:
                compaction = self.compaction = self._begin()
            is_done = compaction.step(budget)
            if is_done:
                compaction.new.sync()
        except Exception:
            self._give_up()
            raise
        if is_done:
            self._adopt(compaction.new)
        return compaction.done, compaction.total

    def needs_rewriting(self) -> bool:
        """Whether to compact before any use: more than three quarters are out of date."""
        waste = self.end - self.index.live
        is_large = self.end > self.options.min_compact and waste > 3 * self.index.live
        return is_large and self.sealing.header.version == VERSION

    def _tend(self, written: int) -> None:
        """After each commit: a piece of a compaction, if one is under way or worth it."""
        if self.compaction is None and not self._is_worth_compacting():
            return
        try:
            self.compact(max(_SLICE, _PACE * written))
        except Exception as error:  # noqa: BLE001 -- whatever it was, the commit stands
            if self.failure is None:
                self.put_off_compaction(error)

    def _is_worth_compacting(self) -> bool:
        return self.end > self.compact_from and self.end - self.index.live > self.index.live

    def _begin(self) -> Compaction:
        new = start_new_file(self.files, self.path, self.vault, keep=self.options.history)
        return Compaction.begin(new, self.index, self._read)

    def _read(self, extent: Extent) -> bytes:
        """A live record, checked: rot must not get a new checksum."""
        stored = self.files.read(self.handle, extent.offset, extent.length)
        if crc32(stored) != extent.checksum:
            raise StoreCorruptError("a record was damaged since the store was opened", extent.offset)
        record, _ = self.sealing.cipher.unseal(stored, extent.offset)
        return record

    def _give_up(self) -> None:
        compaction, self.compaction = self.compaction, None
        if compaction is not None:
            compaction.new.discard()

    def put_off_compaction(self, error: Exception) -> None:
        """Try again when the file has grown by half, and not at each commit."""
        self.compact_from = self.end + max(self.end // 2, self.options.min_compact)
        _log.warning("store %s: not compacted, the old journal goes on: %s", self.path, error)

    def _adopt(self, new: NewFile) -> None:
        """Give the new file, which is whole and synced, the store's name."""
        self.compaction = None
        try:
            self.files.replace(new.path, self.path)
            self.files.sync_directory(self.path)
        except OSError as error:
            self._undo_replacement(new, error)
            raise
        old, self.handle = self.handle, new.handle
        self.sealing, self.end, self.index = new.sealing, new.end, new.index
        self.compact_from = self.options.min_compact
        self.compactions += 1
        self.files.close(old)

    def _undo_replacement(self, new: NewFile, error: OSError) -> None:
        """The new file may or may not bear the name. Go on only where the old one surely does."""
        self.files.close(new.handle)
        try:
            is_ours = self.files.is_at(self.handle, self.path)
        except OSError:
            is_ours = False
        if not is_ours:
            self.failure = error
            _log.error("store %s: its name in the directory may not be durable: %s", self.path, error)
