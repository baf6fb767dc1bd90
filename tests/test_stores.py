"""Every store keeps the contract, and what only some of them promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from goblins_py.abc import Delta, Portrait, Snapshot, Store
from goblins_py.errors import PersistenceError, StoreLockedError
from goblins_py.testing._check_store import check_store
from persistence import MemoryStore, SqliteStore, SyrupStore, copy_store
from store_kit import KEY, STORES


@pytest.mark.trio
@pytest.mark.parametrize("name", STORES)
async def test_store_keeps_the_contract(name: str, tmp_path: Path) -> None:
    """The public suite passes on every store, whatever its options."""
    await check_store(STORES[name](tmp_path))


@pytest.mark.trio
async def test_commit_to_a_closed_store_is_refused(tmp_path: Path) -> None:
    """A store takes commits only between open and aclose."""
    for store in (MemoryStore(), SyrupStore(tmp_path / "vat.syrup"), SqliteStore(tmp_path / "vat.sqlite")):
        with pytest.raises(PersistenceError, match="not open"):
            await store.commit([])


@pytest.mark.trio
async def test_check_store_finds_a_store_that_forgets() -> None:
    """The suite itself fails where a store loses what it was given."""

    class Forgetful(MemoryStore):
        async def commit(self, deltas: object) -> None:
            pass

    with pytest.raises(AssertionError):
        await check_store(Forgetful)


@pytest.mark.trio
async def test_memory_store_counts_commits_that_change_something() -> None:
    """Empty commits do not count, others do, whatever number of deltas they have."""
    store = MemoryStore()
    await store.open()
    await store.commit([Delta(vat_id=bytes(32), roots=()), Delta({0: Portrait("a.A", 0, {})})])
    await store.commit([Delta()])
    assert store.commits == 1
    with pytest.raises(StoreLockedError):
        await store.open()


# --- copies ---------------------------------------------------------------------

FIRST = Delta({0: Portrait("a.A", 2, {"n": 1}), 7: Portrait("b.B", 0, {})}, vat_id=bytes(32), roots=(7,))


async def fill(store: Store) -> Snapshot | None:
    """Commit something; what the store holds then."""
    await store.open()
    await store.commit([FIRST, Delta(roots_version=4, removed=frozenset({0}))])
    await store.commit([Delta({3: Portrait("a.A", 0, {"secret": b"x" * 100_000})})])
    await store.aclose()
    return await holds(store)


async def holds(store: Store) -> Snapshot | None:
    snapshot = await store.open()
    await store.aclose()
    return snapshot


@pytest.mark.trio
@pytest.mark.parametrize("target", ["memory", "syrup", "syrup, with a key and history", "sqlite"])
@pytest.mark.parametrize("source", ["memory", "syrup, with a passphrase", "syrup, with history", "sqlite"])
async def test_a_copy_holds_what_its_source_holds(source: str, target: str, tmp_path: Path) -> None:
    """From any store to any other; both are closed afterwards, and the source is as it was."""
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    make_source, make_target = STORES[source](tmp_path / "source"), STORES[target](tmp_path / "target")
    there = await fill(make_source())
    assert await copy_store(make_source(), make_target()) == 2
    assert await holds(make_target()) == there == await holds(make_source())


@pytest.mark.trio
@pytest.mark.parametrize("name", STORES)
async def test_nothing_is_copied_onto_something(name: str, tmp_path: Path) -> None:
    """A target that holds anything is refused and unchanged; so is a source that holds nothing."""
    make_target = STORES[name](tmp_path)
    with pytest.raises(PersistenceError, match="the source is empty"):
        await copy_store(MemoryStore(), make_target())
    there = await fill(make_target())
    source = MemoryStore()
    await source.open()
    await source.commit([Delta(vat_id=bytes(32), roots=())])
    await source.aclose()
    with pytest.raises(PersistenceError, match="the target is not empty"):
        await copy_store(source, make_target())
    assert await holds(make_target()) == there
    assert await holds(source) is not None


@pytest.mark.trio
async def test_a_store_in_use_is_copied_as_it_is_now(tmp_path: Path) -> None:
    """A read-only source takes no lock: the vat that has the store goes on."""
    for number, (used, reader) in enumerate(
        [
            (SyrupStore(tmp_path / "a", key=KEY), SyrupStore(tmp_path / "a", key=KEY, read_only=True)),
            (SqliteStore(tmp_path / "b"), SqliteStore(tmp_path / "b", read_only=True)),
        ]
    ):
        await used.open()
        await used.commit([FIRST])
        target = SyrupStore(tmp_path / f"{number}.copy")
        assert await copy_store(reader, target) == 2
        await used.commit([Delta(roots_version=9)])
        await used.aclose()
        copied = await holds(target)
        assert copied is not None
        assert (copied.roots_version, copied.portraits) == (0, FIRST.portraits)
        with pytest.raises(PersistenceError, match="read-only"):
            await commit_to(reader)


async def commit_to(store: Store) -> None:
    await store.open()
    try:
        await store.commit([Delta(roots_version=1)])
    finally:
        await store.aclose()
