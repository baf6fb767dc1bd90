"""Whether bytes that are known to be Syrup are the canonical form of what they say.

Run over one whole value after it was read, so that the reader's loop need not care.
"""

from __future__ import annotations

import re
from typing import Final

from goblins_py.errors import SyrupDecodeError

__all__ = ["check_canonical"]

_DIGITS: Final = re.compile(rb"[0-9]*")
_LENGTHS: Final = b":\"'"
_NAN: Final = b"\x7f\xf8\0\0\0\0\0\0"
_CLOSES: Final = {b"[": b"]", b"<": b">", b"{": b"}", b"#": b"$"}
_PLAIN: Final = (b"t", b"f")


def check_canonical(raw: bytes, base: int) -> None:
    """Check one well-formed value.

    Args:
        raw: its bytes, no more and no less.
        base: where they start in the whole input, for the error's offset.

    Raises:
        SyrupDecodeError: a canonical encoder would have written other bytes.
    """
    position = 0
    open_: list[tuple[bytes, list[int]]] = []
    while position < len(raw):
        _, kind = _token(raw, position)
        if open_ and kind == _CLOSES[open_[-1][0]]:
            opener, starts = open_.pop()
            _check_order(raw, opener, [*starts, position], base)
            position += 1
            continue
        if open_:
            open_[-1][1].append(position)
        if kind in _CLOSES:
            open_.append((kind, []))
            position += 1
        else:
            position = _check_scalar(raw, position, base)


def _token(raw: bytes, position: int) -> tuple[bytes, bytes]:
    """The digits at a position, if any, and the byte after them."""
    match = _DIGITS.match(raw, position)
    digits = match.group() if match else b""
    end = position + len(digits)
    return digits, raw[end : end + 1]


def _check_scalar(raw: bytes, position: int, base: int) -> int:
    """Check a token that is no bracket; returns where it ends."""
    digits, kind = _token(raw, position)
    end = position + len(digits) + 1
    if digits:
        if digits[0] == 48 and (len(digits) > 1 or kind == b"-"):
            raise SyrupDecodeError("not canonical: a leading zero, or minus zero", base + position)
        return end + int(digits) if kind in _LENGTHS else end
    if kind == b"D":
        return _check_double(raw, position, base)
    if kind not in _PLAIN:
        raise SyrupDecodeError("not canonical: white space, or another form of a token", base + position)
    return end


def _check_double(raw: bytes, position: int, base: int) -> int:
    data = raw[position + 1 : position + 9]
    is_nan = data[0] & 0x7F == 0x7F and data[1] >= 0xF0 and (data[1] > 0xF0 or any(data[2:]))
    if is_nan and data != _NAN:
        raise SyrupDecodeError("not canonical: another NaN than 7ff8000000000000", base + position)
    return position + 9


def _check_order(raw: bytes, opener: bytes, edges: list[int], base: int) -> None:
    """Check that the keys of a dictionary, or the members of a set, ascend."""
    if opener not in b"{#":
        return
    step = 2 if opener == b"{" else 1
    last = b""
    for index in range(0, len(edges) - 1, step):
        key = raw[edges[index] : edges[index + 1]]
        if key <= last:
            raise SyrupDecodeError("not canonical: keys or members out of order", base + edges[index])
        last = key
