"""What a keeper has to do with the other persistent vats of its process: pins, grants, reports.

All that is told to another vat goes through the outbox, so it is told when what it rests on is durable.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol

from goblins_py.actors._dormant import lost_ref
from goblins_py.actors._far import Owner, PersistenceRegistry
from goblins_py.actors._outgoing import Outgoing, Posting
from goblins_py.actors._pins import Holdings, Key, Pins, refs_in
from goblins_py.actors._portray import record
from goblins_py.actors._reference import Ref
from goblins_py.actors._turn import Effect, Home
from goblins_py.errors import NotPortrayableError
from goblins_py.syrup import Record

__all__ = ["Neighbour", "Neighbours"]

_NOT_YET: Final = "it was an object of another vat, which had not saved it yet"
_ALONE: Final = "a reference to an object of another vat cannot be saved: they share no persistence registry"
_TICKS: Final = 30
"""Calls of `tidy` between two sweeps."""


class Neighbour(Owner, Protocol):
    """The keeper."""

    def enlist(self, ref: Ref[object]) -> bool:
        """Give one of its objects a slot, and save it; False if it cannot be saved."""

    def refresh(self, slots: set[int]) -> None:
        """Have the portraits at these slots taken again."""

    def outbox(self) -> list[Outgoing]:
        """What leaves the vat with this churn."""


class Seen:
    """What one portrait refers to in other vats."""

    __slots__ = ("keys", "missing")

    def __init__(self) -> None:
        self.keys: set[Key] = set()
        self.missing: list[Ref[object]] = []


class Neighbours:
    """One vat's side of it.

    Args:
        registry: None: there are no others.
    """

    def __init__(self, keeper: Neighbour, registry: PersistenceRegistry | None, pins: Pins) -> None:
        self.pins = pins
        self.holdings = Holdings()
        self.registry = registry
        self._keeper = keeper
        self._seen = Seen()
        self._requests: list[Ref[object]] = []
        self._ticks = 0
        self._sweeping = False

    # --- while portraits are taken -----------------------------------------------

    def watch(self) -> Seen:
        """A portrait begins: what it refers to is noted here."""
        self._seen = Seen()
        return self._seen

    def watch_again(self) -> None:
        """The portrait is another one than was thought."""
        self._seen.keys.clear()

    def written(self, ref: Ref[object]) -> Record:
        """How a reference to an object of another vat is saved. Raises `NotPortrayableError`."""
        if self.registry is None or self.registry.id_of(ref._home) is None:
            raise NotPortrayableError(_ALONE)
        key = self.holdings.key_of(ref)
        if key is None:
            self._seen.missing.append(ref)
            return record("severed", _NOT_YET)
        self._seen.keys.add(key)
        return record("far", *key)

    def portrayed(self, slot: int, seen: Seen) -> None:
        """The portrait at this slot counts."""
        if self.registry is None:
            return
        missing = tuple(dict.fromkeys(seen.missing))
        self.holdings.portrayed(slot, frozenset(seen.keys), missing)
        self._requests += missing

    def dropped(self, slot: int) -> None:
        """There is nothing at this slot any more."""
        self.holdings.portrayed(slot, frozenset())

    # --- at the end of a churn -------------------------------------------------------

    def prepare_release(self) -> None:
        """Pin what leaves, ask for what we need, let go of what we hold no more."""
        if self.registry is None:
            return
        outbox = self._keeper.outbox()
        if any(isinstance(outgoing, Posting) for outgoing in outbox):
            outbox[:] = [each for outgoing in outbox for each in (*self._granting(outgoing), outgoing)]
        requests, self._requests = self._requests, []
        outbox += [Posting(ref._home, Request(ref, self._keeper.vat)) for ref in dict.fromkeys(requests)]
        if self._sweeping:
            self._sweeping = False
            for vat_id, counts in self.holdings.sweep().items():
                home = self.registry.home_of(vat_id)
                if home is not None:
                    outbox.append(Posting(home, LetGo(self._keeper.vat_id, self._keeper.vat, counts)))

    def _granting(self, outgoing: Outgoing) -> list[Posting]:
        if not isinstance(outgoing, Posting) or self.registry is None:
            return []
        vat_id = self.registry.id_of(outgoing.home)
        if vat_id is None or vat_id == self._keeper.vat_id:
            return []
        return self.granted(refs_in(outgoing, self._keeper.vat), vat_id, outgoing.home)

    def granted(self, refs: list[Ref[object]], vat_id: bytes, home: Home) -> list[Posting]:
        """Pin these for a vat, as far as they can be saved; the grant that is to leave."""
        pinned = [ref for ref in refs if self._keeper.enlist(ref)]
        for ref in pinned:
            self.pins.pin(ref, vat_id, home)
        return [Posting(home, Grant(self._keeper.vat_id, tuple(pinned)))] if pinned else []

    def tidy(self) -> bool:
        """Is it time to let go of something?"""
        self._ticks += 1
        if self._ticks % _TICKS == 0 and not self.holdings.idle:
            self._sweeping = True
        return self._sweeping

    # --- waking -------------------------------------------------------------------------

    def waking(self) -> AbstractContextManager[None]:
        """The graph is made or restored within; see `PersistenceRegistry`."""
        return nullcontext() if self.registry is None else self.registry.waking(self._keeper)

    def new_ref(self, slot: int) -> Ref[Any]:
        """The reference of an object that is being restored: others may have it already."""
        claimed = None if self.registry is None else self.registry.claim(self._keeper, slot)
        return claimed or Ref(self._keeper.vat)

    def far_ref(self, vat_id: bytes, slot: int) -> Ref[object]:
        """A reference that is being restored."""
        registry = self.registry
        if registry is None:
            return lost_ref(self._keeper.vat, "it was an object of another vat: open both with one registry")
        ref = registry.ref(vat_id, slot, holder=self._keeper.vat)
        if ref._connector is None:
            self._seen.keys.add((vat_id, slot))
            self.holdings.grant((vat_id, slot), ref, count=0)
        return ref

    def greet(self) -> None:
        """We have woken: tell all others what we hold, and ask them."""
        me = self._keeper
        for other in self.registry.others(me) if self.registry is not None else ():
            report = Report(me.vat_id, me.vat, self.holdings.report(other.vat_id))
            me.outbox().extend((Posting(other.vat, report), Posting(other.vat, AskReport(me.vat_id, me.vat))))


# --- what vats tell each other: each takes effect at the other's keeper ---------------------


class _Told(Effect):
    """Something from another vat."""

    __slots__ = ()

    def commit(self, vat: Home) -> None:
        keeper = getattr(vat, "keeper", None)
        neighbours = getattr(keeper, "neighbours", None)
        if isinstance(neighbours, Neighbours):
            self.tell(neighbours, neighbours._keeper)

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        """It has arrived."""
        raise NotImplementedError


class Grant(_Told):
    """These objects are pinned for you: you may save references to them."""

    __slots__ = ("refs", "vat_id")

    def __init__(self, vat_id: bytes, refs: tuple[Ref[object], ...]) -> None:
        self.vat_id = vat_id
        self.refs = refs

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        for ref in self.refs:
            if ref._slot is not None:
                keeper.refresh(neighbours.holdings.grant((self.vat_id, ref._slot), ref))


class Request(_Told):
    """I hold this object of yours: pin it for me."""

    __slots__ = ("holder", "ref")

    def __init__(self, ref: Ref[object], holder: Home) -> None:
        self.ref = ref
        self.holder = holder

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        vat_id = None if neighbours.registry is None else neighbours.registry.id_of(self.holder)
        if vat_id is not None and self.ref._home is keeper.vat:
            keeper.outbox().extend(neighbours.granted([self.ref], vat_id, self.holder))


class LetGo(_Told):
    """I hold these so many times less."""

    __slots__ = ("counts", "holder", "vat_id")

    def __init__(self, vat_id: bytes, holder: Home, counts: Mapping[int, int]) -> None:
        self.vat_id = vat_id
        self.holder = holder
        self.counts = counts

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        neighbours.pins.let_go(self.vat_id, self.holder, self.counts)


class Report(_Told):
    """This is all that I hold of yours."""

    __slots__ = ("held", "holder", "vat_id")

    def __init__(self, vat_id: bytes, holder: Home, held: frozenset[int]) -> None:
        self.vat_id = vat_id
        self.holder = holder
        self.held = held

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        neighbours.pins.reported(self.vat_id, self.holder, self.held)


class AskReport(_Told):
    """I have woken, and have forgotten what was counted: what do you hold of mine?"""

    __slots__ = ("owner", "vat_id")

    def __init__(self, vat_id: bytes, owner: Home) -> None:
        self.vat_id = vat_id
        self.owner = owner

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        report = Report(keeper.vat_id, keeper.vat, neighbours.holdings.report(self.vat_id))
        keeper.outbox().append(Posting(self.owner, report))
