"""Gifts that a gifter has deposited here, until their receivers come for them."""

from __future__ import annotations

from typing import Final

from goblins_py.actors import Promise, Ref, Resolver
from goblins_py.captp._limits import SessionLimits
from goblins_py.errors import HandoffError

__all__ = ["GiftDesk", "UsedCounts"]

_MAX_COUNTS: Final = 1_000
"""Handoff counts of one receiver's session that are remembered, the highest ones."""
_MAX_ID: Final = 1_024
"""Bytes of a gift's id, which stays here for as long as the gifter likes."""

Key = tuple[type, object]


class UsedCounts:
    """The handoff counts that one receiver's session has used, for one gifter.

    Messages of a session come in order, and its counts rise; so only the highest are remembered, and what is
    lower than all of these counts as used.
    """

    def __init__(self) -> None:
        self._counts: set[int] = set()
        self._floor = -1

    def use(self, count: int) -> None:
        """Mark it as used. Raises `HandoffError`: it was."""
        if count <= self._floor or count in self._counts:
            raise HandoffError("this handoff count was used before")
        self._counts.add(count)
        if len(self._counts) > _MAX_COUNTS:
            highest = sorted(self._counts)[_MAX_COUNTS // 2 :]
            self._floor = highest[0] - 1
            self._counts = set(highest)


class GiftDesk:
    """The gifts of one session with a gifter; they go with it.

    A withdrawal may come before its deposit, and waits. A gift is given out once; then its id is free again.
    """

    def __init__(self, limits: SessionLimits | None = None) -> None:
        self._limits = limits or SessionLimits()
        self._gifts: dict[Key, object] = {}
        self._waits: dict[Key, Resolver[object]] = {}
        self._used: dict[bytes, UsedCounts] = {}
        self._closed: str | None = None

    def __len__(self) -> int:
        """How many gifts and withdrawals wait for each other."""
        return len(self._gifts) + len(self._waits)

    def deposit(self, gift_id: object, gift: object) -> None:
        """Take a gift, or hand it to who waits for it; in a turn.

        Raises:
            HandoffError: the id is in use or is none, there are too many, or it is no reference.
        """
        key = _key(gift_id)
        if not isinstance(gift, Ref | Promise):
            raise HandoffError("only a reference can be deposited as a gift")
        waiting = self._waits.pop(key, None)
        if waiting is not None:
            waiting.fulfill(gift)
        elif key in self._gifts:
            raise HandoffError("a gift of this id is deposited already")
        elif len(self._gifts) >= self._limits.gifts:
            raise HandoffError(f"more than {self._limits.gifts} gifts wait for their receivers: gifts limit")
        else:
            self._gifts[key] = gift

    def use(self, receiver: bytes, count: int) -> None:
        """Mark a count of this receiver's session as used for our gifter. Raises `HandoffError`: it was."""
        self._used.setdefault(receiver, UsedCounts()).use(count)

    def forget(self, receiver: bytes) -> None:
        """The receiver's session has ended, and nobody can come over it again."""
        self._used.pop(receiver, None)

    def claim(self, gift_id: object) -> object | None:
        """Take the gift out; None if it is not there yet."""
        return self._gifts.pop((type(gift_id), gift_id), None)

    def wait(self, gift_id: object, promise: Promise[object], resolver: Resolver[object]) -> Promise[object]:
        """Have the promise fulfilled when the gift is deposited.

        Raises:
            HandoffError: somebody waits for it already, there are too many, or the gifter is gone.
        """
        if self._closed is not None:
            raise HandoffError(self._closed)
        key = _key(gift_id)
        if key in self._waits:
            raise HandoffError("somebody else waits for this gift")
        if len(self._waits) >= self._limits.gift_waits:
            raise HandoffError(
                f"more than {self._limits.gift_waits} withdrawals wait for their gifts: gift_waits limit"
            )
        self._waits[key] = resolver
        return promise

    def give_up(self, gift_id: object, resolver: Resolver[object], reason: str) -> None:
        """The gift has not come in time; in a turn. Nothing if it has, or if another waits by now."""
        key = (type(gift_id), gift_id)
        if self._waits.get(key) is resolver:
            del self._waits[key]
            resolver.break_(HandoffError(reason))

    def close(self, reason: str) -> None:
        """The gifter's session has ended; in a turn."""
        self._closed = reason
        self._gifts.clear()
        waits, self._waits = self._waits, {}
        for waiting in waits.values():
            waiting.break_(HandoffError(reason))


def _key(gift_id: object) -> Key:
    match gift_id:
        case bool():
            fits = False
        case int():
            fits = gift_id.bit_length() <= 8 * _MAX_ID
        case bytes() | str():
            fits = len(gift_id) <= _MAX_ID
        case _:
            fits = False
    if not fits:
        raise HandoffError(f"a gift's id is bytes, a string or an integer, of at most {_MAX_ID} bytes")
    return (type(gift_id), gift_id)
