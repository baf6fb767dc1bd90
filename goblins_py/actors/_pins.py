"""Objects that other persistent vats hold, from both sides.

The owner **pins** an object before a reference to it leaves for another persistent vat: a small portrait of
its own says which vats hold it, and it is a root as long as it is there. The holder is **granted** the
reference just before the message arrives that carries it, and only granted references are saved as far
ones, so nothing in a store ever points at what is not pinned in the other. When the holder's store
has not held one for a while it lets go of it, by as many grants as it had: like op:gc-exports, that is
never too many. What is counted is forgotten with the process; then holders report what they hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

import attrs

from goblins_py.actors._far import AbsentVat
from goblins_py.actors._outgoing import Posting, carried
from goblins_py.actors._portrait import Portrait
from goblins_py.actors._portray import record
from goblins_py.actors._reference import Ref, Source
from goblins_py.actors._turn import Home
from goblins_py.syrup import Map, Record, Tagged

__all__ = ["PIN", "Holdings", "Key", "Pins", "refs_in"]

PIN: Final = "<pin>"
"""The name of a pin's portrait; no class can have it."""

Key = tuple[bytes, int]
"""Of an object of another vat: that vat's id, and the slot."""


# --- the owner's side -----------------------------------------------------------------


@attrs.define(eq=False)
class _Hold:
    """That one vat holds an object.

    Attributes:
        home: the vat as it was when it was last sent the reference; None before that.
        count: how often it was, and has not let go since.
    """

    home: Home | None = None
    count: int = 0

    def is_of(self, home: Home) -> bool:
        now = self.home.vat if isinstance(self.home, AbsentVat) else self.home
        return now is home or self.home is home


@attrs.define(eq=False)
class _Pin:
    ref: Ref[Any]
    slot: int
    holds: dict[bytes, _Hold] = attrs.field(factory=dict)


class Pins:
    """Which of our objects other vats hold.

    Args:
        new_slot: for a new pin.
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
        self._pins: dict[int, _Pin] = {}

    def __len__(self) -> int:
        return len(self._pins)

    def clear(self) -> None:
        """The vat was closed: hold nothing any more."""
        self._pins.clear()

    def pin(self, ref: Ref[Any], vat_id: bytes, home: Home) -> None:
        """A reference to an object that has a slot is about to be granted to a vat once more."""
        hold = self.hold(ref, vat_id)
        if hold.home is None or not (hold.is_of(home) or _is_now(home, hold.home)):
            hold.count = 0
        hold.home = home
        hold.count += 1

    def hold(self, ref: Ref[Any], vat_id: bytes) -> _Hold:
        """That a vat holds an object, whether or not it is awake to be granted it."""
        slot = cast(int, ref._slot)
        pin = self._pins.get(slot)
        if pin is None:
            pin = self._pins[slot] = _Pin(ref, self._new_slot())
        hold = pin.holds.get(vat_id)
        if hold is None:
            hold = pin.holds[vat_id] = _Hold()
            self._save_pin(pin)
        return hold

    def let_go(self, vat_id: bytes, home: Home, counts: Mapping[int, int]) -> None:
        """A vat holds these so many grants less."""
        for slot, count in counts.items():
            hold = self._hold(slot, vat_id)
            if hold is not None:
                hold.count -= count if hold.is_of(home) else 0
                if hold.count <= 0:
                    self._drop(slot, vat_id)

    def reported(self, vat_id: bytes, home: Home, held: frozenset[int]) -> None:
        """A vat has said all that it holds of ours; what we have sent it since is on its way."""
        for slot in list(self._pins):
            hold = self._hold(slot, vat_id)
            if hold is not None and not hold.is_of(home):
                hold.home, hold.count = home, 0
            if hold is not None and hold.count == 0 and slot not in held:
                self._drop(slot, vat_id)

    def _hold(self, slot: int, vat_id: bytes) -> _Hold | None:
        pin = self._pins.get(slot)
        return None if pin is None else pin.holds.get(vat_id)

    def _drop(self, slot: int, vat_id: bytes) -> None:
        pin = self._pins[slot]
        del pin.holds[vat_id]
        if pin.holds:
            self._save_pin(pin)
        else:
            del self._pins[slot]
            self._remove(pin.slot)

    def _save_pin(self, pin: _Pin) -> None:
        state = {"to": record("near", pin.ref._slot), "vats": frozenset(pin.holds)}
        self._save(pin.slot, Portrait(PIN, 0, Map(state)))

    def restore(self, slot: int, ref: Ref[Any], vat_ids: Iterable[bytes]) -> None:
        """A pin that was saved at this slot."""
        self._pins[cast(int, ref._slot)] = _Pin(ref, slot, {vat_id: _Hold() for vat_id in vat_ids})


def _is_now(home: Home, former: Home) -> bool:
    return isinstance(home, AbsentVat) and home.vat is former


# --- the holder's side ------------------------------------------------------------------


@attrs.define(eq=False)
class _Grant:
    ref: Ref[Any]
    count: int = 0
    spare: bool = False


class Holdings:
    """Which objects of other vats we may save references to, and which our store holds."""

    def __init__(self) -> None:
        self._grants: dict[Key, _Grant] = {}
        self._keys: dict[Ref[Any], Key] = {}
        self._uses: Counter[Key] = Counter()
        self._used_by: dict[int, frozenset[Key]] = {}
        self._wanted_by: dict[int, tuple[Ref[Any], ...]] = {}
        self._wanted: dict[Ref[Any], set[int]] = {}

    def __len__(self) -> int:
        return len(self._grants)

    def key_of(self, ref: Ref[Any]) -> Key | None:
        """How a granted reference is saved."""
        return self._keys.get(ref)

    def grant(self, key: Key, ref: Ref[Any], *, count: int = 1) -> set[int]:
        """It may be saved from now on: the slots of those who wait for that."""
        grant = self._grants.get(key)
        if grant is None or grant.ref is not ref:
            grant = self._grants[key] = _Grant(ref)
            self._keys[ref] = key
        grant.count += count
        grant.spare = False
        return {slot for slot in self._wanted.get(ref, ()) if key not in self._used_by.get(slot, ())}

    def portrayed(self, slot: int, keys: frozenset[Key], missing: tuple[Ref[Any], ...] = ()) -> None:
        """The portrait at this slot holds just these, and would hold those that are not granted."""
        for ref in self._wanted_by.pop(slot, ()):
            self._wanted[ref].discard(slot)
            if not self._wanted[ref]:
                del self._wanted[ref]
        if missing:
            self._wanted_by[slot] = missing
            for ref in missing:
                self._wanted.setdefault(ref, set()).add(slot)
        before = self._used_by.pop(slot, frozenset())
        if keys:
            self._used_by[slot] = keys
        for key in keys - before:
            self._uses[key] += 1
        for key in before - keys:
            self._uses[key] -= 1
            if not self._uses[key]:
                del self._uses[key]

    def sweep(self) -> dict[bytes, dict[int, int]]:
        """Give up what the store did not hold at the last sweep either: by vat and slot, how many grants."""
        given_up: dict[bytes, dict[int, int]] = {}
        for key, grant in list(self._grants.items()):
            if key in self._uses:
                grant.spare = False
            elif not grant.spare:
                grant.spare = True
            else:
                self._forget(key, grant)
                given_up.setdefault(key[0], {})[key[1]] = grant.count
        return given_up

    def _forget(self, key: Key, grant: _Grant) -> None:
        del self._grants[key]
        if self._keys.get(grant.ref) == key:
            del self._keys[grant.ref]

    @property
    def idle(self) -> bool:
        """Would a sweep change nothing?"""
        return len(self._grants) == len(self._uses)

    def report(self, vat_id: bytes) -> frozenset[int]:
        """The slots of all that we hold of a vat that counts anew."""
        held = [(key, grant) for key, grant in self._grants.items() if key[0] == vat_id]
        for _, grant in held:
            grant.count = 0
        return frozenset(slot for (_, slot), _ in held)


# --- what leaves -------------------------------------------------------------------------


def refs_in(posting: Posting) -> list[Ref[Any]]:
    """The references that another vat could save after this."""
    found: dict[Ref[Any], None] = {}
    for value in carried(posting.item):
        for ref in _refs(value):
            source = None if ref._connector is None else ref._connector.saved_as(ref)
            if isinstance(source, Source):
                ref = source.enlivener  # noqa: PLW2901 - it is saved in its place
            if ref._connector is None:
                found[ref] = None
    return list(found)


def _refs(value: Any) -> Iterator[Ref[Any]]:
    kind = type(value)
    if isinstance(value, Ref):
        yield value
    elif kind is tuple or kind is frozenset:
        for item in value:
            yield from _refs(item)
    elif kind is Map:
        for key, item in value.items():
            yield from _refs(key)
            yield from _refs(item)
    elif kind is Tagged:
        yield from _refs(value.value)
    elif kind is Record:
        yield from _refs((value.label, *value.fields))
