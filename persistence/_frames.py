"""The outer form of a journal file: its first line, its frames, and what damage means.

Pure: bytes in, bytes or a verdict out. Nothing here opens a file or knows what a payload says.

A journal is one line, then frames until the end::

    goblins-store VERSION SALT [WORD ...] CRC LF     ASCII; 8 random bytes as hex; CRC of what precedes it
    MARK u64 length, u32 CRC of the payload, u32 CRC of the offset and the head so far, payload

Every CRC of a frame starts from the salt, so bytes that a user stores, or that another journal
left on the disk, never pass for a frame of this file. The head's CRC covers where it stands: a
frame that was moved, or follows a lost one, is not valid. In every version of the format the
first line names the version and ends in its CRC. Since version 2 the words say how records are
sealed (`_sealing`), and there can be records that version 1 does not know (checkpoints).

One frame is written by one commit and synced before the next is written. So a crash can spoil
only the *last* frame, and that is how damage is judged: what could be an unfinished last frame is
a torn tail; damage with anything sound behind it is corruption. (A commit that had returned and
whose frame was the very last one, damaged later, looks like a torn one: nothing can tell them apart.)
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from typing import ClassVar
from zlib import crc32

import attrs

from goblins_py.errors import StoreCorruptError, VersionMismatchError

__all__ = [
    "HEAD_SIZE",
    "SALT_SIZE",
    "TORN",
    "VERSION",
    "FileHeader",
    "JournalView",
    "Torn",
    "frame",
    "looks_like_journal",
    "new_header",
]

VERSION = 2
SALT_SIZE = 8
MARK = b"\xf5gob"  # 0xf5 is in no UTF-8 text
HEAD_SIZE = 20

_NAME = b"goblins-store"
_LENGTHS = struct.Struct(">4sQI")
_CRC = struct.Struct(">I")
_OFFSET = struct.Struct(">Q")
_SCAN = 1 << 20


class Torn(enum.Enum):
    """What `JournalView.payload_at` says of a tail that a crash left unfinished."""

    TORN = enum.auto()


TORN = Torn.TORN


@attrs.frozen
class FileHeader:
    """The first line of a journal.

    Attributes:
        line: as it stands in the file.
        version: of the format, from 1.
        salt: random, as hexadecimal digits; from it the frames' CRCs start.
        words: what it says of how records are sealed; none in version 1.
    """

    line: bytes = attrs.field(repr=False)
    version: int
    salt: bytes = attrs.field(repr=False)
    words: tuple[bytes, ...] = attrs.field(default=(), repr=False)

    LONGEST: ClassVar[int] = 256

    @property
    def seed(self) -> int:
        """What each CRC of a frame starts from."""
        return crc32(self.salt)

    @classmethod
    def parse(cls, beginning: bytes) -> FileHeader:
        """Read the line from the first bytes of a file, however many there are.

        Raises:
            StoreCorruptError: this is no store, or a damaged one. VersionMismatchError: a newer one.
        """
        line, newline, _ = beginning[: cls.LONGEST].partition(b"\n")
        words = line.split(b" ")
        if not newline or len(words) < 4 or words[0] != _NAME or not words[1].isdigit():
            raise StoreCorruptError("this is not a goblins store, or its first line is damaged", 0)
        if words[-1] != _line_crc(line[: -len(words[-1])]):
            raise StoreCorruptError("the first line is damaged", 0)
        version = int(words[1])
        if not 1 <= version <= VERSION:
            raise VersionMismatchError(
                f"the store has format version {version}; this program reads up to version {VERSION}"
            )
        return cls(line + b"\n", version, words[2], tuple(words[3:-1]))


def new_header(salt: bytes, words: Callable[[bytes], bytes]) -> FileHeader:
    """The first line of a new journal.

    Args:
        salt: `SALT_SIZE` random bytes.
        words: how records are sealed, given the line so far.
    """
    line = b"%s %d %s " % (_NAME, VERSION, salt.hex().encode())
    line += words(line) + b" "
    return FileHeader.parse(line + _line_crc(line) + b"\n")


def looks_like_journal(beginning: bytes) -> bool:
    """Whether the first bytes of a file are those of a journal, of whatever version."""
    return beginning.startswith(_NAME + b" ")


def _line_crc(line: bytes) -> bytes:
    return b"%08x" % crc32(line)


def frame(payload: bytes, offset: int, seed: int) -> bytes:
    """The frame that holds `payload` and starts at `offset` of the file."""
    head = _LENGTHS.pack(MARK, len(payload), crc32(payload, seed))
    return head + _head_crc(head, offset, seed) + payload


def _head_crc(head: bytes, offset: int, seed: int) -> bytes:
    return _CRC.pack(crc32(head, crc32(_OFFSET.pack(offset), seed)))


@attrs.frozen
class JournalView:
    """The frames of one file.

    Attributes:
        read: (offset, length) to bytes; fewer than asked for only at the end of the file.
        size: of the file, in bytes.
        seed: of its header.
    """

    read: Callable[[int, int], bytes]
    size: int
    seed: int = attrs.field(repr=False)

    def payload_at(self, offset: int) -> bytes | Torn:
        """The payload of the frame at `offset`, or TORN if nothing sound is from there on.

        Raises:
            StoreCorruptError: damaged, and not by a crash in the middle of a commit.
        """
        start = offset + HEAD_SIZE
        found = self._parse_head(offset, self.read(offset, HEAD_SIZE))
        if found is None:
            return self._judge(offset, is_followed=self._finds_head(offset + 1))
        length, checksum = found
        if start + length > self.size:
            return TORN
        payload = self.read(start, length)
        if crc32(payload, self.seed) != checksum:
            return self._judge(offset, is_followed=not self._is_zero(start + length))
        return payload

    def _judge(self, offset: int, *, is_followed: bool) -> Torn:
        """A frame is damaged: torn if it was the last one."""
        if is_followed:
            raise StoreCorruptError("the store is damaged", offset)
        return TORN

    def _parse_head(self, offset: int, head: bytes) -> tuple[int, int] | None:
        """Length and checksum of the payload, if this is a sound head that belongs at `offset`."""
        if len(head) != HEAD_SIZE or not head.startswith(MARK):
            return None
        if head[_LENGTHS.size :] != _head_crc(head[: _LENGTHS.size], offset, self.seed):
            return None
        _, length, checksum = _LENGTHS.unpack_from(head)
        return length, checksum

    def _finds_head(self, offset: int) -> bool:
        """Whether a sound head starts anywhere from `offset` on."""
        while offset < self.size:
            window = self.read(offset, _SCAN)
            at = window.find(MARK)
            while at >= 0:
                if self._parse_head(offset + at, self.read(offset + at, HEAD_SIZE)):
                    return True
                at = window.find(MARK, at + 1)
            offset += max(len(window) - len(MARK), 0) + 1
        return False

    def _is_zero(self, offset: int) -> bool:
        """Whether there are only zeros from `offset` on, as file systems leave after a crash."""
        while offset < self.size:
            window = self.read(offset, _SCAN)
            if window.count(0) != len(window):
                return False
            offset += max(len(window), 1)
        return True
