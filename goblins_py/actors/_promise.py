"""Promises: what an eventual send returns, and the messages that wait on them.

One class per state. A promise belongs to one vat, its home; only that vat's thread looks at
its state. How states change lives in `_crossroads`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from typing import Any, Final, Generic, NoReturn, TypeAlias, TypeVar, cast

from goblins_py.actors._reference import Connector, Ref
from goblins_py.actors._report import message_label
from goblins_py.actors._selection import Selection, selection_of
from goblins_py.actors._turn import Effect, Home, Turn, Work, current_turn
from goblins_py.errors import ActorError
from goblins_py.syrup import Leaf

__all__ = [
    "FRESH",
    "Answering",
    "Broken",
    "Crossroads",
    "Detour",
    "Following",
    "Fresh",
    "Fulfilled",
    "Listen",
    "Listener",
    "Message",
    "Outcome",
    "OutsideListener",
    "Pending",
    "Promise",
    "RemotePending",
    "Resolve",
    "Select",
    "outcome_of",
    "promise_told",
    "reconnect",
    "select",
    "unwrap",
]

T_co = TypeVar("T_co", covariant=True)


class Answering(Work):
    """Work whose result settles a promise.

    Attributes:
        answer: the promise; None if nobody asked.
        cause: what the turn was told; if it raises just that, it is passed on and not reported.
    """

    __slots__ = ("answer",)
    answer: Promise[object] | None

    @property
    def cause(self) -> Outcome | None:
        return None

    @property
    def label(self) -> str:
        """What the log calls it, without any argument's value."""
        raise NotImplementedError

    def done(self, vat: Home, result: object) -> None:
        answer = self.answer
        if answer is not None:
            if isinstance(result, Promise) or answer._state is not FRESH or answer._home is not vat:
                cast(Crossroads, vat).resolve(answer, outcome_of(result))
            else:
                answer._state = Fulfilled(result)  # all that `resolve` would do

    def failed(self, vat: Home, error: BaseException) -> None:
        cast(Crossroads, vat).fail(self, error)


class Message(Answering):
    """An eventual send: `target` gets `args`, `answer` (if any) becomes what it returns.

    Attributes:
        target: a Ref or Promise; may be replaced by what the promise became.
        args: passable values; a method call has its symbol first.
        kwargs: passable values by name, or None.
        answer: a promise of the sender's vat, or None (`send_only`).
        near_only: an argument is `NearOnly`: the message must not leave the vat.
    """

    __slots__ = ("args", "kwargs", "near_only", "target")

    def __init__(
        self,
        target: Ref[object] | Promise[object],
        args: tuple[object, ...],
        kwargs: dict[str, object] | None = None,
        answer: Promise[object] | None = None,
        *,
        near_only: bool = False,
    ) -> None:
        self.target = target
        self.args = args
        self.kwargs = kwargs
        self.answer = answer
        self.near_only = near_only

    @property
    def label(self) -> str:
        return message_label(self.target, self.args)

    def commit(self, vat: Home) -> None:
        vat.route(self)  # type: ignore[attr-defined]  # as above

    def perform(self, turn: Turn) -> object:
        return turn.deliver(self)

    def refuse(self, reason: BaseException) -> None:
        if self.answer is not None:
            self.answer._home.post(Resolve(self.answer, Broken(reason)))


class Select(Message):
    """Asks a promise for a part of the value that it will be: routed like a message, and in order with them.

    Attributes:
        selection: which part. The answer becomes it.
    """

    __slots__ = ("selection",)

    def __init__(self, target: Promise[object], selection: Selection, answer: Promise[object]) -> None:
        super().__init__(target, (), None, answer)
        self.selection = selection


class Listener(ABC):
    """Somebody who waits for a promise.

    Attributes:
        in_order: it also wants to know that all that was sent to the promise before has arrived.
        abroad: a peer waits by it.
        stays: it waits for just this promise, not for what that follows, and is nobody who hears of a break.
    """

    __slots__ = ()
    in_order: bool = False
    abroad: bool = False
    stays: bool = False

    def owns(self, promise: Promise[object]) -> bool:
        """Is it the peer that will settle this promise? Then it waits for itself, and is told so."""
        return False

    def changed(self, vat: Home, promise: Promise[object]) -> None:  # noqa: B027 - most do not stay
        """One that stays: the promise has another state, where it does not wait any more. As `notify`."""

    @abstractmethod
    def notify(self, vat: Home, outcome: Outcome) -> None:
        """The promise has settled; called once, between turns, on the promise's home vat."""


class OutsideListener(Listener):
    """Somebody who waits from outside the promise's vat, and is told if that closes."""

    __slots__ = ()

    @abstractmethod
    def abandon(self, reason: BaseException) -> None:
        """The vat has closed, and the promise will not settle any more. Any thread."""


class Fresh:
    """Nothing is known yet, and nobody waits."""

    __slots__ = ()


FRESH: Final = Fresh()
"""The only one: most promises are never more than this, until they have settled."""


class Pending:
    """Nothing is known yet: messages and listeners wait here."""

    __slots__ = ("listeners", "messages")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.listeners: list[Listener] = []


class RemotePending:
    """A peer will settle it: messages cross at once, listeners wait here.

    Attributes:
        asked: the connector knows that somebody waits.
        used: messages have crossed.
        third: what it becomes is somewhere else.
    """

    __slots__ = ("asked", "connector", "listeners", "third", "used")

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self.listeners: list[Listener] = []
        self.asked = False
        self.used = False
        self.third = False


class Following:
    """It became another promise, and shares its fate."""

    __slots__ = ("to",)

    def __init__(self, to: Promise[object]) -> None:
        self.to = to


class Fulfilled:
    """It became a value: a Ref, or data."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class Detour:
    """A peer has settled it, but messages to it are still under way by that peer: later ones follow them.

    Attributes:
        became: what it is once the way is clear; whoever listens gets this at once.
        clears: the way can become clear; not to a third party's object, which only the peer sees.
        flushing: the connector was asked to say when all has arrived that was sent until then.
        sent: messages have crossed since.
        covered, waiting: who waits for the end of this flush, and of the next one.
    """

    __slots__ = ("became", "clears", "connector", "covered", "flushing", "sent", "waiting")

    def __init__(self, connector: Connector, became: Fulfilled | Following, *, clears: bool) -> None:
        self.connector = connector
        self.became = became
        self.clears = clears
        self.flushing = False
        self.sent = True
        self.covered: list[Listener] = []
        self.waiting: list[Listener] = []


class Broken:
    """It never will be a value. Once broken, always broken.

    Attributes:
        reason: the local exception itself, without its traceback; or a `RemoteError`.
        logged: the reason is in the log already, nobody has to be told.
        heard: somebody has been told (or the log has). If nobody ever is, `unheard`, which the vat sets
            when a promise becomes so, gets the reason when the last such promise is collected.
    """

    __slots__ = ("heard", "logged", "reason", "unheard")

    def __init__(self, reason: BaseException, *, heard: bool = False) -> None:
        self.reason = reason
        self.logged = heard
        self.heard = heard
        self.unheard: deque[BaseException] | None = None

    def passed_on(self) -> Broken:
        """The same for a promise further down, which somebody has to hear of as well."""
        return Broken(self.reason, heard=self.logged)

    def __del__(self) -> None:  # only notes: this may run anywhere, in any thread
        if not self.heard and self.unheard is not None:
            self.unheard.append(self.reason)


Outcome: TypeAlias = Fulfilled | Broken
State: TypeAlias = Fresh | Pending | RemotePending | Detour | Following | Fulfilled | Broken


class PromiseParts:
    """What compiled code sees of a promise, without a look into its class.

    Attributes:
        _home: the vat that it belongs to.
        _state: what is known of it.
    """

    __slots__ = ("_home", "_state")

    def __init__(self, home: Home, state: State = FRESH) -> None:
        self._home = home
        self._state: State = state


class Promise(PromiseParts, Leaf, Generic[T_co]):
    """A value that is not there yet. Send to it with `send`, wait with `await`, `on` or `wait`.

    Awaiting works in an `async def` method (the rest of it runs in a later turn) and in any trio
    task. A broken promise raises: what a local object raised, or `RemoteError`, or
    `SessionSeveredError`. Compares by identity; cannot be pickled.
    """

    __slots__ = ("__weakref__",)

    def __await__(self) -> Generator[Any, Any, T_co]:
        if current_turn() is not None:
            return (yield self)  # type: ignore[no-any-return]  # the vat goes on, and sends the outcome in
        waiting = self._home.host.wait(self)
        return (yield from waiting.__await__())  # type: ignore[return-value]  # of `object`

    def wait(self, timeout: float | None = None) -> T_co:
        """Block this thread until the promise settles; for synchronous programs.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: not settled in time; the promise goes on. ActorError: called in a turn or on
                the vat's own thread, which would wait for itself. Else what broke the promise.
        """
        if current_turn() is not None:
            raise ActorError("a turn cannot block: await the promise, or use on(...)")
        return cast(T_co, self._home.host.wait_blocking(self, timeout))

    def __getitem__(self, key: str | int) -> Promise[Any]:
        """A promise of a field, or an item, of what this one will be; in turns and outside of them.

        Asked of the peer at once, without waiting, if the promise is a peer's. It breaks with `Refusal` (or
        the peer's `RemoteError`) if there is no such thing. See also `untag`.
        """
        return select(self, selection_of(key))

    def __repr__(self) -> str:
        return f"<Promise of vat {self._home.name!r}>"

    def __copy__(self) -> Promise[T_co]:
        return self

    def __deepcopy__(self, memo: object) -> Promise[T_co]:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a promise cannot be pickled")

    __iter__ = None


class Crossroads(Home):
    """The part of a vat that moves messages and settles promises; always between turns."""

    @property
    def closed(self) -> bool:
        """Was it closed?"""
        raise NotImplementedError

    def route(self, message: Message) -> None:
        """Send the message one step on: into the queue, to wait, or out of the vat."""
        raise NotImplementedError

    def resolve(self, promise: Promise[object], outcome: Outcome | Promise[object]) -> None:
        """Settle a promise, or let it follow another; nothing if it was resolved before."""
        raise NotImplementedError

    def fail(self, work: Answering, error: BaseException) -> None:
        """Break the answer of a turn that failed, and log why if nobody has."""
        raise NotImplementedError

    def listen(self, promise: Promise[object], listener: Listener) -> None:
        """Notify the listener once the promise has settled, maybe at once."""
        raise NotImplementedError

    def admit(self, listener: OutsideListener) -> None:
        """Remember who waits from outside, until it is notified or the vat closes."""
        raise NotImplementedError


class Resolve(Effect):
    """Settle a promise when the turn succeeds."""

    __slots__ = ("outcome", "promise")

    def __init__(self, promise: Promise[object], outcome: Outcome | Promise[object]) -> None:
        self.promise = promise
        self.outcome = outcome

    def commit(self, vat: Home) -> None:
        vat.resolve(self.promise, self.outcome)  # type: ignore[attr-defined]  # a cast is a call

    def refuse(self, reason: BaseException) -> None:
        """It came by a vat that is closed (a session's, say): the promise may belong to a living one."""
        home = cast(Crossroads, self.promise._home)
        if not home.closed:
            home.post(self)


class Listen(Effect):
    """Wait for a promise when the turn succeeds."""

    __slots__ = ("listener", "promise")

    def __init__(self, promise: Promise[object], listener: Listener) -> None:
        self.promise = promise
        self.listener = listener

    def commit(self, vat: Home) -> None:
        crossroads: Crossroads = vat  # type: ignore[assignment]  # a cast is a call, and this is hot
        if isinstance(self.listener, OutsideListener) and self.promise._home is vat:
            crossroads.admit(self.listener)
        crossroads.listen(self.promise, self.listener)

    def refuse(self, reason: BaseException) -> None:
        if isinstance(self.listener, OutsideListener):
            self.listener.abandon(reason)


def outcome_of(result: object) -> Outcome | Promise[object]:
    """What a promise becomes that is fulfilled with this value."""
    return result if isinstance(result, Promise) else Fulfilled(result)


def unwrap(outcome: Outcome, *, keep_traceback: bool = False) -> object:
    """The value of an outcome, or raise its reason.

    Args:
        keep_traceback: of a function that failed for just this caller.
    """
    if isinstance(outcome, Broken):
        raise outcome.reason if keep_traceback else outcome.reason.with_traceback(None)
    return outcome.value


def reconnect(thing: Ref[Any] | Promise[Any], old: Connector, new: Connector) -> None:
    """What was to be reached by one connector, over which nothing has ever arrived, is reached by another."""
    if isinstance(thing, Ref):
        if thing._connector is old:
            thing._connector = new
    elif isinstance(thing._state, RemotePending) and thing._state.connector is old:
        thing._state.connector = new


def promise_told(home: Home, listener: Listener | None) -> Promise[object]:
    """A new promise that a listener of its own vat waits for already."""
    if listener is None:
        return Promise(home)
    pending = Pending()
    pending.listeners.append(listener)
    return Promise(home, pending)


def select(promise: Promise[Any], selection: Selection) -> Promise[Any]:
    """A promise of a part of what another one will be."""
    turn = current_turn()
    answer: Promise[Any] = Promise(promise._home if turn is None else turn.home)
    request = Select(promise, selection, answer)
    if turn is None:
        promise._home.post(request)
    else:
        turn.effects.append(request)
    return answer
