"""Which codec is in use: the one in C if it was built, else the one in Python, which does the same.

The environment variable GOBLINS_PURE, if it is not empty, chooses the one in Python.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final, Literal

from goblins_py.syrup import _decode, _encode, _whole

__all__ = ["IMPLEMENTATION", "Decoder", "decode", "encode"]


def _native() -> ModuleType | None:
    if os.environ.get("GOBLINS_PURE"):
        return None
    try:
        return import_module("goblins_py.syrup._native")
    except ImportError:  # not built, or for other classes than ours
        return None


_NATIVE: Final = _native()

IMPLEMENTATION: Final[Literal["native", "pure"]] = "pure" if _NATIVE is None else "native"
"""What reads and writes Syrup here: "native" (in C) or "pure" (in Python)."""

if TYPE_CHECKING or _NATIVE is None:
    Decoder = _decode.Decoder
    decode = _whole.decode
    encode = _encode.encode
else:
    Decoder = _NATIVE.Decoder
    decode = _NATIVE.decode
    encode = _NATIVE.encode
