"""What a persistent vat saves: the graph of objects that its roots reach.

An object gets a slot when something in the graph first holds it. After each turn the changed ones of the
graph are portrayed, new ones with them; if that fails the turn fails. A slot whose object is gone
from memory is removed: nothing that is saved can hold it any more.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any, cast

import attrs

from goblins_py.actors._behaviour import state_fields
from goblins_py.actors._durable import Durables, resolver_portrait
from goblins_py.actors._environment import PersistenceEnv
from goblins_py.actors._far import PersistenceRegistry
from goblins_py.actors._found import Found
from goblins_py.actors._neighbours import Neighbours, Seen
from goblins_py.actors._on import Resolver
from goblins_py.actors._outgoing import Outgoing
from goblins_py.actors._pins import PIN, Pins
from goblins_py.actors._portrait import Delta, Portrait, Snapshot
from goblins_py.actors._portray import Depicter, Reviver
from goblins_py.actors._promise import Promise
from goblins_py.actors._reference import Ref, bind
from goblins_py.actors._slots import SlotTable, Thing
from goblins_py.actors._spawn import start_effect
from goblins_py.actors._turn import Turn
from goblins_py.actors._vat import Keeper, Vat
from goblins_py.errors import NotPortrayableError, StoreCorruptError, VersionMismatchError

__all__ = ["GraphKeeper", "Roots"]

Roots = Ref[Any] | tuple[Ref[Any], ...]
"""What a roots function returns: a reference, or a tuple of at least two."""


class GraphKeeper(Keeper):
    """Keeps the graph of one vat.

    Args:
        registry: of the persistent vats whose objects the graph may refer to.

    Attributes:
        roots: held as long as the vat lives.
        vat_id: once there is a graph.
        neighbours: the other vats.
    """

    def __init__(self, env: PersistenceEnv, vat: Vat, *, registry: PersistenceRegistry | None = None) -> None:
        self._env = env
        self._vat = vat
        self._slots = SlotTable()
        self._changed: dict[int, Portrait] = {}
        self._found: list[Thing] = []
        self._depicter = Depicter(env, vat, self)
        self._durables = Durables(vat)
        self._stale: set[int] = set()
        self._first: Delta | None = None
        self.vat_id = b""
        pins = Pins(new_slot=self._slots.new, save=self._changed_at, remove=self._slots.gone.append)
        self.neighbours = Neighbours(self, registry, pins)
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
        self.vat_id = vat_id
        if self.neighbours.registry is not None:
            with self.neighbours.registry.waking(self):
                pass

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
        self._portray_stale()
        self.neighbours.prepare_release()
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
        while self._slots.gone:
            slot = self._slots.gone.popleft()
            self._slots.drop(slot)
            self._changed.pop(slot, None)
            self._durables.drop(slot)
            self.neighbours.dropped(slot)
            removed.add(slot)
        return frozenset(removed)

    def tidy(self) -> bool:
        return self.neighbours.tidy() or bool(self._slots.gone)

    def closed(self) -> None:
        if self.neighbours.registry is not None:
            self.neighbours.registry.left(self)
        self.neighbours.pins.clear()

    def _portray_settled(self) -> None:
        """Promises that settled after the turn that changed them, if any did; this fails nobody."""
        for promise in self._durables.take_settled():
            try:
                self._portray_all([promise], new=())
            except NotPortrayableError as error:
                self._durables.give_up(promise, error)
                self._portray_all([promise], new=())

    def _portray_stale(self) -> None:
        """Objects that hold what may be saved by now; also this fails nobody."""
        stale, self._stale = self._stale, set()
        for slot in stale:
            thing = self._slots.at(slot)
            if thing is not None:
                with suppress(NotPortrayableError):
                    self._portray_all([thing], new=())

    def _portray_all(self, changed: list[Thing], *, new: tuple[Ref[Any], ...]) -> tuple[int, ...]:
        first_new_slot = self._slots.following
        portraits: dict[int, Portrait] = {}
        seen: dict[int, Seen] = {}
        self._found = changed
        try:
            slots = tuple(self.slot_of(ref) for ref in new)
            for thing in self._found:  # grows while it is read
                slot = self.slot_of(thing)
                seen[slot] = self.neighbours.watch()
                portraits[slot] = self._portray(thing)
        except BaseException:
            self._forget_since(first_new_slot)
            raise
        finally:
            self._found = []
        self._changed.update(portraits)
        for slot, each in seen.items():
            self.neighbours.portrayed(slot, each)
        return slots

    def slot_of(self, thing: Thing) -> int:
        """See `Slots`."""
        slot = thing._slot if isinstance(thing, Ref) else self._durables.slot_of(thing)
        if slot is None:
            slot = self._slots.new()
            if isinstance(thing, Ref):
                thing._slot = slot
            else:
                self._durables.keep(thing, slot)
            self._slots.know(thing, slot)
            self._found.append(thing)
        return slot

    def kept_slot(self, promise: Promise[Any]) -> int | None:
        """See `Slots`."""
        return self._durables.slot_of(promise)

    def written_far(self, ref: Ref[Any]) -> object:
        """See `Slots`."""
        return self.neighbours.written(ref)

    def _changed_at(self, slot: int, portrait: Portrait) -> None:
        self._changed[slot] = portrait

    # --- for the neighbours: see `Neighbour` ---------------------------------------------

    @property
    def vat(self) -> Vat:
        """The vat."""
        return self._vat

    def outbox(self) -> list[Outgoing]:
        """What leaves the vat with this churn."""
        return self._vat.outbox

    def living(self) -> dict[int, Ref[Any]]:
        """Saved objects that are in memory, by slot."""
        return self._slots.living()

    def living_at(self, slot: int) -> Ref[Any] | None:
        """One of them."""
        thing = self._slots.at(slot)
        return thing if isinstance(thing, Ref) else None

    def enlist(self, ref: Ref[object]) -> bool:
        """Give an object a slot, and save it; False if it cannot be saved."""
        try:
            self._portray_all([], new=(ref,))
        except NotPortrayableError:
            return False
        return True

    def refresh(self, slots: set[int]) -> None:
        """Have the portraits at these slots taken again."""
        self._stale |= slots

    def _forget_since(self, first_new_slot: int) -> None:
        for slot, thing in self._slots.forget_since(first_new_slot):
            if isinstance(thing, Ref):
                thing._slot = None
            self._durables.drop(slot)

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
        self.vat_id = snapshot.vat_id
        self._slots.following = max(snapshot.portraits, default=-1) + 1
        registry = self.neighbours.registry
        with nullcontext() if registry is None else registry.waking(self):
            self._restore(snapshot)
        self.neighbours.greet()

    def _restore(self, snapshot: Snapshot) -> None:
        found = Found(
            self._vat,
            snapshot.portraits,
            self._durables,
            know=self._slots.know,
            new_ref=self._new_ref,
            far=self.neighbours.far_ref,
        )
        reviver = Reviver(self._env, self._vat, found)
        self.roots = tuple(found.ref_at(slot) for slot in snapshot.roots)
        pins = self._restore_pins(snapshot, found, reviver)
        for slot in found.waiting:  # grows while it is read
            seen = self.neighbours.watch()
            self._revive(found.things[slot], snapshot.portraits[slot], reviver)
            self.neighbours.portrayed(slot, seen)
        self._durables.revived()
        self._slots.gone.extend(snapshot.portraits.keys() - found.things.keys() - pins)
        for thing in found.things.values():
            start = start_effect(thing, restored=True) if isinstance(thing, Ref) else None
            if start is not None:
                start.commit(self._vat)

    def _new_ref(self, slot: int) -> Ref[Any]:
        registry = self.neighbours.registry
        claimed = None if registry is None else registry.claim(self, slot)
        return claimed or Ref(self._vat)

    def _restore_pins(self, snapshot: Snapshot, found: Found, reviver: Reviver) -> set[int]:
        """What other vats hold is a root as long as they do."""
        pins = {slot: portrait for slot, portrait in snapshot.portraits.items() if portrait.name == PIN}
        for slot, portrait in pins.items():
            ref, vat_ids = (reviver.revive(portrait.state.get(field)) for field in ("to", "vats"))
            if not isinstance(ref, Ref) or type(vat_ids) is not frozenset:
                raise StoreCorruptError("a pin of what is no object")
            self.neighbours.pins.restore(slot, ref, vat_ids)
        return set(pins)

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
