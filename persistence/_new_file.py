"""A whole new journal file under a temporary name: the first one of a store, or a compacted one.

It is written piece by piece and synced here; to give it the store's name is the caller's decision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

import attrs

from persistence._files import FileLayer
from persistence._frames import HEAD_SIZE, SALT_SIZE, FileHeader, frame
from persistence._index import Drop, Extent, Index, Op, Put, Stamp
from persistence._records import encode_checkpoint, encode_removed
from persistence._sealing import Plain, Sealed, Vault

__all__ = ["NewFile", "Sealing", "start_new_file", "temporary_path"]

_SYNC_EVERY: Final = 4 << 20
"""Bytes: so that no sync of a large new file holds up the small ones of the journal beside it."""


def temporary_path(path: str) -> str:
    """The one name that new files of this store have. Whoever has the store's lock may remove it."""
    return path + ".new"


@attrs.frozen
class Sealing:
    """How records become a frame of one file.

    Attributes:
        header: the file's first line. cipher: for its records. files: gives random bytes.
    """

    header: FileHeader = attrs.field(repr=False)
    cipher: Plain | Sealed
    files: FileLayer

    def frame(self, records: Sequence[bytes], offset: int) -> tuple[bytes, list[Extent]]:
        """The frame that holds the records and starts at `offset`, and where each of them is then."""
        cipher, position = self.cipher, offset + HEAD_SIZE
        size = cipher.nonce_size()
        nonces = self.files.random(size * len(records)) if size else b""
        pieces: list[bytes] = []
        extents: list[Extent] = []
        for number, record in enumerate(records):
            length = len(record) + cipher.overhead
            head = b"%d:" % length
            position += len(head)
            nonce = nonces[size * number : size * number + size]
            stored = cipher.seal(record, position, nonce, is_last=number == len(records) - 1)
            if len(stored) != length:
                raise AssertionError("a record was sealed to another length than was foretold")
            pieces += (head, stored)
            extents.append(Extent(position, length, crc32(stored)))
            position += length
        return frame(b"".join(pieces), offset, self.header.seed), extents


@attrs.define(eq=False)
class NewFile:
    """A journal that does not bear the store's name yet.

    Attributes:
        path, handle: of the temporary file. end: how long it is so far, in bytes.
        index: of what was written.
    """

    path: str
    handle: int
    sealing: Sealing = attrs.field(repr=False)
    index: Index
    end: int
    _unsynced: int = attrs.field(default=0, init=False)

    def write(self, items: Iterable[tuple[Op, bytes]]) -> None:
        """Append one frame of these records."""
        items = list(items)
        if not items:
            return
        files = self.sealing.files
        data, extents = self.sealing.frame([record for _, record in items], self.end)
        files.write(self.handle, self.end, data)
        self.end += len(data)
        self._unsynced += len(data)
        for (op, _), extent in zip(items, extents, strict=True):
            self.index.apply(Put(op.key, extent) if isinstance(op, Put) else op)
        if self._unsynced >= _SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Make durable what was written."""
        self.sealing.files.sync(self.handle)
        self._unsynced = 0

    def discard(self) -> None:
        """Remove it again."""
        files = self.sealing.files
        with contextlib.suppress(OSError):
            files.close(self.handle)
        with contextlib.suppress(OSError):
            files.remove(self.path)


def start_new_file(files: FileLayer, path: str, vault: Vault, *, keep: int | None) -> NewFile:
    """An empty journal beside `path`: only its first line is written.

    Raises:
        OSError: then the temporary file is removed again.
    """
    temporary = temporary_path(path)
    files.remove(temporary)
    header = vault.new_header(files.random(SALT_SIZE))
    sealing = Sealing(header, vault.cipher(header), files)
    new = NewFile(temporary, files.create(temporary), sealing, Index(keep), len(header.line))
    try:
        files.write(new.handle, 0, header.line)
    except Exception:
        new.discard()
        raise
    return new


def fresh_record(op: Drop | Stamp) -> bytes:
    """The record that says what an op says that is not about a portrait or the graph."""
    return encode_removed(op.slots) if isinstance(op, Drop) else encode_checkpoint(op.checkpoint)
