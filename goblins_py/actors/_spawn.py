"""`spawn`: make an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any, ParamSpec, TypeVar, overload

from goblins_py.actors._behaviour import is_actor_class
from goblins_py.actors._methods import FIRST, SuspendedMethod, apply_become
from goblins_py.actors._passable import is_behaviour
from goblins_py.actors._promise import Answering
from goblins_py.actors._reference import Ref, bind
from goblins_py.actors._turn import Effect, Home, Turn, require_turn
from goblins_py.errors import ActorError

__all__ = ["implant", "spawn", "start_effect"]

P = ParamSpec("P")
T = TypeVar("T")


class _Start(Answering):
    """The first turn of a spawned object that wants one."""

    __slots__ = ("ref", "restored")

    def __init__(self, ref: Ref[object], *, restored: bool) -> None:
        self.answer = None
        self.ref = ref
        self.restored = restored

    @property
    def label(self) -> str:
        return f"{type(self.ref._behaviour).__name__}.on_start"

    def perform(self, turn: Turn) -> object:
        behaviour: Any = self.ref._behaviour
        turn.frame = behaviour
        try:
            result = behaviour.on_start(self.restored)
            successor = turn.becoming
        finally:
            turn.frame = turn.becoming = None
        if successor is not None:
            apply_become(turn, self.ref, successor)
        if type(result) is CoroutineType:
            return SuspendedMethod(result, ref=self.ref, answer=None, label=self.label).stretch(turn, FIRST)
        return None


def start_effect(ref: Ref[object], *, restored: bool) -> Effect | None:
    """The effect that runs an object's `on_start`, if it has one."""
    return _Start(ref, restored=restored) if hasattr(type(ref._behaviour), "on_start") else None


@overload
def spawn(behaviour: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Ref[T]: ...
@overload
def spawn(behaviour: Callable[..., Any], /) -> Ref[Any]: ...
def spawn(behaviour: Callable[..., object], /, *args: object, **kwargs: object) -> Ref[Any]:
    """Make an object in the current vat.

    Args:
        behaviour: an `@actor` class, called with the arguments; or any plain callable (handy, but
            not persistable), without arguments.

    Raises:
        TypeError: a class that is not decorated itself, or arguments that do not fit it.
        NoCurrentTurnError: not in a turn.
    """
    turn = require_turn()
    instance = _instance(behaviour, args, kwargs)
    ref: Ref[object] = Ref(turn.home, instance)
    bind(ref, instance)
    turn.undo.append((ref, "_behaviour", _never_spawned))
    start = start_effect(ref, restored=False)
    if start is not None:
        turn.effects.append(start)
    return ref


def _never_spawned(*_args: object, **_kwargs: object) -> None:
    raise ActorError("the turn that spawned this object failed: there is no such object")


def _instance(
    behaviour: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> object:
    if is_actor_class(behaviour):
        return behaviour(*args, **kwargs)
    if isinstance(behaviour, type):
        raise TypeError(
            f"only a class that is itself decorated with @actor can be spawned: {behaviour.__name__}"
        )
    if args or kwargs or is_behaviour(behaviour) or not callable(behaviour):
        raise TypeError("spawn takes an @actor class with its arguments, or a plain callable without any")
    return behaviour


def implant(vat: Home, behaviour: object) -> Ref[Any]:
    """Make an object between turns; for the runtime, which has none of its own."""
    ref: Ref[Any] = Ref(vat, behaviour)
    bind(ref, behaviour)
    return ref
