"""The registry: which objects can be had from outside, by which swiss numbers, and how long.

All of it is state, so a restart changes nothing. Whoever asks for a number learns only whether there
is an object for it now: one that was taken back or has expired is answered as one that never was. So a
look-up takes the same steps for all numbers, and never clears away what it finds expired: in a
persistent vat that would be written before the answer leaves, and the wait would tell. An alarm does it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, Final, cast

from goblins_py.actors import Effect, HandlerTurn, Home, Ref, actor, live, require_turn, value
from goblins_py.errors import UnknownSwissNumError
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.syrup import Map

__all__ = ["Grant", "Registry"]

_SWISS_BYTES: Final = 32
_SWEEP: Final = 100
"""Expired entries that one turn clears away at most."""
_LONGEST_NAP: Final = 3600.0
"""Seconds after which the wall clock is looked at again: it may have been set meanwhile."""


@value
class Grant:
    """What is known of a swiss number.

    Attributes:
        transports: the netlayers for which it was given out.
        label: for whom it is; None for no one in particular.
        registered: when, in seconds since 1970; None if that was not noted.
        expires: likewise; infinity is never.
    """

    transports: tuple[str, ...] = ()
    label: str | None = None
    registered: float | None = None
    expires: float = math.inf


_UNKNOWN: Final = Grant()


@actor
class Registry:
    """Objects by swiss number. Whoever has this can reach everything that is registered."""

    _objects: Map[bytes, Ref[Any]] = Map()
    _numbers: Map[Ref[Any], bytes] = Map()
    _grants: Map[bytes, Grant] = Map()
    _due: tuple[tuple[float, bytes], ...] = ()
    _alarm: float = live(math.inf)

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
        number = self._known(ref, label, expires)
        if number is None:
            number = self._add(ref, swiss_num or require_turn().home.host.random_bytes(_SWISS_BYTES))
            self._grants = self._grants.set(number, Grant((), label, now))
            if label is None and expires is None:
                self._numbers = self._numbers.set(ref, number)
        self._note(number, transport, expires)
        return number

    def _known(self, ref: Ref[Any], label: str | None, expires: float | None) -> bytes | None:
        if label is None:
            return self._numbers.get(ref) if expires is None else None
        return next(self._of(ref, label), None)

    def _add(self, ref: Ref[Any], number: bytes) -> bytes:
        if number in self._objects:
            raise ValueError("another object is registered under this swiss number")
        self._objects = self._objects.set(number, ref)
        return number

    def _note(self, number: bytes, transport: str | None, expires: float | None) -> None:
        """Write down for which netlayer it was given out, and until when, unless it is written already."""
        old = self._grants.get(number, _UNKNOWN)
        known = transport is None or transport in old.transports
        transports = old.transports if known else (*old.transports, str(transport))
        new = Grant(transports, old.label, old.registered, old.expires if expires is None else expires)
        if new.expires != old.expires:
            self._set_due(number, old.expires, new.expires)
        if new != old:
            self._grants = self._grants.set(number, new)

    def fetch(self, swiss_num: bytes) -> Ref[Any]:
        """The object.

        Raises:
            UnknownSwissNumError: the same whether it was taken back, has expired, or never was.
        """
        now = _now()
        number = swiss_num if type(swiss_num) is bytes else b""
        ref = self._objects.get(number)
        grant = self._grants.get(number, _UNKNOWN)
        if ref is None or grant.expires <= now:
            raise UnknownSwissNumError("no object is registered under this swiss number")
        return ref

    def unregister(self, target: Ref[Any] | bytes, *, label: str | None = None) -> bool:
        """Forget an object: its sturdyrefs are worth nothing from now on.

        Args:
            target: the object, or one swiss number of it.
            label: of an object's sturdyrefs only the one with this label.

        Returns:
            False if there was nothing to forget.
        """
        self._sweep()
        numbers = [target] if isinstance(target, bytes) else list(self._of(target, label))
        known = [number for number in numbers if number in self._objects and not self._has_expired(number)]
        for number in known:
            self._drop(number)
        return bool(known)

    def sturdyrefs(
        self, locations: Map[str, PeerLocator], ref: Ref[Any] | None = None
    ) -> tuple[Map[str, Any], ...]:
        """All that was given out, or all of one object; see `MyCapn.sturdyrefs`.

        Args:
            locations: where others reach us, by transport.
        """
        self._sweep()
        found = []
        for number in self._all(ref):
            grant = self._grants.get(number, _UNKNOWN)
            for transport in grant.transports or sorted(locations):  # it is good for all, if none was noted
                if transport in locations:
                    sturdyref = Sturdyref(locations[transport], number)
                    found.append(_describe(sturdyref, self._objects[number], grant))
        return tuple(sorted(found, key=lambda each: each["registered"] or 0.0))

    # --- numbers -----------------------------------------------------------------

    def _all(self, ref: Ref[Any] | None) -> Iterator[bytes]:
        for number, registered in self._objects.items():
            if (ref is None or registered is ref) and not self._has_expired(number):
                yield number

    def _of(self, ref: Ref[Any], label: str | None) -> Iterator[bytes]:
        for number in self._all(ref):
            if label is None or self._grants.get(number, _UNKNOWN).label == label:
                yield number

    def _has_expired(self, number: bytes) -> bool:
        return self._grants.get(number, _UNKNOWN).expires <= _now()

    def _drop(self, number: bytes) -> None:
        ref, grant = self._objects[number], self._grants.get(number, _UNKNOWN)
        self._set_due(number, grant.expires, math.inf)
        self._objects = self._objects.delete(number)
        if number in self._grants:
            self._grants = self._grants.delete(number)
        if self._numbers.get(ref) == number:
            self._numbers = self._numbers.delete(ref)

    # --- expiry ------------------------------------------------------------------

    def _set_due(self, number: bytes, before: float, after: float) -> None:
        due = list(self._due)
        if before != math.inf:
            del due[bisect_left(due, (before, number))]
        if after != math.inf:
            insort(due, (after, number))
        self._due = tuple(due)
        self._set_alarm()

    def _sweep(self) -> None:
        """Drop what has expired, some of it: the alarm goes on with the rest."""
        now = _now()
        for expires, number in self._due[:_SWEEP]:
            if expires <= now:
                self._drop(number)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._due:
            require_turn().effects.append(_SetAlarm(self))

    def _ring(self, at: float) -> None:
        if at == self._alarm:  # else an earlier one was set since
            self._alarm = math.inf
            self._sweep()


class _SetAlarm(Effect):
    """Have the registry look when the next entry expires. An effect: a turn that fails sets none."""

    __slots__ = ("registry",)

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def commit(self, vat: Home) -> None:
        registry = self.registry
        now = vat.host.wall_time()
        if not registry._due:
            return
        at = min(registry._due[0][0], now + _LONGEST_NAP)
        if at < registry._alarm:
            registry._alarm = at
            vat.host.post_later(at - now, vat, HandlerTurn(registry._ring, (at,)))


def _now() -> float:
    return require_turn().home.host.wall_time()


def _describe(sturdyref: Sturdyref, ref: Ref[Any], grant: Grant) -> Map[str, Any]:
    return Map(
        {
            "sturdyref": sturdyref,
            "object": ref,
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
    if not 0 < cast(float, valid_for) < math.inf:
        raise ValueError("valid_for is more than 0 seconds, and finite; leave it out for ever")
