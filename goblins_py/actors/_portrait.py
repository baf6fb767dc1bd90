"""Portraits as values: what a vat saves of its objects, and what a store hands back.

Only values live here. How a portrait is taken and restored is in `_persist`.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["Delta", "Portrait", "Snapshot"]


@attrs.frozen
class Portrait:
    """One object, described by itself.

    Attributes:
        name: which class of the persistence environment; e.g. "guestbook.GuestBook".
        version: of the class's state, from 0.
        state: field name to Syrup value; references are records (`<near slot>`, ...).
            Secrets may be in it: it is not in the repr.
    """

    name: str
    version: int
    state: Mapping[str, object] = attrs.field(repr=False)


@attrs.frozen
class Snapshot:
    """All that a store holds.

    Attributes:
        vat_id: 32 random bytes, made at the first save.
        roots_version: of the roots, from 0.
        roots: the slots of the root objects, in order.
        portraits: slot to portrait; slots count from 0 and are never used again.
    """

    vat_id: bytes
    roots_version: int
    roots: tuple[int, ...]
    portraits: Mapping[int, Portrait] = attrs.field(repr=False)


@attrs.frozen
class Delta:
    """What one churn changed.

    Attributes:
        portraits: slot to portrait, of the objects that are new or changed.
        removed: slots that hold nothing from now on.
        vat_id, roots_version, roots: None where they stay as they are.
    """

    portraits: Mapping[int, Portrait] = attrs.field(factory=dict, repr=False)
    removed: frozenset[int] = frozenset()
    vat_id: bytes | None = None
    roots_version: int | None = None
    roots: tuple[int, ...] | None = None
