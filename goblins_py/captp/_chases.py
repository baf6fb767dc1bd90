"""Cycles of promises over several peers: which promises to ask after, and when a cycle is closed.

Alice's promise follows Bob's, Bob's follows Carol's, Carol's follows Alice's: each sees one step of it. So
where a peer waits here for a promise of (another) peer's, and that does not settle soon, a *chase* goes the
way that the promises go, from peer to peer. Whoever passes it on adds a token, which is random and stands
for this one promise. Who finds a token of its own in it has found a cycle and breaks the promise.

Nobody needs to be trusted: a token is known to those only on whom the promise depends anyway. A chase
makes one other, or none, and has an end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

from goblins_py.actors import Promise

__all__ = ["CYCLE", "Chases", "read_path"]

CYCLE: Final = "promises of several peers wait for each other: a cycle"
"""What they break with."""
_TOKEN: Final = 16
"""Random bytes of a token of ours."""
_MAX_TOKEN: Final = 64
"""Bytes of anybody's."""
_MAX_STEPS: Final = 64
"""Longer cycles are not found, and may well be a peer's invention."""


def read_path(path: object) -> tuple[bytes, ...]:
    """The tokens that a chase brings. Raises `TypeError`: there is none, or something else in it."""
    if not isinstance(path, tuple) or not path or len(path) > _MAX_STEPS:
        raise TypeError(f"a chase has a list of 1 to {_MAX_STEPS} tokens")
    if any(type(token) is not bytes or len(token) > _MAX_TOKEN for token in path):
        raise TypeError(f"a token is a byte string of at most {_MAX_TOKEN} bytes")
    return path


class Chases:
    """Those over one session."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._tokens: WeakKeyDictionary[Promise[object], bytes] = WeakKeyDictionary()
        self._young: WeakSet[Promise[object]] = WeakSet()
        self._old: WeakSet[Promise[object]] = WeakSet()

    def clear(self) -> None:
        """The peer is gone."""
        self._tokens.clear()
        self._young.clear()
        self._old.clear()

    @property
    def doubts(self) -> bool:
        """Are there promises that may be `due` next time?"""
        return bool(self._young or self._old)

    def doubt(self, promise: Promise[object]) -> None:
        """A peer has begun to wait for this promise of the session's peer."""
        self._young.add(promise)

    def due(self) -> list[Promise[object]]:
        """Those doubted since before the last call: most promises have settled by then."""
        due, self._old, self._young = self._old, self._young, WeakSet()
        return list(due)

    def closes(self, promise: Promise[object], path: tuple[bytes, ...]) -> bool:
        """Has the chase been here before?"""
        return self._tokens.get(promise) in path

    def onward(self, promise: Promise[object], path: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
        """The path of the chase that goes on to the peer; None if it has gone far enough."""
        if len(path) >= _MAX_STEPS:
            return None
        token = self._tokens.get(promise)
        if token is None:
            token = self._tokens[promise] = self._random_bytes(_TOKEN)
        return (*path, token)
