"""What can be said of a store without its vat: values for tools and for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from goblins_py.abc import Snapshot

__all__ = ["Checkpoint", "Progress", "StoreFacts"]

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of how many are done; maybe from another thread."""


@attrs.frozen
class Checkpoint:
    """A past state of a store that can be looked at.

    Attributes:
        number: from 1, growing.
        time: when it was made, in seconds since 1970. It is the state as it was then.
        objects: how many there were.
    """

    number: int
    time: int
    objects: int


@attrs.frozen
class StoreFacts:
    """A store that was read from end to end and found sound.

    Attributes:
        kind: "syrup" or "sqlite". version: of its format, from 1.
        encryption: "none", "key" or "passphrase".
        size: of its file, in bytes (of all its files, where data can be in several).
        live: the bytes of it that count; about: the rest is out of date, or the format's own.
        unfinished: bytes at its end that a crash, or a commit under way, left.
        snapshot: what it holds; None if it is new.
        sizes: slot to bytes of what is stored there.
        checkpoints: past states, the oldest first.
    """

    kind: str
    version: int
    encryption: str
    size: int
    live: int
    unfinished: int
    snapshot: Snapshot | None
    sizes: Mapping[int, int] = attrs.field(repr=False)
    checkpoints: tuple[Checkpoint, ...] = ()
