"""The registry: which objects can be had from outside, by which swiss numbers, and how long.

Whoever asks for a number learns only whether there is an object for it now: one that was taken back or
has expired is answered as one that never was. So a look-up takes the same steps for all numbers, and
never clears away what it finds expired: in a persistent vat that would be written before the
answer leaves, and the wait would tell. An alarm does it.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from goblins_py.actors import Effect, HandlerTurn, Home, Ref, actor, live, require_turn, spawn
from goblins_py.errors import UnknownSwissNumError
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.runtime._grants import FOREVER, NEVER, Grant, Index, Shelf, fields_of
from goblins_py.syrup import Map

__all__ = ["Registry"]

_SWISS_BYTES: Final = 32
_SHELVES: Final = 256
_SWEEP: Final = 100
"""Expired grants that one turn clears away at most."""
_LONGEST: Final = sys.float_info.max
_LONGEST_NAP: Final = 3600.0
"""Seconds after which the wall clock is looked at again: it may have been set meanwhile."""


@actor
class Registry:
    """Objects by swiss number. Whoever has this can reach everything that is registered."""

    _objects: Map[bytes, Ref[Any]] = Map()  # as of version 0.1.0
    _numbers: Map[Ref[Any], bytes] = Map()
    _shelves: Map[int, Ref[Shelf]] = Map()
    _live: Index | None = live()

    def on_start(self, restored: bool) -> None:  # noqa: FBT001 - the vat calls it so
        """Clear away what has expired while nobody was here."""
        self._sweep()

    def register(
        self,
        ref: Ref[Any],
        swiss_num: bytes | None = None,
        *,
        transport: str | None = None,
        label: str | None = None,
        valid_for: float | None = None,
    ) -> bytes:
        """Register an object; see `MyCapn.register` for what is one registration and what are two.

        Args:
            swiss_num: of your own choice; None makes 32 random bytes.
            transport: noted for who lists the sturdyrefs.
            label: for whom it is.
            valid_for: seconds from now, on the wall clock; None is for ever.

        Returns:
            Its swiss number; the old one if it is registered already.
        """
        _check(ref, swiss_num, label, valid_for)
        self._sweep()
        now = _now()
        expires = None if valid_for is None else now + valid_for
        number = self._known(ref, label) if label is not None or expires is None else None
        if number is None:
            number = swiss_num or require_turn().home.host.random_bytes(_SWISS_BYTES)
            if number in self._index.grants:
                raise ValueError("another object is registered under this swiss number")
            self._put(number, Grant(ref, (), label, now, math.inf if expires is None else expires))
        self._note(number, transport, expires)
        return number

    def _known(self, ref: Ref[Any], label: str | None) -> bytes | None:
        number = self._index.by_object.get(ref, Map()).get(label)
        return None if number is None or self._has_expired(number) else number

    def _note(self, number: bytes, transport: str | None, expires: float | None) -> None:
        """Write down for which netlayer it was given out, and until when, unless it is written already."""
        old = self._index.grants[number]
        known = transport is None or transport in old.transports
        transports = old.transports if known else (*old.transports, str(transport))
        until = old.expires if expires is None else expires
        new = Grant(old.ref, transports, old.label, old.registered, until)
        if new != old:
            self._put(number, new)

    def fetch(self, swiss_num: bytes) -> Ref[Any]:
        """The object.

        Raises:
            UnknownSwissNumError: the same whether it was taken back, has expired, or never was.
        """
        now = _now()
        number = swiss_num if type(swiss_num) is bytes else b""
        grant = self._index.grants.get(number, NEVER)
        if grant.expires <= now:
            raise UnknownSwissNumError("no object is registered under this swiss number")
        return cast("Ref[Any]", grant.ref)

    def unregister(self, target: Ref[Any] | bytes, *, label: str | None = None) -> bool:
        """Forget an object: its sturdyrefs are worth nothing from now on.

        Args:
            target: the object, or one swiss number of it.
            label: of an object's sturdyrefs only the one with this label.

        Returns:
            False if there was nothing to forget.
        """
        self._sweep()
        known = [number for number in self._meant(target, label) if not self._has_expired(number)]
        for number in known:
            self._drop(number)
        return bool(known)

    def _meant(self, target: Ref[Any] | bytes, label: str | None) -> list[bytes]:
        if isinstance(target, bytes):
            return [target]
        names = self._index.by_object.get(target, Map())
        if label is None:
            return list(names.values())
        return [names[label]] if label in names else []

    def sturdyrefs(
        self, locations: Map[str, PeerLocator], ref: Ref[Any] | None = None
    ) -> tuple[Map[str, Any], ...]:
        """All that was given out, or all of one object; see `MyCapn.sturdyrefs`.

        Args:
            locations: where others reach us, by transport.
        """
        self._sweep()
        grants = self._index.grants
        numbers = grants if ref is None else self._index.by_object.get(ref, Map()).values()
        known = [(number, grants[number]) for number in numbers if not self._has_expired(number)]
        known.sort(key=lambda each: each[1].registered or 0.0)
        return tuple(entry for number, grant in known for entry in _entries(number, grant, locations))

    def _has_expired(self, number: bytes) -> bool:
        return self._index.grants.get(number, NEVER).expires <= _now()

    # --- shelves -----------------------------------------------------------------

    @property
    def _index(self) -> Index:
        if self._live is None:
            self._live = self._read_shelves()
        if self._objects:
            self._shelve_old()
        return self._live

    def _read_shelves(self) -> Index:
        index = Index()
        for shelf in self._shelves.values():
            for number, *fields in shelf.read():
                index.learn(number, Grant(*fields))
        return index

    def _shelve_old(self) -> None:
        old, self._objects, self._numbers = self._objects, Map(), Map()
        for number, ref in old.items():
            self._put(number, Grant(ref))

    def _shelf(self, number: bytes) -> Ref[Shelf]:
        place = zlib.crc32(number) % _SHELVES
        if place not in self._shelves:
            self._shelves = self._shelves.set(place, spawn(Shelf))
        return self._shelves[place]

    def _put(self, number: bytes, grant: Grant) -> None:
        before = self._index.grants.get(number, FOREVER).expires
        self._index.put(number, grant)
        self._shelf(number).put(number, *fields_of(grant))
        require_turn().effects.append(_Reschedule(self, number, before, grant.expires))

    def _drop(self, number: bytes) -> None:
        before = self._index.grants[number].expires
        self._index.drop(number)
        self._shelf(number).drop(number)
        require_turn().effects.append(_Reschedule(self, number, before, math.inf))

    # --- expiry ------------------------------------------------------------------

    def _sweep(self) -> None:
        """Drop what has expired, some of it: the alarm goes on with the rest."""
        due = self._index.due
        for expires, number in due[:_SWEEP]:
            if expires <= _now() and number in self._index.grants and self._has_expired(number):
                self._drop(number)
        if due:
            require_turn().effects.append(_Reschedule(self))

    def _ring(self, at: float) -> None:
        if at == self._index.alarm:  # else an earlier one was set since
            self._index.alarm = math.inf
            self._sweep()


class _Reschedule(Effect):
    """A number expires at another time. An effect, because a list in order and an alarm are not set back."""

    __slots__ = ("after", "before", "number", "registry")

    def __init__(
        self, registry: Registry, number: bytes = b"", before: float = math.inf, after: float = math.inf
    ) -> None:
        self.registry = registry
        self.number = number
        self.before = before
        self.after = after

    def commit(self, vat: Home) -> None:
        index = self.registry._index
        index.move(self.number, self.before, self.after)
        if not index.due:
            return
        now = vat.host.wall_time()
        at = min(index.due[0][0], now + _LONGEST_NAP)
        if at < index.alarm:
            index.alarm = at
            vat.host.post_later(at - now, vat, HandlerTurn(self.registry._ring, (at,)))


def _now() -> float:
    return require_turn().home.host.wall_time()


def _entries(number: bytes, grant: Grant, locations: Mapping[str, PeerLocator]) -> Iterator[Map[str, Any]]:
    for transport in grant.transports or sorted(locations):  # it is good for all, if none was noted
        if transport in locations:
            yield Map(
                {
                    "sturdyref": Sturdyref(locations[transport], number),
                    "object": grant.ref,
                    "label": grant.label,
                    "registered": grant.registered,
                    "expires": None if grant.expires == math.inf else grant.expires,
                }
            )


def _check(ref: object, swiss_num: object, label: object, valid_for: object) -> None:
    if not isinstance(ref, Ref):
        raise TypeError("only references can be registered, not promises or values")
    if swiss_num is not None and type(swiss_num) is not bytes:
        raise TypeError("a swiss number is bytes")
    if label is not None and (type(label) is not str or not label):
        raise TypeError("a label is a text that is not empty")
    if valid_for is None:
        return
    if type(valid_for) not in (int, float):
        raise TypeError("valid_for is a number of seconds")
    if not 0 < cast(float, valid_for) <= _LONGEST:  # as numbers: the largest integers are no floats
        raise ValueError("valid_for is more than 0 seconds, and finite; leave it out for ever")
