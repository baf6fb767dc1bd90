"""The message border: what may be in a message, and what it is turned into.

The same for near calls, near sends and the network, so that an object cannot tell from its
arguments where the caller is, and nobody can change a value after passing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import is_
from typing import Any, Final, cast

from goblins_py.actors._promise import Promise
from goblins_py.actors._reference import NearOnly, Ref, ref_to
from goblins_py.errors import ActorError, NotPassableError
from goblins_py.syrup import Leaf, Map, Null, Record, Symbol, Tagged

__all__ = [
    "MAX_DEPTH",
    "SIMPLE",
    "crossed",
    "is_behaviour",
    "is_value",
    "near_only_error",
    "passable",
    "passable_args",
    "passable_kwargs",
    "state_value",
]

MAX_DEPTH: Final = 100
"""Levels of nesting in one argument. Our choice: below every peer's decode limit."""

_RESERVED: Final = ("desc:", "op:", "ocapn-")
_MEANT: Final = frozenset({"void", "undefined", "null", "vec", "user-record"})
"""Labels that mean something else to whoever reads them."""
_ATOMS: Final = frozenset({type(None), bool, int, float, bytes, Symbol, type(Null)})
SIMPLE: Final = _ATOMS | {Ref, Promise}
"""Types of what passes, and can be state, as it is."""


def is_behaviour(value: object) -> bool:
    """Is this an instance of an `@actor` class?"""
    return hasattr(type(value), "__goblins_methods__")


def is_value(value: object) -> bool:
    """Is this an instance of a `@value` class?"""
    return hasattr(type(value), "__goblins_value__")


def passable(value: object, depth: int = MAX_DEPTH) -> object:
    """The value as the receiver will see it.

    Lists become tuples, dicts `Map`s, sets frozensets, actor instances their references.

    Raises:
        NotPassableError: it holds something that is no value; the text names the place.
    """
    kind = type(value)
    if kind in SIMPLE:
        return value
    if kind is str:
        return value if value.isascii() else _checked_text(value)  # type: ignore[attr-defined, arg-type]
    convert = _CONVERT.get(kind)
    if convert is not None:
        if depth <= 0:
            raise NotPassableError(f"nested deeper than {MAX_DEPTH} levels")
        return convert(value, depth - 1)
    if isinstance(value, Leaf) and not is_value(value):
        return value
    if is_behaviour(value):
        return ref_to(value)
    raise NotPassableError(f"{_describe(value)} cannot be passed in a message")


def crossed(result: object) -> object:
    """A result at the message border; unlike a message it may be `NearOnly`, for near callers."""
    kind = type(result)
    if kind in SIMPLE or (kind is str and result.isascii()):  # type: ignore[attr-defined]
        return result
    return result if isinstance(result, NearOnly) else passable(result)


def passable_args(args: tuple[object, ...]) -> tuple[tuple[object, ...], bool]:
    """All arguments converted, and whether any of them may not leave the vat."""
    for arg in args:
        if type(arg) not in SIMPLE and not (type(arg) is str and arg.isascii()):
            break
    else:
        return args, False
    near_only = False
    converted: list[object] = []
    for position, arg in enumerate(args):
        near_only |= isinstance(arg, NearOnly)
        converted.append(_argument(position, arg))
    return tuple(converted), near_only


def passable_kwargs(kwargs: Mapping[str, object]) -> tuple[dict[str, object], bool]:
    """The same for arguments by name."""
    near_only = any(isinstance(arg, NearOnly) for arg in kwargs.values())
    return {name: _argument(name, arg) for name, arg in kwargs.items()}, near_only


def _argument(place: int | str, arg: object) -> object:
    try:
        return crossed(arg)
    except ActorError as error:
        raise NotPassableError(f"argument {place}: {error}") from None


def state_value(value: object, depth: int = MAX_DEPTH) -> None:
    """Check that a value can be state: immutable all through.

    Raises:
        TypeError: it cannot; the text says what to use instead.
    """
    kind = type(value)
    if kind in SIMPLE or kind is Map:
        return  # a Map freezes what goes into it
    if kind is str:
        _checked_text(cast(str, value))
        return
    if depth <= 0:
        raise TypeError(f"state may not be nested deeper than {MAX_DEPTH} levels")
    if kind is tuple or kind is frozenset:
        for item in value:  # type: ignore[attr-defined]
            state_value(item, depth - 1)
    elif kind is Tagged:
        _checked_tag(value.tag)  # type: ignore[attr-defined]
        state_value(value.value, depth - 1)  # type: ignore[attr-defined]
    elif kind is Record:
        state_value((value.label, *value.fields), depth - 1)  # type: ignore[attr-defined]
    elif not isinstance(value, Leaf):
        raise TypeError(f"{_describe(value)} cannot be state{_INSTEAD.get(kind, '')}")


_INSTEAD: Final[dict[type, str]] = {
    list: ": use a tuple",
    dict: ": use a Map",
    set: ": use a frozenset",
    bytearray: ": use bytes",
}


def _describe(value: object) -> str:
    if isinstance(value, NearOnly):
        return f"a {type(value).__name__} (near only: keep it in a live() field, pass it to near objects)"
    if is_behaviour(value):
        return f"the behaviour {type(value).__name__} itself (use ref_to)"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a value of type {type(value).__name__}"


def _checked_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotPassableError("a string with lone surrogates is no value") from None
    return text


def _checked_tag(tag: object) -> None:
    if type(tag) is not str:
        raise NotPassableError("the tag of a Tagged is a string")
    _checked_text(tag)


def _items(values: Any, depth: int) -> list[object]:
    converted = []
    for position, item in enumerate(values):
        try:
            converted.append(passable(item, depth))
        except ActorError as error:
            raise NotPassableError(f"[{position}]: {error}") from None
    return converted


def _tuple(value: Any, depth: int) -> object:
    items = _items(value, depth)
    return value if type(value) is tuple and all(map(is_, items, value)) else tuple(items)


def _frozenset(value: Any, depth: int) -> object:
    frozen = frozenset(_items(value, depth))
    if len(frozen) != len(value):
        raise NotPassableError("two members of a set became the same value")
    return frozen


def _map(value: Any, depth: int) -> object:
    pairs = []
    for key, item in value.items():
        try:
            pairs.append((passable(key, depth), passable(item, depth)))
        except ActorError as error:
            raise NotPassableError(f"[{key[:40]!r}]: {error}" if type(key) is str else str(error)) from None
    try:
        return value if type(value) is Map and _same(value, pairs) else Map(pairs)
    except TypeError as error:
        raise NotPassableError(str(error)) from None


def _same(value: Any, pairs: list[tuple[object, object]]) -> bool:
    return all(k is key and v is item for (k, v), (key, item) in zip(value.items(), pairs, strict=True))


def _tagged(value: Any, depth: int) -> object:
    _checked_tag(value.tag)
    return Tagged(value.tag, passable(value.value, depth))


def _record(value: Any, depth: int) -> object:
    label = value.label
    if not isinstance(label, Symbol) or label.name.startswith(_RESERVED) or label.name in _MEANT:
        raise NotPassableError("a record whose label is no symbol, or one of CapTP's own, cannot be passed")
    return Record(label, tuple(_items(value.fields, depth)))


_CONVERT: Final[dict[type, Callable[[Any, int], object]]] = {
    tuple: _tuple,
    list: _tuple,
    dict: _map,
    Map: _map,
    set: _frozenset,
    frozenset: _frozenset,
    bytearray: lambda value, _: bytes(value),
    memoryview: lambda value, _: bytes(value),
    Tagged: _tagged,
    Record: _record,
}


def near_only_error() -> NotPassableError:
    """What is told when a message with a `NearOnly` argument was to leave its vat."""
    return NotPassableError("an argument may be passed only to objects of the same vat")
