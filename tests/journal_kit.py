"""Journals in memory, and what they should hold: for the tests of the journal store."""

from __future__ import annotations

from collections.abc import Sequence

from faulty_files import FaultyFiles, Trap, When
from goblins_py.abc import Delta, Portrait, Snapshot
from persistence._files import FileLayer
from persistence._journal import Journal, Options
from persistence._opening import open_journal
from persistence._sealing import Secret

PATH = "/disk/vat.syrup"
FIRST = Delta({0: Portrait("a.A", 0, {"n": 0})}, vat_id=bytes(32), roots=(0,))
Cells = dict[int, object]


def cell(slot: int, value: object) -> Delta:
    return Delta({slot: Portrait("a.A", 0, {"n": value})})


KEY = bytes(range(32))


def opened(
    files: FileLayer,
    path: str = PATH,
    min_compact: int = 1 << 20,
    *,
    history: int = 0,
    key: bytes | None = None,
) -> tuple[Journal, Cells | None]:
    options = Options(min_compact, history, checkpoint_every=3, clock=Clock())
    journal, snapshot = open_journal(path, files, options, Secret(key))
    return journal, cells(snapshot)


class Clock:
    """A second passes with each look."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> float:
        self.now += 1
        return self.now


def cells(snapshot: Snapshot | None) -> Cells | None:
    if snapshot is None:
        return None
    return {slot: portrait.state.get("n") for slot, portrait in snapshot.portraits.items()}


def contents(
    files: FileLayer, path: str = PATH, *, history: int = 0, key: bytes | None = None
) -> Cells | None:
    journal, found = opened(files, path, history=history, key=key)
    journal.close()
    return found


def states(deltas: Sequence[Delta]) -> list[Cells | None]:
    """What a store holds after none, one, ... all of the deltas."""
    result: list[Cells | None] = [None]
    for delta in deltas:
        now = dict(result[-1] or {})
        now.update({slot: portrait.state["n"] for slot, portrait in delta.portraits.items()})
        result.append({slot: value for slot, value in now.items() if slot not in delta.removed})
    return result


def image(deltas: Sequence[Delta], *, history: int = 0, key: bytes | None = None) -> tuple[bytes, list[int]]:
    """A journal with one frame per delta, and where each frame starts and the last one ends."""
    files = FaultyFiles()
    journal, _ = opened(files, history=history, key=key)
    borders = [journal.end]
    for delta in deltas:
        journal.append([delta])
        borders.append(journal.end)
    return bytes(files.names[PATH].data), borders


def disk_with(data: bytes) -> FaultyFiles:
    files = FaultyFiles()
    journal, _ = opened(files)
    journal.close()
    files.names[PATH].data[:] = data
    return files


DELTAS = [FIRST, cell(1, "one"), cell(0, 7), Delta(removed=frozenset({1})), cell(2, b"two")]


def raise_at(step: int, when: When, error: BaseException) -> Trap:
    return lambda number, _: (when, error) if number == step else None
