"""One value from all of its bytes."""

from __future__ import annotations

from collections.abc import Callable

from goblins_py.errors import SyrupDecodeError
from goblins_py.syrup._decode import Decoder
from goblins_py.syrup._limits import DEFAULT_LIMITS, NEED_DATA, Limits
from goblins_py.syrup._values import Value

__all__ = ["decode"]


def decode(
    data: bytes | bytearray | memoryview,
    *,
    canonical: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    special: Callable[[Value, tuple[Value, ...]], Value] | None = None,
) -> Value:
    """Read exactly one value; see `Decoder` for the arguments.

    Raises:
        SyrupDecodeError: it is none, or not whole, or something follows it.
    """
    decoder = Decoder(limits, canonical=canonical, special=special)
    decoder.feed(data)
    value = decoder.next_value()
    if value is NEED_DATA:
        raise SyrupDecodeError("the input ends within a value", len(data))
    if decoder.buffered:
        raise SyrupDecodeError("something follows the value", decoder.offset)
    return value
