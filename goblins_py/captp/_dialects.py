"""Dialects: what each kind of peer understands, as data; everything that any of them writes is read.

Nothing in op:start-session tells who a peer is, so it is taken for one of ours until it writes what only
others write (`TELLTALES`). Where another form is taken by all, that one is written: the keys of structs in
the order of their text, because Endo takes no other, and all others take any.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign
from typing import Any, Final

import attrs

from goblins_py.errors import NotPassableError
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.syrup import Map, NullType, Record, Symbol, Tagged, Value, encode

__all__ = [
    "ENDO",
    "GOBLINS",
    "KEYWORD",
    "OURS",
    "TELLTALES",
    "Dialect",
    "check",
    "disordered",
    "encode_ordered",
]

KEYWORD: Final = "kw"


@attrs.frozen
class Dialect:
    """How a kind of peer is written to.

    Attributes:
        name: for people.
        tagged: the label of the record that a `Tagged` travels as.
        ordered: are the keys of structs written in the order of their text, not in Syrup's?
        records: labels of other records that it understands; None if it leaves all alone.
        null: does it know `<null>`? All know `<void>`.
        sets: does it know sets?
        any_keys: may keys be something else than text?
        negative_zero: does it take -0.0? (Of NaN there is one, and all take it.)
        any_text: may text hold characters beyond U+FFFF, and symbols start with @@?
    """

    name: str
    tagged: Symbol
    ordered: bool
    records: frozenset[str] | None = None
    null: bool = True
    sets: bool = True
    any_keys: bool = True
    negative_zero: bool = True
    any_text: bool = True

    @property
    def takes_all(self) -> bool:
        """Is there nothing to check?"""
        return self.records is None


OURS: Final = Dialect("goblins_py", Symbol("user-record"), ordered=True)
GOBLINS: Final = Dialect(
    "Guile Goblins",
    Symbol("user-record"),
    ordered=False,
    records=frozenset({KEYWORD, "pair", "exn:fail:mystery"}),
    null=False,
)
"""A message with a record that it does not know is lost, without a word."""
ENDO: Final = Dialect(
    "Endo",
    Symbol("desc:tagged"),
    ordered=True,
    records=frozenset(),
    sets=False,
    any_keys=False,
    negative_zero=False,
    any_text=False,
)
"""It closes the session on what it does not know, and never answers with text that it cannot write."""

TELLTALES: Final = {"desc:tagged": ENDO, "desc:error": ENDO, "exn:fail:mystery": GOBLINS, "vec": GOBLINS}
"""Labels of values that only such a peer writes. Break reasons are plain text for all."""


# --- what it cannot take -------------------------------------------------------------


def check(value: Any, dialect: Dialect) -> None:
    """Refuse what the peer would choke on, or lose.

    Raises:
        NotPassableError: it says what.
    """
    checker = _CHECKS.get(type(value))
    if checker is not None:
        checker(value, dialect)


def _refuse(what: str, dialect: Dialect) -> None:
    raise NotPassableError(f"{dialect.name}, which the peer speaks, has no {what}")


def _check_text(value: str, dialect: Dialect) -> None:
    if not dialect.any_text and not value.isascii() and max(value) > "\uffff":
        _refuse("strings with characters beyond U+FFFF", dialect)


def _check_symbol(value: Symbol, dialect: Dialect) -> None:
    if not dialect.any_text and value.name.startswith("@@"):
        _refuse("symbols that start with @@", dialect)


def _check_float(value: float, dialect: Dialect) -> None:
    if not dialect.negative_zero and value == 0 and copysign(1, value) < 0:
        _refuse("negative zero", dialect)


def _check_null(_: object, dialect: Dialect) -> None:
    if not dialect.null:
        _refuse("null", dialect)


def _check_tuple(value: tuple[object, ...], dialect: Dialect) -> None:
    for item in value:
        check(item, dialect)


def _check_set(value: frozenset[object], dialect: Dialect) -> None:
    if not dialect.sets:
        _refuse("sets", dialect)
    for item in value:
        check(item, dialect)


def _check_map(value: Map[object, object], dialect: Dialect) -> None:
    for key, item in value.items():
        if not dialect.any_keys and type(key) is not str:
            _refuse("structs with keys that are no text", dialect)
        check(key, dialect)
        check(item, dialect)


def _check_tagged(value: Tagged, dialect: Dialect) -> None:
    check(Symbol(value.tag), dialect)
    check(value.value, dialect)


def _check_record(value: Record, dialect: Dialect) -> None:
    label = value.label
    name = label.name if isinstance(label, Symbol) else None
    if dialect.records is not None and name not in dialect.records:
        _refuse("keyword arguments" if name == KEYWORD else "such records", dialect)
    _check_tuple(value.fields, dialect)


_CHECKS: Final[dict[type, Callable[[Any, Dialect], None]]] = {
    str: _check_text,
    Symbol: _check_symbol,
    float: _check_float,
    NullType: _check_null,
    tuple: _check_tuple,
    frozenset: _check_set,
    Map: _check_map,
    Tagged: _check_tagged,
    Record: _check_record,
}


# --- the order of keys -----------------------------------------------------------------


def disordered(value: Any) -> bool:
    """Is there a struct, outside of sets and keys, whose keys Syrup orders otherwise than their text?"""
    kind = type(value)
    if kind is tuple:
        return any(map(disordered, value))
    if kind is Map:
        return _disordered_keys(value) or any(map(disordered, value.values()))
    if kind is Record:
        return any(map(disordered, value.fields))
    if kind is PeerLocator or kind is Sturdyref:
        return disordered(value.to_record())
    return kind is Tagged and disordered(value.value)


def _disordered_keys(value: Map[Any, object]) -> bool:
    if len(value) < 2 or not _textual(value):
        return False
    if len({len(key) for key in value}) == 1 and all(map(str.isascii, value)):
        return False  # the lengths decide nothing
    return sorted(value, key=encode) != sorted(value, key=_utf16)


def _textual(value: Map[Any, object]) -> bool:
    return all(type(key) is str for key in value)


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be")


def encode_ordered(value: Any, special: Callable[[object], Value]) -> bytes:
    """`encode`, but the keys of structs are in the order of their text (in UTF-16).

    Raises:
        SyrupEncodeError: as there.
    """
    kind = type(value)
    if kind is tuple:
        return b"[%b]" % _joined(value, special)
    if kind is Record:
        return b"<%b>" % _joined((value.label, *value.fields), special)
    if kind is Map and _textual(value):
        pairs = [(key, value[key]) for key in sorted(value, key=_utf16)]
        return b"{%b}" % b"".join([_joined(pair, special) for pair in pairs])
    if kind is Tagged or kind is PeerLocator or kind is Sturdyref:
        return encode_ordered(special(value), special)
    return encode(value, special)


def _joined(values: tuple[object, ...], special: Callable[[object], Value]) -> bytes:
    return b"".join([encode_ordered(value, special) for value in values])
