"""One store's journal file: opened, appended to, compacted. Blocking; runs in a worker thread.

Only here is decided in which order things become durable:

- a commit is one write and one sync of one frame; it has happened when the sync returned;
- on open, file and directory are synced before anybody is told what they hold: what a killed
  process wrote may be in the page cache only, and must not be lost after it was believed;
- a new file (the first, or a compacted one) is whole and synced before it gets the store's
  name, and nothing is appended to it before that name is durable;
- after a failed write or sync, or where it is unknown which file bears the name, the journal
  has *failed* and takes nothing more.

It must not know trio, nor what a portrait looks like (`_records`), nor what a frame looks like
(`_frames`).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Sequence
from zlib import crc32

import attrs

from goblins_py.abc import Delta
from goblins_py.errors import StoreCorruptError
from persistence._files import FileLayer
from persistence._frames import FileHeader, frame
from persistence._new_file import Extent, NewFile, write_new_file
from persistence._records import Change, Graph, KeyedRecord, encode_change, join_records, merge

__all__ = ["Journal"]

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Journal:
    """An open journal, locked for us.

    Attributes:
        path: of the file. files: how to work on it.
        lock, handle: of the lock file and of the journal.
        header: the file's first line. end: where the next frame goes, in bytes.
        min_compact: the smallest file that is compacted, in bytes.
        graph: what the store holds beside portraits; None if it is new.
        extents: slot, or `GRAPH_KEY`, to where its record is.
        live: the bytes of those records.
        compact_from: the file's size from which on compaction is considered, in bytes.
        failure: why nothing more is taken.
    """

    path: str
    files: FileLayer
    lock: int
    handle: int
    header: FileHeader = attrs.field(repr=False, kw_only=True)
    min_compact: int = attrs.field(kw_only=True)
    end: int = attrs.field(init=False)
    graph: Graph | None = attrs.field(default=None, init=False, repr=False)
    extents: dict[int, Extent] = attrs.field(factory=dict, init=False, repr=False)
    live: int = attrs.field(default=0, init=False)
    compact_from: int = attrs.field(init=False)
    failure: Exception | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.end = len(self.header.line)
        self.compact_from = self.min_compact

    def append(self, deltas: Sequence[Delta]) -> None:
        """Make the deltas durable, all or (if we crash) none, then compact if it is worth it.

        Raises:
            SyrupEncodeError, ValueError: a delta cannot be stored; nothing was written.
            OSError: it could not be written, now or earlier; the journal has failed.
        """
        if self.failure is not None:
            number = getattr(self.failure, "errno", None) or errno.EIO
            raise OSError(number, f"the store failed earlier ({type(self.failure).__name__}); reopen it")
        change = merge(deltas, self.graph)
        records = encode_change(change)
        if not records:
            return
        payload, starts = join_records(record for _, record in records)
        base = self._write(payload)
        self._note(change, records, [base + start for start in starts])
        if self._is_worth_compacting():
            self._compact()

    def close(self) -> None:
        """Let go of file and lock."""
        try:
            self.files.close(self.handle)
        finally:
            self.files.close(self.lock)

    def _write(self, payload: bytes) -> int:
        """One frame, durable; or fail for good. Returns where in the file the payload starts."""
        data = frame(payload, self.end, self.header.seed)
        try:
            self.files.write(self.handle, self.end, data)
            self.files.sync(self.handle)
            if not self.files.is_at(self.handle, self.path):
                raise OSError(f"store {self.path} was removed or replaced while it was in use")
        except Exception as error:
            self._fail(error)
            raise
        self.end += len(data)
        return self.end - len(payload)

    def _fail(self, error: Exception) -> None:
        """Take nothing more. The cut also drops pages that the system only pretends to have written."""
        self.failure = error
        try:
            self.files.truncate(self.handle, self.end)
        except OSError:
            _log.warning("store %s: an unfinished commit could not be cut off", self.path)

    def _note(self, change: Change, records: Sequence[KeyedRecord], offsets: Sequence[int]) -> None:
        """Update the index: `records` are in the file, at `offsets`."""
        if change.graph is not None:
            self.graph = change.graph
        for slot in change.removed:
            self.forget(slot)
        for (key, record), offset in zip(records, offsets, strict=True):
            if key is not None:
                self.place(key, Extent(offset, len(record), crc32(record)))

    def place(self, key: int, extent: Extent) -> None:
        """The record of `key` is there from now on."""
        self.forget(key)
        self.extents[key] = extent
        self.live += extent.length

    def forget(self, key: int) -> None:
        """There is no such record any more."""
        extent = self.extents.pop(key, None)
        if extent is not None:
            self.live -= extent.length

    # --- compaction ---

    def _is_worth_compacting(self) -> bool:
        return self.end > self.compact_from and self.end - self.live > self.live

    def _compact(self) -> None:
        """Replace the file by one of live records only; if that fails, go on with this one."""
        try:
            new = write_new_file(self.files, self.path, self._live_records())
        except Exception as error:  # noqa: BLE001 -- whatever it was, the old journal is whole
            self._put_off_compaction(error)
            return
        try:
            self.files.replace(new.path, self.path)
            self.files.sync_directory(self.path)
        except OSError as error:
            self._undo_replacement(new, error)
        else:
            self._switch_to(new)

    def _live_records(self) -> Iterator[KeyedRecord]:
        """All live records in the order of the file, each checked: rot must not get a new checksum."""
        for key, extent in sorted(self.extents.items(), key=lambda item: item[1]):
            record = self.files.read(self.handle, extent.offset, extent.length)
            if crc32(record) != extent.checksum:
                raise StoreCorruptError("a record was damaged since the store was opened", extent.offset)
            yield key, record

    def _put_off_compaction(self, error: Exception) -> None:
        """Try again when the file has grown by half, and not at each commit."""
        self.compact_from = self.end + max(self.end // 2, self.min_compact)
        _log.warning("store %s: not compacted, the old journal goes on: %s", self.path, error)

    def _undo_replacement(self, new: NewFile, error: OSError) -> None:
        """The new file may or may not bear the name. Go on only where the old one surely does."""
        self.files.close(new.handle)
        try:
            is_ours = self.files.is_at(self.handle, self.path)
        except OSError:
            is_ours = False
        if is_ours:
            self._put_off_compaction(error)
        else:
            self.failure = error
            _log.error("store %s: its name in the directory may not be durable: %s", self.path, error)

    def _switch_to(self, new: NewFile) -> None:
        """The new file bears the name, durably: append to it from now on."""
        old, self.handle = self.handle, new.handle
        self.header, self.end, self.extents = new.header, new.end, new.extents
        self.compact_from = self.min_compact
        self.files.close(old)
