"""A disk in memory that does what disks do at the worst moment, for tests of stores."""

from __future__ import annotations

import errno
from collections.abc import Callable
from enum import Enum, auto
from random import Random
from typing import TypeAlias

import attrs

from goblins_py.errors import StoreLockedError
from persistence._files import FileLayer


class Crash(BaseException):
    """The process died. Nothing may catch this; what is left is what the disk has."""


class When(Enum):
    """How much of an operation happens before it raises."""

    BEFORE = auto()
    HALF = auto()
    AFTER = auto()


Trap: TypeAlias = Callable[[int, str], tuple[When, BaseException] | None]


@attrs.define(eq=False)
class File:
    """Bytes as running processes see them, and those that survive a loss of power."""

    data: bytearray = attrs.field(factory=bytearray)
    durable: bytes = b""


@attrs.define(eq=False)
class FaultyFiles(FileLayer):
    """Keeps files in memory; counts the operations that change something; fails on demand.

    Attributes:
        trap: called with (number, name) of each such operation; returns what to raise and when.
        log: names of those operations, in order; "write new" and "sync new" where the file
            does not bear a store's name yet.
    """

    names: dict[str, File] = attrs.field(factory=dict)
    past_names: list[dict[str, File]] = attrs.field(factory=lambda: [{}])
    handles: dict[int, File] = attrs.field(factory=dict)
    locks: dict[int, str] = attrs.field(factory=dict)
    log: list[str] = attrs.field(factory=list)
    trap: Trap = lambda number, name: None

    def _do(self, name: str, whole: Callable[[], None], half: Callable[[], None] | None = None) -> None:
        self.log.append(name)
        fault = self.trap(len(self.log) - 1, name)
        if fault is None:
            return whole()
        when, error = fault
        if when is When.AFTER:
            whole()
        elif when is When.HALF and half is not None:
            half()
        raise error

    def _on(self, name: str, file: File) -> str:
        is_new = any(path.endswith(".new") and named is file for path, named in self.names.items())
        return f"{name} new" if is_new else name

    def _new_handle(self, file: File) -> int:
        handle = 1000 + len(self.handles) + len(self.log)
        while handle in self.handles:
            handle += 1
        self.handles[handle] = file
        return handle

    def _remember_names(self) -> None:
        self.past_names.append(dict(self.names))

    # --- the file layer ---

    def lock(self, path: str) -> int:
        if path in self.locks.values():
            raise StoreLockedError(path)
        handle = self._new_handle(File())
        self.locks[handle] = path
        return handle

    def open(self, path: str) -> int:
        if path not in self.names:
            raise FileNotFoundError(path)
        return self._new_handle(self.names[path])

    def open_to_read(self, path: str) -> int:
        return self.open(path)

    def create(self, path: str) -> int:
        assert path not in self.names

        def whole() -> None:
            self.names[path] = File()
            self._remember_names()

        self._do("create", whole)
        return self._new_handle(self.names[path])

    def size(self, handle: int) -> int:
        return len(self.handles[handle].data)

    def read(self, handle: int, offset: int, length: int) -> bytes:
        return bytes(self.handles[handle].data[offset : offset + length])

    def write(self, handle: int, offset: int, data: bytes) -> None:
        file = self.handles[handle]

        def put(piece: bytes) -> None:
            file.data[offset : offset + len(piece)] = piece

        self._do(self._on("write", file), lambda: put(data), lambda: put(data[: len(data) // 2]))

    def sync(self, handle: int) -> None:
        file = self.handles[handle]

        def whole() -> None:
            file.durable = bytes(file.data)

        self._do(self._on("sync", file), whole)

    def truncate(self, handle: int, size: int) -> None:
        file = self.handles[handle]

        def whole() -> None:
            del file.data[size:]

        self._do("truncate", whole)

    def replace(self, source: str, target: str) -> None:
        def whole() -> None:
            self.names[target] = self.names.pop(source)
            self._remember_names()

        self._do("replace", whole)

    def sync_directory(self, path: str) -> None:
        def whole() -> None:
            self.past_names = [dict(self.names)]

        self._do("sync_directory", whole)

    def is_at(self, handle: int, path: str) -> bool:
        return self.names.get(path) is self.handles[handle]

    def remove(self, path: str) -> None:
        def whole() -> None:
            if self.names.pop(path, None):
                self._remember_names()

        self._do("remove", whole)

    def close(self, handle: int) -> None:
        del self.handles[handle]
        self.locks.pop(handle, None)

    def random(self, length: int) -> bytes:
        return Random(len(self.log)).randbytes(length)

    # --- what is left ---

    def after_kill(self) -> FaultyFiles:
        """The files after the process died: all that was written, synced or not."""
        return FaultyFiles(self.names, self.past_names)

    def after_power_loss(self, rng: Random) -> FaultyFiles:
        """The files after the power failed: what was synced, and a random part of what was not."""
        names = dict(rng.choice(self.past_names))
        fates = {id(file): File() for file in names.values()}
        for file in names.values():
            data = _survivors(file, rng)
            fates[id(file)] = File(bytearray(data), data)
        names = {name: fates[id(file)] for name, file in names.items()}
        return FaultyFiles(names, [dict(names)])


def _survivors(file: File, rng: Random) -> bytes:
    """The synced bytes, and of what was written after them: all, none, torn, zeros, or garbage."""
    data, durable = bytes(file.data), file.durable
    if not data.startswith(durable):  # cut since the last sync
        return rng.choice((data, durable))
    cut = rng.randint(len(durable), len(data))
    lost = len(data) - cut
    return rng.choice(
        (data, durable, data[:cut], data[:cut] + bytes(lost), data[:cut] + rng.randbytes(lost),
         durable + bytes(cut - len(durable)) + data[cut:])
    )  # fmt: skip


def disk_full() -> OSError:
    """A new ENOSPC error."""
    return OSError(errno.ENOSPC, "No space left on device")
