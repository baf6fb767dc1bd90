"""One value of every passable kind, as Python has it: the names and meanings of tests/guile/passable.scm."""

import math
from collections.abc import Mapping

from goblins_py import Map, Symbol, Tagged
from goblins_py.syrup import Record

VALUES: Mapping[str, object] = {
    "zero": 0,
    "small": 7,
    "negative": -12,
    "big": 7**200,
    "big-negative": -(2**400),
    "float": 1.5,
    "minus-zero": -0.0,
    "infinity": math.inf,
    "minus-infinity": -math.inf,
    "nan": math.nan,
    "true": True,
    "false": False,
    "string": "plain",
    "string-empty": "",
    "string-unicode": "Grüße, 世界 🦝",
    "symbol": Symbol("rutabaga"),
    "symbol-unicode": Symbol("größe"),
    "bytes": bytes([0, 1, 2, 127, 128, 255]),
    "bytes-empty": b"",
    "list": (1, "two", Symbol("three")),
    "list-empty": (),
    "list-nested": (1, (2, (3, ())), True),
    "dict": Map({"one": 1, Symbol("two"): 2, 3: "three"}),
    "dict-empty": Map({}),
    "set": frozenset({1, "one", Symbol("one")}),
    "set-empty": frozenset(),
    "void": None,
    "keyword": (Record(Symbol("kw"), (Symbol("flavour"),)), "sweet"),
    "vector": (1, "two", Symbol("three")),
    "pair": Record(Symbol("pair"), (1, "two")),
    "tagged": Tagged("colour", "green"),
}

# Scheme tells a vector from a list, Python has one kind of sequence: read as told above, written as a list.
READ_ONLY = frozenset({"vector"})
