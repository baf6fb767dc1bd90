"""What kind of store a file is, by what is in it: for tools that are given a path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import attrs

from goblins_py.errors import StoreCorruptError
from persistence._frames import FileHeader, looks_like_journal

__all__ = ["StoreKind", "recognise"]

_SQLITE: Final = b"SQLite format 3\0"


@attrs.frozen
class StoreKind:
    """What a file says of itself, unproven.

    Attributes:
        name: "syrup" or "sqlite".
        encryption: "none", "key" or "passphrase".
    """

    name: str
    encryption: str


def recognise(path: str | os.PathLike[str]) -> StoreKind:
    """Look at the beginning of a file.

    Raises:
        StoreCorruptError: it is no store. VersionMismatchError: a newer one. OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        beginning = file.read(FileHeader.LONGEST)
    if beginning.startswith(_SQLITE):
        return StoreKind("sqlite", "none")
    if not looks_like_journal(beginning):
        raise StoreCorruptError("this is not a goblins store")
    words = FileHeader.parse(beginning).words
    how = words[0].decode(errors="replace") if words else "plain"
    return StoreKind("syrup", "none" if how == "plain" else how)
