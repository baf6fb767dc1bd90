"""Grants: what is known of each swiss number, as it is saved and as it is looked up.

What is saved lies on shelves, by number, so that a change writes one shelf and not the whole table.
What is asked is an index of it in memory, made anew from the shelves after a restart.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from typing import Any, Final, TypeAlias

import attrs

from goblins_py.actors import Ref, actor, require_turn, value
from goblins_py.syrup import Map

__all__ = ["FOREVER", "NEVER", "Grant", "Index", "Shelf", "fields_of"]


@value
class Grant:
    """An object under a swiss number, and what is known of that.

    Attributes:
        ref: the object.
        transports: the netlayers for which the number was given out.
        label: for whom it is; None for no one in particular.
        registered: when, in seconds since 1970; None if that was not noted.
        expires: likewise; infinity is never.
    """

    ref: Ref[Any] | None
    transports: tuple[str, ...] = ()
    label: str | None = None
    registered: float | None = None
    expires: float = math.inf


NEVER: Final = Grant(None, expires=-math.inf)
"""What any other number stands for: it expired before all times."""
FOREVER: Final = Grant(None)
"""What a number that is not there yet is compared with: nothing has to be done when it expires."""

Name: TypeAlias = str | bytes | None
ByNumber: TypeAlias = Map[bytes, Grant]
ByObject: TypeAlias = Map[Ref[Any] | None, Map[Name, bytes]]


def name_of(number: bytes, grant: Grant) -> Name:
    """What a grant is called among those of its object: each label is there once, and one that is plain."""
    if grant.label is not None or grant.expires == math.inf:
        return grant.label
    return number


@attrs.define(eq=False)
class Index:
    """All grants, by number and by object; these two change with the turn, and are set back if it fails.

    Attributes:
        due: numbers by the time of their expiry, as of the turns that have succeeded.
        alarm: when it rings next.
    """

    grants: ByNumber = attrs.field(factory=Map)
    by_object: ByObject = attrs.field(factory=Map)
    due: list[tuple[float, bytes]] = attrs.field(factory=list)
    alarm: float = math.inf

    def learn(self, number: bytes, grant: Grant) -> None:
        """Take over what is saved: nothing that a failing turn sets back."""
        self.grants, self.by_object = self._with(number, grant)
        self.move(number, math.inf, grant.expires)

    def put(self, number: bytes, grant: Grant) -> None:
        """Have this grant under this number from now on."""
        self.drop(number)
        self._change(*self._with(number, grant))

    def _with(self, number: bytes, grant: Grant) -> tuple[ByNumber, ByObject]:
        names: Map[Name, bytes] = self.by_object.get(grant.ref, Map())
        names = names.set(name_of(number, grant), number)
        return self.grants.set(number, grant), self.by_object.set(grant.ref, names)

    def drop(self, number: bytes) -> None:
        """Have none."""
        old = self.grants.get(number)
        if old is None:
            return
        by_object, name = self.by_object, name_of(number, old)
        names: Map[Name, bytes] = by_object.get(old.ref, Map())
        if names.get(name) == number:  # else it had expired, and another has its label by now
            names = names.delete(name)
            by_object = by_object.set(old.ref, names) if names else by_object.delete(old.ref)
        self._change(self.grants.delete(number), by_object)

    def _change(self, grants: ByNumber, by_object: ByObject) -> None:
        turn = require_turn()
        turn.change(self, "grants", grants)
        turn.change(self, "by_object", by_object)

    def move(self, number: bytes, before: float, after: float) -> None:
        """Between turns: a grant expires then, and no longer at the time that it had."""
        if before < math.inf:
            del self.due[bisect_left(self.due, (before, number))]
        if after < math.inf:
            insort(self.due, (after, number))


@actor
class Shelf:
    """Some of the grants, as they are saved."""

    _grants: Map[bytes, Grant] = Map()

    def put(self, number: bytes, *fields: Any) -> None:
        """Keep this grant under this number; given by its fields, because values do not pass."""
        self._grants = self._grants.set(number, Grant(*fields))

    def drop(self, number: bytes) -> None:
        """Keep none."""
        self._grants = self._grants.delete(number)

    def read(self) -> tuple[Any, ...]:
        """All of them, each as its number and its fields."""
        return tuple((number, *fields_of(grant)) for number, grant in self._grants.items())


def fields_of(grant: Any) -> tuple[Any, ...]:
    return attrs.astuple(grant, recurse=False)
