"""The file operations that a journal is made of, and the only place that does them.

Here, and nowhere else, is what the operating system promises: what a lock is, what survives a
crash after which call. Nothing here knows what is in a file. Tests put another layer in its
place that loses unsynced writes, tears writes, and fails.
"""

from __future__ import annotations

import fcntl
import os

from goblins_py.errors import StoreLockedError

__all__ = ["FileLayer"]

_OWNER_ONLY = 0o600


class FileLayer:
    """Blocking file operations; every one of them may raise OSError. Offsets are in bytes."""

    def lock(self, path: str) -> int:
        """Lock the file `path`, made if missing and never removed; return its handle.

        The lock belongs to the handle: `close` lets go of it, and so does the death of the process.

        Raises:
            StoreLockedError: another handle has it, in this process or another.
        """
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise StoreLockedError(f"{path} is locked: the store is open elsewhere") from None
        except BaseException:
            os.close(handle)
            raise
        return handle

    def open(self, path: str) -> int:
        """Open an existing file for reading and writing; FileNotFoundError if there is none."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def open_to_read(self, path: str) -> int:
        """Open an existing file for reading only; FileNotFoundError if there is none."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def create(self, path: str) -> int:
        """Make a file that only its owner may read; FileExistsError if there is one."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)

    def size(self, handle: int) -> int:
        """How long the file is."""
        return os.fstat(handle).st_size

    def read(self, handle: int, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on; fewer only where the file ends."""
        pieces: list[bytes] = []
        while length and (piece := os.pread(handle, length, offset)):
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    def write(self, handle: int, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`. After an error any part of it may be there."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(handle, rest, offset)
            offset += written
            rest = rest[written:]

    def sync(self, handle: int) -> None:
        """Return when all that was written, and the file's length, survive a loss of power.

        After an error nobody knows what does; calling it again proves nothing, since the system
        may have dropped the pages that it could not write.
        """
        full_sync = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone leaves it in the drive
        if full_sync is not None:
            fcntl.fcntl(handle, full_sync)
        else:
            os.fdatasync(handle)

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file to `size` bytes; not durable before the next `sync`."""
        os.ftruncate(handle, size)

    def replace(self, source: str, target: str) -> None:
        """Give the file `source` the name `target`, at once; not durable before `sync_directory`."""
        os.replace(source, target)

    def sync_directory(self, path: str) -> None:
        """Return when the names in the directory that holds `path` survive a loss of power."""
        handle = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def is_at(self, handle: int, path: str) -> bool:
        """Whether `path` names this very file."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(handle))
        except FileNotFoundError:
            return False

    def remove(self, path: str) -> None:
        """Remove the file, if there is one."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def close(self, handle: int) -> None:
        """Let go of the handle, and of its lock."""
        os.close(handle)

    def random(self, length: int) -> bytes:
        """Bytes that nobody can foretell."""
        return os.urandom(length)
