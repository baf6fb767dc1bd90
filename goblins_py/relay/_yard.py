"""What all accounts of a running relay share: who watches which base session, and what is a leg's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final
from weakref import WeakSet

from goblins_py.abc import Io
from goblins_py.actors import Connector, NearOnly, Ref, on_sever, spawn
from goblins_py.captp import Session

__all__ = ["Yard"]

Told = Callable[[str], None]

_QUEUE_SOFT: Final = 64 * 2**20
_QUEUE_HARD: Final = 2**30
"""Bytes that may be queued to a base session that clients or legs use: they share it, so it is not paused
before, and a message refused without an answer would be lost unnoticed. Quotas bound what is queued."""


class Yard(NearOnly):
    """See the module.

    A base session carries many legs, and many that have ended: so there is one watch per base session, that
    legs join and leave.
    """

    def __init__(self, io: Io) -> None:
        self.io = io
        self._watches: dict[Connector, dict[object, Told]] = {}
        self._inlets: WeakSet[Ref[Any]] = WeakSet()

    def watch(self, ref: Ref[Any], key: object, told: Told) -> None:
        """Have `told(reason)` called when the base session behind `ref` ends; in a turn."""
        connector = ref._connector
        if connector is None:
            return
        if connector not in self._watches:
            self._watches[connector] = {}
            if isinstance(connector, Session):
                connector.allow_queue(_QUEUE_SOFT, _QUEUE_HARD)
            on_sever(ref, partial(self._severed, connector))
        self._watches[connector][key] = told

    def leave(self, ref: Ref[Any], key: object) -> None:
        """The watcher under this key watches no more."""
        watches = self._watches.get(ref._connector) if ref._connector is not None else None
        if watches is not None:
            watches.pop(key, None)

    def _severed(self, connector: Connector, reason: str) -> None:
        for told in tuple(self._watches.pop(connector, {}).values()):
            told(reason)

    def spawn_inlet(self, behaviour: Callable[..., object]) -> Ref[Any]:
        """Spawn a session-in: the only kind of near object that a session may be delivered to."""
        ref = spawn(behaviour)
        self._inlets.add(ref)
        return ref

    def is_deliverable(self, thing: object) -> bool:
        """May a session be delivered to it? Else a client could have the relay talk to itself for ever."""
        return isinstance(thing, Ref) and (thing._connector is not None or thing in self._inlets)
