"""Syrup: OCapN's values, and their bytes.

Bytes in, values out, and back; no I/O, no CapTP. A reference, a promise or None is nothing to
this package but something that the `special` of its caller writes and reads.

`Decoder`, `decode` and `encode` are in C where a compiler was there when the package was built, else in
Python, with the same behaviour; `IMPLEMENTATION` says which. The environment variable GOBLINS_PURE, if
it is not empty, chooses Python.
"""

from goblins_py.syrup._codec import IMPLEMENTATION, Decoder, decode, encode
from goblins_py.syrup._frozen import Map, freeze
from goblins_py.syrup._limits import NEED_DATA, Limits, NeedData
from goblins_py.syrup._same import same
from goblins_py.syrup._values import Leaf, Null, NullType, Record, Symbol, Tagged, Value

__all__ = [
    "IMPLEMENTATION",
    "NEED_DATA",
    "Decoder",
    "Leaf",
    "Limits",
    "Map",
    "NeedData",
    "Null",
    "NullType",
    "Record",
    "Symbol",
    "Tagged",
    "Value",
    "decode",
    "encode",
    "freeze",
    "same",
]
