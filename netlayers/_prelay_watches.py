"""Who is told that a base session has ended: for diallers without an account, whose sessions go over many."""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import WeakSet

from goblins_py.actors import Connector, Ref, on_sever
from netlayers._prelay_connection import PrelayConnection

__all__ = ["Watches"]


class Watches:
    """One watch per base session, however many connections it has carried: none is kept by being watched."""

    def __init__(self) -> None:
        self._over: dict[Connector, WeakSet[PrelayConnection]] = {}

    def add(self, connection: PrelayConnection, session_out: Ref[Any]) -> None:
        """Have the connection lost when the base session of `session_out` ends; in a turn."""
        connector = session_out._connector
        if connector is None:
            return
        if connector not in self._over:
            self._over[connector] = WeakSet()
            on_sever(session_out, partial(self._severed, connector))
        self._over[connector].add(connection)

    def _severed(self, connector: Connector, reason: str) -> None:
        for connection in tuple(self._over.pop(connector, ())):
            connection.lose(f"the relay was lost: {reason}")
