"""What a vat's memory holds no more, told to peers in order with all else that leaves the vat."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from goblins_py.actors import Effect, Home, Outgoing, Vat
from goblins_py.captp import Session

__all__ = ["CollectGarbage"]


class CollectGarbage(Effect):
    """Take a session's garbage now, and tell the peer once what has happened so far is durable.

    A peer that is told may drop the object: it must not learn of a change that a crash could undo.
    """

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    def commit(self, vat: Home) -> None:
        cast(Vat, vat).outbox.append(_Tell(self.session.collect()))


class _Tell(Outgoing):
    __slots__ = ("tell",)

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell = tell

    def release(self) -> None:
        self.tell()
