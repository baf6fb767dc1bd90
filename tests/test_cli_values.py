"""Passable values as JSON, and back: the table that `goblins call` goes by."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goblins_py.cli._json import from_json, read_argument, to_json, to_text
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.syrup import Map, Null, Record, Symbol, Tagged

PEER = PeerLocator("tcp-tls", "abc", {"host": "a"})
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.binary()
ATOMS |= st.builds(Symbol, TEXT)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner).map(tuple)
        | st.dictionaries(TEXT, inner).map(Map)
        | st.builds(Tagged, TEXT, inner)
        | st.builds(Record, st.builds(Symbol, TEXT), st.lists(inner).map(tuple))
    ),
    max_leaves=10,
)

TEXTS = [
    ("Hello", '"Hello"'),
    (None, "null"),
    (Null, "null"),
    ((1, Map({"b": Null, "a": 1.5})), '[1, {"a": 1.5, "b": null}]'),
    (b"a\x00", "b'a\\x00'"),
    (Symbol("deposit-gift"), "'deposit-gift"),
    (("a", b"b"), "[\"a\", b'b']"),
    (Map({1: "one"}), '{1: "one"}'),
    (frozenset({2, 1}), "{1, 2}"),
    (math.inf, "inf"),
    (Tagged("decimal", "1.5"), 'decimal("1.5")'),
    (Record(Symbol("point"), (1, 2)), "<'point 1 2>"),
    (Sturdyref(PEER, b"\x00\x00\x00"), "ocapn://abc.tcp-tls/s/AAAA?host=a"),
    (PEER, "ocapn://abc.tcp-tls?host=a"),
    ("\x1b[2J\u202e", '"\\u001b[2J\\u202e"'),
]


@given(VALUES)
def test_what_is_written_as_json_is_read_as_the_same_value(value) -> None:
    """Whatever is nested in what, and in one line."""
    text = to_json(value)
    assert text.isprintable()
    assert to_json(from_json(json.loads(text))) == text
    assert from_json(json.loads(text)) == value


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_each_kind_of_value_has_a_text(value, text: str) -> None:
    """JSON where it can be, else much like it; nothing in it steers the terminal."""
    assert text == to_text(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-1.5", -1.5),
        ("Bob", "Bob"),
        ('"5"', "5"),
        ("[1, [2]]", (1, (2,))),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[" * 100_000, "[" * 100_000),
        ('{"@map": [[1, 2]]}', Map({1: 2})),
        ('{"@a": 1, "b": 2}', Map({"@a": 1, "b": 2})),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_argument_is_json_or_else_text(text: str, value) -> None:
    """What does not parse is taken as it stands."""
    assert value == read_argument(text)
    assert type(value) is type(read_argument(text))


@pytest.mark.parametrize(
    "text", ['{"@nonsense": 1}', '{"@bytes": 5}', '{"@bytes": "%"}', '{"@tagged": [1]}', '{"@symbol": 1}']
)
def test_a_malformed_special_value_is_an_error(text: str) -> None:
    """It is not taken for data that happens to look so."""
    with pytest.raises(ValueError, match="@"):
        read_argument(text)
