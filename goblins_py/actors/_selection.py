"""What is selected from a promised value: a field, an item, or what is under a tag.

Pure: it knows values, and neither promises nor vats. OCapN's op:get, op:index and op:untag.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs

from goblins_py.errors import NotPassableError, Refusal
from goblins_py.syrup import Map, Tagged

__all__ = ["Selection", "SelectionKind", "selection_of", "untagging"]


class SelectionKind(Enum):
    """What is selected from."""

    FIELD = "a struct"
    ITEM = "a list"
    UNTAGGED = "a tagged value"


@attrs.frozen
class Selection:
    """One step into a value.

    Attributes:
        key: a field's name, an item's index, or a tag.
    """

    kind: SelectionKind
    key: str | int

    def of(self, value: Any) -> object:
        """The part of the value.

        Raises:
            Refusal: there is none. Its text says nothing of the value that the asker does not know.
        """
        key = self.key
        match self.kind:
            case SelectionKind.FIELD if type(value) is Map:
                if key in value:
                    return value[key]
                raise Refusal("the struct has no such field")
            case SelectionKind.ITEM if type(value) is tuple and isinstance(key, int):
                if key < len(value):
                    return value[key]
                raise Refusal("the list has no item of this index")
            case SelectionKind.UNTAGGED if type(value) is Tagged:
                if key == value.tag:
                    return value.value
                raise Refusal("the value has another tag")
            case _:
                raise Refusal(f"what the promise became is not {self.kind.value}")


def selection_of(key: object) -> Selection:
    """What `promise[key]` means.

    Raises:
        TypeError: it is neither the name of a field nor an index. ValueError: it counts from the end, which
            nobody knows yet. NotPassableError: it is no text.
    """
    if type(key) is str:
        return Selection(SelectionKind.FIELD, _text(key))
    if type(key) is not int:
        raise TypeError(f"a promise is indexed by a field's name or an item's index, not by {_kind(key)}")
    if key < 0:
        raise ValueError("an item of a promised list is counted from its start: 0 or more")
    return Selection(SelectionKind.ITEM, key)


def untagging(tag: object) -> Selection:
    """What `untag(promise, tag)` means. Raises as `selection_of` does."""
    if type(tag) is not str:
        raise TypeError(f"a tag is a string, not {_kind(tag)}")
    return Selection(SelectionKind.UNTAGGED, _text(tag))


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotPassableError("a string with lone surrogates is no value") from None
    return text


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
