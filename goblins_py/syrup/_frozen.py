"""`Map` and `freeze`: how a value is made deeply immutable, and stays so.

Holding a `Map` proves that nothing inside it can change, because nothing else gets in. The rule
for types is strict and the same everywhere: **exact types only**. A subclass (an `IntEnum`, a
named tuple, an `OrderedDict`) would arrive as something else than what was sent, so it is refused:
convert it where you see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NoReturn, TypeAlias, TypeVar, cast

import immutables

from goblins_py.syrup._same import collides
from goblins_py.syrup._values import Leaf, NullType, Record, Symbol, Tagged, Value

__all__ = ["Map", "freeze", "map_of_frozen"]

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)
T = TypeVar("T")

Special: TypeAlias = Callable[[object], Value]
"""Turns what is no value into one (`freeze`, `encode`); NotImplemented if it cannot."""

_TOO_DEEP: Final = "nested too deep, or contains itself"
_ATOMS: Final = frozenset({bool, int, float, bytes, Symbol, type(None), NullType})


class _UnfitError(TypeError):
    """Something that cannot be frozen; `place` grows outwards as it is raised."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place: list[str] = []

    def explain(self) -> str:
        return self.reason + (f" (at {''.join(reversed(self.place))})" if self.place else "")


def freeze(value: object, special: Special | None = None) -> Value:
    """The deeply immutable form of a value; the same object if it is that already.

    A list becomes a tuple, a dict a `Map`, a set a frozenset, a bytearray or memoryview bytes.

    Args:
        value: anything.
        special: called for what is neither a value nor a `Leaf`, at any depth; returns what to
            put in its place, which is taken as it is, or NotImplemented.

    Raises:
        TypeError: something in it is no value; the text says what and where, as `[2]["name"]`.
    """
    if type(value) in _ATOMS:
        return value
    try:
        return _freeze(value, special)
    except _UnfitError as error:
        raise TypeError(error.explain()) from None
    except RecursionError:
        raise TypeError(_TOO_DEEP) from None


def _freeze(value: object, special: Special | None) -> Value:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is str and isinstance(value, str):
        return _checked_text(value)
    freezer = _FREEZERS.get(kind)
    if freezer is not None:
        return freezer(value, special)
    if isinstance(value, Leaf):
        return value
    if special is not None and (replaced := special(value)) is not NotImplemented:
        return replaced
    raise _UnfitError(f"{kind.__name__} is not a value that can be passed or kept{_advice(kind)}")


def _advice(kind: type) -> str:
    for base in (bool, int, float, str, bytes, tuple, list, dict, set, frozenset):
        if issubclass(kind, base):
            return f": convert it to a plain {base.__name__} first"
    return ""


def _checked_text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _UnfitError("a str with a lone surrogate has no UTF-8 form") from None
    return value


def _freeze_tuple(value: tuple[object, ...], special: Special | None) -> tuple[Value, ...]:
    changed: list[Value] | None = None
    for index, item in enumerate(value):
        if type(item) in _ATOMS:
            continue
        try:
            frozen = _freeze(item, special)
        except _UnfitError as error:
            error.place.append(f"[{index}]")
            raise
        if frozen is not item:
            if changed is None:
                changed = list(value)
            changed[index] = frozen
    return value if changed is None else tuple(changed)


def _freeze_list(value: list[object], special: Special | None) -> tuple[Value, ...]:
    return _freeze_tuple(tuple(value), special)


def _freeze_set(value: set[object] | frozenset[object], special: Special | None) -> frozenset[Value]:
    members: list[Value] = []
    changed = type(value) is set
    for item in value:
        try:
            frozen = _freeze(item, special)
        except _UnfitError as error:
            error.place.append("{a member}")
            raise
        changed = changed or frozen is not item
        members.append(frozen)
    if not changed and isinstance(value, frozenset):
        return value
    result = frozenset(members)
    if len(result) != len(members):
        raise _UnfitError("two members of a set became the same value")
    return result


def _freeze_dict(value: dict[object, object], special: Special | None) -> Map[Value, Value]:
    return map_of_frozen(_freeze_items(value.items(), special))


def _freeze_items(items: Iterable[tuple[object, object]], special: Special | None) -> dict[Value, Value]:
    """The items as a dict of frozen keys and values; keys are never merged."""
    result: dict[Value, Value] = {}
    for count, (key, value) in enumerate(items, 1):
        try:
            frozen_key = _freeze(key, special)
        except _UnfitError as error:
            error.place.append(f"(key {_short(key)})")
            raise
        try:
            result[frozen_key] = _freeze(value, special)
        except _UnfitError as error:
            error.place.append(f"[{_short(key)}]")
            raise
        if len(result) != count:
            raise _UnfitError(f"the key {_short(key)} equals another key")
    return result


def _short(key: object) -> str:
    """A key as an error text shows it: never long, never more than it must."""
    if isinstance(key, str):
        return '"' + (key if len(key) <= 40 else key[:37] + "…") + '"'
    return (
        repr(key)
        if type(key) in (bool, int, float, type(None)) and len(repr(key)) < 40
        else type(key).__name__
    )


def _freeze_record(value: Record, special: Special | None) -> Record:
    try:
        label = _freeze(value.label, special)
        fields = _freeze_tuple(tuple(value.fields), special)
    except _UnfitError as error:
        error.place.append("<record>")
        raise
    if label is value.label and fields is value.fields:
        return value
    return Record(label, fields)


def _freeze_tagged(value: Tagged, special: Special | None) -> Tagged:
    if type(value.tag) is not str:
        raise _UnfitError(f"the tag of a Tagged is a str, not {type(value.tag).__name__}")
    _checked_text(value.tag)
    try:
        inner = _freeze(value.value, special)
    except _UnfitError as error:
        error.place.append(".value")
        raise
    return value if inner is value.value else Tagged(value.tag, inner)


def _freeze_bytes(value: bytearray | memoryview, _special: Special | None) -> bytes:
    return bytes(value)


class Map(Mapping[K, V_co]):
    """A read-only mapping that freezes what goes into it. Order is unspecified.

    It equals a dict with the same items, and is hashable if all in it is. `set`, `delete` and
    `update` return a new `Map` that shares its memory with the old one.

    Raises (everywhere where something goes in):
        TypeError: a key or value is no value, or a key equals another in Python but is distinct
            to Syrup (1, True, 1.0). They are never merged.
    """

    __slots__ = ("_items",)

    _items: immutables.Map[K, V_co]

    def __init__(self, items: Mapping[K, V_co] | Iterable[tuple[K, V_co]] = (), /) -> None:
        if isinstance(items, Map):
            object.__setattr__(self, "_items", items._items)
            return
        object.__setattr__(self, "_items", immutables.Map(_frozen_items(items)))

    def set(self, key: K, value: T) -> Map[K, V_co | T]:
        """A map that has `key` as well, or another value under it."""
        return self.update({key: value})

    def delete(self, key: object) -> Map[K, V_co]:
        """A map without `key`.

        Raises:
            KeyError: it has none.
        """
        frozen = freeze(key)
        if collides(self._items, frozen):
            raise KeyError(key)
        return map_of_frozen(self._items.delete(cast("K", frozen)))

    def update(self, items: Mapping[K, T] | Iterable[tuple[K, T]]) -> Map[K, V_co | T]:
        """A map with these items as well, in place of those under the same keys."""
        frozen = _frozen_items(items)
        for key in frozen:
            if collides(self._items, key):
                raise TypeError(f"the key {_short(key)} equals another key")
        wider = cast("immutables.Map[K, V_co | T]", self._items)
        return map_of_frozen(wider.update(cast("dict[K, V_co | T]", frozen)))

    def __getitem__(self, key: K) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Map):
            return self._items == other._items
        return dict(self._items) == other if isinstance(other, dict) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"Map({dict(self._items)!r})" if self._items else "Map()"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Map cannot be changed; set() returns another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Map cannot be changed; delete() returns another one")

    def __copy__(self) -> Map[K, V_co]:
        return self

    def __deepcopy__(self, memo: object) -> Map[K, V_co]:
        return self

    def __reduce__(self) -> tuple[type[Map[K, V_co]], tuple[dict[K, V_co]]]:
        return Map, (dict(self._items),)


def _frozen_items(
    items: Mapping[K, V_co] | Iterable[tuple[K, V_co]],
) -> dict[Value, Value]:
    """Frozen keys and values for a `Map`, from whatever its methods were given."""
    try:
        return _freeze_items(items.items() if isinstance(items, Mapping) else items, None)
    except _UnfitError as error:
        raise TypeError(error.explain()) from None
    except RecursionError:
        raise TypeError(_TOO_DEEP) from None


_put_items: Callable[[Map[K, V_co], immutables.Map[K, V_co]], None] = Map.__dict__["_items"].__set__


_new_map: Final[Callable[[type[Map[K, V_co]]], Map[K, V_co]]] = object.__new__


def map_of_frozen(items: Mapping[K, V_co]) -> Map[K, V_co]:
    """A `Map` of items known to be frozen and not to collide: nothing is looked at."""
    result: Map[K, V_co] = _new_map(Map)
    _put_items(result, items if type(items) is immutables.Map else immutables.Map(items))
    return result


def _keep(value: Map[Value, Value], _special: Special | None) -> Map[Value, Value]:
    return value


_FREEZERS: Final[dict[type, Callable[..., Value]]] = {
    tuple: _freeze_tuple,
    list: _freeze_list,
    dict: _freeze_dict,
    Map: _keep,
    set: _freeze_set,
    frozenset: _freeze_set,
    Record: _freeze_record,
    Tagged: _freeze_tagged,
    bytearray: _freeze_bytes,
    memoryview: _freeze_bytes,
}
