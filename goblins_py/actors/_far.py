"""Where the persistent vats of a process find each other's objects again.

A reference to another vat's object is saved as that vat's id and the object's slot. Whoever wakes first
makes the reference, and has it led to a vat that is not there yet; when that wakes, the very same
reference becomes its object's. So all holders have one reference, and messages wait in order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from goblins_py.actors._dormant import Lost, lost_ref
from goblins_py.actors._reference import Ref
from goblins_py.actors._turn import Effect, Home
from goblins_py.errors import ActorError, PersistenceError, QueueFullError, VatClosedError

__all__ = ["AbsentVat", "Owner", "PersistenceRegistry"]

_WAITING: Final = 10_000
"""Messages that may wait for one vat to wake."""
_FEW: Final = 16
"""So many absent vats are kept without asking whether anybody waits for them."""
_CLOSED: Final = "the persistence registry was closed before the other vat woke"
_GONE: Final = "its vat does not have the object any more"


class Owner(Protocol):
    """A persistent vat that is awake, as the registry sees it."""

    vat_id: bytes

    @property
    def vat(self) -> Home:
        """The vat."""

    def living(self) -> dict[int, Ref[Any]]:
        """Its saved objects that are in memory, by slot."""

    def living_at(self, slot: int) -> Ref[Any] | None:
        """One of them; any thread."""

    def is_durable(self, slot: int) -> bool:
        """Has this slot been given for good? Any thread."""


class AbsentVat(Home):
    """Stands for a vat that has not woken; then it passes on.

    Attributes:
        expected: references that were made here, and those that the vat left behind when it was closed.
        vat: what it has become.
    """

    def __init__(self, vat_id: bytes, left: dict[int, Ref[Any]]) -> None:
        self.name = "a vat that has not woken"
        self.vat_id = vat_id
        self.expected: WeakValueDictionary[int, Ref[Any]] = WeakValueDictionary(left)
        self.vat: Home | None = None
        self._waiting: deque[Effect] = deque()
        self._reason: ActorError | None = None
        self._lock = threading.Lock()

    def post(self, item: Effect) -> None:
        with self._lock:
            refusal = self._refusal()
            if refusal is None:
                if self.vat is None:
                    self._waiting.append(item)
                else:
                    self.vat.post(item)
        if refusal is not None:
            item.refuse(refusal)

    def _refusal(self) -> Exception | None:
        if self.vat is None and self._reason is None and len(self._waiting) >= _WAITING:
            return QueueFullError(f"{_WAITING} messages wait for a vat that has not woken")
        return self._reason

    def expect(self, slot: int) -> Ref[Any]:
        """The reference that its object at this slot will have."""
        ref = self.expected.get(slot)
        if ref is None:
            ref = self.expected[slot] = Ref(self)
            ref._slot = slot
        ref._home = self
        return ref

    def is_awaited(self) -> bool:
        """Does anybody hold a reference to one of its objects, or a message wait for one?"""
        with self._lock:
            return bool(self._waiting) or len(self.expected) > 0

    def woke(self, vat: Home) -> None:
        """The vat is there: it gets all that waits, and objects that it lacks are lost."""
        for ref in list(self.expected.values()):
            if ref._home is self:
                ref._connector, ref._home = Lost(_GONE), vat
        self.expected.clear()
        with self._lock:
            while self._waiting:
                vat.post(self._waiting.popleft())
            self.vat = vat

    def give_up(self) -> None:
        """It will never wake."""
        with self._lock:
            self._reason = VatClosedError(_CLOSED)
            waiting, self._waiting = self._waiting, deque()
        for item in waiting:
            item.refuse(self._reason)


class PersistenceRegistry:
    """The persistent vats of one process that can save references to each other's objects.

    Give the same one to each `open_persistent_vat(..., registry=registry)`. Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._awake: dict[bytes, Owner] = {}
        self._ids: dict[Home, bytes] = {}
        self._absent: dict[bytes, AbsentVat] = {}
        self._many = _FEW
        self._claimed: list[Ref[Any]] = []
        self._closed = False

    def close(self) -> None:
        """Wait for no vat any more: messages to those that have not woken break with `VatClosedError`."""
        with self._lock:
            self._closed = True
            absent, self._absent = self._absent, {}
        for each in absent.values():
            each.give_up()

    # --- for the keepers of vats -------------------------------------------------

    @contextmanager
    def waking(self, owner: Owner) -> Generator[None]:
        """A vat is restored within; then it is found by others. They wait meanwhile.

        Raises:
            PersistenceError: a vat with this id is awake.
        """
        with self._lock:
            if owner.vat_id in self._awake:
                raise PersistenceError("this vat is awake already: two stores with one vat's state")
            absent = self._absent.get(owner.vat_id)
            try:
                yield
            except BaseException:
                for ref in self._claimed if absent is not None else ():
                    ref._home, ref._behaviour = absent, None  # type: ignore[assignment]
                raise
            finally:
                self._claimed = []
            self._awake[owner.vat_id] = owner
            self._ids[owner.vat] = owner.vat_id
            if absent is not None:
                del self._absent[owner.vat_id]
                absent.woke(owner.vat)

    def claim(self, owner: Owner, slot: int) -> Ref[Any] | None:
        """While it wakes: the reference that others have to its object at this slot."""
        absent = self._absent.get(owner.vat_id)
        ref = None if absent is None else absent.expected.get(slot)
        if ref is not None:
            ref._home = owner.vat
            self._claimed.append(ref)
        return ref

    def left(self, owner: Owner) -> None:
        """A vat was closed."""
        with self._lock:
            if self._awake.get(owner.vat_id) is owner:
                del self._awake[owner.vat_id]
                del self._ids[owner.vat]
                if not self._closed:
                    self._forget_unawaited()
                    self._absent[owner.vat_id] = AbsentVat(owner.vat_id, owner.living())

    def _forget_unawaited(self) -> None:
        """Drop who is not needed; only when they have doubled, so that each vat costs the same."""
        if len(self._absent) < self._many:
            return
        self._absent = {vat_id: each for vat_id, each in self._absent.items() if each.is_awaited()}
        self._many = max(_FEW, 2 * len(self._absent))

    def ref(self, vat_id: bytes, slot: int, *, holder: Home) -> Ref[Any]:
        """The reference to another vat's object, of whatever state that vat is in."""
        with self._lock:
            owner = self._awake.get(vat_id)
            if owner is not None:
                return owner.living_at(slot) or lost_ref(holder, _GONE)
            if self._closed:
                return lost_ref(holder, _CLOSED)
            if vat_id not in self._absent:
                self._absent[vat_id] = AbsentVat(vat_id, {})
            return self._absent[vat_id].expect(slot)

    def id_of(self, home: Home) -> bytes | None:
        """The id of a persistent vat of this registry, awake or not."""
        return home.vat_id if isinstance(home, AbsentVat) else self._ids.get(home)

    def saved_key(self, ref: Ref[Any]) -> tuple[bytes, int] | None:
        """The vat's id and the slot of an object that its own vat, which is awake, has saved."""
        vat_id, slot = self._ids.get(ref._home), ref._slot
        owner = None if vat_id is None else self._awake.get(vat_id)
        if owner is None or slot is None or not owner.is_durable(slot) or owner.living_at(slot) is not ref:
            return None
        return owner.vat_id, slot

    def home_of(self, vat_id: bytes) -> Home | None:
        """The vat with this id, if it is awake."""
        owner = self._awake.get(vat_id)
        return None if owner is None else owner.vat

    def others(self, owner: Owner) -> list[Owner]:
        """Who else is awake."""
        with self._lock:
            return [each for each in self._awake.values() if each is not owner]
