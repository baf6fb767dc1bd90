"""SQLite on a disk that does what disks do at the worst moment: a shim over its own file layer.

What is written goes to the real files. Beside that it keeps, for each file, what survives a loss of power:
the bytes of the last sync, and the writes since, of which any may be lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import apsw
import attrs

SUFFIXES = ("", "-wal")  # -shm is rebuilt from the others


@attrs.define(eq=False)
class Disk:
    """What is durable of each file, by its suffix, and when to fail.

    Attributes:
        trap: called with the number and name of each operation ("write", "sync", "truncate"); may raise.
        delay: seconds that each sync takes.
    """

    synced: dict[str, bytes] = attrs.field(factory=dict)
    pending: dict[str, list[tuple[int, bytes]]] = attrs.field(factory=dict)
    log: list[str] = attrs.field(factory=list)
    trap: Callable[[int, str], None] = lambda number, name: None
    delay: float = 0.0

    def do(self, name: str) -> None:
        self.log.append(name)
        self.trap(len(self.log) - 1, name)

    def after_power_loss(self, path: Path, rng: Random) -> None:
        """Make the files at `path` what they would be: what was synced, and some of what was not."""
        for suffix in SUFFIXES:
            data = bytearray(self.synced.get(suffix, b""))
            for offset, piece in self.pending.get(suffix, []):
                kept = rng.choice((piece, piece, b"", piece[: rng.randrange(len(piece) + 1)]))
                if kept:
                    data[len(data) :] = bytes(max(0, offset - len(data)))
                    data[offset : offset + len(kept)] = kept
            if suffix in self.synced or not suffix:
                path.with_name(path.name + suffix).write_bytes(data)


class FaultyVfs(apsw.VFS):
    """SQLite's own, with a `Disk` beside it."""

    def __init__(self, name: str, path: Path, disk: Disk) -> None:
        super().__init__(name, "")
        self.path, self.disk = str(path), disk

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        file = name.filename() if isinstance(name, apsw.URIFilename) else name
        if isinstance(file, str) and file.startswith(self.path):
            return FaultyFile(name, flags, self.disk, file[len(self.path) :])
        return super().xOpen(name, flags)


class FaultyFile(apsw.VFSFile):
    def __init__(self, name, flags, disk: Disk, suffix: str) -> None:
        super().__init__("", name, flags)
        self.disk, self.suffix = disk, suffix
        disk.pending.setdefault(suffix, [])

    def xWrite(self, data, offset):  # noqa: N802
        self.disk.do("write")
        super().xWrite(data, offset)
        self.disk.pending[self.suffix].append((offset, bytes(data)))

    def xTruncate(self, size):  # noqa: N802
        self.disk.do("truncate")
        super().xTruncate(size)
        self._note_durable()  # SQLite cuts only what it has synced before

    def xSync(self, flags):  # noqa: N802
        self.disk.do("sync")
        time.sleep(self.disk.delay)
        super().xSync(flags)
        self._note_durable()

    def _note_durable(self) -> None:
        self.disk.synced[self.suffix] = super().xRead(super().xFileSize(), 0)
        self.disk.pending[self.suffix].clear()


def fails(name: str, error: type[Exception]) -> Callable[[int, str], None]:
    """A trap for all operations of that name."""

    def trap(_: int, operation: str) -> None:
        if operation == name:
            raise error("injected")

    return trap
