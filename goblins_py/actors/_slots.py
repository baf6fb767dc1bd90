"""Which thing of a vat is saved where: slots, and what is gone from memory and so from them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import ReferenceType

from goblins_py.actors._portrait import Portrait
from goblins_py.actors._promise import Promise
from goblins_py.actors._reference import Ref
from goblins_py.syrup import Map

__all__ = ["MARK", "SlotTable", "Thing"]

MARK: Final = "<mark>"
"""The name of the portrait that only says: slots up to here have been given. No class can have it."""

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
        self.gone = gone = deque[int]()
        self._note: Callable[[_Slotted], None] = lambda dead: gone.append(dead.slot)
        self.following = 0
        self._mark: int | None = None
        self._known: dict[int, _Slotted] = {}

    def __len__(self) -> int:
        return len(self._known)

    def new(self) -> int:
        """A slot that was never given."""
        slot = self.following
        self.following += 1
        return slot

    def start(self, portraits: Mapping[int, Portrait]) -> set[int]:
        """Go on after those that a store holds: the slots of marks."""
        self.following = max(portraits, default=-1) + 1
        marks = {slot for slot, portrait in portraits.items() if portrait.name == MARK}
        self._mark = max(marks, default=None)
        return marks

    def marked(self, removed: set[int]) -> dict[int, Portrait]:
        """See that the last slot is never given again, though its thing is gone: other vats may know of it.

        Args:
            removed: from the store; is changed so that one mark remains.
        """
        last = self.following - 1
        if last not in removed:
            return {}
        removed.remove(last)
        if self._mark is not None and self._mark != last:
            removed.add(self._mark)
        self._mark = last
        return {last: Portrait(MARK, 0, Map())}

    def know(self, thing: Thing, slot: int) -> None:
        """This is there."""
        weak = _Slotted(thing, self._note)
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
