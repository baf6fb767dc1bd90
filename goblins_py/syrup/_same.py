"""Sameness: what Syrup holds equal, which is finer than Python's `==`."""

from __future__ import annotations

from collections.abc import Container, Mapping

from goblins_py.syrup._values import Record, Symbol, Tagged, Value

__all__ = ["collides", "same"]


def same(left: Value, right: Value) -> bool:
    """Whether two frozen values are the same to Syrup: 1, True and 1.0 are not, nor 0.0 and -0.0.

    Leaves, and whatever else is no Syrup value, are the same if they are equal. Two NaNs are the
    same, but as keys or members only if they are one object, as those that a decoder makes are.
    """
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    match left, right:
        case float(), float():
            return left.hex() == right.hex()
        case tuple(), tuple():
            return len(left) == len(right) and all(map(same, left, right))
        case Record(), Record():
            return same(left.label, right.label) and same(left.fields, right.fields)
        case Tagged(), Tagged():
            return left.tag == right.tag and same(left.value, right.value)
        case Mapping(), Mapping():
            return _same_items(left, right)
        case frozenset(), frozenset():
            return _same_items(dict.fromkeys(left), dict.fromkeys(right))
        case _:
            return left == right


def _same_items(left: Mapping[Value, Value], right: Mapping[Value, Value]) -> bool:
    if len(left) != len(right):
        return False
    twins = {key: key for key in right}
    return all(key in twins and same(key, twins[key]) and same(left[key], right[key]) for key in left)


class _Probe:
    """Looks like a key to a look-up, and learns which key it met: Python's maps do not tell."""

    __slots__ = ("key", "met")

    def __init__(self, key: Value) -> None:
        self.key = key
        self.met: Value = key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        if self.key != other:
            return False
        self.met = other
        return True


def collides(items: Container[object], key: Value) -> bool:
    """Whether a mapping holds a key that equals `key` in Python but is not the same to Syrup."""
    if type(key) in (str, bytes, Symbol):
        return False
    probe = _Probe(key)
    return probe in items and not same(probe.met, key)
