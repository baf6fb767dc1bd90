"""What a crash, or damage, can do to the journal file: a prefix, or an error, never a guess."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faulty_files import Crash, FaultyFiles, When, disk_full
from goblins_py.abc import Delta, Portrait
from goblins_py.errors import StoreCorruptError
from journal_kit import (
    DELTAS,
    FIRST,
    KEY,
    PATH,
    Cells,
    cell,
    cells,
    contents,
    disk_with,
    image,
    opened,
    raise_at,
    states,
)
from persistence._files import FileLayer
from persistence._frames import HEAD_SIZE, frame
from persistence._reading import read_contents, read_only
from persistence._sealing import Secret

# --- torn tails and damage ---------------------------------------------------


def test_journal_cut_anywhere_in_its_last_frame_holds_all_before_it() -> None:
    """Every length that a crash can leave opens with the state before the last commit."""
    data, borders = image(DELTAS)
    for size in range(borders[-2], borders[-1]):
        files = disk_with(data[:size])
        assert contents(files) == states(DELTAS)[-2]
        assert len(files.names[PATH].data) == borders[-2]


def test_zeros_after_the_end_are_a_torn_tail() -> None:
    """What file systems put where a write was lost is cut off, in and after the last frame."""
    data, borders = image(DELTAS)
    assert contents(disk_with(data + bytes(5000))) == states(DELTAS)[-1]
    for cut in range(borders[-2], borders[-1]):
        assert contents(disk_with(data[:cut] + bytes(borders[-1] - cut))) in states(DELTAS)[-2:]


def test_any_damage_to_the_last_frame_is_a_torn_tail_and_never_a_wrong_state() -> None:
    """Whatever byte of an unacknowledged frame is wrong, the state before it is what is there."""
    data, borders = image(DELTAS)
    for damaged in flips(data, borders[-2], borders[-1]):
        assert contents(disk_with(damaged)) == states(DELTAS)[-2]


def test_any_damage_before_the_last_frame_is_corruption_with_its_offset() -> None:
    """One bit anywhere: the error names the frame that holds it, and the file is left as it is."""
    data, borders = image(DELTAS)
    for start, end in pairwise(borders[:-1]):
        for damaged in flips(data, start, end):
            files = disk_with(damaged)
            with pytest.raises(StoreCorruptError) as caught:
                opened(files)
            assert caught.value.offset == start
            assert files.names[PATH].data == damaged
            assert not files.locks


def test_any_damage_to_the_first_line_is_corruption() -> None:
    """Also where it is the version that changed: the line's checksum tells."""
    data, borders = image(DELTAS)
    for damaged in flips(data, 0, borders[0]):
        with pytest.raises(StoreCorruptError) as caught:
            opened(disk_with(damaged))
        assert caught.value.offset == 0


def flips(data: bytes, start: int, end: int) -> Iterator[bytes]:
    for position in range(start, end):
        for bit in range(8):
            yield data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]


def test_torn_tail_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody loses an unfinished commit without being told."""
    data, borders = image(DELTAS)
    contents(disk_with(data[:-1]))
    assert f"cut an unfinished commit of {borders[-1] - borders[-2] - 1} bytes" in caplog.text


def test_damaged_frame_before_a_torn_one_is_corruption() -> None:
    """Two things wrong at the end: what may have been acknowledged is not cut off."""
    data, borders = image(DELTAS)
    damaged = bytearray(data[:-1])
    damaged[borders[-2] - 1] ^= 1
    with pytest.raises(StoreCorruptError):
        opened(disk_with(bytes(damaged)))


def test_user_bytes_that_look_like_frames_do_not_turn_a_torn_tail_into_corruption() -> None:
    """A frame of another journal, stored as a value, is not taken for one of this journal."""
    data, borders = image(DELTAS)
    other = frame(b"x", borders[-1] + 60, 12345) * 3
    longer, ends = image([*DELTAS, cell(3, other + data)])
    torn = bytearray(longer)
    torn[ends[-2] : ends[-2] + HEAD_SIZE] = bytes(HEAD_SIZE)
    assert contents(disk_with(bytes(torn))) == states(DELTAS)[-1]


values = st.integers() | st.text(max_size=5) | st.binary(max_size=40)
deltas = st.builds(
    lambda changed, removed: Delta(
        {slot: Portrait("a.A", 0, {"n": value}) for slot, value in changed.items()}, frozenset(removed)
    ),
    st.dictionaries(st.integers(1, 5), values, max_size=3),
    st.sets(st.integers(1, 5), max_size=2),
)


MODES = {
    "plain": {},
    "encrypted": {"key": KEY},
    "with history": {"history": 2},
    "encrypted with history": {"key": KEY, "history": 2},
}


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=60, deadline=None)
@given(
    st.lists(deltas, max_size=12),
    st.randoms(use_true_random=False),
    st.sampled_from([(0, 1), (0, 200), (0, 8192), (300, 1), (300, 8192), (1 << 20, 8192)]),
)
def test_power_loss_leaves_a_prefix_with_all_that_was_acknowledged(
    mode: str, more: list[Delta], rng: random.Random, sizes: tuple[int, int]
) -> None:
    """Whatever operation the power fails in, amid a compaction of any pace or not; and when reopening."""
    given_, crash_at, options = [FIRST, *more], rng.randrange(60), MODES[mode]
    min_compact, slice_ = sizes
    when = rng.choice(list(When))
    files = FaultyFiles(trap=raise_at(crash_at, when, Crash()))
    with paced(slice_):
        acknowledged = commit_until_crash(files, given_, min_compact, **options)
        possible = states(given_)[acknowledged : acknowledged + 2]
        left = files.after_power_loss(rng) if rng.random() < 0.7 else files.after_kill()
        found = contents(left, **options)
        assert found in possible
        assert pasts(left, **options) <= numbered(states(given_)), "a checkpoint of what never was"
        left = left.after_power_loss(rng)
        assert contents(left, **options) == found, "what was read after a crash was not durable"
        journal, _ = opened(left, min_compact=0, **options)
        journal.append([FIRST, cell(9, "after")])
        assert contents(left.after_power_loss(rng), **options) == {**(found or {}), 0: 0, 9: "after"}


@contextmanager
def paced(slice_: int) -> Iterator[None]:
    """Commits carry over so little, or so much, of a compaction."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persistence._journal._SLICE", slice_)
        patch.setattr("persistence._journal._PACE", 1 if slice_ == 1 else 4)
        yield


def pasts(files: FaultyFiles, key: bytes | None = None, history: int = 0) -> set[str]:
    """The states of all checkpoints."""
    with read_only(PATH, files, Secret(key)) as file:
        numbers = [each.number for each in read_contents(file).checkpoints]
        return numbered(cells(read_contents(file, at=number).snapshot()) for number in numbers)


def numbered(states: Iterable[Cells | None]) -> set[str]:
    """States as what a set can hold."""
    return {repr(sorted((state or {}).items())) for state in states}


def test_what_a_killed_process_wrote_is_durable_before_it_is_believed() -> None:
    """A commit that was written and not synced, once opened, is not lost with the power."""
    files = FaultyFiles()
    journal, _ = opened(files)
    journal.append([FIRST])
    files.trap = raise_at(len(files.log), When.AFTER, Crash())  # after the write, before the sync
    with pytest.raises(Crash):
        journal.append([cell(1, "written")])
    left = files.after_kill()
    assert contents(left) == {0: 0, 1: "written"}
    for seed in range(20):
        assert contents(left.after_power_loss(random.Random(seed))) == {0: 0, 1: "written"}


def commit_until_crash(
    files: FaultyFiles, given_: Sequence[Delta], min_compact: int, **options: object
) -> int:
    """How many of the deltas were acknowledged."""
    acknowledged = 0
    try:
        journal, _ = opened(files, min_compact=min_compact, **options)
        for delta in given_:
            journal.append([delta])
            acknowledged += 1
    except Crash:
        pass
    return acknowledged


# --- compaction ----------------------------------------------------------------


@pytest.mark.parametrize("slice_", [1, 8192])
@pytest.mark.parametrize("mode", MODES)
def test_compaction_can_crash_at_each_step(mode: str, slice_: int) -> None:
    """At each operation of commits that compact, at once or little by little: nothing is lost."""
    options = MODES[mode]
    work = [FIRST, cell(2, "large" * 30), *(cell(1, "x" * 40 + str(count)) for count in range(8))]
    work += [Delta(removed=frozenset({2})), *(cell(1, count) for count in range(6))]
    total = FaultyFiles()
    with paced(slice_):
        commit_until_crash(total, work, 0, **options)
        assert total.log.count("replace") > 1
        assert slice_ > 1 or total.log.count("write new") > 2 * total.log.count("replace")
        for step in range(len(total.log)):
            for when in When:
                files = FaultyFiles(trap=raise_at(step, when, Crash()))
                acknowledged = commit_until_crash(files, work, 0, **options)
                possible = states(work)[acknowledged : acknowledged + 2]
                for seed in range(2):
                    assert contents(files.after_power_loss(random.Random(seed)), **options) in possible
                left = files.after_kill()
                assert contents(left, **options) in possible
                assert list(left.names) == [PATH], "a temporary file was left"


@pytest.mark.parametrize("name", ["remove", "create", "write new", "sync new", "replace"])
def test_compaction_that_fails_leaves_the_old_journal_working(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk at each step of it: logged, no commit is lost, and it is not tried at each commit."""
    files = FaultyFiles()
    journal, _ = opened(files, min_compact=0)
    journal.append([FIRST])
    files.trap = lambda _, operation: (When.HALF, disk_full()) if operation == name else None
    for count in range(100):
        journal.append([cell(1, count)])
    files.trap = lambda number, operation: None
    assert 0 < files.log.count(name) < 20
    assert "not compacted, the old journal goes on" in caplog.text
    journal.close()
    assert contents(files) == {0: 0, 1: 99}
    assert list(files.names) == [PATH]


@pytest.mark.parametrize(("name", "when"), [("replace", When.AFTER), ("sync_directory", When.BEFORE)])
def test_unknown_name_after_compaction_fails_the_store(name: str, when: When) -> None:
    """Where nobody knows which file has the name, the commit stands and no further one is taken."""
    files = FaultyFiles()
    journal, _ = opened(files, min_compact=0)
    journal.append([FIRST])
    files.trap = lambda _, operation: (when, disk_full()) if operation == name else None
    count = 0
    while journal.failure is None and count < 100:
        journal.append([cell(1, count := count + 1)])
    with pytest.raises(OSError, match="failed earlier"):
        journal.append([cell(1, "more")])
    files.trap = lambda number, operation: None
    for seed in range(10):
        assert contents(files.after_power_loss(random.Random(seed))) == {0: 0, 1: count}
    journal.close()
    assert contents(files) == {0: 0, 1: count}


def test_compaction_does_not_give_rotten_bytes_a_new_checksum(caplog: pytest.LogCaptureFixture) -> None:
    """What was damaged while the store was open is found, and the old journal is kept."""
    files = FaultyFiles()
    journal, _ = opened(files, min_compact=0)
    journal.append([FIRST, cell(2, "x" * 50)])
    place = files.names[PATH].data.index(b"xxx")
    files.names[PATH].data[place] ^= 1
    for _ in range(4):
        journal.append([cell(1, "y" * 200)])
    assert "damaged since the store was opened" in caplog.text
    journal.close()
    with pytest.raises(StoreCorruptError):
        opened(files)


def test_compaction_keeps_the_file_near_its_live_size(tmp_path: Path) -> None:
    """A million bytes of history of one cell do not stay."""
    path = str(tmp_path / "vat.syrup")
    journal, _ = opened(FileLayer(), path, min_compact=10_000)
    journal.append([FIRST])
    for count in range(100):
        journal.append([cell(1, b"%d" % count * 5000)])
    assert Path(path).stat().st_size < 50_000
    journal.close()
    assert contents(FileLayer(), path) == {0: 0, 1: b"99" * 5000}


def test_many_objects_survive_compaction_in_several_frames(tmp_path: Path) -> None:
    """Records of more than one frame keep their places in the index."""
    path = str(tmp_path / "vat.syrup")
    journal, _ = opened(FileLayer(), path)
    big = {slot: Portrait("a.A", 0, {"n": b"%d" % slot * 10_000}) for slot in range(300)}
    for _ in range(3):
        journal.append([FIRST, Delta(big)])
    journal.append([cell(5, "last")])
    journal.close()
    found = contents(FileLayer(), path)
    assert found == {**{slot: p.state["n"] for slot, p in big.items()}, 5: "last"}
