"""Decimal numbers of any length.

Python refuses to convert integers of more than 4300 digits (less, if the program says so: but
never less than 640). That limit is global, so it is not ours to change: longer numbers are
converted in halves, each below it.
"""

from __future__ import annotations

__all__ = ["SMALL", "decimal", "parse_decimal"]

_DIGITS = 600
SMALL = 10**_DIGITS
"""Below this, Python's own conversion is never refused."""


def decimal(number: int) -> bytes:
    """The decimal digits of a number that is not negative."""
    if number < SMALL:
        return b"%d" % number
    half = number.bit_length() * 3 // 20  # a bit has 0.301 digits; half of that
    high, low = divmod(number, 10**half)
    return decimal(high) + decimal(low).rjust(half, b"0")


def parse_decimal(digits: bytes) -> int:
    """The number that ASCII digits write, leading zeros and all."""
    if len(digits) <= _DIGITS:
        return int(digits)
    half = len(digits) // 2
    scale: int = 10**half
    return parse_decimal(digits[:-half]) * scale + parse_decimal(digits[-half:])
