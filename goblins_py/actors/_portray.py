"""State values as Syrup and back: how one field of a portrait is written.

| in state | in the portrait |
|---|---|
| boolean, integer, float, string, bytes, Symbol, tuple, Map, frozenset | itself |
| None, Null | `<void>`, `<null>` |
| Tagged, Record | `<tagged tag value>`, `<record label fields>` |
| an instance of a `@value` class | `<value name {field: ...}>`, then its version if that is not 0 |
| another leaf that the environment knows (a locator, a sturdyref) | its own record |
| a near reference | `<near slot>` |
| a reference to an object of another persistent vat | `<far vat-id slot>` |
| a reference to a peer's object | `<remote mycapn sturdyref>`, or `<severed why>`: it cannot be had again |
| a settled promise | `<encase value>` or `<broken text>`, or `<lost why>` |
| another promise | `<promise slot>`, see `_durable` |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import nan
from typing import Any, Final, Protocol, cast

import attrs

from goblins_py.actors._dormant import LostReferenceError, lost_ref
from goblins_py.actors._environment import PersistenceEnv
from goblins_py.actors._hooks import check_fit
from goblins_py.actors._passable import is_value
from goblins_py.actors._promise import Broken, Detour, Following, Fulfilled, Promise, State
from goblins_py.actors._reference import Ref, Source
from goblins_py.actors._turn import Home
from goblins_py.actors._upgrade import upgraded
from goblins_py.errors import (
    ActorError,
    NotPortrayableError,
    PersistenceError,
    StoreCorruptError,
    UpgradeFailedError,
)
from goblins_py.syrup import Leaf, Map, Null, Record, Symbol, Tagged

__all__ = ["VOID", "Depicter", "Reviver", "is_plain", "is_void", "last_of", "record"]

MAX_DEPTH: Final = 128
"""Levels of nesting in one written field; less than what stores read back."""

PLAIN: Final = frozenset({bool, int, float, str, bytes, Symbol})
_NAN: Final = nan
"""The only one that is written: Python holds two of them for two members of a set, and Syrup for one."""
VOID: Final = Record(Symbol("void"), ())
_NULL: Final = Record(Symbol("null"), ())


_symbol = lru_cache(maxsize=64)(Symbol)


def record(label: str, *fields: object) -> Record:
    """One of ours."""
    return Record(_symbol(label), fields)


def is_plain(value: object) -> bool:
    """Is it written as it stands, and read as it is written? Of most values that is known at once."""
    if type(value) is not tuple:
        return type(value) in PLAIN and value == value  # noqa: PLR0124 - NaN has but one form
    for each in value:  # noqa: SIM110 - a generator for each of many tuples takes longer
        if type(each) not in PLAIN or each != each:  # noqa: PLR0124 - likewise
            return False
    return True


def is_void(written: object) -> bool:
    """Is this how None is written?"""
    return type(written) is Record and not written.fields and written.label == VOID.label


def last_of(promise: Promise[object], home: Home) -> tuple[Promise[object], State | None]:
    """The promise that this one has come to, as far as its vat knows, and its state: None in another vat."""
    while promise._home is home:
        state = promise._state
        if isinstance(state, Detour):
            state = state.became
        if not isinstance(state, Following):
            return promise, state
        promise = state.to
    return promise, None


class Slots(Protocol):
    """What is asked about things that have portraits of their own."""

    def slot_of(self, thing: Ref[Any] | Promise[Any]) -> int:
        """The slot of a near reference or promise; a new one if it has none yet."""

    def kept_slot(self, promise: Promise[Any]) -> int | None:
        """The slot of a promise, if it has one."""

    def written_far(self, ref: Ref[Any]) -> object:
        """How a reference to another vat's object is written. Raises `NotPortrayableError`."""


class Finder(Protocol):
    """What is asked when references and promises are read."""

    def ref_at(self, slot: int) -> Ref[Any]:
        """The reference of a slot, maybe of an object that is not there yet. Raises `StoreCorruptError`."""

    def promise_at(self, slot: int) -> Promise[Any]:
        """The promise of a slot, likewise."""

    def far_ref(self, vat_id: bytes, slot: int) -> Ref[Any]:
        """The reference to an object of another vat."""

    def remote_ref(self, source: Source) -> Ref[Any]:
        """The dormant reference that this enlivens: one for equal sources."""


class Depicter:
    """Writes state values.

    Args:
        slots: gives the slots of near references and promises.
    """

    def __init__(self, env: PersistenceEnv, home: Home, slots: Slots) -> None:
        self._env = env
        self._home = home
        self._slots = slots
        self._depth = 0
        self._keys = 0

    def depict(self, value: Any) -> object:
        """The Syrup value. Raises `NotPortrayableError`, without any value in its text."""
        kind = type(value)
        if kind in PLAIN:
            return value if value == value else _NAN  # noqa: PLR0124 - only NaN differs from itself
        if isinstance(value, Ref):
            return self._reference(value)
        if self._depth >= MAX_DEPTH:
            raise NotPortrayableError(f"it would be nested deeper than {MAX_DEPTH} levels in the store")
        levels = 2 if kind is Record or is_value(value) else 1
        self._depth += levels
        try:
            return self._inner(kind, value)
        finally:
            self._depth -= levels

    def _inner(self, kind: type, value: Any) -> object:
        writer = _WRITERS.get(kind)
        if writer is not None:
            return writer(self, value)
        if isinstance(value, Promise):
            return self._promise(value)
        return self._value(value)

    def _reference(self, ref: Ref[object]) -> object:
        if ref._connector is None:
            if ref._home is self._home:
                return record("near", self._slots.slot_of(ref))
            return self._slots.written_far(ref)
        if self._keys:
            raise NotPortrayableError("a remote reference is no key of a map and no member of a set")
        source = ref._connector.saved_as(ref)
        if isinstance(source, str):
            return record("severed", source)
        return record("remote", self.depict(source.enlivener), self.depict(source.leaf))

    def _promise(self, promise: Promise[object]) -> object:
        slot = self._slots.kept_slot(promise)
        if slot is None:
            _, state = last_of(promise, self._home)
            if isinstance(state, Fulfilled | Broken):
                return self.settled(state)
            slot = self._slots.slot_of(promise)
        return record("promise", slot)

    def settled(self, state: Fulfilled | Broken) -> object:
        """What a promise has become."""
        if isinstance(state, Fulfilled):
            return record("encase", self.depict(state.value))
        if isinstance(state.reason, LostReferenceError):
            return record("lost", state.reason.why)
        return record("broken", _what_broke(state.reason))

    def _value(self, value: Any) -> object:
        cls = type(value)
        if self._env.writes(cls):
            return self._leaf(value)
        name = self._env.name_of(cls)
        if name is None:
            raise NotPortrayableError(f"the environment does not list the value class {cls.__name__}")
        fields = {
            field.name: self.depict(getattr(value, field.name)) for field in attrs.fields(cast(Any, cls))
        }
        version: int = cls.__goblins_version__
        return record("value", name, Map(fields), *([version] if version else ()))

    def _leaf(self, value: Any) -> object:
        record: Record = value.to_record()
        label = record.label
        if not isinstance(label, Symbol) or self._env.class_labelled(label.name) is not type(value):
            raise NotPortrayableError(
                f"the environment lists {type(value).__name__} under another label than its own"
            )
        return record

    def members(self, values: Any) -> object:
        """Of a set; those that are written alike would be one after a restart."""
        written = frozenset([self._key(item) for item in values])
        if len(written) != len(values):
            raise NotPortrayableError("two members of a set would be saved as one")
        return written

    def items(self, items: Any) -> object:
        """Of a map, likewise."""
        try:
            return Map([(self._key(key), self.depict(item)) for key, item in items.items()])
        except TypeError:
            raise NotPortrayableError("two keys of a map would be saved as one") from None

    def _key(self, key: Any) -> object:
        self._keys += 1
        try:
            return self.depict(key)
        finally:
            self._keys -= 1


class _BrokenBeforeError(ActorError):
    """Why a restored promise is broken."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"this promise was broken before the restart: {kind}")
        self.kind = kind


def _what_broke(reason: BaseException) -> str:
    return reason.kind if isinstance(reason, _BrokenBeforeError) else type(reason).__name__


_WRITERS: Final[dict[type, Callable[[Depicter, Any], object]]] = {
    type(None): lambda depicter, value: VOID,
    type(Null): lambda depicter, value: _NULL,
    tuple: lambda depicter, value: tuple(depicter.depict(item) for item in value),
    frozenset: Depicter.members,
    Map: Depicter.items,
    Tagged: lambda depicter, value: record("tagged", value.tag, depicter.depict(value.value)),
    Record: lambda depicter, value: record(
        "record", depicter.depict(value.label), tuple(depicter.depict(field) for field in value.fields)
    ),
}


class Reviver:
    """Reads what a Depicter wrote.

    Args:
        find: gives references and promises.

    Attributes:
        aged: the value of a former version or name that was read last in this state; empty if none was.
    """

    def __init__(self, env: PersistenceEnv, home: Home, find: Finder) -> None:
        self.env = env
        self.home = home
        self.find = find
        self.aged = ""

    def state(self, written: Mapping[str, object]) -> Mapping[str, object]:
        """A whole state; raises as `revive`."""
        self.aged = ""
        return self._fields(written)

    def revive(self, written: Any) -> object:
        """The state value. Raises `StoreCorruptError`, `UnknownObjectError`, `VersionMismatchError`."""
        kind = type(written)
        if kind in PLAIN:
            return written
        if kind is tuple:
            return tuple([self.revive(item) for item in written])
        if kind is Map:
            return self._map(written)
        if kind is frozenset:
            return self._set(written)
        return self._record(written)

    def _map(self, written: Map[object, object]) -> object:
        items = [(self.revive(key), self.revive(value)) for key, value in written.items()]
        try:
            return Map(items)
        except TypeError:
            raise self._equal("keys of a map") from None

    def _set(self, written: frozenset[object]) -> object:
        members = frozenset([self.revive(member) for member in written])
        if len(members) != len(written):
            raise self._equal("members of a set")
        return members

    def _equal(self, what: str) -> PersistenceError:
        if self.aged:
            return UpgradeFailedError(f"after the upgrade of {self.aged}, two {what} are equal")
        return StoreCorruptError(f"a portrait holds two equal {what}")

    def _record(self, written: Any) -> object:
        label = written.label if type(written) is Record else None
        name = label.name if type(label) is Symbol else ""
        try:
            if name == "near":  # most are
                (slot,) = written.fields
                return self.find.ref_at(slot)
            if name in _READERS:
                return _READERS[name](self, *written.fields)
            leaf = self.env.class_labelled(name)
            if leaf is None:
                raise StoreCorruptError("a portrait holds a value of an unknown kind")
            return cast(object, leaf.from_record(written))
        except (TypeError, ValueError, LookupError, AttributeError):
            raise StoreCorruptError("a portrait holds a malformed value") from None

    def remote(self, enlivener: Any, leaf: Any) -> object:
        """A reference to a peer's object."""
        found, key = self.revive(enlivener), self.revive(leaf)
        if not isinstance(found, Ref) or not isinstance(key, Leaf):
            raise TypeError
        return self.find.remote_ref(Source(found, key))

    def _fields(self, fields: Mapping[str, object]) -> Mapping[str, object]:
        return {field: self.revive(value) for field, value in fields.items()}

    def value(self, name: str, fields: Any, version: int = 0) -> object:
        """An instance of a `@value` class."""
        cls = self.env.value_named(name)
        state = self._fields(fields)
        if not self.env.is_present(cls, name, version):
            self.aged = f"{name} from version {version} to {cls.__goblins_version__}"
            state = upgraded(cls, name, version, Map(state))
        check_fit(cls, name, state)
        return cast(object, cls(**state))


_READERS: Final[dict[str, Callable[..., object]]] = {
    "void": lambda reviver: None,
    "null": lambda reviver: Null,
    "tagged": lambda reviver, tag, value: Tagged(tag, reviver.revive(value)),
    "record": lambda reviver, label, fields: Record(label, tuple(reviver.revive(field) for field in fields)),
    "near": lambda reviver, slot: reviver.find.ref_at(slot),
    "promise": lambda reviver, slot: reviver.find.promise_at(slot),
    "far": lambda reviver, vat_id, slot: reviver.find.far_ref(vat_id, slot),
    "remote": Reviver.remote,
    "severed": lambda reviver, why: lost_ref(reviver.home, why),
    "lost": lambda reviver, why: Promise(reviver.home, Broken(LostReferenceError(why), heard=True)),
    "encase": lambda reviver, value: Promise(reviver.home, Fulfilled(reviver.revive(value))),
    "broken": lambda reviver, text: Promise(reviver.home, Broken(_BrokenBeforeError(text), heard=True)),
    "value": Reviver.value,
}
