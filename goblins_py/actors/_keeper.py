"""What a persistent vat saves: the graph of objects that its roots reach.

An object gets a slot when something in the graph first holds it. After each turn the changed ones of the
graph are portrayed, new ones with them; if that fails the turn fails. A slot whose object is gone
from memory is removed: nothing that is saved can hold it any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast

from goblins_py.actors._behaviour import state_fields
from goblins_py.actors._bulk import without_gc
from goblins_py.actors._durable import Durables, resolver_portrait
from goblins_py.actors._environment import PersistenceEnv
from goblins_py.actors._far import PersistenceRegistry
from goblins_py.actors._found import Found
from goblins_py.actors._hooks import state_of
from goblins_py.actors._loans import Loans
from goblins_py.actors._neighbours import Neighbours, Seen
from goblins_py.actors._on import Resolver
from goblins_py.actors._outgoing import Outgoing
from goblins_py.actors._pins import Pins
from goblins_py.actors._portrait import Delta, Portrait, Snapshot
from goblins_py.actors._portray import VOID, Depicter, is_plain
from goblins_py.actors._promise import Promise
from goblins_py.actors._reference import Ref
from goblins_py.actors._revival import Revival
from goblins_py.actors._roots import Awaken, Roots, RootsPlan
from goblins_py.actors._slots import SlotTable, Thing
from goblins_py.actors._turn import Turn, no_turn, require_turn
from goblins_py.actors._upgrade import what_failed
from goblins_py.actors._vat import Keeper, Vat
from goblins_py.errors import NotPortrayableError, UpgradeFailedError

__all__ = ["GraphKeeper"]

Outline: TypeAlias = tuple[str, int, tuple[str, ...]]
"""Of a class: the name and version that its objects are saved under, and its state fields."""

_NOTHING: Final[frozenset[int]] = frozenset()


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
        self._outlines: dict[type, Outline] = {}
        self._found: list[Thing] = []
        self._depicter = Depicter(env, vat, self)
        self._durables = Durables(vat)
        self._stale: set[int] = set()
        self._first: Delta | None = None
        self.vat_id = b""
        remove = self._slots.gone.append
        pins = Pins(new_slot=self._slots.new, save=self._changed_at, remove=remove)
        loans = Loans(new_slot=self._slots.new, save=self._changed_at, remove=remove)
        self.neighbours = Neighbours(self, registry, pins=pins, loans=loans)
        self.roots: tuple[Ref[Any], ...] = ()

    @property
    def given_roots(self) -> Roots:
        """The roots as a roots function returns them."""
        return self.roots[0] if len(self.roots) == 1 else self.roots

    # --- taking portraits ----------------------------------------------------

    def adopt(self, roots: Roots, vat_id: bytes, version: int = 0) -> None:
        """Start the graph of a new vat; call at the end of the turn that made the roots.

        Args:
            version: of the roots.

        Raises:
            NotPortrayableError: something that they hold cannot be saved. TypeError: no references.
        """
        slots = self._portray_roots(roots)
        self._first = Delta({}, vat_id=vat_id, roots_version=version, roots=slots)
        self.vat_id = vat_id
        with self.neighbours.waking():
            pass

    def _portray_roots(self, roots: Roots) -> tuple[int, ...]:
        refs = roots if isinstance(roots, tuple) else (roots,)
        if not refs or (isinstance(roots, tuple) and len(roots) == 1):
            raise TypeError("roots are one reference, or a tuple of at least two")
        if not all(map(self._is_ours, refs)):
            raise TypeError("roots are references of the vat itself: return what spawn returned")
        slots = self._portray_all([], new=refs)
        self.roots = refs
        return slots

    def _is_ours(self, ref: object) -> bool:
        return isinstance(ref, Ref) and ref._home is self._vat and ref._connector is None

    def check(self, turn: Turn) -> None:
        plain: dict[int, Portrait] = {}
        others: dict[int, Thing] = {}
        for change in turn.undo:
            ref = _owner(change)
            if ref is None or ref._slot is None or ref._slot in plain:
                continue
            portrait = self._plain_portrait(ref)
            if portrait is None:
                others[ref._slot] = ref
            else:
                plain[ref._slot] = portrait
        if others:
            self._portray_all(list(others.values()), new=())
        self._changed.update(plain)

    def _plain_portrait(self, ref: Ref[object]) -> Portrait | None:
        """Of an object that holds nothing but plain values, as most do: nothing is to be found by it."""
        if self.neighbours.registry is not None or type(ref) is not Ref:
            return None  # what it held before may be let go of
        behaviour = ref._behaviour
        outline = self._outline(type(behaviour))
        if outline is None:
            return None
        name, version, fields = outline
        state: dict[str, object] = {}
        for field in fields:
            value = getattr(behaviour, field)
            if not is_plain(value):
                if value is not None:
                    return None
                value = VOID
            state[field] = value
        return Portrait(name, version, state)

    def _outline(self, cls: type) -> Outline | None:
        """How its fields are saved; None if it has a say in that, or cannot be saved."""
        outline = self._outlines.get(cls)
        if outline is None and not hasattr(cls, "__portrait__"):
            name = self._env.name_of(cls)
            if name is not None:
                version: int = cast(Any, cls).__goblins_version__
                outline = self._outlines[cls] = (name, version, state_fields(cls))
        return outline

    def take_delta(self) -> Delta | None:
        if self._durables.has_news or self._stale or self.neighbours.registry is not None:
            self._durables.listen_elsewhere()
            self._portray_settled()
            self._portray_stale()
            self.neighbours.prepare_release()
        removed = self._take_gone() if self._slots.gone else _NOTHING
        if not self._changed and not removed and self._first is None:
            return None
        portraits, self._changed = self._changed, {}
        first, self._first = self._first, None
        if first is None:
            return Delta(portraits, removed)
        return Delta(
            portraits, removed, vat_id=first.vat_id, roots_version=first.roots_version, roots=first.roots
        )

    def _take_gone(self) -> frozenset[int]:
        removed = set[int]()
        while self._slots.gone:
            slot = self._slots.gone.popleft()
            self._slots.drop(slot)
            self._changed.pop(slot, None)
            self._durables.drop(slot)
            self.neighbours.dropped(slot)
            removed.add(slot)
        if removed and self.neighbours.registry is not None:
            self._changed.update(self._slots.marked(removed))
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
        if not self._stale:
            return
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
                if self.neighbours.registry is not None:
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

    @property
    def slots_given(self) -> int:
        """How many slots there are, used or not."""
        return self._slots.following

    def is_durable(self, slot: int) -> bool:
        """Has this slot been given for good?"""
        return slot < self.neighbours.durable

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
        if type(thing) is Ref:  # most are
            return self._portray_object(thing)
        if isinstance(thing, Resolver):
            return resolver_portrait(thing, self._depicter)
        return self._durables.portrait(cast("Promise[Any]", thing), self._depicter)

    def _portray_object(self, ref: Ref[object]) -> Portrait:
        cls = type(ref._behaviour)
        name = self._env.name_of(cls)
        if name is None:
            label = getattr(ref._behaviour, "__qualname__", cls.__qualname__)
            raise NotPortrayableError(
                f"{label} cannot be saved: the persistence environment does not list it"
            )
        try:
            state = self._depict(state_of(ref._behaviour))
        except NotPortrayableError as error:
            raise NotPortrayableError(f"{cls.__qualname__} cannot be saved: {error}") from error.__cause__
        return Portrait(name, cast(Any, cls).__goblins_version__, state)

    def _depict(self, state: Mapping[str, object]) -> Mapping[str, object]:
        return {name: self._depicter.depict(value) for name, value in state.items()}

    # --- restoring -------------------------------------------------------------

    def restore(self, snapshot: Snapshot, plan: RootsPlan) -> None:
        """The first turn of the vat: make the objects that the roots reach, and bring all up to date.

        They start after it. From then on the vat is kept: what was upgraded is saved with the first delta,
        and what is in the store and not reached is removed. If it fails nothing was started, and there is
        nothing to save.

        Raises:
            UnknownObjectError, StoreCorruptError, VersionMismatchError: newer, or upgrades are missing.
            UpgradeFailedError: one raised something, or leaves what cannot be saved.
        """
        turn = require_turn()
        upgrade = plan.upgrade_from(snapshot.roots_version)
        self.vat_id = snapshot.vat_id
        with self.neighbours.waking():
            with no_turn(), without_gc():
                self._revive_all(snapshot)
            turn.effects.append(Awaken(self._slots.objects(), thorough=upgrade is not None))
            if upgrade is not None:
                self._upgrade_roots(turn, plan, snapshot.roots_version)
        turn.change(self._vat, "keeper", self)
        self.neighbours.greet()

    def _upgrade_roots(self, turn: Turn, plan: RootsPlan, saved: int) -> None:
        try:
            slots = self._portray_roots(cast(Any, plan.upgrade)(saved, self.given_roots))
            self.check(turn)
        except Exception as error:
            versions = f"from version {saved} to {plan.version}"
            raise UpgradeFailedError(
                f"the roots cannot be upgraded {versions}: {what_failed(error)}"
            ) from error
        self._first = Delta({}, roots_version=plan.version, roots=slots)

    def _revive_all(self, snapshot: Snapshot) -> None:
        marks = self._slots.start(snapshot.portraits)
        self.neighbours.start()
        found = Found(
            self._vat,
            snapshot.portraits,
            self._durables,
            know=self._slots.know,
            new_ref=self.neighbours.new_ref,
            far=self.neighbours.far_ref,
        )
        revival = Revival(self._env, found, self._durables, neighbours=self.neighbours, depict=self._depict)
        self.roots, gone = revival.run(snapshot)
        self._changed.update(revival.upgraded)
        self._slots.gone.extend(gone - marks)


def _owner(change: tuple[object, str, object]) -> Ref[object] | None:
    thing, attribute, old = change
    if isinstance(thing, Ref):
        return thing
    if getattr(thing, attribute) is old:
        return None
    link = getattr(thing, "_goblins_ref", None)
    return link() if link is not None else None
