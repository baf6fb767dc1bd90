"""Every store keeps the contract, and what only some of them promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from goblins_py.abc import Delta, Portrait
from goblins_py.errors import PersistenceError, StoreLockedError
from goblins_py.testing._check_store import check_store
from persistence import MemoryStore, SyrupStore


@pytest.mark.trio
async def test_memory_store_keeps_the_contract() -> None:
    """The public suite passes on the store in memory."""
    store = MemoryStore()
    await check_store(lambda: store)


@pytest.mark.trio
async def test_syrup_store_keeps_the_contract(tmp_path: Path) -> None:
    """The public suite passes on the journal, with an object per opening."""
    await check_store(lambda: SyrupStore(tmp_path / "vat.syrup"))


@pytest.mark.trio
async def test_syrup_store_that_always_compacts_keeps_the_contract(tmp_path: Path) -> None:
    """Compaction at nearly every commit changes nothing that can be seen."""
    await check_store(lambda: SyrupStore(tmp_path / "vat.syrup", min_compact=0))


@pytest.mark.trio
async def test_one_syrup_store_object_can_be_reopened(tmp_path: Path) -> None:
    """The public suite passes also where the same object is opened each time."""
    store = SyrupStore(tmp_path / "vat.syrup")
    await check_store(lambda: store)


@pytest.mark.trio
async def test_commit_to_a_closed_store_is_refused(tmp_path: Path) -> None:
    """A store takes commits only between open and aclose."""
    for store in (MemoryStore(), SyrupStore(tmp_path / "vat.syrup")):
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
