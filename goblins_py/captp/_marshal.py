"""Values as they travel: references become descriptors, None and its like records, and back.

What other systems write for what Syrup has no notation for (wire/goblins 3.7, wire/endo "Data"):

| value | written | read as well |
|---|---|---|
| None | `<void>` | `<undefined>` |
| Null | `<null>` | |
| Tagged | `<user-record 'tag value>` | `<desc:tagged 'tag value>`, a string for the tag |
| a tuple | a list | `<vec ...>` |
| a keyword argument | `<kw 'name>` and the value | |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol

from goblins_py.actors import Promise, Ref
from goblins_py.captp._records import DescAnswer, DescExport, DescImportObject, DescImportPromise
from goblins_py.errors import NotPassableError, RemoteProtocolError
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.syrup import Map, Null, NullType, Record, Symbol, Tagged, Value

__all__ = ["References", "read_args", "read_value", "write_args", "writer"]

_KEYWORD: Final = Symbol("kw")
_VOID: Final = Record(Symbol("void"), ())
_NULL: Final = Record(Symbol("null"), ())


class References(Protocol):
    """The part of a session that knows the tables."""

    def describe(self, thing: Ref[object] | Promise[object]) -> Value:
        """The descriptor of something that is being sent; counts it."""

    def designate(self, descriptor: Any) -> object:
        """What a received descriptor stands for; counts it."""


def writer(references: References) -> Callable[[object], Value]:
    """The `special` of `syrup.encode` for one session."""

    def write(value: Any) -> Value:
        if value is None:
            return _VOID
        if isinstance(value, Ref | Promise):
            return references.describe(value)
        kind = type(value)
        if kind in _DESCRIPTORS:
            return Record(_DESCRIPTORS[kind], (value.position,))
        if kind is Tagged:
            return Record(Symbol("user-record"), (Symbol(value.tag), value.value))
        if kind is NullType:
            return _NULL
        if kind is PeerLocator or kind is Sturdyref:
            return value.to_record()
        raise NotPassableError(f"a {kind.__name__} cannot leave its vat")

    return write


_DESCRIPTORS: Final = {
    DescExport: Symbol("desc:export"),
    DescAnswer: Symbol("desc:answer"),
    DescImportObject: Symbol("desc:import-object"),
    DescImportPromise: Symbol("desc:import-promise"),
}


def write_args(args: tuple[object, ...], kwargs: Mapping[str, object] | None) -> tuple[object, ...]:
    """The argument list of a message: keywords as Goblins writes them, behind the others."""
    if not kwargs:
        return args
    named: list[object] = []
    for name, value in kwargs.items():
        named += [Record(_KEYWORD, (Symbol(name.removesuffix("_").replace("_", "-")),)), value]
    return (*args, *named)


def read_args(args: tuple[object, ...], references: References) -> tuple[tuple[object, ...], dict[str, object] | None]:
    """Positional and keyword arguments of a received list."""
    values = tuple([read_value(arg, references) for arg in args])
    if not any(_is_keyword(value) for value in values):
        return values, None
    return _split(values)


def _is_keyword(value: object) -> bool:
    return isinstance(value, Record) and value.label == _KEYWORD


def _split(values: tuple[Any, ...]) -> tuple[tuple[object, ...], dict[str, object]]:
    positional: list[object] = []
    named: dict[str, object] = {}
    remaining = iter(values)
    for value in remaining:
        if _is_keyword(value):
            name = _keyword_name(value)
            if name in named:
                raise RemoteProtocolError("a keyword argument was given twice")
            named[name] = next(remaining, None)
        else:
            positional.append(value)
    return tuple(positional), named


def _keyword_name(keyword: Record) -> str:
    match keyword.fields:
        case (Symbol(name=name),):
            return name.replace("-", "_")
        case _:
            raise RemoteProtocolError("malformed keyword")


_ATOMS: Final = frozenset({bool, int, float, str, bytes, Symbol})


def read_value(value: Any, references: References) -> object:
    """A received value as the receiver will see it."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind in _DESCRIPTORS:
        return references.designate(value)
    if kind is tuple:
        return tuple([read_value(item, references) for item in value])
    if kind is Map:
        return _read_map(value, references)
    if kind is frozenset:
        return _same_size(frozenset([read_value(item, references) for item in value]), value)
    if kind is Record:
        return _read_data(value, references)
    raise RemoteProtocolError(f"a {kind.__name__} where a value was expected")


def _read_map(value: Any, references: References) -> object:
    try:
        pairs = [(read_value(k, references), read_value(v, references)) for k, v in value.items()]
        return _same_size(Map(pairs), value)
    except TypeError:
        raise RemoteProtocolError("a dictionary with a key that no dictionary can have") from None


def _same_size(converted: Collection[object], read: Collection[object]) -> object:
    """Keys or members that were two on the wire must not become one."""
    if len(converted) != len(read):
        raise RemoteProtocolError("two keys or members of one collection mean the same")
    return converted


def _read_data(record: Record, references: References) -> object:
    fields = tuple([read_value(field, references) for field in record.fields])
    reader = _READERS.get(record.label.name) if isinstance(record.label, Symbol) else None
    if reader is None:
        return Record(record.label, fields)
    try:
        return reader(*fields)
    except (TypeError, ValueError):
        raise RemoteProtocolError(f"malformed {record.label}") from None


def _tagged(tag: object, value: Any) -> Tagged:
    name = tag.name if isinstance(tag, Symbol) else tag
    if not isinstance(name, str):
        raise TypeError
    return Tagged(name, value)


_READERS: Final[dict[str, Callable[..., object]]] = {
    "void": lambda: None,
    "undefined": lambda: None,
    "null": lambda: Null,
    "user-record": _tagged,
    "desc:tagged": _tagged,
    "vec": lambda *items: items,
    "ocapn-peer": lambda *fields: PeerLocator.from_record(Record(Symbol("ocapn-peer"), fields)),
    "ocapn-sturdyref": lambda peer, swiss: Sturdyref(peer, swiss),
}
