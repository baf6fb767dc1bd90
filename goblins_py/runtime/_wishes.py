"""Who waits for which peer, and for whom it is dialled.

Decisions on values; nothing is dialled here. Two who want the same peer may know different ways to it, by
their hints. So a dial that fails breaks only the wishes that knew no other way, and the next is tried.
"""

from __future__ import annotations

from typing import Any

import attrs

from goblins_py.abc import Asker
from goblins_py.actors import Promise
from goblins_py.locators import PeerLocator

__all__ = ["Wish", "Wishes"]


@attrs.frozen(eq=False)
class Wish:
    """Somebody wants a session with a peer.

    Attributes:
        promise: of the peer's bootstrap object.
        locator: the peer, and the way that is known to it.
        asked_by: the peer that makes us dial; None if our own program does.
    """

    promise: Promise[Any]
    locator: PeerLocator
    asked_by: Asker | None = None


class Wishes:
    """All of one mycapn that wait."""

    def __init__(self) -> None:
        self._waiting: dict[PeerLocator, list[Wish]] = {}
        self._dialled: dict[PeerLocator, Wish] = {}

    def add(self, wish: Wish) -> None:
        """It waits from now on."""
        self._waiting.setdefault(wish.locator, []).append(wish)

    def dialled(self, wish: Wish) -> None:
        """Its way is being tried."""
        self._dialled[wish.locator] = wish

    def end_dial(self, peer: PeerLocator) -> Wish | None:
        """The dial of this peer is over: the wish whose way was tried."""
        return self._dialled.pop(peer, None)

    def fulfilled(self, peer: PeerLocator) -> list[Wish]:
        """There is a session: those who waited for it."""
        return self._waiting.pop(peer, [])

    def failed(self, peer: PeerLocator, tried: Wish | None) -> tuple[list[Wish], Wish | None]:
        """A dial has failed.

        Returns:
            Those who wait no more, and the wish whose way is to be tried next (our own program's first).
        """
        waiting = self._waiting.pop(peer, [])
        if tried is None:
            return waiting, None
        others = [wish for wish in waiting if wish.locator.hints != tried.locator.hints]
        if not others:
            return waiting, None
        self._waiting[peer] = others
        over = [wish for wish in waiting if wish not in others]
        return over, min(others, key=lambda wish: wish.asked_by is not None)
