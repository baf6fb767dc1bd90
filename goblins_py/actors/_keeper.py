"""What a persistent vat saves: the graph of objects that its roots reach.

An object gets a slot when something in the graph first holds it. After each turn the changed ones of the
graph are portrayed, new ones with them; if that fails the turn fails. A slot whose object is gone
from memory is removed: nothing that is saved can hold it any more.
"""

from __future__ import annotations

from collections import deque
from typing import Any, cast
from weakref import ReferenceType

import attrs

from goblins_py.actors._behaviour import state_fields
from goblins_py.actors._durable import Durables, resolver_portrait
from goblins_py.actors._environment import PersistenceEnv
from goblins_py.actors._found import Found
from goblins_py.actors._on import Resolver
from goblins_py.actors._portrait import Delta, Portrait, Snapshot
from goblins_py.actors._portray import Depicter, Reviver
from goblins_py.actors._promise import Promise
from goblins_py.actors._reference import Ref, bind
from goblins_py.actors._spawn import start_effect
from goblins_py.actors._turn import Turn
from goblins_py.actors._vat import Keeper, Vat
from goblins_py.errors import NotPortrayableError, StoreCorruptError, VersionMismatchError

__all__ = ["GraphKeeper", "Roots"]

Roots = Ref[Any] | tuple[Ref[Any], ...]
"""What a roots function returns: a reference, or a tuple of at least two."""


Thing = Ref[Any] | Promise[Any]
"""What has a slot."""


class _Slotted(ReferenceType[Thing]):
    """A weak reference that knows the slot of what it pointed to."""

    __slots__ = ("slot",)
    slot: int


class GraphKeeper(Keeper):
    """Keeps the graph of one vat.

    Attributes:
        roots: held as long as the vat lives.
    """

    def __init__(self, env: PersistenceEnv, vat: Vat) -> None:
        self._env = env
        self._vat = vat
        self._known: dict[int, _Slotted] = {}
        self._gone: deque[int] = deque()
        self._changed: dict[int, Portrait] = {}
        self._found: list[Thing] = []
        self._next_slot = 0
        self._depicter = Depicter(env, vat, self)
        self._durables = Durables(vat)
        self._first: Delta | None = None
        self.roots: tuple[Ref[Any], ...] = ()

    # --- taking portraits ----------------------------------------------------

    def adopt(self, roots: Roots, vat_id: bytes) -> None:
        """Start the graph of a new vat; call at the end of the turn that made the roots.

        Raises:
            NotPortrayableError: something that they hold cannot be saved. TypeError: no references.
        """
        refs = roots if isinstance(roots, tuple) else (roots,)
        if not refs or (isinstance(roots, tuple) and len(roots) == 1):
            raise TypeError("roots are one reference, or a tuple of at least two")
        if not all(map(self._is_ours, refs)):
            raise TypeError("roots are references of the vat itself: return what spawn returned")
        slots = self._portray_all([], new=refs)
        self.roots = refs
        self._first = Delta({}, vat_id=vat_id, roots_version=0, roots=slots)

    def _is_ours(self, ref: object) -> bool:
        return isinstance(ref, Ref) and ref._home is self._vat and ref._connector is None

    def check(self, turn: Turn) -> None:
        changed = {
            id(ref): ref for ref in map(_owner, turn.undo) if ref is not None and ref._slot is not None
        }
        if changed:
            self._portray_all(list(changed.values()), new=())

    def take_delta(self) -> Delta | None:
        self._durables.listen_elsewhere()
        self._portray_settled()
        removed = self._take_gone()
        portraits, self._changed = self._changed, {}
        first, self._first = self._first, None
        if not portraits and not removed and first is None:
            return None
        if first is None:
            return Delta(portraits, removed)
        return Delta(
            portraits, removed, vat_id=first.vat_id, roots_version=first.roots_version, roots=first.roots
        )

    def _take_gone(self) -> frozenset[int]:
        removed = set()
        while self._gone:
            slot = self._gone.popleft()
            self._known.pop(slot, None)
            self._changed.pop(slot, None)
            self._durables.drop(slot)
            removed.add(slot)
        return frozenset(removed)

    @property
    def has_garbage(self) -> bool:
        return bool(self._gone)

    def _portray_settled(self) -> None:
        """Promises that settled after the turn that changed them, if any did; this fails nobody."""
        for promise in self._durables.take_settled():
            try:
                self._portray_all([promise], new=())
            except NotPortrayableError as error:
                self._durables.give_up(promise, error)
                self._portray_all([promise], new=())

    def _portray_all(self, changed: list[Thing], *, new: tuple[Ref[Any], ...]) -> tuple[int, ...]:
        first_new_slot = self._next_slot
        portraits: dict[int, Portrait] = {}
        self._found = changed
        try:
            slots = tuple(self.slot_of(ref) for ref in new)
            for thing in self._found:  # grows while it is read
                portraits[self.slot_of(thing)] = self._portray(thing)
        except BaseException:
            self._forget_since(first_new_slot)
            raise
        finally:
            self._found = []
        self._changed.update(portraits)
        return slots

    def slot_of(self, thing: Thing) -> int:
        """See `Slots`."""
        slot = thing._slot if isinstance(thing, Ref) else self._durables.slot_of(thing)
        if slot is None:
            slot = self._next_slot
            self._next_slot += 1
            if isinstance(thing, Ref):
                thing._slot = slot
            else:
                self._durables.keep(thing, slot)
            self._know(thing, slot)
            self._found.append(thing)
        return slot

    def kept_slot(self, promise: Promise[Any]) -> int | None:
        """See `Slots`."""
        return self._durables.slot_of(promise)

    def written_far(self, ref: Ref[Any]) -> object:
        """See `Slots`."""
        raise NotPortrayableError("a reference to an object of another vat cannot be saved")

    def _know(self, thing: Thing, slot: int) -> None:
        weak = _Slotted(thing, lambda dead: self._gone.append(dead.slot))
        weak.slot = slot
        self._known[slot] = weak

    def _forget_since(self, first_new_slot: int) -> None:
        for slot in range(first_new_slot, self._next_slot):
            thing = self._known.pop(slot)()
            if isinstance(thing, Ref):
                thing._slot = None
            self._durables.drop(slot)
        self._next_slot = first_new_slot

    def _portray(self, thing: Thing) -> Portrait:
        if isinstance(thing, Promise):
            return self._durables.portrait(thing, self._depicter)
        if isinstance(thing, Resolver):
            return resolver_portrait(thing, self._depicter)
        return self._portray_object(thing)

    def _portray_object(self, ref: Ref[object]) -> Portrait:
        cls = type(ref._behaviour)
        name = self._env.name_of(cls)
        if name is None:
            label = getattr(ref._behaviour, "__qualname__", cls.__qualname__)
            raise NotPortrayableError(
                f"{label} cannot be saved: the persistence environment does not list it"
            )
        try:
            state = {
                field: self._depicter.depict(getattr(ref._behaviour, field)) for field in state_fields(cls)
            }
        except NotPortrayableError as error:
            raise NotPortrayableError(f"{cls.__qualname__} cannot be saved: {error}") from None
        return Portrait(name, cast(Any, cls).__goblins_version__, state)

    # --- restoring -------------------------------------------------------------

    def restore(self, snapshot: Snapshot) -> None:
        """Make the objects that the roots reach, and queue the `on_start` of those that have one.

        What is in the store and not reached is removed with the next delta.

        Raises:
            UnknownObjectError, VersionMismatchError, StoreCorruptError: nothing was started.
        """
        self._next_slot = max(snapshot.portraits, default=-1) + 1
        found = Found(
            self._vat,
            snapshot.portraits,
            self._durables,
            know=self._know,
            new_ref=lambda _: Ref(self._vat),
            far=lambda vat_id, slot: Ref(self._vat),
        )
        reviver = Reviver(self._env, self._vat, found)
        self.roots = tuple(found.ref_at(slot) for slot in snapshot.roots)
        for slot in found.waiting:  # grows while it is read
            self._revive(found.things[slot], snapshot.portraits[slot], reviver)
        self._durables.revived()
        self._gone.extend(slot for slot in snapshot.portraits if slot not in found.things)
        for thing in found.things.values():
            start = start_effect(thing, restored=True) if isinstance(thing, Ref) else None
            if start is not None:
                start.commit(self._vat)

    def _revive(self, thing: Thing, portrait: Portrait, reviver: Reviver) -> None:
        if isinstance(thing, Promise | Resolver):
            self._durables.revive(thing, portrait, reviver)
        else:
            self._revive_object(thing, portrait, reviver)

    def _revive_object(self, ref: Ref[object], portrait: Portrait, reviver: Reviver) -> None:
        cls = self._env.class_named(portrait.name)
        if portrait.version != cls.__goblins_version__:
            raise VersionMismatchError(
                f"{portrait.name} was version {portrait.version}, it is {cls.__goblins_version__} now"
            )
        state = {name: reviver.revive(value) for name, value in portrait.state.items()}
        misfits = _misfits(cls, state)
        if misfits:
            raise VersionMismatchError(
                f"{portrait.name} was saved with other fields than it has now: {', '.join(sorted(misfits))}"
            )
        try:
            behaviour = cls(**state)
        except TypeError as error:
            raise StoreCorruptError(f"the portrait of a {portrait.name} does not fit it: {error}") from None
        bind(ref, behaviour)
        ref._behaviour = behaviour


def _misfits(cls: type, state: dict[str, object]) -> set[str]:
    """Fields that are saved and not there, or there without a default and not saved."""
    fields = state_fields(cls)
    required = {field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING}
    return (set(state) - set(fields)) | (required - set(state))


def _owner(change: tuple[object, str, object]) -> Ref[object] | None:
    thing, attribute, old = change
    if isinstance(thing, Ref):
        return thing
    if getattr(thing, attribute) is old:
        return None
    link = getattr(thing, "_goblins_ref", None)
    return link() if link is not None else None
