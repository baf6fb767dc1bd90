"""`send`, `send_only` and `call`: messages, noted in the current turn or called at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, overload

from goblins_py.actors._passable import is_behaviour, passable_args, passable_kwargs
from goblins_py.actors._promise import Message, Promise, select
from goblins_py.actors._reference import Ref, message_name, method_symbol, ref_to
from goblins_py.actors._selection import untagging
from goblins_py.actors._turn import _current, require_turn
from goblins_py.syrup import Symbol

__all__ = ["Sender", "call", "make_message", "send", "send_only", "untag"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Target = Ref[T] | Promise[Ref[T]]


def make_message(
    target: object, args: tuple[object, ...], kwargs: Mapping[str, object], answer: Promise[object] | None
) -> Message:
    """A message, its arguments converted at the border.

    Raises:
        NotPassableError: an argument is no value; nothing was sent.
        TypeError: the target is neither a reference nor a promise.
    """
    if isinstance(target, Ref) or isinstance(target, Promise):  # noqa: SIM101 - `|` is built each time
        to = target
    elif is_behaviour(target):
        to = ref_to(target)
    else:
        raise TypeError(f"messages go to references and promises, not to a {type(target).__name__}")
    converted, near_only = passable_args(args)
    if not kwargs:
        return Message(to, converted, None, answer, near_only=near_only)
    named, near_only_too = passable_kwargs(kwargs)
    return Message(to, converted, named, answer, near_only=near_only or near_only_too)


def _note(target: object, /, *args: object, **kwargs: object) -> Promise[Any]:
    """Send in a turn: the message waits for its end."""
    turn = _current.turn or require_turn()
    answer: Promise[object] = Promise(turn.home)
    if type(target) is Ref and not kwargs:  # nearly always; the rest is `make_message`, without its call
        converted, near_only = passable_args(args)
        message = Message(target, converted, None, answer)
        message.near_only = near_only
        turn.effects.append(message)
    else:
        turn.effects.append(make_message(target, args, kwargs, answer))
    return answer


def _note_only(target: object, /, *args: object, **kwargs: object) -> None:
    require_turn().effects.append(make_message(target, args, kwargs, None))


Post = Callable[..., Any]
"""What a Sender does with a message: `post(target, *args, **kwargs)` -> promise or None."""


class Sender:
    """`send(ref)`: every public attribute is a message, calling it sends without a method name.

    `sender[Symbol("exactName")]` sends a name as it stands.
    """

    __slots__ = ("_post", "_target")

    def __init__(self, target: object, post: Post) -> None:
        self._target = target
        self._post = post

    def __getattribute__(self, name: str) -> Any:
        if name[:1] != "_":  # found here and not by __getattr__, which costs an exception each time
            return partial(_post_of(self), _target_of(self), method_symbol(name))
        return _own(self, name)

    def __getattr__(self, name: str) -> Callable[..., Any]:  # Any: the answer is the behaviour's
        raise AttributeError(f"{name!r} is no message: underscore names stay private")

    def __getitem__(self, symbol: Symbol) -> Callable[..., Any]:
        if type(symbol) is not Symbol:
            raise TypeError("a message's exact name is a Symbol")
        return partial(self._post, self._target, symbol)

    def __call__(self, *args: object, **kwargs: object) -> Any:  # Any: the answer is the behaviour's
        return self._post(self._target, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<send to {self._target!r}>"


_own: Final = object.__getattribute__
_post_of: Final[Callable[[Sender], Post]] = Sender.__dict__["_post"].__get__
_target_of: Final[Callable[[Sender], object]] = Sender.__dict__["_target"].__get__


@overload
def send(target: object, /) -> Sender: ...
@overload
def send(
    target: Target[T],
    method: Callable[Concatenate[T, P], Coroutine[Any, Any, R]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Promise[R]: ...
@overload
def send(
    target: Target[T], method: Callable[Concatenate[T, P], Promise[R]], /, *args: P.args, **kwargs: P.kwargs
) -> Promise[R]: ...
@overload
def send(
    target: Target[T], method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs
) -> Promise[R]: ...
def send(target: object, method: Any = None, /, *args: Any, **kwargs: Any) -> Any:
    """Send eventually (`<-`): never waits, works on any reference or promise, near or far.

    `send(ref).greet("Bob")` and its typed twin `send(ref, Greeter.greet, "Bob")` are the same message; both
    return a promise of the answer. The message leaves when the turn has succeeded.

    Raises:
        NotPassableError: an argument is no value. NoCurrentTurnError: use `vat.send` outside of turns.
    """
    if method is None:
        return Sender(target, _note)
    return _note(target, message_name(method), *args, **kwargs)


def send_only(target: object, /) -> Sender:
    """Send and ask for no answer (`<-np`): its messages return None, failures are only logged there."""
    return Sender(target, _note_only)


@overload
def call(
    ref: Ref[T],
    method: Callable[Concatenate[T, P], Coroutine[Any, Any, R]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Promise[R]: ...
@overload
def call(ref: Ref[T], method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
def call(ref: Any, method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """`ref.method(...)`, typed: `call(ref, Greeter.greet, "Bob")` is a `str`."""
    return require_turn().near_call(ref, (message_name(method), *args), kwargs)


def untag(promise: Promise[Any], tag: str) -> Promise[Any]:
    """A promise of what is under this tag in the `Tagged` that another will be; breaks if that is another.

    As with `promise["field"]` and `promise[0]`, in turns and outside of them, and without a round trip.
    """
    if not isinstance(promise, Promise):
        raise TypeError(f"untag takes a promise, not a {type(promise).__name__}")
    return select(promise, untagging(tag))
