"""The values: equality, freezing, maps."""

import copy
import pickle
from collections import OrderedDict
from enum import IntEnum
from typing import NamedTuple

import immutables
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goblins_py.syrup import Leaf, Map, Null, Record, Symbol, Tagged, decode, encode, freeze, same
from strategies import scalars, values


class Reference(Leaf):
    """A leaf as actors have them."""

    __slots__ = ()


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Colour(IntEnum):
    """An int that is not one."""

    RED = 1


# --- symbols, null, records ------------------------------------------------------


def test_symbols_are_equal_by_name_and_never_to_strings():
    """A symbol is a value of its own type."""
    assert Symbol("foo") == Symbol("foo")
    assert hash(Symbol("foo")) == hash(Symbol("foo"))
    assert Symbol("foo") != Symbol("bar")
    assert Symbol("foo") != "foo"
    assert not isinstance(Symbol("foo"), str)
    assert {Symbol("foo"): 1, "foo": 2}[Symbol("foo")] == 1


def test_symbol_shows_its_name():
    """Its repr is how it is made."""
    assert repr(Symbol("foo")) == 'Symbol("foo")'
    assert repr(Symbol('a"b\n')) == "Symbol('a\"b\\n')"
    assert str(Symbol("deposit-gift")) == "deposit-gift"


def test_symbol_cannot_be_changed():
    """Nor can anything be added to it."""
    for name in ("name", "other"):
        with pytest.raises(AttributeError):
            setattr(Symbol("foo"), name, "bar")
    with pytest.raises(AttributeError):
        del Symbol("foo").name


def test_symbol_refuses_what_is_no_name():
    """Only plain strings with a UTF-8 form."""
    with pytest.raises(TypeError):
        Symbol(b"foo")
    with pytest.raises(ValueError, match="surrogate"):
        Symbol("\ud800")


@pytest.mark.parametrize("value", [Symbol("foo"), Null, Map({"a": 1}), Map()])
def test_immutable_values_copy_to_themselves(value):
    """A copy is the same object; a pickle an equal one."""
    assert copy.copy(value) is value
    assert copy.deepcopy(value) is value
    assert pickle.loads(pickle.dumps(value)) == value


def test_null_is_neither_none_nor_true():
    """It is one object of its own class."""
    assert Null is not None
    assert not Null
    assert repr(Null) == "Null"


def test_records_and_tagged_values_are_values():
    """Equal by content, hashable, frozen."""
    assert Record(Symbol("a"), (1,)) == Record(Symbol("a"), (1,))
    assert Record(Symbol("a"), (1,)) != Record(Symbol("a"), (2,))
    assert Tagged("a", 1) == Tagged("a", 1)
    assert len({Record(1), Record(1), Tagged("a", 1), Tagged("a", 1)}) == 2
    with pytest.raises(AttributeError):
        Record(1).label = 2


# --- freeze ----------------------------------------------------------------------


@given(values)
def test_frozen_value_freezes_to_itself(value):
    """The same object, whatever is in it."""
    assert freeze(value) is value


@given(values)
def test_what_is_read_is_frozen(value):
    """A decoder makes only what freeze lets pass."""
    found = decode(encode(value))
    assert freeze(found) is found


def test_mutable_containers_freeze_at_any_depth():
    """List, dict, set and the mutable bytes."""
    frozen = freeze([1, {"a": [{2}], "b": bytearray(b"x")}, (memoryview(b"y"),), Record(1, (["z"],))])
    expected = (1, Map({"a": (frozenset({2}),), "b": b"x"}), (b"y",), Record(1, (("z",),)))
    assert same(frozen, expected)
    assert type(frozen[1]["b"]) is bytes
    assert freeze(Tagged("t", [1])) == Tagged("t", (1,))


def test_unchanged_parts_stay_the_same_objects():
    """Only what holds something mutable is made anew."""
    inner = (1, (2, "x"))
    frozen = freeze((inner, [1]))
    assert frozen[0] is inner


def test_leaves_none_and_null_pass():
    """References, undefined and null may sit anywhere."""
    reference = Reference()
    value = (reference, None, Null, Tagged("a", None))
    assert freeze(value) is value
    assert freeze(reference) is reference
    assert freeze({reference: None}) == {reference: None}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([1, 2, {"name": object()}], '[2]["name"]'),
        ((object(),), "[0]"),
        ({"a": {1: [object()]}}, '["a"][1][0]'),
        ({object: 1}, "(key type)"),
        ([{object}], "[0]{a member}"),
        ([Record(Symbol("r"), (1, object()))], "[0]<record>[1]"),
        (Tagged("t", [object()]), ".value[0]"),
    ],
)
def test_what_cannot_be_frozen_is_named_with_its_place(value, place):
    """The text leads to the culprit."""
    with pytest.raises(TypeError) as caught:
        freeze(value)
    assert str(caught.value).endswith(f"(at {place})")


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (Point(1, 2), "plain tuple"),
        (Colour.RED, "plain int"),
        (OrderedDict(a=1), "plain dict"),
        (type("Text", (str,), {})("a"), "plain str"),
        (1j, "complex"),
        (immutables.Map(), "Map"),
    ],
)
def test_subclasses_are_refused_with_advice(value, advice):
    """They would arrive as something else than what was sent."""
    with pytest.raises(TypeError, match=advice):
        freeze(value)


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: [text], lambda text: {text: 1}])
def test_lone_surrogates_are_refused(wrap):
    """They could not be sent."""
    with pytest.raises(TypeError, match="surrogate"):
        freeze(wrap("\udfff"))


def test_special_replaces_what_is_no_value():
    """At any depth; NotImplemented declines."""
    reference = Reference()

    def special(value):
        return reference if value is object else NotImplemented

    assert freeze([{"a": object}, object], special) == (Map({"a": reference}), reference)
    with pytest.raises(TypeError, match=r"\[0\]"):
        freeze([1j], special)


def test_list_that_contains_itself_is_refused():
    """An error, not a crash; for a map as well."""
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="itself"):
        freeze(endless)
    with pytest.raises(TypeError, match="itself"):
        Map({"a": endless})


# --- Map ----------------------------------------------------------------------------


@given(st.dictionaries(scalars, scalars))
def test_map_equals_a_dict_with_the_same_items(items):
    """In both directions, and another Map too."""
    assert Map(items) == items
    assert items == Map(items)
    assert Map(items) == Map(list(items.items()))
    assert len(Map(items)) == len(items)
    assert Map(items) != {**items, "another key that is too long": 1}
    assert Map(items) != list(items)


def test_map_freezes_what_goes_in():
    """Holding a Map proves that nothing in it changes."""
    inner = [1]
    made = Map({"a": inner}).set("b", {"c": inner})
    inner.append(2)
    assert made == {"a": (1,), "b": {"c": (1,)}}
    assert isinstance(made["b"], Map)


def test_map_changes_by_making_another():
    """set, delete and update leave the old one as it was."""
    first = Map({"a": 1})
    assert first.set("a", 2).update({"b": 3}).update([("c", 4)]) == {"a": 2, "b": 3, "c": 4}
    assert first.set("b", 2).delete("a") == {"b": 2}
    assert first == {"a": 1}
    with pytest.raises(KeyError):
        first.delete("b")
    with pytest.raises(AttributeError):
        first.x = 1
    with pytest.raises(TypeError):
        first["a"] = 2


def test_map_is_hashable_if_its_values_are():
    """So a Map can be a key or a member."""
    assert {Map({"a": [1]}): 1}[Map({"a": (1,)})] == 1
    assert hash(Map({"a": 1})) == hash(Map({"a": 1}))


@pytest.mark.parametrize(
    ("old", "new"), [(1, True), (1, 1.0), (0.0, -0.0), ((1,), (True,)), (Record(1), Record(1.0))]
)
def test_keys_equal_in_python_only_are_refused(old, new):
    """Never merged: not when made, set or updated; and the true key may be replaced."""
    with pytest.raises(TypeError, match="equals another key"):
        Map([(old, 1), (new, 2)])
    with pytest.raises(TypeError, match="equals another key"):
        Map({old: 1}).set(new, 2)
    with pytest.raises(KeyError):
        Map({old: 1}).delete(new)
    assert Map({old: 1}).set(old, 2) == {old: 2}


def test_map_shows_its_items():
    """As it is made."""
    assert repr(Map({"a": (1,)})) == "Map({'a': (1,)})"
    assert repr(Map()) == "Map()"


# --- same -----------------------------------------------------------------------------


@given(values, values)
def test_sameness_is_that_of_the_bytes(left, right):
    """Two values are the same exactly if they are written alike."""
    bytes_left, bytes_right = encode(left), encode(right)
    assert same(decode(bytes_left), decode(bytes_right)) == (bytes_left == bytes_right)
    assert same(decode(bytes_left), decode(bytes_left))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: value,
        lambda value: (value,),
        lambda value: Map({"a": value}),
        lambda value: Map({value: "a"}),
        lambda value: frozenset({value}),
        lambda value: Record(value, ()),
        lambda value: Tagged("a", value),
    ],
)
def test_numbers_of_different_types_are_not_the_same(wrap):
    """1, True and 1.0; 0.0 and -0.0."""
    for left, right in [(1, True), (1, 1.0), (True, 1.0), (0.0, -0.0)]:
        assert wrap(left) == wrap(right)
        assert not same(wrap(left), wrap(right))


def test_members_that_become_one_are_refused():
    """A special that makes one value of two does not make a set shrink."""
    with pytest.raises(TypeError, match="same value"):
        freeze({object, int}, lambda value: 1)


def test_tag_is_a_plain_string():
    """A Tagged with another tag could not be written."""
    with pytest.raises(TypeError, match="tag"):
        freeze(Tagged(Symbol("a"), 1))


def test_map_keys_stay_when_others_go():
    """Iteration and deletion of the base class's contract."""
    made = Map({"a": 1, "b": 2})
    assert sorted(made) == ["a", "b"]
    assert dict(made.items()) == {"a": 1, "b": 2}
    assert made.get("c", 3) == 3
    with pytest.raises(AttributeError):
        del made.x
