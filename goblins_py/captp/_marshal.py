"""Values as they travel: references become descriptors, None and its like records, and back.

What other systems write for what Syrup has no notation for (wire/goblins 3.7, wire/endo "Data"):

| value | written | read as well |
|---|---|---|
| None | `<void>` | `<undefined>` |
| Null | `<null>` | |
| Tagged | `<user-record 'tag value>`, to Endo `<desc:tagged 'tag value>` | a string for the tag |
| a tuple | a list | `<vec ...>` |
| a keyword argument | `<kw 'name>` and the value | |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from keyword import iskeyword
from typing import Any, Final, Protocol

from goblins_py.actors import Promise, Ref
from goblins_py.captp._dialects import KEYWORD, TELLTALES, Dialect
from goblins_py.captp._records import (
    TABLE,
    DescAnswer,
    DescExport,
    DescImportObject,
    DescImportPromise,
    DescSigEnvelope,
    as_ours,
    to_record,
)
from goblins_py.errors import NotPassableError, RemoteProtocolError
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.syrup import Map, Null, NullType, Record, Symbol, Tagged, Value

__all__ = ["References", "has_long_integer", "read_args", "read_value", "write_args", "writer"]

_KEYWORD: Final = Symbol(KEYWORD)
_VOID: Final = Record(Symbol("void"), ())
_NULL: Final = Record(Symbol("null"), ())
_PEER: Final = Symbol("ocapn-peer")
_STURDYREF: Final = Symbol("ocapn-sturdyref")


class References(Protocol):
    """The part of a session that knows the tables.

    Attributes:
        dialect: how the peer is written to.
    """

    @property
    def dialect(self) -> Dialect: ...

    def recognise(self, dialect: Dialect) -> None:
        """The peer wrote what only this kind of peer writes."""

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
        if kind is Tagged:
            return Record(references.dialect.tagged, (Symbol(value.tag), value.value))
        if kind is NullType:
            return _NULL
        if kind is PeerLocator or kind is Sturdyref:
            return value.to_record()
        if kind is DescSigEnvelope:
            return to_record(value)
        raise NotPassableError(f"a {kind.__name__} cannot leave its vat")

    return write


def write_args(args: tuple[object, ...], kwargs: Mapping[str, object] | None) -> tuple[object, ...]:
    """The argument list of a message: keywords as Goblins writes them, behind the others.

    Raises:
        ValueError: a name that is no text.
    """
    if not kwargs:
        return args
    named: list[object] = []
    for name, value in kwargs.items():
        named += [Record(_KEYWORD, (_keyword(name),)), value]
    return (*args, *named)


def _keyword(name: str) -> Symbol:
    """`from_` travels as `from`: only Python's own keywords need the underscore, on either side."""
    if name.endswith("_") and iskeyword(name[:-1]):
        name = name[:-1]
    return Symbol(name.replace("_", "-"))


def has_long_integer(value: Any, digits: int) -> bool:
    """Is there an integer of more digits anywhere in a value?"""
    kind = type(value)
    if kind is int:
        return bool(abs(value) >= 10**digits)
    if kind is tuple or kind is frozenset:
        return any(has_long_integer(item, digits) for item in value)
    if kind is Map:
        return any(has_long_integer(item, digits) for pair in value.items() for item in pair)
    if kind is Record:
        return has_long_integer(value.fields, digits)
    return has_long_integer(value.value, digits) if kind is Tagged else False


def read_args(
    args: tuple[Any, ...], references: References
) -> tuple[tuple[Any, ...], dict[str, object] | None]:
    """Positional and keyword arguments of a received list."""
    if _flat(args):
        return args, None
    values = tuple([read_value(arg, references) for arg in args])
    for value in values:
        if type(value) is Record and value.label == _KEYWORD:
            return _split(values)
    return values, None


def _split(values: tuple[Any, ...]) -> tuple[tuple[object, ...], dict[str, object] | None]:
    """A keyword and what follows it are a keyword argument; one that comes last is just a value."""
    positional: list[object] = []
    named: dict[str, object] = {}
    remaining = iter(values)
    for value in remaining:
        if type(value) is not Record or value.label != _KEYWORD:
            positional.append(value)
            continue
        item = next(remaining, _NOTHING)
        if item is _NOTHING:
            positional.append(value)
            break
        name = _keyword_name(value)
        if name in named:
            raise RemoteProtocolError("a keyword argument was given twice")
        named[name] = item
    return tuple(positional), named or None


def _keyword_name(keyword: Record) -> str:
    match keyword.fields:
        case (Symbol(name=name),):
            name = name.replace("-", "_")
            return f"{name}_" if iskeyword(name) else name
        case _:
            raise RemoteProtocolError("malformed keyword")


_NOTHING: Final = object()
_ATOMS: Final = frozenset({bool, int, float, str, bytes, Symbol})


def read_value(value: Any, references: References) -> Any:
    """A received value as the receiver will see it. Raises `RemoteProtocolError`."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    reader = _BY_KIND.get(kind)
    if reader is None:
        raise RemoteProtocolError(f"a {kind.__name__} where a value was expected")
    return reader(value, references)


def _read_descriptor(descriptor: Any, references: References) -> object:
    return references.designate(descriptor)


def _flat(items: Iterable[object]) -> bool:
    """Are all of them what they will be already?"""
    return _ATOMS.issuperset(map(type, items))


def _read_tuple(value: tuple[Any, ...], references: References) -> tuple[Any, ...]:
    return value if _flat(value) else tuple([read_value(item, references) for item in value])


def _read_set(value: frozenset[Any], references: References) -> object:
    if _flat(value):
        return value
    return _same_size(frozenset([read_value(item, references) for item in value]), value)


def _read_map(value: Map[Any, Any], references: References) -> object:
    if _flat(value) and _flat(value.values()):
        return value
    try:
        pairs = [(read_value(key, references), read_value(item, references)) for key, item in value.items()]
        return _same_size(Map(pairs), value)
    except TypeError:
        raise RemoteProtocolError("a dictionary with a key that no dictionary can have") from None


def _same_size(converted: Collection[object], read: Collection[object]) -> object:
    """Keys or members that were two on the wire must not become one."""
    if len(converted) != len(read):
        raise RemoteProtocolError("two keys or members of one collection mean the same")
    return converted


def _read_record(record: Record, references: References) -> object:
    label = record.label
    if type(label) is Symbol and label.name in TABLE:
        return read_value(as_ours(record), references)
    fields = _read_tuple(record.fields, references)
    label = read_value(label, references)
    if type(label) is not Symbol:
        return Record(label, fields)
    if label.name in TELLTALES:
        references.recognise(TELLTALES[label.name])
    reader = _READERS.get(label.name)
    if reader is None:
        return Record(label, fields)
    try:
        return reader(*fields)
    except (TypeError, ValueError):
        raise RemoteProtocolError(f"malformed {label}") from None


_BY_KIND: Final[dict[type, Callable[[Any, References], object]]] = {
    tuple: _read_tuple,
    frozenset: _read_set,
    Map: _read_map,
    Record: _read_record,
    DescExport: _read_descriptor,
    DescAnswer: _read_descriptor,
    DescImportObject: _read_descriptor,
    DescImportPromise: _read_descriptor,
    DescSigEnvelope: _read_descriptor,
}


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
    "ocapn-peer": lambda *fields: PeerLocator.from_record(Record(_PEER, fields)),
    "ocapn-sturdyref": lambda *fields: Sturdyref.from_record(Record(_STURDYREF, fields)),
}
"""What records of no concern to CapTP mean; handoffs belong here: a signed give is a reference, too."""
