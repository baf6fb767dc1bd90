"""How a journal is opened: locked, read, judged, cut, and made durable, in this order.

Nothing in the store is changed before all of it was read and found sound.
"""

from __future__ import annotations

import logging
from zlib import crc32

import attrs

from goblins_py.abc import Portrait, Snapshot
from goblins_py.errors import StoreCorruptError
from persistence._files import FileLayer
from persistence._frames import HEAD_SIZE, TORN, FileHeader, JournalView
from persistence._journal import Journal
from persistence._new_file import Extent, temporary_path, write_new_file
from persistence._records import (
    GRAPH_KEY,
    Graph,
    PortraitRecord,
    RecordError,
    RecordReader,
    RemovedRecord,
    next_record,
)

__all__ = ["open_journal"]

_log = logging.getLogger(__name__)


def open_journal(path: str, files: FileLayer, *, min_compact: int) -> tuple[Journal, Snapshot | None]:
    """Lock and read the journal at `path`; make an empty one if there is none.

    Returns:
        The journal, and what it holds: None if nothing was ever committed.

    Raises:
        StoreLockedError, StoreCorruptError, VersionMismatchError, OSError: it is not open.
    """
    lock = files.lock(path + ".lock")
    try:
        return _open_locked(path, files, lock, min_compact)
    except BaseException:
        files.close(lock)
        raise


def _open_locked(path: str, files: FileLayer, lock: int, min_compact: int) -> tuple[Journal, Snapshot | None]:
    handle = _open_or_create(path, files)
    try:
        header = FileHeader.parse(files.read(handle, 0, FileHeader.LONGEST))
        journal = Journal(path, files, lock, handle, header=header, min_compact=min_compact)
        reader = _Reader(journal)
        reader.read_all(files.size(handle))
        _settle(journal)
    except BaseException:
        files.close(handle)
        raise
    return journal, reader.snapshot()


def _open_or_create(path: str, files: FileLayer) -> int:
    try:
        return files.open(path)
    except FileNotFoundError:
        pass
    new = write_new_file(files, path, ())
    try:
        files.replace(new.path, path)
    except BaseException:
        files.close(new.handle)
        raise
    return new.handle


def _settle(journal: Journal) -> None:
    """Cut a torn tail; then make durable what was read, for a killed process may not have."""
    files, size = journal.files, journal.files.size(journal.handle)
    if size > journal.end:
        _log.warning(
            "store %s: cut an unfinished commit of %d bytes at byte %d",
            journal.path, size - journal.end, journal.end,
        )  # fmt: skip
        files.truncate(journal.handle, journal.end)
    files.sync(journal.handle)
    files.remove(temporary_path(journal.path))
    files.sync_directory(journal.path)


@attrs.define(eq=False)
class _Reader:
    """Fills a journal's index and collects its portraits, frame by frame."""

    journal: Journal
    portraits: dict[int, Portrait] = attrs.field(factory=dict, repr=False)
    records: RecordReader = attrs.field(factory=RecordReader, repr=False)

    def read_all(self, size: int) -> None:
        """Read up to the end, or to a torn tail: that is where `journal.end` is then."""
        journal = self.journal
        view = JournalView(
            lambda offset, length: journal.files.read(journal.handle, offset, length),
            size,
            journal.header.seed,
        )
        while journal.end < size:
            payload = view.payload_at(journal.end)
            if payload is TORN:
                return
            self._apply_frame(payload, journal.end + HEAD_SIZE)
            journal.end += HEAD_SIZE + len(payload)

    def _apply_frame(self, payload: bytes, base: int) -> None:
        """Apply the records of one frame, whose payload is at `base` of the file."""
        position = 0
        try:
            while position < len(payload):
                start, stop = next_record(payload, position)
                self._apply(payload[start:stop], base + start)
                position = stop
        except RecordError as error:
            raise StoreCorruptError(f"the store is damaged: {error}", base + position) from None
        if self.journal.graph is None:
            raise StoreCorruptError("the store is damaged: it starts without a vat id", base)

    def _apply(self, record: bytes, offset: int) -> None:
        journal = self.journal
        match self.records.read(record):
            case PortraitRecord(slot, portrait):
                self.portraits[slot] = portrait
                journal.place(slot, Extent(offset, len(record), crc32(record)))
            case RemovedRecord(slots):
                for slot in slots:
                    self.portraits.pop(slot, None)
                    journal.forget(slot)
            case Graph() as graph:
                journal.graph = graph
                journal.place(GRAPH_KEY, Extent(offset, len(record), crc32(record)))

    def snapshot(self) -> Snapshot | None:
        graph = self.journal.graph
        if graph is None:
            return None
        return Snapshot(graph.vat_id, graph.roots_version, graph.roots, self.portraits)
