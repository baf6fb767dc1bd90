"""Values to bytes: always the canonical form.

What only CapTP knows how to write (references, None, Tagged) goes through `special`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from goblins_py.errors import SyrupEncodeError
from goblins_py.syrup._bigint import SMALL, decimal
from goblins_py.syrup._frozen import Map
from goblins_py.syrup._values import Record, Symbol, Value

__all__ = ["encode"]

MAX_DEPTH: Final = 128
_double: Final = struct.Struct(">d").pack
_FEW: Final = 256  # what is smaller is not written digit by digit
_INTEGERS: Final = tuple(b"%d+" % number for number in range(_FEW))
_TEXTS: Final = tuple(b'%d"' % size for size in range(_FEW))
_NAN: Final = b"D\x7f\xf8\0\0\0\0\0\0"


def encode(
    value: object, special: Callable[[object], Value] | None = None, *, depth: int = MAX_DEPTH
) -> bytes:
    """The canonical Syrup of a value.

    Args:
        value: a Syrup value; lists, dicts and sets are taken for what they freeze to.
        special: called for anything of another type, at any depth; what it returns is
            written in its place (through `special` again where needed), NotImplemented refuses it.
        depth: how many containers may be open at once; what a decoder with default limits reads.

    Raises:
        SyrupEncodeError: something in it cannot be written.
    """
    out: list[bytes] = []
    _write((value,), out, special, depth)
    return b"".join(out)


# More branches than the house allows: a call for each would cost half of what its work does (60 of 120 ns).
def _write(  # noqa: C901
    values: Iterable[object],
    out: list[bytes],
    special: Callable[[object], Value] | None,
    depth: int,
) -> None:
    """Append the forms of some values. The hot loop: one call per container, not per value."""
    if depth < 0:
        raise SyrupEncodeError("the value is nested too deep, or contains itself")
    for value in values:
        kind = type(value)
        if kind is Symbol:
            out.append(value.syrup)  # type: ignore[attr-defined]
        elif kind is int:
            out.append(_INTEGERS[value] if 0 <= value < _FEW else _integer(value))  # type: ignore[operator,call-overload,arg-type]
        elif kind is str:
            try:
                data = value.encode()  # type: ignore[attr-defined]
            except UnicodeEncodeError:
                raise SyrupEncodeError("a str with a lone surrogate has no UTF-8 form") from None
            size = len(data)
            out.append(_TEXTS[size] if size < _FEW else b'%d"' % size)
            out.append(data)
        elif kind is Record:
            out.append(b"<")
            label, fields = value.label, value.fields  # type: ignore[attr-defined]
            if type(label) is Symbol and type(fields) is tuple:
                out.append(label.syrup)
                _write(fields, out, special, depth - 1)
            else:
                _write((label, *fields), out, special, depth - 1)
            out.append(b">")
        elif kind is tuple or kind is list:
            out.append(b"[")
            _write(value, out, special, depth - 1)  # type: ignore[arg-type]
            out.append(b"]")
        elif value is False:
            out.append(b"f")
        elif value is True:
            out.append(b"t")
        elif kind is float:
            out.append(b"D" + _double(value) if value == value else _NAN)  # noqa: PLR0124  # NaN, without a call
        else:
            _write_rare(value, out, special, depth)


def _write_rare(
    value: object, out: list[bytes], special: Callable[[object], Value] | None, depth: int
) -> None:
    kind = type(value)
    if isinstance(value, bytes) and kind is bytes:
        out += (b"%d:" % len(value), value)
    elif isinstance(value, Map) and kind is Map:
        _write_map(value._items, out, special, depth)  # past the views of Mapping, which are in Python
    elif isinstance(value, dict) and kind is dict:
        _write_map(value, out, special, depth)
    elif isinstance(value, (set, frozenset)) and kind in (set, frozenset):
        _write_set(value, out, special, depth)
    else:
        replaced = NotImplemented if special is None else special(value)
        if replaced is NotImplemented:
            raise SyrupEncodeError(f"{kind.__name__} has no Syrup form")
        _write((replaced,), out, special, depth - 1)


def _write_map(
    value: Mapping[object, object],
    out: list[bytes],
    special: Callable[[object], Value] | None,
    depth: int,
) -> None:
    items = [(encode(key, special, depth=depth - 1), item) for key, item in value.items()]
    items.sort(key=_first)
    _refuse_doubles([key for key, _ in items], "keys of a dictionary")
    out.append(b"{")
    for key, item in items:
        out.append(key)
        _write((item,), out, special, depth - 1)
    out.append(b"}")


def _write_set(
    value: Iterable[object],
    out: list[bytes],
    special: Callable[[object], Value] | None,
    depth: int,
) -> None:
    members = sorted([encode(member, special, depth=depth - 1) for member in value])
    _refuse_doubles(members, "members of a set")
    out.append(b"#")
    out += members
    out.append(b"$")


def _first(item: tuple[bytes, object]) -> bytes:
    return item[0]


def _refuse_doubles(ordered: list[bytes], what: str) -> None:
    """Python may tell apart what Syrup does not: two NaNs, or two leaves written alike."""
    if any(map(bytes.__eq__, ordered, ordered[1:])):
        raise SyrupEncodeError(f"two {what} have the same Syrup form")


def _integer(number: int) -> bytes:
    if 0 <= number < SMALL:
        return b"%d+" % number
    return decimal(number) + b"+" if number > 0 else decimal(-number) + b"-"
