"""Portraits as people may see them: what could be a key or a swiss number is only described.

Redacted are all bytes, texts that hold a sturdyref, and whatever a field or key keeps whose name speaks of
secrets. It errs on the side of silence: a field named `keyboard` is redacted, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from goblins_py.abc import Portrait
from goblins_py.syrup import Map, Record, Symbol, Tagged

__all__ = ["shown_state"]

_SECRET: Final = re.compile(r"key|secret|swiss|pass|token|credential|private|cert", re.IGNORECASE)
_STURDYREF: Final = re.compile(r"ocapn:\S*/s/")


def shown_state(portrait: Portrait, *, secrets: bool) -> dict[str, object]:
    """The state of an object, field by field; with `secrets` as it is."""
    fields = sorted(portrait.state.items())
    return {name: value if secrets else _shown_as(name, value) for name, value in fields}


def _shown_as(name: object, value: object) -> object:
    text = name.name if isinstance(name, Symbol) else name
    if isinstance(text, str) and _SECRET.search(text) and not (value is None or isinstance(value, bool)):
        return _redacted(value)
    return _shown(value)


def _shown(value: object) -> object:
    match value:
        case bytes():
            return _redacted(value)
        case str() if _STURDYREF.search(value):
            return Tagged("redacted", "text with a sturdyref")
        case tuple():
            return tuple(map(_shown, value))
        case frozenset():
            return tuple(map(_shown, value))
        case Mapping():
            return _shown_map(value)
        case Tagged():
            return Tagged(value.tag, _shown(value.value))
        case Record():
            return Record(value.label, tuple(map(_shown, value.fields)))
        case _:
            return value


def _shown_map(value: Mapping[object, object]) -> object:
    """A map whose keys are secrets becomes pairs: redacted keys can be alike."""
    pairs = [(_shown(key), _shown_as(key, item)) for key, item in value.items()]
    if all(shown is key for (shown, _), key in zip(pairs, value, strict=True)):
        return Map(pairs)
    return tuple(pairs)


def _redacted(value: object) -> Tagged:
    what = f"{len(value)} bytes" if isinstance(value, bytes) else f"a {type(value).__name__}"
    return Tagged("redacted", what)
