"""How a journal is read: frame by frame, each record unsealed, judged and taken note of.

Nothing here changes a file, so it serves who opens a store and who only looks at one, even while it is
in use: what a commit under way has written so far looks like a torn tail, and what compaction replaced
stays readable by the handle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import attrs

from goblins_py.abc import Portrait, Snapshot
from goblins_py.actors import without_gc
from goblins_py.errors import PersistenceError, StoreCorruptError
from persistence._facts import Checkpoint, Progress, StoreFacts
from persistence._files import FileLayer
from persistence._frames import HEAD_SIZE, TORN, FileHeader, JournalView
from persistence._index import Drop, Extent, Index, Stamp
from persistence._records import (
    GRAPH_KEY,
    CheckpointRecord,
    Graph,
    RecordError,
    RecordReader,
    RemovedRecord,
    records_in,
)
from persistence._sealing import Plain, Sealed, Secret, UnsealError, Vault

__all__ = ["Contents", "Unlocked", "facts", "read_contents", "read_only", "unlock"]


@attrs.frozen
class Unlocked:
    """A journal file whose first line was read and whose key is known."""

    files: FileLayer
    handle: int
    header: FileHeader = attrs.field(repr=False)
    vault: Vault
    cipher: Plain | Sealed


def unlock(files: FileLayer, handle: int, secret: Secret) -> Unlocked:
    """Read the first line of an open file.

    Raises:
        StoreCorruptError, VersionMismatchError, StoreKeyError, OSError.
    """
    header = FileHeader.parse(files.read(handle, 0, FileHeader.LONGEST))
    vault = Vault.reopen(secret, header)
    return Unlocked(files, handle, header, vault, vault.cipher(header))


@attrs.define(eq=False)
class Contents:
    """What was read.

    Attributes:
        end: of the last whole frame, in bytes.
        graph: None if nothing was ever committed.
        index: where each record is.
    """

    index: Index
    end: int
    graph: Graph | None = None
    portraits: dict[int, Portrait] = attrs.field(factory=dict, repr=False)
    checkpoints: list[Checkpoint] = attrs.field(factory=list)

    def snapshot(self) -> Snapshot | None:
        """What a store gives to its vat."""
        graph = self.graph
        if graph is None:
            return None
        return Snapshot(graph.vat_id, graph.roots_version, graph.roots, self.portraits)


def read_contents(
    file: Unlocked, *, keep: int | None = None, at: int | None = None, progress: Progress | None = None
) -> Contents:
    """Read all frames, up to the end or a torn tail.

    Args:
        keep: how many checkpoints the index shall keep; None: all.
        at: the number of a checkpoint to stop at.
        progress: told after each frame.

    Raises:
        StoreCorruptError: damaged. PersistenceError: there is no such checkpoint.
    """
    reader = _Reader(file, Contents(Index(keep), len(file.header.line)), at)
    with without_gc():
        reader.read_all(progress)
    if at is not None and not reader.is_there:
        known = ", ".join(str(each.number) for each in reader.contents.checkpoints)
        raise PersistenceError(f"the store has no checkpoint {at}; it has {known or 'none'}")
    return reader.contents


@attrs.define(eq=False)
class _Reader:
    """Fills `contents`, frame by frame, until `at` is passed."""

    file: Unlocked
    contents: Contents
    at: int | None
    is_there: bool = attrs.field(default=False, init=False)
    records: RecordReader = attrs.field(factory=RecordReader, init=False, repr=False)

    def read_all(self, progress: Progress | None) -> None:
        files, handle, contents = self.file.files, self.file.handle, self.contents
        size = files.size(handle)

        def read(offset: int, length: int) -> bytes:  # not what somebody appends meanwhile
            return files.read(handle, offset, min(length, max(size - offset, 0)))

        view = JournalView(read, size, self.file.header.seed)
        while contents.end < size and not self.is_there:
            payload = view.payload_at(contents.end)
            if payload is TORN:
                return
            self._apply_frame(payload, contents.end + HEAD_SIZE)
            contents.end += HEAD_SIZE + len(payload)
            if progress is not None:
                progress(contents.end, size)

    def _apply_frame(self, payload: bytes, base: int) -> None:
        """Apply the records of one frame, whose payload is at `base` of the file."""
        position, is_last = 0, None
        portraits, is_plain = self.contents.portraits, isinstance(self.file.cipher, Plain)
        unseal, read, put = self.file.cipher.unseal, self.records.read, self.contents.index.put
        try:
            for start, stored in records_in(payload):
                if is_last:
                    raise RecordError("a record behind the last one of its commit")
                offset = base + start
                data, is_last = (stored, None) if is_plain else unseal(stored, offset)
                record = read(data)
                if isinstance(record, tuple):
                    slot, portraits[slot] = record  # from left to right
                    put(slot, offset, len(stored), crc32(stored))
                else:
                    self._apply(record, Extent(offset, len(stored), crc32(stored)))
                if self.is_there:
                    break
                position = start + len(stored)
        except (RecordError, UnsealError) as error:
            raise StoreCorruptError(f"the store is damaged: {error}", base + position) from None
        if is_last is False and not self.is_there:
            raise StoreCorruptError("the store is damaged: a commit's last record is missing", base)
        if self.contents.graph is None:
            raise StoreCorruptError("the store is damaged: it starts without a vat id", base)

    def _apply(self, record: Graph | RemovedRecord | CheckpointRecord, extent: Extent) -> None:
        contents = self.contents
        match record:
            case RemovedRecord(slots):
                for slot in slots:
                    contents.portraits.pop(slot, None)
                contents.index.apply(Drop(slots))
            case CheckpointRecord(number, time) as checkpoint:
                contents.index.apply(Stamp(checkpoint))
                contents.checkpoints.append(Checkpoint(number, time, len(contents.portraits)))
                self.is_there = number == self.at
            case Graph() as graph:
                contents.graph = graph
                contents.index.put(GRAPH_KEY, *extent)


# --- without taking the store ---------------------------------------------------


@contextmanager
def read_only(path: str, files: FileLayer, secret: Secret) -> Iterator[Unlocked]:
    """A journal file for reading only; whoever has the store may go on with it.

    Raises:
        OSError, and what `unlock` raises.
    """
    handle = files.open_to_read(path)
    try:
        yield unlock(files, handle, secret)
    finally:
        files.close(handle)


def facts(file: Unlocked, progress: Progress | None = None) -> StoreFacts:
    """Read a journal from end to end.

    Raises:
        StoreCorruptError: damaged.
    """
    contents = read_contents(file, progress=progress)
    size = file.files.size(file.handle)
    sizes = contents.index.lengths()
    sizes.pop(GRAPH_KEY, None)
    encryption = file.vault.how.split(b" ")[0].decode()
    return StoreFacts(
        kind="syrup",
        version=file.header.version,
        encryption="none" if encryption == "plain" else encryption,
        size=size,
        live=contents.index.live,
        unfinished=size - contents.end,
        snapshot=contents.snapshot(),
        sizes=sizes,
        checkpoints=tuple(contents.checkpoints),
    )
