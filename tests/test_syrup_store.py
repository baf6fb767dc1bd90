"""The journal file: what it survives, what it refuses, and that it never guesses."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import pytest

from faulty_files import FaultyFiles, When, disk_full
from goblins_py.abc import Delta, Portrait
from goblins_py.errors import StoreCorruptError, StoreLockedError, SyrupEncodeError, VersionMismatchError
from goblins_py.syrup import Record, Symbol, encode
from journal_kit import (
    DELTAS,
    FIRST,
    KEY,
    PATH,
    cell,
    cells,
    contents,
    disk_with,
    image,
    opened,
    raise_at,
    states,
)
from persistence import SyrupStore
from persistence._files import FileLayer
from persistence._frames import HEAD_SIZE, FileHeader, frame
from persistence._opening import open_journal
from persistence._records import join_records

# --- failing writes ---------------------------------------------------------------


@pytest.mark.trio
@pytest.mark.parametrize("options", [{}, {"key": KEY, "history": 2, "checkpoint_every": 0}])
@pytest.mark.parametrize("name", ["write", "sync"])
@pytest.mark.parametrize("when", list(When))
async def test_failed_commit_stops_the_store_until_it_is_reopened(
    name: str, when: When, options: dict[str, object]
) -> None:
    """A full disk: the error reaches the vat, nothing more is taken, nothing acknowledged is lost."""
    files = FaultyFiles()
    store = SyrupStore(PATH, _files=files, **options)
    await store.open()
    await store.commit([FIRST])
    files.trap = lambda _, operation: (when, disk_full()) if operation == name else None
    with pytest.raises(OSError, match="No space left"):
        await store.commit([cell(0, "lost")])
    files.trap = lambda number, operation: None
    operations = len(files.log)
    with pytest.raises(OSError, match="failed earlier"):
        await store.commit([cell(0, "lost")])
    assert len(files.log) == operations, "a failed sync was tried again"
    await store.aclose()
    assert cells(await store.open()) == {0: 0}
    await store.commit([cell(0, "found")])
    await store.aclose()
    assert contents(files, key=options.get("key")) == {0: "found"}


@pytest.mark.parametrize("seed", range(20))
def test_failed_sync_and_failed_cut_leave_a_prefix(seed: int) -> None:
    """Where not even the cut works, the commit may be there or not, but nothing else is lost."""
    files = FaultyFiles()
    journal, _ = opened(files)
    journal.append([FIRST])
    files.trap = lambda _, operation: (When.BEFORE, disk_full())
    with pytest.raises(OSError, match="No space left"):
        journal.append([cell(0, "unknown")])
    assert contents(files.after_power_loss(random.Random(seed))) in ({0: 0}, {0: "unknown"})


def test_error_while_opening_leaves_the_store_closed() -> None:
    """No handle and no lock is left, whatever operation failed."""
    data, _ = image(DELTAS)
    for step in range(4):
        files = disk_with(data[:-1])
        files.log.clear()
        files.trap = raise_at(step, When.BEFORE, disk_full())
        with pytest.raises(OSError, match="No space left"):
            opened(files)
        assert not files.handles
        files.trap = lambda number, _: None
        assert contents(files) == states(DELTAS)[-2]


# --- contents of a wrong kind -------------------------------------------------------

P = Symbol("portrait")
WRONG = [
    b"no syrup",
    b"",
    encode(7),
    encode((1, 2)),
    encode(Record(Symbol("portrait"), ())),
    encode(Record(Symbol("unknown"), (1,))),
    encode(Record(P, (True, "a.A", 0, {}))),
    encode(Record(P, (-1, "a.A", 0, {}))),
    encode(Record(P, (0, Symbol("a.A"), 0, {}))),
    encode(Record(P, (0, "a.A", 0.0, {}))),
    encode(Record(P, (0, "a.A", 0, ()))),
    encode(Record(P, (0, "a.A", 0, {1: 2}))),
    encode(Record(P, (0, "a.A", 0, {}))) + b"t",
    encode(Record(P, (0, "a.A", 0, {})))[:-1],
    encode(Record(Symbol("graph"), ("id", 0, ()))),
    encode(Record(Symbol("graph"), (b"id", 0, (1.0,)))),
    encode(Record(Symbol("removed"), (7,))),
    encode(Record(Symbol("removed"), ((False,),))),
]  # fmt: skip


@pytest.mark.parametrize("record", WRONG)
def test_sound_frame_with_a_wrong_record_is_corruption(record: bytes) -> None:
    """Contents are checked too; the offset is the record's."""
    files, end = appended(join_records([encode(Record(Symbol("removed"), ((),))), record]))
    with pytest.raises(StoreCorruptError) as caught:
        opened(files)
    assert caught.value.offset >= end + HEAD_SIZE


@pytest.mark.parametrize("payload", [b"junk", b"5:<>", b":", b"-1:", b"9" * 40 + b":", b"\xb2:ab"])
def test_sound_frame_without_records_is_corruption(payload: bytes) -> None:
    """A payload is a run of byte strings and nothing else."""
    files, end = appended(payload)
    with pytest.raises(StoreCorruptError) as caught:
        opened(files)
    assert caught.value.offset == end + HEAD_SIZE


def test_journal_that_starts_without_a_graph_is_corruption() -> None:
    """Portraits of nobody's vat are no store."""
    portrait = encode(Record(P, (0, "a.A", 0, {})))
    files, end = appended(join_records([portrait]), after=())
    with pytest.raises(StoreCorruptError, match="without a vat id"):
        opened(files)
    assert end > 0


def appended(payload: bytes, after: Sequence[Delta] = (FIRST,)) -> tuple[FaultyFiles, int]:
    """A journal whose last frame is sound and holds `payload`, and where that starts."""
    data, borders = image(after)
    header = FileHeader.parse(data)
    return disk_with(data + frame(payload, borders[-1], header.seed)), borders[-1]


@pytest.mark.parametrize("data", [b"", b"\n", b"goblins-store", b"goblins-store x 1 2\n", b"PNG\r\n" * 99])
def test_file_that_is_no_store_is_refused(data: bytes) -> None:
    """Nothing foreign is overwritten, not even an empty file."""
    files = disk_with(data)
    with pytest.raises(StoreCorruptError, match="not a goblins store"):
        opened(files)
    assert files.names[PATH].data == data


def test_newer_format_is_a_version_mismatch() -> None:
    """A first line that is sound and names a newer version says so, whatever else is in it."""
    for line in (b"goblins-store 3 0011 ", b"goblins-store 17 zstd ed25519 x "):
        with pytest.raises(VersionMismatchError, match="format version"):
            opened(disk_with(line + b"%08x\n" % crc32(line) + b"whatever"))


def test_refused_value_names_the_object_and_not_its_secret() -> None:
    """The error says whose portrait it was, and holds nothing of the state."""
    files = FaultyFiles()
    journal, _ = opened(files)
    journal.append([FIRST])
    operations = len(files.log)
    bad = Portrait("bank.Purse", 0, {"secret": "hunter2", "what": object()})
    with pytest.raises(SyrupEncodeError) as caught:
        journal.append([cell(0, 1), Delta({7: bad})])
    assert "bank.Purse at slot 7" in caught.value.__notes__[0]
    assert "hunter2" not in repr(caught.value) + str(caught.value.__notes__)
    assert len(files.log) == operations, "something was written"


@pytest.mark.parametrize(
    "portrait",
    [Portrait("a.A", -1, {}), Portrait(Symbol("a"), 0, {}), Portrait("a.A", 0, {1: 2})],  # type: ignore[arg-type, dict-item]
)
def test_portrait_that_could_not_be_read_back_is_refused(portrait: Portrait) -> None:
    """What open would call corrupt is never written."""
    files = FaultyFiles()
    journal, _ = opened(files)
    journal.append([FIRST])
    with pytest.raises(SyrupEncodeError):
        journal.append([Delta({0: portrait})])
    journal.close()
    assert contents(files) == {0: 0}


def test_values_of_any_size_are_read_back() -> None:
    """The limits for peers are not limits of the store."""
    files = FaultyFiles()
    journal, _ = opened(files)
    nested: object = ()
    for _ in range(125):
        nested = (nested,)
    value = (10**20_000, b"x" * 3_000_000, nested, tuple(range(100_000)))
    journal.append([FIRST, cell(1, value)])
    journal.close()
    assert contents(files) == {0: 0, 1: value}


# --- real files and processes ---------------------------------------------------------


@pytest.mark.trio
async def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """Store and lock file, when made and after compaction."""
    path = tmp_path / "vat.syrup"
    store = SyrupStore(path, min_compact=0)
    await store.open()
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    for count in range(5):
        await store.commit([FIRST, cell(1, count)])
    modes |= {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    await store.aclose()
    assert modes == {0o600}


@pytest.mark.trio
async def test_left_over_files_are_removed_or_no_hindrance(tmp_path: Path) -> None:
    """A temporary file of a compaction that was killed goes; a lock file of a dead process stays."""
    (tmp_path / "vat.syrup.new").write_bytes(b"half")
    (tmp_path / "vat.syrup.lock").write_bytes(b"")
    store = SyrupStore(tmp_path / "vat.syrup")
    assert await store.open() is None
    await store.commit([FIRST])
    await store.aclose()
    (tmp_path / "vat.syrup.new").write_bytes(b"half")
    assert cells(await store.open()) == {0: 0}
    await store.aclose()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["vat.syrup", "vat.syrup.lock"]


@pytest.mark.trio
async def test_symbolic_link_and_its_target_are_one_store(tmp_path: Path) -> None:
    """One lock for both names, and compaction does not replace the link."""
    link = tmp_path / "link"
    link.symlink_to("vat.syrup")
    store = SyrupStore(link, min_compact=0)
    await store.open()
    with pytest.raises(StoreLockedError):
        await SyrupStore(tmp_path / "vat.syrup").open()
    for count in range(5):
        await store.commit([FIRST, cell(1, count)])
    await store.aclose()
    assert link.is_symlink()
    assert contents(FileLayer(), str(tmp_path / "vat.syrup")) == {0: 0, 1: 4}


COMMITTER = """
import os, sys
from goblins_py.abc import Delta, Portrait
from persistence._files import FileLayer
from persistence._journal import Options
from persistence._opening import open_journal
journal, snapshot = open_journal(sys.argv[1], FileLayer(), Options(min_compact=2000))
count = snapshot.portraits[0].state["n"] if snapshot else 0
if snapshot is None:
    journal.append([Delta({0: Portrait("a.A", 0, {"n": 0})}, vat_id=bytes(32), roots=(0,))])
os.write(1, b"%d\\n" % count)
while True:
    count += 1
    journal.append([Delta({0: Portrait("a.A", 0, {"n": count})})])
    os.write(1, b"%d\\n" % count)
"""


def start_committer(path: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", COMMITTER, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def test_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """SIGKILL at random moments, compactions included; the next process goes on from there."""
    path, rng, acknowledged = tmp_path / "vat.syrup", random.Random(7), 0
    for _ in range(20):
        with start_committer(path) as process:
            assert process.stdout is not None
            first = int(process.stdout.readline())
            for _ in range(rng.randrange(150)):
                process.stdout.readline()
            process.kill()
            rest = process.stdout.read().split(b"\n")[:-1]
        assert acknowledged <= first <= acknowledged + 1
        journal, snapshot = open_journal(str(path), FileLayer())
        journal.close()
        assert snapshot is not None
        count = snapshot.portraits[0].state["n"]
        assert isinstance(count, int)
        assert int(rest[-1] if rest else first) <= count
        acknowledged = count


@pytest.mark.trio
async def test_second_process_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    """The lock holds between processes, and dies with its holder."""
    store = SyrupStore(tmp_path / "vat.syrup")
    with start_committer(tmp_path / "vat.syrup") as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreLockedError):
            await store.open()
        process.kill()
        process.stdout.read()
    assert await store.open() is not None
    await store.aclose()
