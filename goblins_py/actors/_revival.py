"""A restore: portraits become objects, promises and pins, brought up to date where they have to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from goblins_py.actors._durable import PROMISE, RESOLVER, Durables
from goblins_py.actors._environment import PersistenceEnv
from goblins_py.actors._found import Found
from goblins_py.actors._hooks import make_behaviour
from goblins_py.actors._loans import LOAN
from goblins_py.actors._mould import Mould, mould_of
from goblins_py.actors._neighbours import Neighbours
from goblins_py.actors._on import Resolver
from goblins_py.actors._pins import PIN
from goblins_py.actors._portrait import Portrait, Snapshot
from goblins_py.actors._portray import Reviver
from goblins_py.actors._promise import Promise
from goblins_py.actors._reference import Ref, bind
from goblins_py.actors._upgrade import upgraded
from goblins_py.errors import NotPortrayableError, StoreCorruptError, UpgradeFailedError
from goblins_py.syrup import Map

__all__ = ["Revival"]


class Revival:
    """Makes all that the roots, and other vats, reach. No turn is current.

    Args:
        depict: writes a state.

    Attributes:
        upgraded: portraits that have another name or version now, by slot.
    """

    def __init__(
        self,
        env: PersistenceEnv,
        found: Found,
        durables: Durables,
        *,
        neighbours: Neighbours,
        depict: Callable[[Mapping[str, object]], Mapping[str, object]],
    ) -> None:
        self.upgraded: dict[int, Portrait] = {}
        self._moulds: dict[tuple[str, int], Mould | None] = {}
        self._env = env
        self._found = found
        self._durables = durables
        self._neighbours = neighbours
        self._depict = depict
        self._reviver = Reviver(env, found.home, found)

    def run(self, snapshot: Snapshot) -> tuple[tuple[Ref[Any], ...], set[int]]:
        """The roots, and the slots that nothing reaches."""
        held = self._found.held
        roots = tuple(self._found.ref_at(slot) for slot in snapshot.roots)
        portraits, is_alone = snapshot.portraits, self._neighbours.registry is None
        reserved = {slot: portrait for slot, portrait in portraits.items() if portrait.name[:1] == "<"}
        kept = self._restore_pins(reserved) | self._restore_loans(reserved)
        waiting = list(dict.fromkeys(held))
        reached = set(waiting)
        for slot in waiting:  # grows while it is read
            if is_alone and self._revive_plain(slot, portraits[slot]):
                continue
            held.clear()
            seen = self._neighbours.watch()
            self._revive(slot, portraits[slot])
            self._neighbours.portrayed(slot, seen)
            waiting += (each for each in dict.fromkeys(held) if each not in reached)
            reached.update(held)
        self._durables.revived()
        self._found.lose_all_but(reached)
        return roots, set(snapshot.portraits) - reached - kept

    def _restore_pins(self, reserved: Mapping[int, Portrait]) -> set[int]:
        """What other vats hold is a root as long as they do."""
        pins = {slot: portrait for slot, portrait in reserved.items() if portrait.name == PIN}
        for slot, portrait in pins.items():
            ref, vat_ids = (self._reviver.revive(portrait.state.get(field)) for field in ("to", "vats"))
            if not isinstance(ref, Ref) or type(vat_ids) is not frozenset:
                raise StoreCorruptError("a pin of what is no object")
            self._neighbours.pins.restore(slot, ref, vat_ids)
        return set(pins)

    def _restore_loans(self, reserved: Mapping[int, Portrait]) -> set[int]:
        """What we passed on is held for the other vat until its owner says so."""
        self._neighbours.watch()
        loans = {slot: portrait for slot, portrait in reserved.items() if portrait.name == LOAN}
        kept = set()
        for slot, portrait in loans.items():
            ref, vat_id = (self._reviver.revive(portrait.state.get(field)) for field in ("of", "to"))
            if not isinstance(ref, Ref) or type(vat_id) is not bytes:
                raise StoreCorruptError("a loan of what is no object")
            if self._neighbours.restore_loan(slot, ref, vat_id):
                kept.add(slot)
        return kept

    def _revive_plain(self, slot: int, portrait: Portrait) -> bool:
        """Most objects of a large store: they hold nothing but plain values, and are of today."""
        key = (portrait.name, portrait.version)
        if key not in self._moulds:
            self._moulds[key] = self._mould(*key)
        mould = self._moulds[key]
        behaviour = None if mould is None else mould.cast(portrait.state)
        if behaviour is None:
            return False
        ref = self._found.things[slot]
        bind(ref, behaviour)
        ref._behaviour = behaviour
        return True

    def _mould(self, name: str, version: int) -> Mould | None:
        if name in (PROMISE, RESOLVER):
            return None
        cls = self._env.actor_named(name)
        return mould_of(cls) if self._env.is_present(cls, name, version) else None

    def _revive(self, slot: int, portrait: Portrait) -> None:
        thing = self._found.things[slot]
        if isinstance(thing, Promise | Resolver):
            self._durables.revive(thing, portrait, self._reviver)
        else:
            self._revive_object(thing, slot, portrait)

    def _revive_object(self, ref: Ref[Any], slot: int, portrait: Portrait) -> None:
        reviver = self._reviver
        cls = self._env.actor_named(portrait.name)
        state = reviver.state(portrait.state)
        if reviver.aged or not self._env.is_present(cls, portrait.name, portrait.version):
            portrait = self.upgraded[slot] = self._upgrade(cls, portrait, state)
            self._found.held.clear()  # an upgrade may have dropped references, and what they led to
            self._neighbours.watch_again()
            state = reviver.state(portrait.state)
        behaviour = make_behaviour(cls, portrait.name, state)
        bind(ref, behaviour)
        ref._behaviour = behaviour

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
