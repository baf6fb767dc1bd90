"""GOBLINS_PURE, if it is not empty: nothing compiled is used, though it is there.

Compiled modules lie beside their sources, and Python would take them. This package is the first of ours that
anybody imports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Final

__all__ = ["SourcesOnly"]

_OURS: Final = ("goblins_py.", "persistence.")


class SourcesOnly:
    """Finds our modules by their sources."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where the module is; None if it is no source, or not ours."""
        for folder in path or () if name.startswith(_OURS) else ():
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None:
                return spec
        return None


if os.environ.get("GOBLINS_PURE"):
    sys.meta_path.insert(0, SourcesOnly)
