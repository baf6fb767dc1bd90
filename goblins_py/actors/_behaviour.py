"""`@actor`: a class becomes a behaviour, its fields state, its methods messages.

attrs does the class; what lives here is what makes it safe: values are checked, assignment is
logged in the current turn, and a table says which methods a message may reach.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from types import FunctionType
from typing import Any, Final, Literal, TypeVar, cast, dataclass_transform, overload

import attrs

from goblins_py.actors._passable import SIMPLE, is_behaviour, state_value
from goblins_py.actors._reference import Link, Ref, method_symbol, ref_to
from goblins_py.actors._turn import _current, current_turn
from goblins_py.actors._upgrade import steps_of
from goblins_py.errors import ActorError, NoCurrentTurnError, NoSuchMethodError
from goblins_py.syrup import Leaf, Symbol

__all__ = ["actor", "become", "live", "perform", "state_fields", "value"]

C = TypeVar("C", bound=type)

HOOKS: Final = frozenset({"on_start"})
"""Public methods that the vat calls, and no message can."""

_LIVE: Final = "goblins_live"
_RESERVED: Final = ("__init__", "__new__", "__setattr__", "__delattr__", "__getattribute__")
_CLASS_METHOD: Final = classmethod(lambda cls: cls)
_CALL: Final = None
"""Key of `__call__` in a table of methods: no symbol has this name."""


def live(default: Any = None, *, init: Literal[False] = False) -> Any:
    """A field outside constructor, portrait and rollback. It holds anything, and after a restore `default`.

    Args:
        init: tells type checkers that it is no constructor argument; never given.
    """
    return attrs.field(default=default, init=init, metadata={_LIVE: True})


@overload
@dataclass_transform(field_specifiers=(live, attrs.field))
def actor(cls: C) -> C: ...
@overload
@dataclass_transform(field_specifiers=(live, attrs.field))
def actor(*, version: int = 0) -> Callable[[C], C]: ...
def actor(cls: Any = None, *, version: int = 0) -> Any:
    """Make a class into a behaviour that can be spawned.

    Its annotated fields are its state: constructor arguments and portrait, immutable values only,
    set back when a turn fails. Its public methods are its messages. No equality, no repr: two
    objects are the same only if they are one, and fields may be keys.

    Args:
        version: of the state's shape, from 0; count it up when old portraits no longer fit, and add an
            `@upgrade` from the version before.

    Raises:
        TypeError: a mutable default, fields in a base that is no actor, two methods of one name on the wire.
            (Two bases with fields are refused by Python itself.)
    """
    return partial(_make_actor, version=version) if cls is None else _make_actor(cls, version=version)


def _make_actor(cls: type, *, version: int) -> type:
    _check_bases(cls)
    upgrades = steps_of(cls, version)
    for name in _RESERVED:
        if name in vars(cls):
            raise TypeError(f"{cls.__name__}.{name}: fields make it; compute in a function that spawns")
    if not isinstance(vars(cls).get("__restore__", _CLASS_METHOD), classmethod):
        raise TypeError(f"{cls.__name__}.__restore__ is to be a class method")
    actor_class: Any = cls
    actor_class.__setattr__ = _set_attribute  # the __init__ that attrs makes goes through it too
    actor_class.__delattr__ = _refuse_delete
    made: Any = attrs.define(
        cls,
        slots=bool(_annotated(cls)),  # so one without state can be mixed into one that has some
        eq=False,
        repr=False,
        order=False,
        on_setattr=attrs.setters.NO_OP,  # ours does it
        field_transformer=_prepare_fields,
    )
    made.__goblins_methods__ = _method_table(made)
    made.__goblins_fields__ = {field.name: not field.metadata.get(_LIVE) for field in attrs.fields(made)}
    made.__goblins_actor__ = made
    made.__goblins_version__ = version
    made.__goblins_upgrades__ = upgrades
    return cast(type, made)


def _check_bases(cls: type) -> None:
    for base in cls.__mro__[1:-1]:
        if not is_actor_class(base) and (_annotated(base) or "__attrs_attrs__" in vars(base)):
            raise TypeError(f"the base {base.__name__} of {cls.__name__} has fields: decorate it with @actor")


def _annotated(cls: type) -> Mapping[str, object]:
    annotations = inspect.get_annotations(cls)
    return {name: kind for name, kind in annotations.items() if "ClassVar" not in str(kind)}


def is_actor_class(cls: object) -> bool:
    """Is this very class decorated? (A subclass of one is not.)"""
    return isinstance(cls, type) and cls.__dict__.get("__goblins_actor__") is cls


def _prepare_fields(cls: type, fields: list[Any]) -> list[Any]:
    prepared = [_prepare_field(cls, field) for field in fields]
    inherited = [field for field in prepared if field.name == _REF_FIELD.name]
    others = [field for field in prepared if field.name != _REF_FIELD.name]
    return [*(inherited or [_REF_FIELD]), *others]  # first: `_set_attribute` looks at it


def _prepare_field(cls: type, field: Any) -> Any:
    if field.metadata.get(_LIVE):
        if type(field.default).__hash__ is None:
            raise TypeError(f"{cls.__name__}.{field.name}: all objects would share it: fill it in on_start")
        return field
    if field.name.startswith("__") or field.name.startswith(f"_{cls.__name__}__"):
        raise TypeError(f"{cls.__name__}: a field name may have one leading underscore, not two")
    if not field.init:
        raise TypeError(f"{cls.__name__}.{field.name}: state is a constructor argument, else use live()")
    _check_default(cls, field)
    return field.evolve(alias=field.name)


def _check_default(cls: type, field: Any) -> None:
    default = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        raise TypeError(f"{cls.__name__}.{field.name}: state defaults are values, not factories")
    if default is not attrs.NOTHING:
        try:
            state_value(default)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}.{field.name}: its default: {error}") from None


def _checked(new: object, name: str) -> object:
    if is_behaviour(new):
        return ref_to(new)
    try:
        state_value(new)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    return new


def _checked_field(new: object, field: Any) -> object:
    return _checked(new, field.name)


def _set_attribute(self: Any, name: str, new: object) -> None:
    """`__setattr__` of every actor: state is checked and logged in the turn, live fields just set."""
    is_state = type(self).__goblins_fields__.get(name)
    if is_state:
        if type(new) not in SIMPLE:
            new = _checked(new, name)
        link: Link | None = self._goblins_ref
        if link is not None:  # else it is no object yet: nothing to roll back
            turn = _current.turn
            if turn is None or link.home is not turn.home or link.former:
                raise _cannot_change(self, link)
            turn.undo.append((self, name, getattr(self, name)))
    elif is_state is None:
        raise AttributeError(f"{type(self).__name__} has no field {name!r}: declare it, with an annotation")
    _set_slot(self, name, new)


_set_slot: Final = object.__setattr__


def _cannot_change(instance: object, link: Link) -> ActorError:
    turn = current_turn()
    if turn is None or link.home is not turn.home:
        return NoCurrentTurnError(f"the state of {type(instance).__name__} changes only in a turn of its vat")
    return ActorError(f"the object became something else than this {type(instance).__name__}")


def _refuse_delete(self: object, name: str) -> None:
    raise AttributeError(f"state cannot be deleted: set {type(self).__name__}.{name} to None")


def _make_ref_field() -> Any:
    @attrs.define
    class Holder:
        _goblins_ref: object = live()

    return attrs.fields(Holder)._goblins_ref


_REF_FIELD: Final = _make_ref_field()


@lru_cache(maxsize=1024)
def state_fields(cls: type) -> tuple[str, ...]:
    """The names of the fields that are state, in constructor order."""
    return tuple(field.name for field in attrs.fields(cls) if not field.metadata.get(_LIVE))


Method = Callable[..., object]


def _method_table(cls: type) -> dict[str | None, Method]:
    """Message name to function: under its Python name, and as it travels."""
    table: dict[str | None, Method] = {}
    names: dict[str, str] = {}
    for name, function in _messages(cls):
        if name == "__call__":
            table[_CALL] = function
            continue
        for reached in (name, method_symbol(name).name):
            other = names.setdefault(reached, name)
            if other != name:
                raise TypeError(f"{cls.__name__}: {other} and {name} are one name on the wire")
            table[reached] = function
    return table


def _messages(cls: type) -> Iterator[tuple[str, Method]]:
    """Public methods of actor classes; what hides one of them in a class below it, hides it from messages."""
    seen: set[str] = set()
    for base in cls.__mro__:
        reachable = base is cls or is_actor_class(base)
        for name, thing in vars(base).items():
            if name not in seen and reachable and isinstance(thing, FunctionType) and _is_message(name):
                yield name, thing
        seen.update(vars(base))


def _is_message(name: str) -> bool:
    return name == "__call__" or not (name.startswith("_") or name in HOOKS)


def perform(behaviour: object, args: tuple[Any, ...], kwargs: Mapping[str, object] | None) -> object:
    """Call the method that a message names, else the behaviour itself."""
    table: dict[str | None, Method] | None = getattr(type(behaviour), "__goblins_methods__", None)
    if table is None:
        return cast(Method, behaviour)(*args, **(kwargs or {}))
    if args and type(args[0]) is Symbol and (method := table.get(args[0].name)) is not None:
        return method(behaviour, *args[1:], **kwargs) if kwargs else method(behaviour, *args[1:])
    method = table.get(_CALL)
    if method is None:
        raise NoSuchMethodError(_no_such(behaviour, args))
    return method(behaviour, *args, **kwargs) if kwargs else method(behaviour, *args)


def _no_such(behaviour: object, args: tuple[object, ...]) -> str:
    kind = type(behaviour).__name__
    if args and type(args[0]) is Symbol:
        return f"{kind} has no method {args[0].name[:80]!r}"
    return f"{kind} cannot be called without a method name"


def become(behaviour: object, successor: object) -> None:
    """Behave otherwise from the moment when the running method returns (Goblins' `bcom`).

    Args:
        behaviour: the `self` of the method that runs now; only an object itself may change.
        successor: a fresh instance of an `@actor` class, or a plain callable.
    """
    turn = current_turn()
    if turn is None or turn.frame is not behaviour:
        raise ActorError("become works only on self, in a method of it that runs now")
    if not _can_behave(successor):
        raise ActorError(f"an object cannot behave as {_kind(successor)}")
    if getattr(successor, "_goblins_ref", None) is not None:
        raise ActorError("this behaviour already belongs to an object: make a new instance")
    turn.becoming = successor


def _can_behave(successor: object) -> bool:
    if is_behaviour(successor):
        return is_actor_class(type(successor))
    return callable(successor) and not isinstance(successor, type | Ref)


def _kind(thing: object) -> str:
    return (
        f"the class {thing.__name__}: make an instance"
        if isinstance(thing, type)
        else f"a {type(thing).__name__}"
    )


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(cls: C) -> C: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(*, version: int = 0) -> Callable[[C], C]: ...
def value(cls: Any = None, *, version: int = 0) -> Any:
    """Make a class into an immutable value that can be state. It equals, hashes and prints by its fields.

    Its fields must be state values themselves. It is saved if the environment lists it, and cannot be
    passed in messages (pass its fields).

    Args:
        version: of its shape, as of an `@actor` class.
    """
    return partial(_make_value, version=version) if cls is None else _make_value(cls, version=version)


def _make_value(cls: type, *, version: int) -> type:
    if "__new__" in vars(cls):
        raise TypeError(f"{cls.__name__}.__new__: a value's fields make it")
    upgrades = steps_of(cls, version)
    leaf: Any = _as_leaf(cls)
    leaf.__new__ = _new_value
    made: Any = attrs.frozen(leaf, field_transformer=_prepare_value_fields)
    made.__goblins_value__ = made
    made.__goblins_version__ = version
    made.__goblins_upgrades__ = upgrades
    return cast(type, made)


def _new_value(cls: type, *_args: object, **_kwargs: object) -> object:
    if cls.__dict__.get("__goblins_value__") is not cls:
        raise TypeError(f"{cls.__name__} is not itself decorated with @value: it could change")
    return object.__new__(cls)


def _as_leaf(cls: type) -> type:
    """The same class with `Leaf` as a base, so that it may sit in a Map: bases cannot be added later."""
    if issubclass(cls, Leaf):
        return cls
    namespace = {name: thing for name, thing in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    namespace["__qualname__"] = cls.__qualname__
    bases = tuple(base for base in cls.__bases__ if base is not object)
    leaf = types.new_class(cls.__name__, (*bases, Leaf), exec_body=lambda body: body.update(namespace))
    for thing in namespace.values():
        for function in _functions_in(thing):
            for cell in getattr(function, "__closure__", None) or ():
                if cell.cell_contents is cls:
                    cell.cell_contents = leaf  # what `super()` looks at
    return leaf


def _functions_in(thing: object) -> tuple[object, ...]:
    if isinstance(thing, property):
        return thing.fget, thing.fset, thing.fdel
    return (getattr(thing, "__func__", thing),)


def _prepare_value_fields(cls: type, fields: list[Any]) -> list[Any]:
    for field in fields:
        _check_default(cls, field)
    return [
        field.evolve(alias=field.name, converter=attrs.Converter(_checked_field, takes_field=True))
        for field in fields
    ]
