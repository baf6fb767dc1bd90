"""Objects of plain values, made as their class would make them, without its checks.

A store holds many small objects, and what it holds was checked when it was saved: the class's own
constructor looks at each value again. Only what no class can tell apart is made so; all else is for
`make_behaviour`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MemberDescriptorType
from typing import Any

import attrs

from goblins_py.actors._behaviour import state_fields
from goblins_py.actors._portray import is_plain, is_void

__all__ = ["Mould", "mould_of"]

_HOOKS = ("__restore__", "__attrs_pre_init__", "__attrs_post_init__")

Put = Callable[[object, object], None]


@attrs.frozen
class Mould:
    """Of one class.

    Attributes:
        state: the fields that are saved, and what sets each. others: what sets the other ones, and to what.
    """

    cls: type
    state: tuple[tuple[str, Put], ...]
    others: tuple[tuple[Put, object], ...]

    def cast(self, state: Mapping[str, object]) -> object | None:
        """An instance with this state; None if it is not just plain values of all its fields."""
        if len(state) != len(self.state):
            return None
        made: object = object.__new__(self.cls)
        try:
            for name, put in self.state:
                value = state[name]
                if is_plain(value):
                    put(made, value)
                elif is_void(value):
                    put(made, None)
                else:
                    return None
        except KeyError:
            return None
        for put, default in self.others:
            put(made, default)
        return made


def mould_of(cls: Any) -> Mould | None:
    """None if its constructor does more than set fields."""
    fields = attrs.fields(cls)
    slots: dict[str, Any] = {field.name: getattr(cls, field.name, None) for field in fields}
    if any(hasattr(cls, hook) for hook in _HOOKS) or cls.__new__ is not object.__new__:
        return None
    if not all(isinstance(slot, MemberDescriptorType) for slot in slots.values()):
        return None
    names = state_fields(cls)
    others = [field for field in fields if field.name not in names]
    if any(field.validator or field.converter for field in fields) or not all(map(_is_set_to_value, others)):
        return None
    return Mould(
        cls,
        tuple((name, slots[name].__set__) for name in names),
        tuple((slots[field.name].__set__, field.default) for field in others),
    )


def _is_set_to_value(field: Any) -> bool:
    return field.default is not attrs.NOTHING and not isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
