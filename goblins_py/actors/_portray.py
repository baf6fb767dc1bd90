"""State values as Syrup and back: how one field of a portrait is written.

| in state | in the portrait |
|---|---|
| boolean, integer, float, string, bytes, Symbol, tuple, Map, frozenset | itself |
| None, Null | `<void>`, `<null>` |
| Tagged, Record | `<tagged tag value>`, `<record label fields>` |
| an instance of a `@value` class | `<value name {field: ...}>` |
| another leaf that the environment knows (a locator, a sturdyref) | its own record |
| a near reference | `<near slot>` |
| a settled promise | `<encase value>` or `<broken text>` |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import attrs

from goblins_py.actors._environment import PersistenceEnv
from goblins_py.actors._promise import Broken, Following, Fulfilled, Promise
from goblins_py.actors._reference import Ref
from goblins_py.actors._turn import Home
from goblins_py.errors import ActorError, NotPortrayableError, StoreCorruptError
from goblins_py.syrup import Map, Null, Record, Symbol, Tagged

__all__ = ["Depicter", "Reviver"]

_PLAIN: Final = frozenset({bool, int, float, str, bytes, Symbol})
_VOID: Final = Record(Symbol("void"), ())
_NULL: Final = Record(Symbol("null"), ())


def _record(label: str, *fields: object) -> Record:
    return Record(Symbol(label), fields)


class Depicter:
    """Writes state values.

    Args:
        slot_of: gives the slot of a near reference; a new one if it has none yet.
    """

    def __init__(self, env: PersistenceEnv, home: Home, slot_of: Callable[[Ref[object]], int]) -> None:
        self._env = env
        self._home = home
        self._slot_of = slot_of

    def depict(self, value: Any) -> object:
        """The Syrup value. Raises `NotPortrayableError`, without any value in its text."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        writer = _WRITERS.get(kind)
        if writer is not None:
            return writer(self, value)
        if isinstance(value, Ref):
            return self._reference(value)
        if isinstance(value, Promise):
            return self._promise(value)
        return self._value(value)

    def _reference(self, ref: Ref[object]) -> object:
        if ref._connector is not None:
            raise NotPortrayableError("a live remote reference cannot be saved: keep its sturdyref")
        if ref._home is not self._home:
            raise NotPortrayableError("a reference to an object of another vat cannot be saved")
        return _record("near", self._slot_of(ref))

    def _promise(self, promise: Promise[object]) -> object:
        while promise._home is self._home and isinstance(promise._state, Following):
            promise = promise._state.to
        state = promise._state if promise._home is self._home else None
        if isinstance(state, Fulfilled):
            return _record("encase", self.depict(state.value))
        if isinstance(state, Broken):
            return _record("broken", type(state.reason).__name__)
        raise NotPortrayableError("a promise that has not settled cannot be saved")

    def _value(self, value: Any) -> object:
        cls = type(value)
        if self._env.writes(cls):
            return value.to_record()
        name = self._env.name_of(cls)
        if name is None:
            raise NotPortrayableError(f"the environment does not list the value class {cls.__name__}")
        fields = {field.name: self.depict(getattr(value, field.name)) for field in attrs.fields(cast(Any, cls))}
        return _record("value", name, Map(fields))


_WRITERS: Final[dict[type, Callable[[Depicter, Any], object]]] = {
    type(None): lambda depicter, value: _VOID,
    type(Null): lambda depicter, value: _NULL,
    tuple: lambda depicter, value: tuple(depicter.depict(item) for item in value),
    frozenset: lambda depicter, value: frozenset(depicter.depict(item) for item in value),
    Map: lambda depicter, value: Map([(depicter.depict(k), depicter.depict(v)) for k, v in value.items()]),
    Tagged: lambda depicter, value: _record("tagged", value.tag, depicter.depict(value.value)),
    Record: lambda depicter, value: _record(
        "record", depicter.depict(value.label), tuple(depicter.depict(field) for field in value.fields)
    ),
}


class Reviver:
    """Reads what a Depicter wrote.

    Args:
        ref_at: gives the reference of a slot, maybe of an object that is not there yet.
    """

    def __init__(self, env: PersistenceEnv, home: Home, ref_at: Callable[[int], Ref[object]]) -> None:
        self.env = env
        self.home = home
        self.ref_at = ref_at

    def revive(self, written: Any) -> object:
        """The state value. Raises `StoreCorruptError`, `UnknownObjectError`."""
        kind = type(written)
        if kind in _PLAIN:
            return written
        if kind is tuple:
            return tuple(self.revive(item) for item in written)
        if kind is Map:
            return Map([(self.revive(k), self.revive(v)) for k, v in written.items()])
        if kind is frozenset:
            return frozenset(self.revive(item) for item in written)
        return self._record(written)

    def _record(self, written: Any) -> object:
        label = written.label if isinstance(written, Record) else None
        name = label.name if isinstance(label, Symbol) else ""
        try:
            from_record = self.env.reader_of(name)
            if from_record is not None:
                return from_record(written)
            if name not in _READERS:
                raise StoreCorruptError("a portrait holds a value of an unknown kind")
            return _READERS[name](self, *written.fields)
        except (TypeError, ValueError, LookupError):
            raise StoreCorruptError("a portrait holds a malformed value") from None

    def value(self, name: str, fields: Any) -> object:
        """An instance of a `@value` class."""
        return self.env.class_named(name)(**{field: self.revive(value) for field, value in fields.items()})


_READERS: Final[dict[str, Callable[..., object]]] = {
    "void": lambda reviver: None,
    "null": lambda reviver: Null,
    "tagged": lambda reviver, tag, value: Tagged(tag, reviver.revive(value)),
    "record": lambda reviver, label, fields: Record(label, tuple(reviver.revive(field) for field in fields)),
    "near": lambda reviver, slot: reviver.ref_at(slot),
    "encase": lambda reviver, value: Promise(reviver.home, Fulfilled(reviver.revive(value))),
    "broken": lambda reviver, text: Promise(
        reviver.home, Broken(ActorError(f"this promise was broken before the restart: {text}"))
    ),
    "value": Reviver.value,
}
