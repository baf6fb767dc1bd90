"""Where in a journal each record is that still counts: the present ones, and those of checkpoints.

The present is one table, slot to extent. A checkpoint is no second table but an undo log: what was
changed since, and where the old record is. So a checkpoint costs what changed after it, and making one
costs nothing. Each extent is in one place only, the present or one undo log, and what is in neither is
out of date.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

import attrs

from persistence._records import GRAPH_KEY, CheckpointRecord

__all__ = ["Drop", "Extent", "Index", "Op", "Put", "Stamp"]

Packed: TypeAlias = int
"""An `Extent` in one number, for a table of it with as many rows as objects."""

_LENGTH_BITS: Final = 40
_CHECKSUM_BITS: Final = 32
_OFFSET_FROM: Final = _LENGTH_BITS + _CHECKSUM_BITS
_LENGTHS: Final = (1 << _LENGTH_BITS) - 1
_CHECKSUMS: Final = (1 << _CHECKSUM_BITS) - 1


def _length(extent: Packed) -> int:
    return extent >> _CHECKSUM_BITS & _LENGTHS


def _unpacked(extent: Packed) -> Extent:
    return Extent(extent >> _OFFSET_FROM, _length(extent), extent & _CHECKSUMS)


class Extent(NamedTuple):
    """Where in the file a record is, in bytes, and the CRC32 of what is there (unsalted)."""

    offset: int
    length: int
    checksum: int


class Put(NamedTuple):
    """The record of `key` (a slot, or `GRAPH_KEY`) is at `extent` from now on."""

    key: int
    extent: Extent


class Drop(NamedTuple):
    """Nothing is at these slots from now on."""

    slots: tuple[int, ...]


class Stamp(NamedTuple):
    """A checkpoint is here."""

    checkpoint: CheckpointRecord


Op: TypeAlias = Put | Drop | Stamp
"""One record, as far as the index is concerned."""


@attrs.define(eq=False)
class _Mark:
    """A checkpoint: what there was at it, of all that has changed since. None: nothing."""

    checkpoint: CheckpointRecord
    undo: dict[int, Packed | None] = attrs.field(factory=dict, repr=False)


@attrs.define(eq=False)
class Index:
    """Of one journal file.

    Attributes:
        keep: how many checkpoints are kept; older ones are out of date. None: all.
        extents: slot, or `GRAPH_KEY`, to where its record is, in the order of the file.
        live: bytes of all records that are worth something.
        last: the newest checkpoint ever seen, kept or not.
    """

    keep: int | None = None
    extents: dict[int, Packed] = attrs.field(factory=dict, init=False, repr=False)
    live: int = attrs.field(default=0, init=False)
    last: CheckpointRecord | None = attrs.field(default=None, init=False)
    _marks: list[_Mark] = attrs.field(factory=list, init=False, repr=False)

    def apply(self, op: Op) -> None:
        """Take note of a record that is in the file, after all others."""
        match op:
            case Put(key, extent):
                self.put(key, *extent)
            case Drop(slots):
                for slot in slots:
                    self._supersede(slot)
            case Stamp(checkpoint):
                self.last = checkpoint
                self._marks.append(_Mark(checkpoint))
                self._forget_marks()

    def put(self, key: int, offset: int, length: int, checksum: int) -> None:
        """The record of `key` is there; as `apply`. It has less than a tebibyte."""
        if self._marks or key in self.extents:
            self._supersede(key)
        self.extents[key] = offset << _OFFSET_FROM | length << _CHECKSUM_BITS | checksum
        self.live += length

    def _supersede(self, key: int) -> None:
        old = self.extents.pop(key, None)
        undo = self._marks[-1].undo if self._marks else None
        if undo is not None and key not in undo:
            undo[key] = old
        elif old is not None:
            self.live -= _length(old)

    def _forget_marks(self) -> None:
        while self.keep is not None and len(self._marks) > self.keep:
            forgotten = self._marks.pop(0)
            self.live -= sum(_length(extent) for extent in forgotten.undo.values() if extent is not None)

    def lengths(self) -> dict[int, int]:
        """Slot, or `GRAPH_KEY`, to bytes of its record."""
        return {key: _length(extent) for key, extent in self.extents.items()}

    @property
    def is_at_checkpoint(self) -> bool:
        """Whether nothing has changed since the newest checkpoint."""
        return bool(self._marks) and not self._marks[-1].undo

    @property
    def checkpoints(self) -> list[CheckpointRecord]:
        """Those that are kept, the oldest first."""
        return [mark.checkpoint for mark in self._marks]

    def log(self) -> tuple[Iterator[Op], int]:
        """The shortest run of records that says the same, and its length in bytes.

        What changes in the index meanwhile is not in it.
        """
        marks = [_Mark(mark.checkpoint, dict(mark.undo)) for mark in self._marks]
        return _log(dict(self.extents), marks), self.live


def _log(present: dict[int, Packed], marks: list[_Mark]) -> Iterator[Op]:
    state = present
    for mark in reversed(marks):
        state = _undone(state, mark.undo)
    if GRAPH_KEY in state:  # it comes first: a store that does not know its vat is none
        yield Put(GRAPH_KEY, _unpacked(state[GRAPH_KEY]))
    yield from (Put(key, _unpacked(extent)) for key, extent in state.items() if key != GRAPH_KEY)
    for number, mark in enumerate(marks):
        yield Stamp(mark.checkpoint)
        yield from _changes(mark.undo, marks[number + 1 :], present)


def _undone(state: dict[int, Packed], undo: dict[int, Packed | None]) -> dict[int, Packed]:
    earlier = {key: extent for key, extent in state.items() if key not in undo}
    earlier.update((key, extent) for key, extent in undo.items() if extent is not None)
    return earlier


def _changes(undo: dict[int, Packed | None], later: list[_Mark], present: dict[int, Packed]) -> Iterator[Op]:
    """What was changed after a checkpoint, as it was at the next one."""
    removed: list[int] = []
    for key in undo:
        known_by = next((mark.undo for mark in later if key in mark.undo), present)
        extent = known_by.get(key)
        if extent is None:
            removed.append(key)
        else:
            yield Put(key, _unpacked(extent))
    if removed:
        yield Drop(tuple(removed))
