"""Hypothesis strategies for Syrup values."""

from hypothesis import strategies as st

from goblins_py.errors import SyrupDecodeError
from goblins_py.syrup import Record, Symbol, decode, encode, freeze

__all__ = ["floats", "scalars", "splits", "symbols", "values"]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
symbols = st.builds(Symbol, texts)
floats = st.floats()
scalars = st.one_of(st.booleans(), st.integers(), floats, st.binary(max_size=12), texts, symbols)


def _containers(inner):
    return st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(inner, inner, max_size=4),
        st.frozensets(inner, max_size=4),
        st.builds(lambda label, fields: Record(label, tuple(fields)), symbols, st.lists(inner, max_size=4)),
    ).map(freeze)


def _is_unambiguous(value):
    """Not two NaN keys, which Python tells apart and Syrup does not."""
    try:
        decode(encode(value))
    except (SyrupDecodeError, TypeError):
        return False
    return True


values = st.recursive(scalars, _containers, max_leaves=12).filter(_is_unambiguous)
"""Any Syrup value, frozen."""


@st.composite
def splits(draw, data):
    """Some bytes, cut into pieces anywhere."""
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
