"""Passable values as JSON, and back: what `goblins call` prints and takes.

| value | JSON |
|---|---|
| boolean, integer, float, string | itself |
| None (undefined), Null | `null` (which is read as None) |
| list | array |
| map whose keys are strings, none of them starting with `@` | object |
| any other map | `{"@map": [[key, value], ...]}` |
| integers of more digits than Python prints (4300) | `{"@int": "0x..."}` |
| infinities, NaN | `{"@float": "inf"}`, `"-inf"`, `"nan"` |
| bytes | `{"@bytes": "base64"}` |
| symbol | `{"@symbol": "name"}` |
| set | `{"@set": [...]}` |
| tagged value | `{"@tagged": ["tag", value]}` |
| record | `{"@record": [label, field, ...]}` |
| sturdyref, locator of a peer | `{"@sturdyref": "ocapn://..."}`, `{"@peer": "ocapn://..."}` |
| reference, promise | `{"@reference": "what it is"}`, which cannot be read: it means nothing elsewhere |
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.syrup import Map, Null, Record, Symbol, Tagged

__all__ = ["as_number", "dump", "from_json", "is_plain", "read_argument", "to_json", "to_text"]


def _escape_unprintable(text: str) -> str:
    """JSON that cannot steer a terminal: only its strings hold such characters, and may hold them escaped."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def dump(value: object) -> str:
    """JSON in one line, readable in any script, keys in order."""
    return _escape_unprintable(json.dumps(value, ensure_ascii=False, allow_nan=False))


# --- out -----------------------------------------------------------------------


def to_json(value: Any) -> str:
    """Any passable value as one line of JSON, by the table above."""
    return dump(_encode(value))


def _encode(value: Any) -> object:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return as_number(value)
    if value is None or value is Null:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else {"@float": str(value)}
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return _encode_map(value)
    return _encode_other(value)


def as_number(value: int) -> object:
    """An integer as `json` can print it."""
    return {"@int": hex(value)} if _is_long(value) else value


def _is_long(value: int) -> bool:
    try:
        str(value)
    except ValueError:
        return True
    return False


def _encode_map(value: Mapping[Any, Any]) -> object:
    if all(isinstance(key, str) and not key.startswith("@") for key in value):
        return {key: _encode(value[key]) for key in sorted(value)}
    return {"@map": [[_encode(key), _encode(item)] for key, item in value.items()]}


def _encode_other(value: Any) -> object:
    match value:
        case bytes():
            return {"@bytes": base64.b64encode(value).decode()}
        case Symbol():
            return {"@symbol": value.name}
        case frozenset() | set():
            return {"@set": sorted((_encode(item) for item in value), key=dump)}
        case Tagged():
            return {"@tagged": [value.tag, _encode(value.value)]}
        case Record():
            return {"@record": [_encode(value.label), *map(_encode, value.fields)]}
        case Sturdyref():
            return {"@sturdyref": value.uri}
        case PeerLocator():
            return {"@peer": value.uri}
        case _:
            return {"@reference": _named(value)}


def _named(value: object) -> str:
    return repr(value).removeprefix("<").removesuffix(">")


# --- in ------------------------------------------------------------------------


def from_json(value: Any) -> object:
    """The value that `to_json` wrote so; plain JSON is itself.

    Raises:
        ValueError: an object with an `@` key that the table does not have, or with a wrong content.
    """
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind = next(iter(value)) if len(value) == 1 else ""
    if not kind.startswith("@"):
        return Map({key: from_json(item) for key, item in value.items()})
    reader = _READERS.get(kind)
    if reader is None:
        known = ", ".join(_READERS)
        raise ValueError(f"{kind} is no kind of value that can be given; there are {known}")
    try:
        return reader(value[kind])
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{kind}: {error}") from None


def _read_record(fields: list[Any]) -> Record:
    label, *rest = map(from_json, fields)
    return Record(label, tuple(rest))


def _read_tagged(pair: list[Any]) -> Tagged:
    tag, value = pair
    return Tagged(str(tag), from_json(value))


_READERS: Final[dict[str, Callable[[Any], object]]] = {
    "@bytes": lambda text: base64.b64decode(text, validate=True),
    "@symbol": Symbol,
    "@float": float,
    "@int": lambda text: int(text, 16),
    "@set": lambda items: _set([from_json(item) for item in items]),
    "@map": lambda pairs: Map([(from_json(key), from_json(item)) for key, item in pairs]),
    "@tagged": _read_tagged,
    "@record": _read_record,
    "@sturdyref": Sturdyref.from_uri,
    "@peer": PeerLocator.from_uri,
}


def read_argument(text: str) -> object:
    """An argument of a command: JSON where it parses, else the text itself.

    Raises:
        ValueError: it is JSON, but not of a value (see `from_json`).
    """
    try:
        parsed = json.loads(text, parse_constant=_no_constant, parse_int=_integer)
    except _TooLongError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):
        return text
    return from_json(parsed)


class _TooLongError(ValueError):
    """An integer of more digits than Python reads: no text, whatever JSON's parser says."""


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise _TooLongError(f"an integer of {len(digits)} digits is too long") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _set(items: list[object]) -> frozenset[object]:
    members = frozenset(items)
    if len(members) != len(items):
        raise ValueError("a set with a member twice, or with members such as 1 and true")
    return members


# --- for people ------------------------------------------------------------------


def is_plain(value: Any) -> bool:
    """Is it, through and through, what JSON has a form of its own for?"""
    if value is None or value is Null or isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return not _is_long(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, tuple | list):
        return all(map(is_plain, value))
    return isinstance(value, Mapping) and all(isinstance(key, str) and is_plain(value[key]) for key in value)


def to_text(value: Any) -> str:
    """JSON where it can be, else a text that reads much like it: `["a", b"bytes", 'symbol, <Ref ...>]`."""
    if is_plain(value):
        return dump(_plain(value))
    match value:
        case tuple() | list():
            return f"[{', '.join(map(to_text, value))}]"
        case Mapping():
            pairs = [f"{to_text(key)}: {to_text(item)}" for key, item in value.items()]
            return f"{{{', '.join(pairs)}}}"
        case frozenset() | set():
            return f"{{{', '.join(sorted(map(to_text, value)))}}}"
        case _:
            return _text_of_other(value)


def _plain(value: Any) -> object:
    if value is Null:
        return None
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _text_of_other(value: Any) -> str:
    match value:
        case float():
            return str(value)
        case int():
            return hex(value)
        case Symbol():
            return _escape_unprintable(f"'{value.name}")
        case Tagged():
            return _escape_unprintable(f"{value.tag}({to_text(value.value)})")
        case Record():
            return f"<{' '.join(map(to_text, (value.label, *value.fields)))}>"
        case Sturdyref() | PeerLocator():
            return value.uri
        case _:
            return _escape_unprintable(repr(value))
