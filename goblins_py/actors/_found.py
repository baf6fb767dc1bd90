"""What a restore has come to so far: references and promises by slot, most of them still empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from goblins_py.actors._dormant import Lost, dormant_ref
from goblins_py.actors._durable import Durables
from goblins_py.actors._portrait import Portrait
from goblins_py.actors._portray import Finder
from goblins_py.actors._promise import Promise
from goblins_py.actors._reference import Ref, Source
from goblins_py.actors._turn import Home
from goblins_py.errors import StoreCorruptError

__all__ = ["Found"]


class Found(Finder):
    """Answers the reviver's questions.

    Args:
        portraits: of the snapshot.
        know: called with each new thing and its slot.
        new_ref: makes the empty reference of a slot.
        far: makes a reference to another vat's object.

    Attributes:
        things: references and promises that something refers to, by slot.
        held: the slots that were asked for, in that order, since somebody last cleared it.
    """

    def __init__(
        self,
        home: Home,
        portraits: Mapping[int, Portrait],
        durables: Durables,
        *,
        know: Callable[[Any, int], None],
        new_ref: Callable[[int], Ref[Any]],
        far: Callable[[bytes, int], Ref[Any]],
    ) -> None:
        self.things: dict[int, Any] = {}
        self.held: list[int] = []
        self.home = home
        self._portraits = portraits
        self._durables = durables
        self._know = know
        self._new_ref = new_ref
        self._far = far
        self._remotes: dict[Source, Ref[Any]] = {}

    def ref_at(self, slot: int) -> Ref[Any]:
        thing = self._thing_at(slot)
        if not isinstance(thing, Ref):
            raise StoreCorruptError(f"a portrait refers to slot {slot}, which holds no object")
        return thing

    def promise_at(self, slot: int) -> Promise[Any]:
        thing = self._thing_at(slot)
        if not isinstance(thing, Promise):
            raise StoreCorruptError(f"a portrait refers to slot {slot}, which holds no promise")
        return thing

    def far_ref(self, vat_id: bytes, slot: int) -> Ref[Any]:
        if type(vat_id) is not bytes or type(slot) is not int:
            raise TypeError
        return self._far(vat_id, slot)

    def remote_ref(self, source: Source) -> Ref[Any]:
        ref = self._remotes.get(source)
        if ref is None:
            ref = self._remotes[source] = dormant_ref(self.home, source)
        return ref

    def lose_all_but(self, reached: set[int]) -> None:
        """What was referred to only before an upgrade is not there; others may have references to it."""
        for slot, thing in self.things.items():
            if slot not in reached and isinstance(thing, Ref):
                thing._connector = Lost("nothing in its vat refers to the object any more")

    def _thing_at(self, slot: int) -> Any:
        thing = self.things.get(slot)
        if thing is None:
            thing = self._new_thing(slot)
        self.held.append(slot)
        return thing

    def _new_thing(self, slot: int) -> Any:
        portrait = self._portraits.get(slot)
        if portrait is None:
            raise StoreCorruptError(f"a portrait refers to slot {slot}, which holds nothing")
        thing = self._durables.empty(portrait.name, slot, self._new_ref)
        if thing is None:
            thing = self._new_ref(slot)
        if isinstance(thing, Ref):
            thing._slot = slot
        self.things[slot] = thing
        self._know(thing, slot)
        return thing
