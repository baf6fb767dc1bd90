"""What a persistent vat saves: the graph of objects that its roots reach.

An object gets a slot when something in the graph first holds it. After each turn the changed ones of the
graph are portrayed, new ones with them; if that fails the turn fails. A slot whose object is gone
from memory is removed: nothing that is saved can hold it any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, cast
from weakref import ReferenceType

from goblins_py.actors._environment import PersistenceEnv
from goblins_py.actors._hooks import make_behaviour, state_of
from goblins_py.actors._portrait import Delta, Portrait, Snapshot
from goblins_py.actors._portray import Depicter, Reviver
from goblins_py.actors._reference import Ref, bind
from goblins_py.actors._roots import Awaken, Roots, RootsPlan
from goblins_py.actors._turn import Turn, no_turn, require_turn
from goblins_py.actors._upgrade import upgraded, what_failed
from goblins_py.actors._vat import Keeper, Vat
from goblins_py.errors import NotPortrayableError, StoreCorruptError, UpgradeFailedError
from goblins_py.syrup import Map

__all__ = ["GraphKeeper"]


class _Slotted(ReferenceType[Ref[object]]):
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
        self._found: list[Ref[object]] = []
        self._next_slot = 0
        self._depicter = Depicter(env, vat, self._slot_of)
        self._first: Delta | None = None
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
        changed = {
            id(ref): ref for ref in map(_owner, turn.undo) if ref is not None and ref._slot is not None
        }
        if changed:
            self._portray_all(list(changed.values()), new=())

    def take_delta(self) -> Delta | None:
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
            removed.add(slot)
        return frozenset(removed)

    def _portray_all(self, changed: list[Ref[object]], *, new: tuple[Ref[Any], ...]) -> tuple[int, ...]:
        first_new_slot = self._next_slot
        portraits: dict[int, Portrait] = {}
        self._found = changed
        try:
            slots = tuple(self._slot_of(ref) for ref in new)
            for ref in self._found:  # grows while it is read
                portraits[cast(int, ref._slot)] = self._portray(ref)
        except BaseException:
            self._forget_since(first_new_slot)
            raise
        finally:
            self._found = []
        self._changed.update(portraits)
        return slots

    def _slot_of(self, ref: Ref[object]) -> int:
        if ref._slot is None:
            ref._slot = self._next_slot
            self._next_slot += 1
            self._know(ref, ref._slot)
            self._found.append(ref)
        return ref._slot

    def _know(self, ref: Ref[object], slot: int) -> None:
        weak = _Slotted(ref, lambda dead: self._gone.append(dead.slot))
        weak.slot = slot
        self._known[slot] = weak

    def _forget_since(self, first_new_slot: int) -> None:
        for slot in range(first_new_slot, self._next_slot):
            ref = self._known.pop(slot)()
            if ref is not None:
                ref._slot = None
        self._next_slot = first_new_slot

    def _portray(self, ref: Ref[object]) -> Portrait:
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
        with no_turn():
            self._revive_all(snapshot)
        turn.effects.append(Awaken(list(self._known.values()), thorough=upgrade is not None))
        if upgrade is not None:
            saved = snapshot.roots_version
            try:
                slots = self._portray_roots(upgrade(saved, self.given_roots))
                self.check(turn)
            except Exception as error:
                versions = f"from version {saved} to {plan.version}"
                raise UpgradeFailedError(
                    f"the roots cannot be upgraded {versions}: {what_failed(error)}"
                ) from error
            self._first = Delta({}, roots_version=plan.version, roots=slots)
        turn.change(self._vat, "keeper", self)

    def _revive_all(self, snapshot: Snapshot) -> None:
        self._next_slot = max(snapshot.portraits, default=-1) + 1
        refs: dict[int, Ref[object]] = {}
        held: list[int] = []

        def ref_at(slot: int) -> Ref[object]:
            ref = refs.get(slot)
            if ref is None:
                if slot not in snapshot.portraits:
                    raise StoreCorruptError(f"a portrait refers to slot {slot}, which holds nothing")
                ref = refs[slot] = Ref(self._vat)
                ref._slot = slot
                self._know(ref, slot)
            held.append(slot)
            return ref

        reviver = Reviver(self._env, self._vat, ref_at)
        self.roots = tuple(ref_at(slot) for slot in snapshot.roots)
        waiting = list(dict.fromkeys(held))
        reached = set(waiting)
        for slot in waiting:  # grows while it is read
            held.clear()
            portrait = snapshot.portraits[slot]
            cls = self._env.actor_named(portrait.name)
            state = reviver.state(portrait.state)
            if reviver.aged or not self._env.is_present(cls, portrait.name, portrait.version):
                portrait = self._changed[slot] = self._upgrade(cls, portrait, state)
                held.clear()  # an upgrade may have dropped references, and what they led to
                state = reviver.state(portrait.state)
            behaviour = make_behaviour(cls, portrait.name, state)
            bind(refs[slot], behaviour)
            refs[slot]._behaviour = behaviour
            waiting += (each for each in dict.fromkeys(held) if each not in reached)
            reached.update(held)
        self._gone.extend(slot for slot in snapshot.portraits if slot not in reached)

    def _upgrade(self, cls: Any, portrait: Portrait, state: Mapping[str, object]) -> Portrait:
        """The portrait under the present name and version."""
        state = upgraded(cls, portrait.name, portrait.version, Map(state))
        try:
            written = self._depict(state)
        except NotPortrayableError as error:
            raise UpgradeFailedError(
                f"{portrait.name}, upgraded from version {portrait.version} to {cls.__goblins_version__},"
                f" cannot be saved: {error}"
            ) from error
        return Portrait(self._env.name_of(cls) or portrait.name, cls.__goblins_version__, written)


def _owner(change: tuple[object, str, object]) -> Ref[object] | None:
    thing, attribute, old = change
    if isinstance(thing, Ref):
        return thing
    if getattr(thing, attribute) is old:
        return None
    link = getattr(thing, "_goblins_ref", None)
    return link() if link is not None else None
