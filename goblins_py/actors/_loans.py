"""References to third vats' objects that are passed on: held for the receiver until the owner has pinned it.

The owner has pinned the object for us, and will for the receiver once it is asked to. Until it says that
this is durable the loan counts as held by our own store, where it has a small portrait, so a crash of any of
the three leaves somebody for whom the object is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from goblins_py.actors._pins import Key
from goblins_py.actors._portrait import Portrait
from goblins_py.actors._portray import record
from goblins_py.actors._reference import Ref
from goblins_py.syrup import Map

__all__ = ["LOAN", "Loan", "Loans"]

LOAN: Final = "<loan>"
"""The name of a loan's portrait; no class can have it."""


@attrs.frozen(eq=False)
class Loan:
    """One object, passed on to one vat.

    Attributes:
        key, ref: the object. vat_id: whom it was passed on to. slot: of the portrait.
    """

    key: Key
    ref: Ref[Any]
    vat_id: bytes
    slot: int


class Loans:
    """All that we have passed on and that is not confirmed.

    Args:
        new_slot: for a new loan.
        save, remove: have the portrait at a slot saved, or removed, with the next delta.
    """

    def __init__(
        self,
        *,
        new_slot: Callable[[], int],
        save: Callable[[int, Portrait], None],
        remove: Callable[[int], None],
    ) -> None:
        self._new_slot = new_slot
        self._save = save
        self._remove = remove
        self._loans: dict[tuple[Key, bytes], Loan] = {}

    def __len__(self) -> int:
        return len(self._loans)

    def lend(self, key: Key, ref: Ref[Any], vat_id: bytes) -> Loan:
        """An object is about to be passed on to a vat; one loan is enough, however often it is."""
        loan = self._loans.get((key, vat_id))
        if loan is None:
            loan = self._loans[key, vat_id] = Loan(key, ref, vat_id, self._new_slot())
            self._save(loan.slot, Portrait(LOAN, 0, Map({"of": record("far", *key), "to": vat_id})))
        return loan

    def confirmed(self, key: Key, vat_id: bytes) -> None:
        """The owner has pinned it for that vat."""
        loan = self._loans.pop((key, vat_id), None)
        if loan is not None:
            self._remove(loan.slot)

    def restore(self, loan: Loan) -> None:
        """One that was saved."""
        self._loans[loan.key, loan.vat_id] = loan

    def of(self, owner: bytes) -> list[Loan]:
        """Those of one vat's objects."""
        return [loan for loan in self._loans.values() if loan.key[0] == owner]
