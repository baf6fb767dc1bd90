"""A store in memory: for tests of restarts, and for those who only try things out."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from goblins_py.abc import Delta, Portrait, Snapshot, Store
from goblins_py.errors import PersistenceError, StoreLockedError
from persistence._records import Graph, RecordReader, encode_change, merge

__all__ = ["MemoryStore"]


class MemoryStore(Store):
    """Keeps a vat's portraits as long as this object lives, over any number of restarts of the vat.

    It keeps them as Syrup, so that it refuses whatever a store on disk would refuse, and what
    comes back is never the object that went in.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._graph: Graph | None = None
        self._portraits: dict[int, bytes] = {}
        self._commits = 0

    @property
    def commits(self) -> int:
        """How many commits have changed the store since it was made."""
        return self._commits

    async def open(self) -> Snapshot | None:
        """Take the store and read it; see `Store`."""
        await trio.lowlevel.checkpoint()
        if self._is_open:
            raise StoreLockedError("the store is open already")
        self._is_open = True
        if self._graph is None:
            return None
        graph, portraits = self._graph, dict[int, Portrait]()
        reader = RecordReader()
        for data in self._portraits.values():
            record = reader.read(data)
            if isinstance(record, tuple):
                slot, portrait = record
                portraits[slot] = portrait
        return Snapshot(graph.vat_id, graph.roots_version, graph.roots, portraits)

    async def commit(self, deltas: Sequence[Delta]) -> None:
        """Keep these changes; see `Store`."""
        if not self._is_open:
            raise PersistenceError("the store is not open")
        change = merge(deltas, self._graph)
        records = encode_change(change)
        self._graph = change.graph or self._graph
        for slot in change.removed:
            self._portraits.pop(slot, None)
        for key, record in records:
            if key in change.portraits and key is not None:
                self._portraits[key] = record
        self._commits += bool(records)
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Let go of the store; see `Store`."""
        self._is_open = False
        await trio.lowlevel.checkpoint()
