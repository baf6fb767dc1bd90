"""`@actor` and `@value`: what a class may be, what a message can reach, what state can be."""

import attrs
import pytest

from goblins_py.actors import actor, call, live, ref_to, send, spawn, value
from goblins_py.errors import ActorError, NoSuchMethodError, NotPassableError
from goblins_py.syrup import Map, Null, Record, Symbol, Tagged
from goblins_py.testing import SyncVats


@value
class Point:
    x: int
    y: int = 0

    def moved(self, by: int) -> "Point":
        return attrs.evolve(self, x=self.x + by)


class Mixin:
    def mixed(self) -> str:
        return "mixed"


@actor
class Base:
    _secret: str
    plain: object = None
    _held: object = live()

    def reveal(self) -> str:
        return self._secret

    def set_plain(self, new) -> None:
        self.plain = new

    def hidden_below(self) -> str:
        return "base"

    def _private(self) -> str:
        return "private"


@actor
class Derived(Mixin, Base):
    more: int = 0

    hidden_below = None
    aliased = Base.reveal

    @staticmethod
    def static() -> str:
        return "static"

    @classmethod
    def of_class(cls) -> str:
        return "class"

    @property
    def prop(self) -> str:
        return "property"

    def class_name(self) -> str:
        return type(self).__name__ + super().reveal()

    def class_(self) -> str:
        return "trailing underscore"


@actor
class Fallback:
    def known(self) -> str:
        return "known"

    def __call__(self, *args, **kwargs):
        return ("call", *args, Map(kwargs))


@pytest.fixture
def vat():
    return SyncVats().open()


def test_a_private_field_keeps_its_name_as_constructor_argument(vat) -> None:
    """By keyword and by position, though attrs would strip the underscore."""
    assert "a" == vat.run(lambda: spawn(Base, _secret="a").reveal())
    assert "b" == vat.run(lambda: spawn(Base, "b").reveal())
    with pytest.raises(TypeError):
        Base(secret="c")
    with pytest.raises(TypeError):
        Base("d", _held=5)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("reveal", "s"),
        ("aliased", "s"),
        ("class-name", "Deriveds"),
        ("class_name", "Deriveds"),
        ("class", "trailing underscore"),
        ("class_", "trailing underscore"),
    ],
)
def test_a_public_method_is_a_message_under_both_its_names(vat, name, answer) -> None:
    """As Python writes it and as it travels; under its attribute's name, whatever the function is called."""
    ref = vat.run(spawn, Derived, "s")
    assert answer == vat.run(lambda: ref(Symbol(name)))


@pytest.mark.parametrize(
    "name",
    """_private -private __call__ --call- --init-- __init__ on-start mixed hidden_below hidden-below static
    of_class of-class prop plain more _secret __class__ __goblins_methods__""".split(),
)
def test_nothing_else_is_reached_by_a_message(vat, name) -> None:
    """No private name, no field, nothing static, nothing of a class that is no actor, nothing hidden."""
    ref = vat.run(spawn, Derived, "s")
    with pytest.raises(NoSuchMethodError, match="Derived has no method"):
        vat.run(lambda: ref(Symbol(name)))


def test_without_a_method_of_that_name_call_gets_all_arguments(vat) -> None:
    """The symbol with them; a string or a private name is no method name."""
    ref = vat.run(spawn, Fallback)
    assert "known" == vat.run(ref.known)
    assert ("call", Symbol("unknown"), 1, Map()) == vat.run(lambda: ref.unknown(1))
    assert ("call", "known", Map()) == vat.run(lambda: ref("known"))
    assert ("call", Symbol("__call__"), Map({"a": 1})) == vat.run(lambda: ref(Symbol("__call__"), a=1))
    assert ("call", Map()) == vat.run(ref)
    with pytest.raises(NoSuchMethodError, match="without a method name"):
        vat.run(vat.run(spawn, Base, "s"))


def test_keyword_arguments_arrive(vat) -> None:
    """Near and by send; also those that share a name with our own parameters."""

    @actor
    class Keywords:
        behaviour: str

        def take(self, target, method, args, *, self_=None, **kwargs):
            return (target, method, args, self_, Map(kwargs))

    ref = vat.run(lambda: spawn(Keywords, behaviour="own"))
    near = vat.run(lambda: ref.take(target=1, method=2, args=3, self_=4, kwargs=5))
    far = vat.take(vat.run(lambda: send(ref, Keywords.take, target=1, method=2, args=3, self_=4, kwargs=5)))
    twin = vat.run(lambda: call(ref, Keywords.take, target=1, method=2, args=3, self_=4, kwargs=5))
    assert (1, 2, 3, 4, Map({"kwargs": 5})) == near == far == twin


def test_wrong_arguments_are_the_callers_error(vat) -> None:
    """A TypeError that names the method."""
    ref = vat.run(spawn, Base, "s")
    with pytest.raises(TypeError, match="reveal"):
        vat.run(lambda: ref.reveal(1, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: actor(type("A", (), {"__annotations__": {"a": list}, "a": []})), "use a tuple"),
        (lambda: actor(type("A", (), {"__annotations__": {"a": dict}, "a": {}})), "use a Map"),
        (lambda: actor(type("A", (), {"__annotations__": {"a": set}, "a": set()})), "use a frozenset"),
        (lambda: actor(type("A", (), {"__annotations__": {"a": object}, "a": object()})), "cannot be state"),
        (
            lambda: actor(type("A", (), {"__annotations__": {"a": list}, "a": attrs.Factory(list)})),
            "factories",
        ),
        (lambda: actor(type("A", (), {"__annotations__": {"a": list}, "a": live([])})), "would share it"),
        (lambda: actor(type("A", (), {"__annotations__": {"a": int}, "a": attrs.field(init=False)})), "live"),
        (lambda: actor(type("A", (), {"__annotations__": {"__a": int}})), "one leading underscore"),
        (lambda: actor(type("A", (), {"__annotations__": {"_A__a": int}})), "one leading underscore"),
        (lambda: actor(type("A", (), {"__init__": lambda self: None})), "fields make it"),
        (lambda: actor(type("A", (), {"__setattr__": lambda *a: None})), "fields make it"),
        (lambda: actor(type("A", (Base, Stateful), {})), "lay-out conflict"),
        (lambda: actor(type("A", (Annotated,), {})), "decorate it with @actor"),
        (lambda: actor(type("A", (AttrsBase,), {})), "decorate it with @actor"),
        (lambda: actor(type("A", (), {"a_b": f, "a-b": f})), "one name on the wire"),
        (lambda: actor(type("A", (), {"break_": f, "break": f})), "one name on the wire"),
        (lambda: value(type("A", (), {"__annotations__": {"a": list}, "a": []})), "use a tuple"),
        (lambda: value(type("A", (), {"__new__": lambda cls: None})), "fields make it"),
    ],
)
def test_traps_are_refused_when_the_class_is_made(make, message) -> None:
    """Not when the first object fails in production."""
    with pytest.raises(TypeError, match=message):
        make()


def f(self) -> None: ...


@actor
class Stateful:
    state: int = 0


class Annotated:
    field: int = 0


@attrs.define
class AttrsBase:
    field = attrs.field(default=1)


def test_actors_without_state_can_be_mixed_in(vat) -> None:
    """Their methods are messages; on their own they can be spawned as well."""

    @actor
    class First:
        def first(self) -> str:
            return "first"

    @actor
    class Second:
        def second(self) -> str:
            return "second"

    @actor
    class Both(First, Base, Second):
        number: int = 1

        def both(self):
            return (self.first(), self.second(), self.number, self._secret)

    @actor
    class Later(First):
        number: int = 2

    ref = vat.run(spawn, Both, "s")
    assert ("first", "second", 1, "s") == vat.run(ref.both)
    assert ("first", "second") == vat.run(lambda: (ref.first(), ref.second()))
    assert "first" == vat.run(lambda: spawn(First).first())
    assert "first" == vat.run(lambda: spawn(Later, 5).first())
    with pytest.raises(AttributeError, match="no field"):
        First().undeclared = 1


def test_only_a_decorated_class_can_be_spawned(vat) -> None:
    """Not a subclass of one, not any class, no instance; a plain callable only without arguments."""

    class Sub(Base):
        pass

    for thing in (Sub, int, Base("s"), 5):
        with pytest.raises(TypeError):
            vat.run(lambda thing=thing: spawn(thing))
    with pytest.raises(TypeError, match="plain callable"):
        vat.run(lambda: spawn(len, 5))
    assert 3 == vat.run(lambda: spawn(len)("abc"))


def test_attributes_must_be_declared_and_cannot_be_deleted(vat) -> None:
    """A typing error does not make state that nobody saves."""

    @actor
    class Sloppy:
        name: str = "n"

        def typo(self) -> None:
            self.nmae = "x"

        def delete(self) -> None:
            del self.name

    ref = vat.run(spawn, Sloppy)
    with pytest.raises(AttributeError, match="no field 'nmae'"):
        vat.run(ref.typo)
    with pytest.raises(AttributeError, match="to None"):
        vat.run(ref.delete)


@pytest.mark.parametrize(
    "good",
    [
        None, True, 1, 1.5, "text", b"bytes", Symbol("s"), Null, (1, ("two",)), frozenset({1}),
        Map({"a": [1]}),
        Tagged("t", 1), Record(Symbol("r"), (1,)), Point(1), (Point(1, 2),), Map({"p": Point(3)}),
    ],
    ids=repr,
)  # fmt: skip
def test_immutable_values_can_be_state(vat, good) -> None:
    """Passable values, references, and instances of @value classes."""
    behaviour = vat.run(spawn, Base, "s")._behaviour
    vat.run(behaviour.set_plain, good)
    assert good == behaviour.plain


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([1], "use a tuple"),
        ({}, "use a Map"),
        (set(), "use a frozenset"),
        (bytearray(), "use bytes"),
        (([1],), "use a tuple"),
        (frozenset({(1, object())}), "type object"),
        (Tagged("t", []), "use a tuple"),
        (Record(Symbol("r"), ([],)), "use a tuple"),
        (Base, "the class Base"),
        ("\ud800", "lone surrogates"),
        (("\ud800",), "lone surrogates"),
        (Base("s"), "spawn it first"),
        ((Base("s"),), "use ref_to"),
    ],
    ids=lambda each: each if isinstance(each, str) and each.isascii() else "",
)
def test_what_could_change_cannot_be_state(vat, bad, message) -> None:
    """The error names the field and what to use."""
    behaviour = vat.run(spawn, Base, "s")._behaviour
    with pytest.raises((TypeError, ActorError), match=message):
        vat.run(behaviour.set_plain, bad)


def test_state_is_not_nested_without_end(vat) -> None:
    """Beyond a hundred levels it could not be saved or sent."""
    deep = ()
    for _ in range(101):
        deep = (deep,)
    behaviour = vat.run(spawn, Base, "s")._behaviour
    with pytest.raises(TypeError, match="nested deeper"):
        vat.run(behaviour.set_plain, deep)


def test_self_in_state_is_its_reference(vat) -> None:
    """An object may hold itself, and others their reference, never the behaviour."""
    ref = vat.run(spawn, Base, "s")
    behaviour = ref._behaviour
    vat.run(behaviour.set_plain, behaviour)
    assert behaviour.plain is ref


def test_an_actor_has_no_repr_and_no_equality() -> None:
    """Fields may be keys; two objects are the same only if they are one."""
    assert "sesame" not in repr(Base("sesame"))
    assert Base("s") != Base("s")


def test_the_version_is_part_of_the_class() -> None:
    """From 0; the decorator takes another one."""

    @actor(version=3)
    class Third:
        pass

    assert (0, 3) == (Base.__goblins_version__, Third.__goblins_version__)


def test_values_equal_hash_and_print_by_their_fields() -> None:
    """And cannot be changed."""
    assert Point(1) == Point(1, 0) != Point(2)
    assert 1 == len({Point(1), Point(1)})
    assert "Point(x=1, y=0)" == repr(Point(1))
    assert Point(4) == Point(1).moved(3)
    with pytest.raises(AttributeError):
        Point(1).x = 2
    with pytest.raises(TypeError, match="use a tuple"):
        Point([])


def test_values_keep_their_names_and_their_supers() -> None:
    """Their class is made anew, and nobody notices."""

    class Plain:
        def name(self) -> str:
            return "plain"

        @classmethod
        def made(cls) -> str:
            return "made"

    @value
    class Inner(Plain):
        a: int = 0

        def name(self) -> str:
            return super().name() + "!"

        @classmethod
        def made(cls) -> str:
            return super().made() + cls.__name__

        @property
        def twice(self) -> str:
            return super().name() * 2

    @value
    class Innermost(Inner):
        b: int = 0

    assert ("plain!", "madeInner", "plainplain") == (Inner().name(), Inner.made(), Inner().twice)
    assert Inner.__qualname__.endswith("<locals>.Inner")
    assert ("plain!", 2) == (Innermost(1, 2).name(), Innermost(1, 2).b)


def test_a_subclass_of_a_value_must_be_decorated_too() -> None:
    """Else it could carry what changes, into any state."""

    class Loose(Point):
        pass

    with pytest.raises(TypeError, match="not itself decorated"):
        Loose(1)


def test_a_behaviour_in_a_value_is_its_reference(vat) -> None:
    """As in state."""

    @actor
    class Holder:
        def point(self) -> None:
            assert Point(self).x is ref_to(self)

    vat.run(lambda: spawn(Holder).point())


# --- the message border ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ([1, [2]], (1, (2,))),
        ({"a": [1]}, Map({"a": (1,)})),
        ({1, 2}, frozenset({1, 2})),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (Tagged("t", [1]), Tagged("t", (1,))),
        (Record(Symbol("r"), ([1],)), Record(Symbol("r"), ((1,),))),
        (Map({"a": 1}), Map({"a": 1})),
        ("ü", "ü"),
        (Null, Null),
    ],
)
def test_values_arrive_frozen_the_same_way_near_and_by_send(vat, sent, arrives) -> None:
    """The receiver cannot tell where its caller is."""
    ref = vat.run(spawn, lambda *args, **kwargs: (*args, *kwargs.values()))
    near = vat.run(lambda: ref(sent, named=sent))
    far = vat.take(vat.run(lambda: send(ref)(sent, named=sent)))
    assert (arrives, arrives) == near == far
    assert type(arrives) is type(near[0])


@pytest.mark.parametrize(
    "value", [(1, ("a", b"b")), Map({"a": ((1,),)}), frozenset({1}), Symbol("s")], ids=repr
)
def test_what_is_immutable_arrives_as_it_is(vat, value) -> None:
    """No copies of large values on their way."""
    seen = []
    ref = vat.run(spawn, seen.append)
    vat.run(lambda: ref(value) and None)
    assert seen[0] is value or isinstance(value, frozenset)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (object(), r"argument 1: a value of type object"),
        ([1, [object()]], r"argument 1: \[1\]: \[0\]: a value of type object"),
        ({"key": object()}, r"argument 1: \['key'\]: a value of type object"),
        ({object(): 1}, "type object"),
        ({Point(1): 1}, "type Point"),
        (Point(1), "type Point"),
        (Map({"p": Point(1)}), "type Point"),
        (int, "the class int"),
        ("\ud800", "lone surrogates"),
        (Tagged(5, 1), "tag"),
        (Tagged("\ud800", 1), "surrogates"),
        (Record("no symbol", ()), "label"),
        (Record(Symbol("op:deliver"), ()), "CapTP's own"),
        (Record(Symbol("desc:export"), (1,)), "CapTP's own"),
        (Base("s"), "spawn it first"),
    ],
)
def test_what_cannot_be_passed_is_refused_at_the_sender(vat, bad, message) -> None:
    """With the place in the argument; nothing is sent."""
    ref = vat.run(spawn, lambda *args: None)
    for attempt in (lambda: ref(0, bad), lambda: send(ref)(0, bad)):
        with pytest.raises(NotPassableError, match=message):
            vat.run(attempt)
    with pytest.raises(NotPassableError, match="argument named"):
        vat.run(lambda: send(ref)(named=bad))


def test_arguments_are_not_nested_without_end(vat) -> None:
    """A list that holds itself is refused like a very deep one."""
    endless = []
    endless.append(endless)
    ref = vat.run(spawn, lambda *args: None)
    with pytest.raises(NotPassableError, match="nested deeper"):
        vat.run(lambda: ref(endless))


def test_members_are_never_merged(vat) -> None:
    """A behaviour and its own reference would become one."""

    @actor
    class Twin:
        def go(self, target) -> None:
            target({self, ref_to(self)})

        def keys(self, target) -> None:
            target({self: 1, ref_to(self): 2})

    sink = vat.run(spawn, lambda *args: None)
    with pytest.raises(NotPassableError, match="same value"):
        vat.run(lambda: spawn(Twin).go(sink))
    with pytest.raises(NotPassableError):
        vat.run(lambda: spawn(Twin).keys(sink))


def test_an_actor_instance_arrives_as_its_reference(vat) -> None:
    """Also deep inside, and as a result."""

    @actor
    class Giver:
        def give(self):
            return [self]

        def me(self):
            return self

    ref = vat.run(spawn, Giver)
    assert (ref,) == vat.run(ref.give)
    assert vat.run(ref.me) is ref
    with pytest.raises(ActorError, match="spawn it first"):
        ref_to(Giver())
