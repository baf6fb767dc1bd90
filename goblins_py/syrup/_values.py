"""The values that Python has no type of its own for.

Only what a value *is* lives here; how it is written is in `_encode`, what may sit in what
is in `_frozen`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NoReturn, TypeAlias

import attrs

__all__ = ["Leaf", "Null", "NullType", "Record", "Symbol", "Tagged", "Value"]

Value: TypeAlias = object
"""What Syrup can write: bool, int, float, bytes, str, `Symbol`, tuple, `Map`, frozenset and
`Record`, nested as you like. Inside messages also None, `Null`, `Tagged` and `Leaf`s, which CapTP
turns into records. Python's types cannot say this (recursion, exact types), hence `object`."""


class Leaf:
    """A mark: immutable, no Syrup value itself, but may sit inside tuples and `Map`s.

    References, promises and locators are leaves. Whoever writes the surrounding value says how
    a leaf is written (the `special` of `encode`).
    """

    __slots__ = ()


class NullType(Enum):
    """The class of `Null`."""

    NULL = "null"

    def __repr__(self) -> str:
        return "Null"

    def __bool__(self) -> bool:
        return False


Null: Final = NullType.NULL
"""OCapN's null. (None is OCapN's undefined: what a method without `return` returns.)"""


class Symbol:
    """A name. Equal to another symbol of that name, never to a string.

    Attributes:
        name: the text of the symbol.
        syrup: its Syrup form; kept, because the same few symbols are written all the time.
    """

    __slots__ = ("_hash", "name", "syrup")
    __match_args__ = ("name",)

    name: str
    syrup: bytes
    _hash: int

    def __init__(self, name: str) -> None:
        if type(name) is not str:
            raise TypeError(f"the name of a symbol is a str, not {type(name).__name__}")
        try:
            data = name.encode()
        except UnicodeEncodeError:
            raise ValueError("the name of a symbol holds a lone surrogate") from None
        _put_name(self, name)
        _put_syrup(self, b"%d'%b" % (len(data), data))
        _put_hash(self, hash((Symbol, name)))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a symbol cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a symbol cannot be changed")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self.name == other.name if type(other) is Symbol else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f'Symbol("{self.name}")' if self.name.isidentifier() else f"Symbol({self.name!r})"

    def __str__(self) -> str:
        return self.name

    def __copy__(self) -> Symbol:
        return self

    def __deepcopy__(self, memo: object) -> Symbol:
        return self

    def __reduce__(self) -> tuple[type[Symbol], tuple[str]]:
        return Symbol, (self.name,)


_put_name, _put_syrup, _put_hash = (Symbol.__dict__[slot].__set__ for slot in ("name", "syrup", "_hash"))


@attrs.frozen(weakref_slot=False)
class Record:
    """A labelled tuple: `<label field...>`.

    The constructor looks at nothing; `freeze` and `encode` do.

    Attributes:
        label: any value, nearly always a `Symbol`.
        fields: in order.
    """

    label: Value
    fields: tuple[Value, ...] = ()


@attrs.frozen(weakref_slot=False)
class Tagged:
    """OCapN's tagged value: data with a name that says how to take it.

    Attributes:
        tag: the name.
        value: any passable value.
    """

    tag: str
    value: Value
