"""Checkpoints: when they are made, what they cost, and that the past is exactly what it was."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from faulty_files import FaultyFiles, When, disk_full
from goblins_py.abc import Delta, Portrait, Snapshot
from goblins_py.errors import PersistenceError, StoreLockedError
from journal_kit import FIRST, KEY, PATH, Cells, Clock, cell, cells, opened, states
from persistence import SyrupStore
from persistence._files import FileLayer
from persistence._reading import read_contents, read_only
from persistence._sealing import Secret

pytestmark = pytest.mark.trio


async def committed(path: Path, *deltas: Delta, history: int | None = 3, **options: object) -> None:
    """One run of a vat: each delta is a commit."""
    store = SyrupStore(path, history=history, **options)
    await store.open()
    for delta in deltas:
        await store.commit([delta])
    await store.aclose()


async def past(path: Path, at: int, **options: object) -> Snapshot | None:
    store = SyrupStore(path, at=at, **options)
    snapshot = await store.open()
    await store.aclose()
    return snapshot


async def test_each_run_leaves_the_state_that_it_found(tmp_path: Path) -> None:
    """A checkpoint before the first change of a run, and none by a run that changed nothing."""
    path = tmp_path / "vat.syrup"
    await committed(path, FIRST, cell(1, "first run"))
    await committed(path)
    await committed(path, cell(1, "second run"), cell(2, "new"))
    await committed(path, Delta(removed=frozenset({1})))
    found = await SyrupStore(path).checkpoints()
    assert [(each.number, each.objects) for each in found] == [(1, 2), (2, 3)]
    assert cells(await past(path, 1)) == {0: 0, 1: "first run"}
    assert cells(await past(path, 2)) == {0: 0, 1: "second run", 2: "new"}
    assert cells(await past_now(path)) == {0: 0, 2: "new"}


async def past_now(path: Path) -> Snapshot | None:
    store = SyrupStore(path, read_only=True)
    snapshot = await store.open()
    await store.aclose()
    return snapshot


async def test_a_long_run_makes_one_now_and_then(tmp_path: Path) -> None:
    """The first change after `checkpoint_every` seconds makes one; its time is when it was made."""
    path, clock = tmp_path / "vat.syrup", Clock()
    await committed(path, FIRST, *(cell(0, n) for n in range(9)), _clock=clock, checkpoint_every=4)
    times = [each.time for each in await SyrupStore(path).checkpoints()]
    assert 2 <= len(times) <= 4
    assert all(later - earlier >= 4 for earlier, later in pairwise(times))


async def test_one_can_be_asked_for(tmp_path: Path) -> None:
    """Its number opens it; a store without history, or with nothing in it, says so."""
    path = tmp_path / "vat.syrup"
    store = SyrupStore(path, history=2)
    await store.open()
    with pytest.raises(ValueError, match="nothing"):
        await store.checkpoint()
    await store.commit([FIRST])
    number = await store.checkpoint()
    await store.commit([cell(0, "later")])
    await store.aclose()
    assert cells(await past(path, number)) == {0: 0}
    store = SyrupStore(path)
    await store.open()
    with pytest.raises(ValueError, match="history=N"):
        await store.checkpoint()
    await store.aclose()


async def test_only_so_many_are_kept(tmp_path: Path) -> None:
    """The newest `history`, once the file was compacted; numbers are never used again."""
    path = tmp_path / "vat.syrup"
    for count in range(10):
        await committed(path, FIRST, cell(1, count), history=2)
    store = SyrupStore(path, history=2)
    await store.open()
    await store.compact()
    await store.aclose()
    found = await SyrupStore(path).checkpoints()
    assert [each.number for each in found] == [8, 9]
    assert cells(await past(path, 9)) == {0: 0, 1: 8}
    with pytest.raises(PersistenceError, match="no checkpoint 7; it has 8, 9"):
        await past(path, 7)
    await committed(path, cell(1, "more"), history=2)
    assert (await SyrupStore(path).checkpoints())[-1].number == 10


async def test_who_says_nothing_of_the_past_keeps_it(tmp_path: Path) -> None:
    """Opening and compacting without `history` drop no checkpoint and make none; only a number does."""
    path = tmp_path / "vat.syrup"
    for count in range(10):
        await committed(path, FIRST, cell(1, b"%d" % count * 5000), min_compact=10_000, history=20)
    kept = await SyrupStore(path).checkpoints()
    assert len(kept) == 9
    await committed(path, history=None, min_compact=10_000)
    await committed(path, cell(1, "small"), history=None, min_compact=10_000)
    store = SyrupStore(path)
    await store.open()
    await store.compact()
    await store.aclose()
    assert kept == await SyrupStore(path).checkpoints()
    assert cells(await past(path, 3)) == {0: 0, 1: b"2" * 5000}
    await committed(path, history=0, min_compact=10_000)
    assert await SyrupStore(path).checkpoints() == ()


async def test_the_past_can_be_read_while_a_vat_has_the_store_and_takes_no_commits(tmp_path: Path) -> None:
    """It needs no lock, and gives none away; a commit is refused with a clear error."""
    path = tmp_path / "vat.syrup"
    await committed(path, FIRST)
    store = SyrupStore(path, history=3)
    await store.open()
    await store.commit([cell(0, "now")])
    reader = SyrupStore(path, at=1)
    assert cells(await reader.open()) == {0: 0}
    with pytest.raises(PersistenceError, match="read-only"):
        await reader.commit([cell(0, "never")])
    with pytest.raises(StoreLockedError):
        await reader.open()
    await reader.aclose()
    await store.commit([cell(0, "still ours")])
    await store.aclose()
    assert cells(await past_now(path)) == {0: "still ours"}


async def test_reading_only_makes_nothing(tmp_path: Path) -> None:
    """No file, no lock file, and an error that names the missing one."""
    with pytest.raises(FileNotFoundError, match=r"missing\.syrup"):
        await past(tmp_path / "missing.syrup", 1)
    assert list(tmp_path.iterdir()) == []


async def test_what_did_not_change_is_stored_once(tmp_path: Path) -> None:
    """Three checkpoints of a large state cost three changes of a small one."""
    path = tmp_path / "vat.syrup"
    await committed(path, FIRST, cell(1, "x" * 100_000))
    for count in range(4):
        await committed(path, cell(0, count))
    store = SyrupStore(path, history=3)
    await store.open()
    await store.compact()
    await store.aclose()
    assert path.stat().st_size < 102_000
    assert cells(await past(path, 2)) == {0: 0, 1: "x" * 100_000}


changes = st.builds(
    lambda changed, removed: Delta(
        {slot: Portrait("a.A", 0, {"n": value}) for slot, value in changed.items()}, frozenset(removed)
    ),
    st.dictionaries(st.integers(0, 4), st.binary(max_size=30), max_size=3),
    st.sets(st.integers(0, 4), max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(changes, max_size=5), max_size=5), st.integers(1, 4), st.booleans())
async def test_every_checkpoint_is_a_state_that_there_was(
    runs: list[list[Delta]], history: int, is_sealed: bool
) -> None:
    """Any runs of any changes, compacted all the time, sealed or not: in order, and the newest N."""
    files, key = FaultyFiles(), KEY if is_sealed else None
    given_ = [FIRST]
    for run in runs:
        journal, _ = opened(files, min_compact=0, history=history, key=key)
        if journal.graph is None:
            journal.append([FIRST])
        for delta in run:
            journal.append([delta])
            given_.append(delta)
        journal.close()
    journal, found = opened(files, min_compact=0, history=history, key=key)
    before = journal.compactions
    kept = [each.number for each in journal.index.checkpoints]
    earlier = [past_in(files, number, key) for number in kept]
    while journal.compactions == before:
        journal.compact(1)
    assert kept == [each.number for each in journal.index.checkpoints]
    journal.close()
    possible = states(given_) if runs else [None]
    assert found == possible[-1]
    pasts = [past_in(files, number, key) for number in kept]
    assert pasts == earlier
    assert len(pasts) <= history
    position = 0
    for state in pasts:
        position = possible.index(state, position)
    assert live_bytes_are_right(files, history, key)


def past_in(files: FileLayer, number: int, key: bytes | None) -> Cells | None:
    with read_only(PATH, files, Secret(key)) as file:
        return cells(read_contents(file, at=number).snapshot())


def live_bytes_are_right(files: FileLayer, history: int, key: bytes | None) -> bool:
    """What is counted as live is what the shortest log of it takes."""
    with read_only(PATH, files, Secret(key)) as file:
        index = read_contents(file, keep=history).index
    log, live = index.log()
    return live == sum(op.extent.length for op in log if hasattr(op, "extent"))


async def test_compaction_goes_on_beside_commits(tmp_path: Path) -> None:
    """Asked for, it lets commits in between its steps; each takes a piece along; nothing is lost."""
    path = tmp_path / "vat.syrup"
    big = {slot: Portrait("a.A", 0, {"n": random.Random(slot).randbytes(2000)}) for slot in range(2000)}
    store = SyrupStore(path, min_compact=1 << 30)
    await store.open()
    await store.commit([FIRST, Delta(big)])
    between: list[int] = []
    seen: list[tuple[int, int]] = []

    async def commit_on(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        while not is_done:
            await store.commit([cell(5000, len(between))])
            between.append(len(seen))

    is_done = False
    async with trio.open_nursery() as nursery:
        await nursery.start(commit_on)
        await store.compact(lambda done, total: seen.append((done, total)))
        is_done = True
    await store.aclose()
    assert seen[-1][0] == seen[-1][1], "it did not reach the end"
    assert len(set(between)) > 5, "commits waited for the compaction"
    found = cells(await past_now(path))
    assert found is not None
    assert found[5000] == len(between) - 1
    assert {slot: found[slot] for slot in big} == {slot: each.state["n"] for slot, each in big.items()}


@pytest.mark.parametrize("name", ["create", "write new", "sync new", "replace"])
async def test_a_compaction_that_was_asked_for_and_fails_says_so(name: str) -> None:
    """The error reaches who asked; the store goes on, and the next one works."""
    files = FaultyFiles()
    store = SyrupStore(PATH, _files=files, history=2)
    await store.open()
    await store.commit([FIRST])
    files.trap = lambda _, operation: (When.HALF, disk_full()) if operation == name else None
    with pytest.raises(OSError, match="No space left"):
        await store.compact()
    await store.commit([cell(1, "goes on")])
    files.trap = lambda number, operation: None
    await store.compact()
    await store.commit([cell(2, "and on")])
    await store.aclose()
    assert list(files.names) == [PATH]
    journal, found = opened(files)
    journal.close()
    assert found == {0: 0, 1: "goes on", 2: "and on"}


async def test_a_cancelled_compaction_goes_on_with_the_commits(tmp_path: Path) -> None:
    """Nothing is lost, and it is not begun again."""
    path = tmp_path / "vat.syrup"
    store = SyrupStore(path, min_compact=1 << 30)
    await store.open()
    await store.commit([FIRST, Delta({n: Portrait("a.A", 0, {"n": bytes(1000)}) for n in range(1, 400)})])
    await store.commit([Delta(removed=frozenset(range(1, 300)))])
    with trio.CancelScope() as scope:
        await store.compact(lambda done, total: scope.cancel())
    assert scope.cancelled_caught
    for count in range(30):
        await store.commit([cell(0, count)])
    await store.aclose()
    assert path.stat().st_size < 150_000
    found = cells(await past_now(path))
    assert found is not None
    assert (found[0], len(found)) == (29, 101)


async def test_no_commit_carries_over_more_than_its_share() -> None:
    """A compaction of four megabytes takes many commits: none copies more than a few pages of it."""
    files = FaultyFiles()
    journal, _ = opened(files)
    big = {slot: Portrait("a.A", 0, {"n": bytes(1000)}) for slot in range(1, 8000)}
    journal.append([FIRST, Delta(big)])
    assert journal.compaction is None
    journal.append([Delta(removed=frozenset(range(1, 4100)))])
    written = 0
    while journal.compactions == 0:
        before = journal.compaction.done if journal.compaction else 0
        journal.append([cell(0, written)])
        after = journal.compaction.done if journal.compaction else before
        assert after - before < 20_000
        written += 1
    assert written > 100
    assert journal.end < 5_000_000
    journal.close()


async def test_a_store_that_is_mostly_waste_is_compacted_when_opened(tmp_path: Path) -> None:
    """Also a vat that never runs long enough keeps its file near its live size."""
    path = tmp_path / "vat.syrup"
    for count in range(40):
        await committed(path, FIRST, cell(1, b"%d" % count * 5000), history=0, min_compact=10_000)
    assert path.stat().st_size < 60_000
