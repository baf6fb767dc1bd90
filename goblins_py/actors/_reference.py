"""References: the only way to get at an object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, Generic, NoReturn, TypeVar
from weakref import ReferenceType

import attrs

from goblins_py.actors._turn import Home, current_turn, require_turn
from goblins_py.errors import ActorError, NoCurrentTurnError
from goblins_py.syrup import Leaf, Symbol

__all__ = [
    "Connector",
    "Link",
    "NearOnly",
    "Ref",
    "Severable",
    "Source",
    "bind",
    "is_near",
    "is_remote",
    "is_verified",
    "message_name",
    "method_symbol",
    "ref_to",
    "way_out",
]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class NearOnly:
    """Marks things that are no values but may be passed to near objects (`Io`, connections).

    They cannot be state, cannot leave the vat, and are kept in `live()` fields.
    """

    __slots__ = ()


class Severable(ABC):
    """Somebody who wants to know when a reference is severed."""

    __slots__ = ()

    @abstractmethod
    def severed(self, reason: str) -> None:
        """Called once, outside of turns, on the home vat's thread."""


class Connector(ABC):
    """What remote references and promises are connected to (a CapTP session).

    All calls are made on the thread of the references' home vat, outside of turns, when the
    churn that caused them is released. `target` and `message` are a Ref or Promise and a Message;
    they are typed by those who know them.

    Attributes:
        indirect: messages never get here, but go where `lead` says.
    """

    __slots__ = ()
    indirect: bool = False

    def lead(self, home: Home) -> object:
        """Of an indirect one: the promise that a message goes on to. Between turns."""
        raise NotImplementedError

    def behind(self) -> Ref[Any] | None:
        """Of an indirect one: the reference that it leads to, as far as that is known."""
        return None

    def saved_as(self, ref: object) -> Source | str:
        """How a reference that is connected so can be had again after a restart; or why it cannot."""
        return "it was a live reference to an object of a peer, of which no sturdyref was known"

    @property
    def verified(self) -> bool:
        """Is it certain whom this leads to?"""
        return False

    @abstractmethod
    def deliver(self, target: object, message: object) -> None:
        """Send a message; if it cannot be sent its answer breaks."""

    @abstractmethod
    def select(self, target: object, request: object) -> None:
        """Ask a promise of the connector's for a part of what it will be: a `Select`, typed as above.

        What becomes of its answer is told only to whoever listens.
        """

    @abstractmethod
    def listen(self, promise: object) -> None:
        """Somebody waits for this promise of the connector's: see that it hears of it."""

    def flush(self, promise: object) -> None:  # noqa: B027 - not to answer is safe, and slow
        """Post `Flushed` when all has arrived that was sent to this promise so far."""

    def forget(self, promise: object) -> None:  # noqa: B027 - it is only a matter of memory
        """This promise of the connector's is not needed any more, though something may hold on to it.

        Promises that follow each other hold each other, by way of their peers, where no collector sees it.
        """

    def chase(self, promise: object, path: tuple[bytes, ...]) -> None:  # noqa: B027 - who waits, waits on
        """See whether this promise of the connector's, if it does not settle soon, waits for itself.

        Args:
            path: tokens of what has been passed by a chase that is under way; none if this starts one.
        """

    @abstractmethod
    def watch(self, listener: Severable) -> None:
        """Tell the listener when the connection ends; at once if it has."""


@attrs.frozen
class Source:
    """How a remote reference was had, and can be had again: `send(enlivener).enliven(leaf)`.

    Attributes:
        enlivener: a mycapn, say. leaf: a sturdyref, say; may be a secret.
    """

    enlivener: Ref[Any]
    leaf: Leaf = attrs.field(repr=False)


class _NearMethod:
    """`ref.name`: to be called at once."""

    __slots__ = ("_name", "_target")

    def __init__(self, target: object, name: str) -> None:
        self._target = target
        self._name = name

    def __call__(self, *args: object, **kwargs: object) -> Any:  # Any: what a behaviour returns
        return require_turn().near_call(self._target, (method_symbol(self._name), *args), kwargs)

    def __repr__(self) -> str:
        return f"<near method {self._name}>"


class RefParts:
    """What compiled code sees of a reference, without a look into its class.

    Attributes:
        _home: the vat that its messages go to.
        _behaviour: of an object of that vat.
        _connector: what leads to an object that is elsewhere.
        _slot: its number in the store of a persistent vat.
    """

    __slots__ = ("_behaviour", "_connector", "_home", "_slot")

    def __init__(self, home: Home, behaviour: object = None, connector: Connector | None = None) -> None:
        self._home = home
        self._behaviour = behaviour
        self._connector = connector
        self._slot: int | None = None


class Ref(RefParts, Leaf, Generic[T_co]):
    """A reference to an object: in this vat (near), in another one, or on another machine.

    `ref.greet("Bob")` and `ref("Bob")` call a near object at once (Goblins' `$`); `send(ref)`
    works for all. It has no public attributes: every public name is a message. Two references
    are equal if they are the same one. It cannot be pickled; its repr tells no secret.

    Raises (near call):
        NotNearError: the object is elsewhere. NoCurrentTurnError: not in a turn.
        NotPassableError: an argument or the result is no value. Else what the object raises, with
        everything that the call did undone.
    """

    __slots__ = ("__weakref__",)

    def __getattr__(self, name: str) -> Any:  # Any: the signature is the behaviour's
        if name.startswith("_"):
            raise AttributeError(f"references have no attribute {name!r}: underscore names are no messages")
        return _NearMethod(self, name)

    def __call__(self, *args: object, **kwargs: object) -> Any:  # Any: what a behaviour returns
        return require_turn().near_call(self, args, kwargs)

    def __repr__(self) -> str:
        if self._connector is not None:
            return "<Ref to a remote object>"
        return f"<Ref to {_kind_name(self._behaviour)} in vat {self._home.name!r}>"

    def __copy__(self) -> Ref[T_co]:
        return self

    def __deepcopy__(self, memo: object) -> Ref[T_co]:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a reference cannot be pickled: share its sturdyref, or keep it in a persistent vat")

    __iter__ = None


def _kind_name(behaviour: object) -> str:
    if behaviour is None:
        return "nothing yet"
    kind = type(behaviour)
    return getattr(behaviour, "__name__", kind.__name__) if callable(behaviour) else kind.__name__


class Link(ReferenceType[Ref[Any]]):
    """From a behaviour to its reference; weak, for an unreachable object must die at once.

    Attributes:
        home: the vat of the object.
        former: the object behaves otherwise by now, and what this behaviour holds is no state of it any more.
    """

    __slots__ = ("former", "home")
    former: bool
    home: Home


def bind(ref: Ref[object], behaviour: object) -> None:
    """Let an actor instance know its reference. Raises `ActorError` if it has one."""
    if hasattr(type(behaviour), "__goblins_methods__"):
        if behaviour._goblins_ref is not None:  # type: ignore[attr-defined]
            raise ActorError("this behaviour already belongs to an object: make a new instance")
        _link(ref, behaviour)


def _link(ref: Ref[Any], behaviour: object) -> None:
    link = Link(ref)
    link.home = ref._home
    link.former = False
    object.__setattr__(behaviour, "_goblins_ref", link)


def ref_to(behaviour: T) -> Ref[T]:
    """The reference to the object that behaves so: `ref_to(self)` in a method.

    Raises:
        ActorError: it is the behaviour of no object.
    """
    link: Link | None = getattr(behaviour, "_goblins_ref", None)
    if link is None:
        raise ActorError("this is not the behaviour of a living object: spawn it first")
    ref: Ref[T] | None = link()
    if ref is not None:
        return ref
    if link.former:
        raise ActorError("the object that behaved so became something else, and is gone")
    # Nobody held the reference, but a handler, say, still has the behaviour: a new one is as good.
    ref = Ref(link.home, behaviour)
    _link(ref, behaviour)
    return ref


def is_near(ref: object) -> bool:
    """Is this a reference to an object of the vat whose turn it is? Only then may it be called."""
    turn = current_turn()
    if turn is None:
        raise NoCurrentTurnError("near to what? is_near works only in a turn")
    return isinstance(ref, Ref) and ref._home is turn.home and ref._connector is None


def is_verified(ref: object) -> bool:
    """Is it certain who is behind this reference?

    Of an object of this process, and of a peer whose designator was checked; not of a peer that connected
    to us without proving its own.
    """
    return isinstance(ref, Ref) and (ref._connector is None or ref._connector.verified)


def is_remote(ref: object) -> bool:
    """Is this a reference to an object of another process? (Never of a promise.)"""
    return isinstance(ref, Ref) and ref._connector is not None


def way_out(ref: Ref[Any]) -> Connector | None:
    """What messages to it cross by; None if they stay in this process, at first at least."""
    connector = ref._connector
    return None if connector is None or connector.indirect else connector


@lru_cache(maxsize=4096)
def method_symbol(name: str) -> Symbol:
    """A Python method name as it travels: `deposit_gift` -> `deposit-gift`, `break_` -> `break`.

    Our choice (the drafts have no rule): one trailing underscore is dropped, as Python's
    own keywords need one; every other underscore becomes a hyphen, as Scheme writes names.
    """
    return Symbol(name.removesuffix("_").replace("_", "-"))


def message_name(method: object) -> Symbol:
    """The name that a method, given as `Greeter.greet`, travels under.

    Raises:
        TypeError: it is no method, or a private one, which never becomes a message.
    """
    name = getattr(method, "__name__", None)
    if not isinstance(name, str) or name.startswith("_"):
        raise TypeError("this is not a public method: name one as in send(ref, Greeter.greet)")
    return method_symbol(name)
