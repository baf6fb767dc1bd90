"""Items to sets and dictionaries: nothing is merged, and no peer can make it slow."""

from __future__ import annotations

from collections import Counter
from typing import Final

from goblins_py.errors import SyrupDecodeError
from goblins_py.syrup._frozen import Map, map_of_frozen
from goblins_py.syrup._values import Value

__all__ = ["make_map", "make_set"]

_EMPTY: Final[Map[Value, Value]] = Map()
_MANY: Final = 64
_CROWD: Final = 32


def make_set(items: list[Value], offset: int) -> frozenset[Value]:
    """The set of these members; `offset` is for the error.

    Raises:
        SyrupDecodeError: two of them are one to Python, or they have no (good) hashes.
    """
    try:
        if len(items) > _MANY and _crowded(items):
            raise SyrupDecodeError("too many members of one hash", offset)
        members = frozenset(items)
    except TypeError:
        raise SyrupDecodeError("a member that has no hash", offset) from None
    if len(members) != len(items):
        raise SyrupDecodeError("a double member, or two that Python holds equal (1, true, 1.0)", offset)
    return members


def make_map(items: list[Value], offset: int) -> Map[Value, Value]:
    """The map of these keys and values, which take turns; raises as `make_set`."""
    if not items:
        return _EMPTY
    if len(items) % 2:
        raise SyrupDecodeError("a dictionary with a key that has no value", offset)
    keys = items[::2]
    try:
        if len(keys) > _MANY and _crowded(keys):
            raise SyrupDecodeError("too many keys of one hash", offset)
        entries = dict(zip(keys, items[1::2]))  # noqa: B905  # they are as many, and saying so costs 200 ns
    except TypeError:
        raise SyrupDecodeError("a key that has no hash", offset) from None
    if len(entries) != len(keys):
        raise SyrupDecodeError("a double key, or two that Python holds equal (1, true, 1.0)", offset)
    return map_of_frozen(entries)


def _crowded(keys: list[Value]) -> bool:
    """Whether a peer chose keys that have one hash, which would make looking them up quadratic.

    Strings are safe (Python salts their hashes), numbers are not. `immutables` folds a hash to 32
    bits, so that is what counts.
    """
    counts = Counter((code ^ (code >> 32)) & 0xFFFFFFFF for code in map(hash, keys))
    return max(counts.values()) > _CROWD
