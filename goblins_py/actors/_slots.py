"""Which thing of a vat is saved where: slots, and what is gone from memory and so from them."""

from __future__ import annotations

from collections import deque
from typing import Any
from weakref import ReferenceType

from goblins_py.actors._promise import Promise
from goblins_py.actors._reference import Ref

__all__ = ["SlotTable", "Thing"]

Thing = Ref[Any] | Promise[Any]
"""What has a slot."""


class _Slotted(ReferenceType[Thing]):
    """A weak reference that knows the slot of what it pointed to."""

    __slots__ = ("slot",)
    slot: int


class SlotTable:
    """Things by slot, weakly.

    Attributes:
        gone: slots whose thing Python has collected: noted in any thread, in the middle of anything.
        following: the next slot that is given; none is ever given again, but by `forget_since`.
    """

    def __init__(self) -> None:
        self.gone: deque[int] = deque()
        self.following = 0
        self._known: dict[int, _Slotted] = {}

    def __len__(self) -> int:
        return len(self._known)

    def new(self) -> int:
        """A slot that was never given."""
        slot = self.following
        self.following += 1
        return slot

    def know(self, thing: Thing, slot: int) -> None:
        """This is there."""
        weak = _Slotted(thing, lambda dead: self.gone.append(dead.slot))
        weak.slot = slot
        self._known[slot] = weak

    def at(self, slot: int) -> Thing | None:
        """What is there, if it is alive; any thread."""
        weak = self._known.get(slot)
        return None if weak is None else weak()

    def drop(self, slot: int) -> None:
        """Nothing is there any more."""
        self._known.pop(slot, None)

    def forget_since(self, first: int) -> list[tuple[int, Thing | None]]:
        """Take back all that was given since: what was there."""
        taken = [(slot, self.at(slot)) for slot in range(first, self.following)]
        for slot, _ in taken:
            self.drop(slot)
        self.following = first
        return taken

    def objects(self) -> list[ReferenceType[Ref[Any]]]:
        """Weak references to the objects, in the order of their slots' first use."""
        weaks: list[Any] = list(self._known.values())
        return [weak for weak in weaks if isinstance(weak(), Ref)]

    def living(self) -> dict[int, Ref[Any]]:
        """Objects by slot; any thread."""
        things = {slot: self.at(slot) for slot in list(self._known)}
        return {slot: thing for slot, thing in things.items() if isinstance(thing, Ref)}
