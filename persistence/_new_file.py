"""A whole new journal file under a temporary name: the first one of a store, or a compacted one.

A new file is written and synced here; to give it the store's name is the caller's decision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

import attrs

from persistence._files import FileLayer
from persistence._frames import SALT_SIZE, FileHeader, frame, new_header
from persistence._records import KeyedRecord, join_records

__all__ = ["Extent", "NewFile", "temporary_path", "write_new_file"]

_FRAME_TARGET = 1 << 20


class Extent(NamedTuple):
    """Where in the file a record is, in bytes, and its CRC32 (of the record alone, unsalted)."""

    offset: int
    length: int
    checksum: int


@attrs.frozen
class NewFile:
    """A journal, complete and synced, that does not bear the store's name yet."""

    path: str
    handle: int
    header: FileHeader = attrs.field(repr=False)
    end: int
    extents: dict[int, Extent] = attrs.field(repr=False)


def temporary_path(path: str) -> str:
    """The one name that new files of this store have. Whoever has the store's lock may remove it."""
    return path + ".new"


def write_new_file(files: FileLayer, path: str, records: Iterable[KeyedRecord]) -> NewFile:
    """Write these records, and nothing else, to a new file beside `path`; sync it.

    Raises:
        OSError, or what `records` raised: then the temporary file is removed again.
    """
    temporary = temporary_path(path)
    files.remove(temporary)
    handle = files.create(temporary)
    try:
        header = new_header(files.random(SALT_SIZE))
        end, extents = _write_frames(files, handle, header, records)
        files.sync(handle)
    except Exception:
        files.close(handle)
        with contextlib.suppress(OSError):
            files.remove(temporary)
        raise
    return NewFile(temporary, handle, header, end, extents)


def _write_frames(
    files: FileLayer, handle: int, header: FileHeader, records: Iterable[KeyedRecord]
) -> tuple[int, dict[int, Extent]]:
    """Write header and frames; where the file ends, and where each record is."""
    files.write(handle, 0, header.line)
    end, extents = len(header.line), dict[int, Extent]()
    for batch in _batches(records):
        payload, starts = join_records(record for _, record in batch)
        data = frame(payload, end, header.seed)
        files.write(handle, end, data)
        end += len(data)
        base = end - len(payload)
        for (key, record), start in zip(batch, starts, strict=True):
            if key is not None:
                extents[key] = Extent(base + start, len(record), crc32(record))
    return end, extents


def _batches(records: Iterable[KeyedRecord]) -> Iterator[list[KeyedRecord]]:
    """Runs of records of about `_FRAME_TARGET` bytes."""
    batch, size = list[KeyedRecord](), 0
    for key, record in records:
        batch.append((key, record))
        size += len(record)
        if size >= _FRAME_TARGET:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
