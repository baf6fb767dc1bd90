"""The SQLite store: what it survives, what it refuses, and that it never guesses."""

from __future__ import annotations

import errno
import os
import random
import stat
import sys
from pathlib import Path

import apsw
import pytest
import trio

from faulty_vfs import Disk, FaultyVfs, fails
from goblins_py.abc import Delta, Portrait
from goblins_py.errors import PersistenceError, StoreCorruptError, StoreLockedError, VersionMismatchError
from journal_kit import FIRST, cell, cells, states
from persistence import SqliteStore
from persistence._sqlite import APPLICATION_ID

pytestmark = pytest.mark.trio


async def committed(path: Path, *deltas: Delta) -> None:
    store = SqliteStore(path)
    await store.open()
    for delta in deltas:
        await store.commit([delta])
    await store.aclose()


async def contents(path: Path) -> dict[int, object] | None:
    store = SqliteStore(path)
    snapshot = await store.open()
    await store.aclose()
    return cells(snapshot)


@pytest.fixture
def disk(tmp_path: Path):
    """A disk under `vat.sqlite`, by the name of "faulty"."""
    disk = Disk()
    vfs = FaultyVfs("faulty", tmp_path / "vat.sqlite", disk)
    yield disk
    vfs.unregister()


# --- files ---------------------------------------------------------------------


async def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """The database, its log and its shared memory, and the lock file."""
    store = SqliteStore(tmp_path / "vat.sqlite")
    await store.open()
    await store.commit([FIRST])
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    await store.aclose()
    assert set(files) == {"vat.sqlite", "vat.sqlite-wal", "vat.sqlite-shm", "vat.sqlite.lock"}
    assert set(files.values()) == {0o600}


async def test_it_is_in_wal_mode_and_fully_synchronous(tmp_path: Path, disk: Disk) -> None:
    """A commit is synced when it has returned: one sync each."""
    store = SqliteStore(tmp_path / "vat.sqlite", _vfs="faulty")
    await store.open()
    await store.commit([FIRST])
    before = disk.log.count("sync")
    for count in range(10):
        await store.commit([cell(1, count)])
    assert disk.log.count("sync") - before == 10
    assert apsw.Connection(str(tmp_path / "vat.sqlite")).pragma("journal_mode") == "wal"
    await store.aclose()


async def test_a_second_opener_is_refused_here_and_in_another_process(tmp_path: Path) -> None:
    """One writer; who only reads is no hindrance and not hindered."""
    path = tmp_path / "vat.sqlite"
    store = SqliteStore(path)
    await store.open()
    await store.commit([FIRST])
    with pytest.raises(StoreLockedError):
        await SqliteStore(path).open()
    program = (
        "import sys, trio\nfrom persistence import SqliteStore\n"
        "from goblins_py.errors import StoreLockedError\n"
        "try:\n trio.run(SqliteStore(sys.argv[1]).open)\nexcept StoreLockedError:\n sys.exit(7)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = await trio.run_process([sys.executable, "-c", program, str(path)], env=environment, check=False)
    assert done.returncode == 7
    assert (await store.inspect()).snapshot is not None
    await store.aclose()
    assert await contents(path) == {0: 0}


async def test_a_store_that_was_replaced_under_us_takes_no_more(tmp_path: Path) -> None:
    """What is committed to a file that nobody will find again is not acknowledged."""
    path = tmp_path / "vat.sqlite"
    store = SqliteStore(path)
    await store.open()
    await store.commit([FIRST])
    path.unlink()
    for _ in range(2):
        with pytest.raises(OSError, match=r"removed or replaced|failed earlier"):
            await store.commit([cell(1, "lost")])
    await store.aclose()


async def test_without_apsw_the_error_says_what_to_install(tmp_path: Path) -> None:
    """And all other stores work."""
    program = (
        "import sys\nsys.modules['apsw'] = None\nfrom persistence import SqliteStore, SyrupStore\n"
        "SyrupStore('x')\ntry:\n SqliteStore('x')\nexcept ImportError as error:\n print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = await trio.run_process([sys.executable, "-c", program], env=environment, capture_stdout=True)
    assert b"pip install 'goblins_py[sqlite]'" in done.stdout


async def test_looking_changes_nothing(tmp_path: Path) -> None:
    """Not even the log that a killed process left is taken into the database; and it is read all the same."""
    path, left = tmp_path / "vat.sqlite", tmp_path / "left.sqlite"
    store = SqliteStore(path)
    await store.open()
    await store.commit([FIRST])
    for suffix in ("", "-wal"):
        (tmp_path / f"left.sqlite{suffix}").write_bytes((tmp_path / f"vat.sqlite{suffix}").read_bytes())
    await store.aclose()
    before = left.read_bytes(), (tmp_path / "left.sqlite-wal").read_bytes()
    for _ in range(2):
        reader = SqliteStore(left, read_only=True)
        assert cells(await reader.open()) == {0: 0}
        with pytest.raises(PersistenceError, match="read-only"):
            await reader.commit([cell(0, "never")])
        await reader.aclose()
    assert before == (left.read_bytes(), (tmp_path / "left.sqlite-wal").read_bytes())
    assert not (tmp_path / "left.sqlite.lock").exists()
    assert await contents(left) == {0: 0}


# --- damage ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_damage_is_an_error_or_harmless_and_never_another_state(tmp_path: Path, seed: int) -> None:
    """Bits flipped all over the file: SQLite or our checksums find them, where they mean anything."""
    path, rng = tmp_path / "vat.sqlite", random.Random(seed)
    await committed(path, FIRST, *(cell(slot, bytes([slot]) * 200) for slot in range(1, 40)))
    there, sound = await contents(path), path.read_bytes()
    found = 0
    for _ in range(60):
        damaged = bytearray(sound)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert await contents(path) == there
        except (StoreCorruptError, VersionMismatchError):
            found += 1
    assert found > 10


async def test_what_is_no_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """A text, a journal, and somebody's database of stamps."""
    stamps = tmp_path / "stamps.sqlite"
    apsw.Connection(str(stamps)).execute(
        "CREATE TABLE stamp (name); INSERT INTO stamp VALUES ('penny black')"
    )
    text = tmp_path / "text"
    text.write_text("goblins-store 2\n" * 99)
    for path in (stamps, text):
        before = path.read_bytes()
        for store in (SqliteStore(path), SqliteStore(path, read_only=True)):
            with pytest.raises(StoreCorruptError):
                await store.open()
        assert path.read_bytes() == before


async def test_a_newer_format_is_a_version_mismatch(tmp_path: Path) -> None:
    """It is not touched."""
    path = tmp_path / "vat.sqlite"
    await committed(path, FIRST)
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 2)
    connection.close()
    with pytest.raises(VersionMismatchError, match="format version 2"):
        await SqliteStore(path).open()


async def test_a_row_that_went_missing_with_the_graph_is_corruption(tmp_path: Path) -> None:
    """Portraits of nobody's vat are no store; nor is a record at another's slot."""
    path = tmp_path / "vat.sqlite"
    for damage in ("DELETE FROM record WHERE slot = -1", "UPDATE record SET slot = 9 WHERE slot = 0"):
        path.unlink(missing_ok=True)
        await committed(path, FIRST)
        connection = apsw.Connection(str(path))
        connection.execute(damage)
        connection.close()
        with pytest.raises(StoreCorruptError):
            await SqliteStore(path).open()


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE other (slot, crc, data)",
        "CREATE TABLE record (slot INTEGER PRIMARY KEY, data)",
        "CREATE TABLE record (slot, crc, data); INSERT INTO record VALUES ('one', 1, x'00')",
        "CREATE TABLE record (slot, crc, data); INSERT INTO record VALUES (1, 1, 'text')",
        "CREATE TABLE record (slot, crc, data); INSERT INTO record VALUES (1, NULL, x'00')",
        "CREATE TABLE record (slot, crc, data); INSERT INTO record VALUES (1, 1, CAST(x'ff' AS TEXT))",
        "CREATE VIEW record AS SELECT 1 AS slot, 1 AS crc, x'00' AS data",
    ],
)
async def test_a_forged_database_is_corruption(tmp_path: Path, table: str) -> None:
    """It has our number, and tables, columns or values that no store has."""
    path = tmp_path / "vat.sqlite"
    connection = apsw.Connection(str(path))
    connection.execute(table)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 1)
    connection.close()
    for store in (SqliteStore(path), SqliteStore(path, read_only=True)):
        with pytest.raises(StoreCorruptError):
            await store.open()
    with pytest.raises(StoreCorruptError):
        await SqliteStore(path).inspect()


# --- a disk that fails, or is slow --------------------------------------------------


@pytest.mark.parametrize("name", ["write", "sync"])
@pytest.mark.parametrize("kind", [(apsw.FullError, errno.ENOSPC), (apsw.IOError, errno.EIO)])
async def test_a_failed_commit_stops_the_store_until_it_is_reopened(
    tmp_path: Path, disk: Disk, name: str, kind: tuple[type[Exception], int]
) -> None:
    """The error reaches the vat, nothing more is taken, and nothing acknowledged is lost."""
    path, (error, number) = tmp_path / "vat.sqlite", kind
    store = SqliteStore(path, _vfs="faulty")
    await store.open()
    await store.commit([FIRST])
    disk.trap = fails(name, error)
    with pytest.raises(OSError) as caught:
        await store.commit([cell(0, "lost")])
    assert caught.value.errno == number
    disk.trap = lambda number, name: None
    operations = len(disk.log)
    with pytest.raises(OSError, match="failed earlier"):
        await store.commit([cell(0, "lost")])
    assert len(disk.log) == operations, "a failed store tried again"
    await store.aclose()
    assert cells(await store.open()) in ({0: 0}, {0: "lost"})
    await store.commit([cell(0, "found")])
    await store.aclose()
    assert await contents(path) == {0: "found"}


async def test_a_commit_is_carried_out_under_cancellation_and_takes_bounded_time(
    tmp_path: Path, disk: Disk
) -> None:
    """Cancelled, it waits for the outcome; but for `timeout` only, and then the store has failed."""
    path = tmp_path / "vat.sqlite"
    store = SqliteStore(path, timeout=0.3, _vfs="faulty")
    await store.open()
    await store.commit([FIRST])
    disk.delay = 0.1
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit([cell(0, "kept")])
    disk.delay = 1.0
    started = trio.current_time()
    with pytest.raises(TimeoutError, match=r"more than 0\.3 s"):
        await store.commit([cell(0, "unknown")])
    assert trio.current_time() - started < 0.9
    with pytest.raises(OSError, match="failed earlier"):
        await store.commit([cell(0, "lost")])
    disk.delay = 0.0
    await store.aclose()
    await trio.sleep(1)
    assert await contents(path) in ({0: "kept"}, {0: "unknown"})


@pytest.mark.parametrize("seed", range(40))
async def test_power_loss_leaves_a_prefix_with_all_that_was_acknowledged(
    tmp_path: Path, disk: Disk, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any operation of a commit or a checkpoint of the log, any part of what was not synced is lost.

    Also while the file becomes smaller: few large values, which small ones replace.
    """
    monkeypatch.setattr("persistence._sqlite._SPARE", 1)
    monkeypatch.setattr("persistence._sqlite._PIECE", 3)
    path, rng = tmp_path / "vat.sqlite", random.Random(seed)
    deltas = [
        FIRST,
        *(cell(rng.randrange(4), rng.randbytes(rng.choice((10, 10, 3000, 60_000)))) for _ in range(30)),
    ]
    store = SqliteStore(path, _vfs="faulty")
    await store.open()
    await store.commit([FIRST])
    acknowledged, crash_at = 1, len(disk.log) + rng.randrange(500)

    def crash(number: int, _: str) -> None:
        if number >= crash_at:
            raise apsw.IOError("the power is gone")

    disk.trap = crash
    if seed % 2:  # the log goes into the database in the middle
        disk.trap = lambda number, name: None if len(disk.log) < crash_at else crash(number, name)
    try:
        for delta in deltas[1:]:
            await store.commit([delta])
            acknowledged += 1
            if acknowledged % 7 == 0:
                opened = store._taken()
                await opened.connection.async_run(opened.connection.wal_checkpoint)
    except (OSError, apsw.IOError):
        pass
    disk.after_power_loss(tmp_path / "left.sqlite", rng)
    disk.trap = lambda number, name: None
    await store.aclose()
    assert await contents(tmp_path / "left.sqlite") in states(deltas)[acknowledged : acknowledged + 2]


async def test_what_a_killed_process_wrote_is_durable_before_it_is_believed(
    tmp_path: Path, disk: Disk
) -> None:
    """Opening syncs the log that it reads: what it showed then is not lost with the power."""
    path = tmp_path / "vat.sqlite"
    store = SqliteStore(path, _vfs="faulty")
    await store.open()
    await store.commit([FIRST])
    disk.trap = fails("sync", apsw.IOError)
    with pytest.raises(OSError, match="injected"):
        await store.commit([cell(0, "written")])
    for suffix in ("", "-wal"):
        (tmp_path / f"killed{suffix}").write_bytes((tmp_path / f"vat.sqlite{suffix}").read_bytes())
    disk.trap = lambda number, name: None
    await store.aclose()
    killed = Disk({"": (tmp_path / "killed").read_bytes(), "-wal": b""})
    killed.pending["-wal"] = [(0, (tmp_path / "killed-wal").read_bytes())]
    vfs = FaultyVfs("killed", tmp_path / "killed", killed)
    store = SqliteStore(tmp_path / "killed", _vfs="killed")
    found = cells(await store.open())
    killed.pending["-wal"].clear()
    killed.after_power_loss(tmp_path / "left", random.Random(1))
    await store.aclose()
    vfs.unregister()
    assert await contents(tmp_path / "left") == found


# --- size --------------------------------------------------------------------------


async def test_the_file_follows_the_live_state(tmp_path: Path) -> None:
    """What was removed is used again; a file that is mostly unused shrinks when opened, or when asked to."""
    path = tmp_path / "vat.sqlite"
    big = {slot: Portrait("a.A", 0, {"n": bytes(4000)}) for slot in range(1, 300)}
    await committed(path, FIRST, Delta(big))
    full = path.stat().st_size
    await committed(path, Delta(removed=frozenset(range(1, 300))))
    await committed(path)
    assert path.stat().st_size < full // 4
    await committed(path, Delta(big), Delta(removed=frozenset(range(100, 300))))
    store = SqliteStore(path)
    await store.open()
    await store.compact()
    await store.aclose()
    assert path.stat().st_size < full // 2
    with pytest.raises(PersistenceError, match="not open"):
        await store.compact()


@pytest.mark.parametrize("left", [0, 4])
async def test_the_files_follow_the_live_state_while_the_store_is_open(
    tmp_path: Path, disk: Disk, left: int
) -> None:
    """Database and log, a piece with each commit, without more syncs for it than a checkpoint has."""
    path = tmp_path / "vat.sqlite"
    store = SqliteStore(path, _vfs="faulty")
    await store.open()
    await store.commit([FIRST])
    await store.commit([Delta({slot: Portrait("a.A", 0, {"n": bytes(1 << 20)}) for slot in range(1, 31)})])
    await store.commit([cell(0, "small")])
    assert path.stat().st_size > 30 << 20
    await store.commit([Delta(removed=frozenset(range(1 + left, 31)))])
    before = disk.log.count("sync")
    for count in range(40):
        await store.commit([cell(0, count)])
    assert path.stat().st_size < (2 * left + 1) << 20
    assert (tmp_path / "vat.sqlite-wal").stat().st_size <= 8 << 20
    assert disk.log.count("sync") - before <= 40 + 4
    await store.aclose()
    assert len(await contents(path) or ()) == 1 + left


async def test_a_small_file_is_left_alone(tmp_path: Path) -> None:
    """A few pages are used again, and not given back and taken at each turn."""
    path = tmp_path / "vat.sqlite"
    store = SqliteStore(path)
    await store.open()
    await store.commit([FIRST])
    await store.commit([cell(1, bytes(200_000))])
    await store.commit([Delta(removed=frozenset({1}))])
    await store.commit([cell(0, 1)])
    assert await store._taken().connection.pragma("freelist_count") > 40
    await store.aclose()
