"""What a keeper has to do with the other persistent vats of its process: pins, grants, reports.

All that is told to another vat goes through the outbox, so it is told when what it rests on is durable.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol

from goblins_py.actors._dormant import lost_ref
from goblins_py.actors._far import Owner, PersistenceRegistry
from goblins_py.actors._loans import Loan, Loans
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

    @property
    def slots_given(self) -> int:
        """How many slots there are, used or not."""

    def outbox(self) -> list[Outgoing]:
        """What leaves the vat with this churn."""


class Seen:
    """What one portrait refers to in other vats."""

    __slots__ = ("keys", "missing")

    def __init__(self) -> None:
        self.keys: set[Key] = set()
        self.missing: list[Ref[object]] = []


class _Saved(Outgoing):
    """Released when the churn is durable: so are the slots that it has given."""

    __slots__ = ("following", "neighbours")

    def __init__(self, neighbours: Neighbours, following: int) -> None:
        self.neighbours = neighbours
        self.following = following

    def release(self) -> None:
        self.neighbours.durable = self.following


class Neighbours:
    """One vat's side of it.

    Args:
        registry: None: there are no others.

    Attributes:
        durable: slots below this one are in the store, or were; they will never be given again.
    """

    def __init__(
        self, keeper: Neighbour, registry: PersistenceRegistry | None, *, pins: Pins, loans: Loans
    ) -> None:
        self.pins = pins
        self.loans = loans
        self.holdings = Holdings()
        self.registry = registry
        self._keeper = keeper
        self._seen = Seen()
        self._requests: list[Ref[object]] = []
        self._announced = 0
        self.durable = 0
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
        if key is None:  # it did not come by its own vat; but if that has saved it, it is there
            self._seen.missing.append(ref)
            key = self.registry.saved_key(ref)
        if key is None:
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
        me = self._keeper.vat_id
        outbox += [Posting(ref._home, Request(ref, me)) for ref in dict.fromkeys(requests)]
        if self._keeper.slots_given > self._announced:
            self._announced = self._keeper.slots_given
            outbox.append(_Saved(self, self._announced))
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
        refs = refs_in(outgoing)
        ours = [ref for ref in refs if ref._home is self._keeper.vat]
        return self.granted(ours, vat_id, outgoing.home) + self._lent(refs, vat_id, outgoing.home)

    def _lent(self, refs: list[Ref[object]], vat_id: bytes, home: Home) -> list[Posting]:
        """What else is passed on, as far as we may save it: vouched for to the receiver, and asked for it."""
        keys = {ref: key for ref in refs if (key := self.holdings.key_of(ref)) and key[0] != vat_id}
        loans = [self.loans.lend(key, ref, vat_id) for ref, key in keys.items()]
        for loan in loans:
            self.holdings.portrayed(loan.slot, frozenset({loan.key}))
        vouch = [Posting(home, Vouch(tuple(loans)))] if loans else []
        return vouch + [self._asking(loan) for loan in loans]

    def _asking(self, loan: Loan) -> Posting:
        return Posting(loan.ref._home, Request(loan.ref, loan.vat_id, loan=loan, lender=self._keeper.vat))

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

    def start(self) -> None:
        """The slots that are given now are those of the store."""
        self.durable = self._announced = self._keeper.slots_given

    def greet(self) -> None:
        """We have woken: tell all others what we hold, and ask them."""
        me = self._keeper
        for other in self.registry.others(me) if self.registry is not None else ():
            report = Report(me.vat_id, me.vat, self.holdings.report(other.vat_id))
            me.outbox().extend((Posting(other.vat, report), Posting(other.vat, AskReport(me.vat_id, me.vat))))
            me.outbox().extend(self._asking(loan) for loan in self.loans.of(other.vat_id))

    def restore_loan(self, slot: int, ref: Ref[object], vat_id: bytes) -> bool:
        """A loan that was saved; False if its object is lost."""
        key = self.holdings.key_of(ref)
        if key is None:
            return False
        self.loans.restore(Loan(key, ref, vat_id, slot))
        self.holdings.portrayed(slot, frozenset({key}))
        return True

    def answer(self, owner_id: bytes, owner: Home) -> None:
        """An owner has woken: what we hold of it, and what we have passed on."""
        me = self._keeper
        me.outbox().append(Posting(owner, Report(me.vat_id, me.vat, self.holdings.report(owner_id))))
        me.outbox().extend(self._asking(loan) for loan in self.loans.of(owner_id))


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


class Vouch(_Told):
    """These objects of others are pinned for me, and will be for you: you may save references to them."""

    __slots__ = ("loans",)

    def __init__(self, loans: tuple[Loan, ...]) -> None:
        self.loans = loans

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        for loan in self.loans:
            keeper.refresh(neighbours.holdings.grant(loan.key, loan.ref, count=0))


class Request(_Told):
    """This vat holds an object of yours: pin it.

    Args:
        loan, lender: who has passed it on, and is told when that is durable.
    """

    __slots__ = ("lender", "loan", "ref", "vat_id")

    def __init__(
        self, ref: Ref[object], vat_id: bytes, *, loan: Loan | None = None, lender: Home | None = None
    ) -> None:
        self.ref = ref
        self.vat_id = vat_id
        self.loan = loan
        self.lender = lender

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        home = None if neighbours.registry is None else neighbours.registry.home_of(self.vat_id)
        if self.ref._home is keeper.vat and self.ref._connector is None:
            if home is not None:
                keeper.outbox().extend(neighbours.granted([self.ref], self.vat_id, home))
            elif keeper.enlist(self.ref):
                neighbours.pins.hold(self.ref, self.vat_id)
        if self.loan is not None and self.lender is not None:
            keeper.outbox().append(Posting(self.lender, Confirm(self.loan)))


class Confirm(_Told):
    """What you passed on is pinned."""

    __slots__ = ("loan",)

    def __init__(self, loan: Loan) -> None:
        self.loan = loan

    def tell(self, neighbours: Neighbours, keeper: Neighbour) -> None:
        neighbours.loans.confirmed(self.loan.key, self.loan.vat_id)


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
        neighbours.answer(self.vat_id, self.owner)
