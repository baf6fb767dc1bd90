"""What leaves a vat when a churn is released: for other vats of the process, and for peers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol, cast

from goblins_py.actors._promise import (
    Broken,
    Fulfilled,
    Listener,
    Message,
    Outcome,
    OutsideListener,
    Promise,
    RemotePending,
    Resolve,
)
from goblins_py.actors._reference import Connector
from goblins_py.actors._turn import Effect, Home

__all__ = [
    "Chase",
    "Flushed",
    "Introduce",
    "Lost",
    "Outgoing",
    "Posting",
    "Pursuit",
    "Relay",
    "RemoteChase",
    "RemoteDelivery",
    "RemoteFlush",
    "RemoteForget",
    "RemoteListen",
    "RemoteSelect",
    "carried",
]


class Outgoing(ABC):
    """What a churn wants to do to the world outside its vat."""

    __slots__ = ()

    @abstractmethod
    def release(self) -> None:
        """Do it; called on the vat's thread when the churn has ended, and is durable."""

    def drop(self, reason: BaseException) -> None:  # noqa: B027 - most have nobody to tell
        """It will never be durable: tell whoever waits."""


class Posting(Outgoing):
    """Something for another vat of this process."""

    __slots__ = ("home", "item")

    def __init__(self, home: Home, item: Effect) -> None:
        self.home = home
        self.item = item

    def release(self) -> None:
        self.home.post(self.item)

    def drop(self, reason: BaseException) -> None:
        self.item.refuse(reason)


class RemoteDelivery(Outgoing):
    """A message for a peer."""

    __slots__ = ("connector", "message", "target")

    def __init__(self, connector: Connector, target: object, message: Message) -> None:
        self.connector = connector
        self.target = target
        self.message = message

    def release(self) -> None:
        self.connector.deliver(self.target, self.message)


class RemoteSelect(RemoteDelivery):
    """A request for a part of a peer's promise."""

    __slots__ = ()

    def release(self) -> None:
        self.connector.select(self.target, self.message)


class RemoteListen(Outgoing):
    """Somebody waits for a promise of a peer's."""

    __slots__ = ("connector", "promise")

    def __init__(self, connector: Connector, promise: Promise[object]) -> None:
        self.connector = connector
        self.promise = promise

    def release(self) -> None:
        self.connector.listen(self.promise)


class RemoteFlush(Outgoing):
    """A peer is asked to say when all has arrived that was sent to its promise; see `Flushed`."""

    __slots__ = ("connector", "promise")

    def __init__(self, connector: Connector, promise: Promise[object]) -> None:
        self.connector = connector
        self.promise = promise

    def release(self) -> None:
        self.connector.flush(self.promise)


class RemoteForget(Outgoing):
    """A peer's promise was part of a cycle, and is broken here."""

    __slots__ = ("connector", "promise")

    def __init__(self, connector: Connector, promise: Promise[object]) -> None:
        self.connector = connector
        self.promise = promise

    def release(self) -> None:
        self.connector.forget(self.promise)


class RemoteChase(Outgoing):
    """A peer waits here for a promise of another peer's: maybe for itself; see `Pursuit`."""

    __slots__ = ("connector", "path", "promise")

    def __init__(self, connector: Connector, promise: Promise[object], path: tuple[bytes, ...] = ()) -> None:
        self.connector = connector
        self.promise = promise
        self.path = path

    def release(self) -> None:
        self.connector.chase(self.promise, self.path)


class _Way(Protocol):
    """What of a crossroads is used here."""

    outsiders: set[OutsideListener]
    outbox: list[Outgoing]

    def chase(self, at: Promise[object], origin: Promise[object]) -> None:
        """See `Chase`."""

    def pursue(self, promise: Promise[object], path: tuple[bytes, ...]) -> None:
        """See `Pursuit`."""

    def flushed(self, promise: Promise[object]) -> None:
        """See `Flushed`."""

    def lost(self, promise: Promise[object], broken: Broken) -> None:
        """See `Lost`."""


class _Notify(Effect):
    """A far promise has settled: tell a listener of this vat."""

    __slots__ = ("listener", "outcome")

    def __init__(self, listener: Listener, outcome: Outcome) -> None:
        self.listener = listener
        self.outcome = outcome

    def commit(self, vat: Home) -> None:
        self.listener.notify(vat, self.outcome)


def carried(item: Effect) -> Iterator[object]:
    """The values that reach another vat with what is posted to it."""
    if isinstance(item, Message):
        yield from item.args
        yield from (item.kwargs or {}).values()
    elif isinstance(item, Resolve | _Notify) and isinstance(item.outcome, Fulfilled):
        yield item.outcome.value


class Relay(OutsideListener):
    """Stands at a far promise for a listener of our own vat."""

    __slots__ = ("abroad", "home", "in_order", "listener")

    def __init__(self, home: Home, listener: Listener) -> None:
        self.home = home
        self.listener = listener
        self.in_order = listener.in_order
        self.abroad = listener.abroad

    def notify(self, vat: Home, outcome: Outcome) -> None:
        way = cast(_Way, vat)
        way.outsiders.discard(self)
        way.outbox.append(Posting(self.home, _Notify(self.listener, outcome)))

    def owns(self, promise: Promise[object]) -> bool:
        return self.listener.owns(promise)

    def abandon(self, reason: BaseException) -> None:
        self.home.post(_Notify(self.listener, Broken(reason)))


class Chase(Effect):
    """Follows the promise that `origin` follows, from vat to vat: if it comes home, there is a cycle.

    No vat sees the whole of a chain that leads through others. Of the promises of a cycle the last one
    that was resolved finds all others in place, so its chase comes home.
    """

    __slots__ = ("at", "origin")

    def __init__(self, at: Promise[object], origin: Promise[object]) -> None:
        self.at = at
        self.origin = origin

    def commit(self, vat: Home) -> None:
        cast(_Way, vat).chase(self.at, self.origin)


class Pursuit(Effect):
    """A chase that came from a peer: it goes on to whose promise this one waits for.

    Attributes:
        path: tokens of the peers' promises that it has passed. Who finds its own in there closes a cycle.
    """

    __slots__ = ("path", "promise")

    def __init__(self, promise: Promise[object], path: tuple[bytes, ...]) -> None:
        self.promise = promise
        self.path = path

    def commit(self, vat: Home) -> None:
        cast(_Way, vat).pursue(self.promise, self.path)


class Flushed(Effect):
    """All has arrived that was sent to a peer's promise before the `RemoteFlush`. Posted by the connector."""

    __slots__ = ("promise",)

    def __init__(self, promise: Promise[object]) -> None:
        self.promise = promise

    def commit(self, vat: Home) -> None:
        cast(_Way, vat).flushed(self.promise)


class Introduce(Resolve):
    """A peer's promise becomes a third party's object, that we are being introduced to."""

    __slots__ = ()

    def commit(self, vat: Home) -> None:
        state = self.promise._state if self.promise._home is vat else None
        if isinstance(state, RemotePending):
            state.third = True
        super().commit(vat)


class Lost(Effect):
    """The peer is gone that a promise leads to. Posted by the connector; the last that is heard of it."""

    __slots__ = ("broken", "promise")

    def __init__(self, promise: Promise[object], broken: Broken) -> None:
        self.promise = promise
        self.broken = broken

    def commit(self, vat: Home) -> None:
        cast(_Way, vat).lost(self.promise, self.broken)

    def refuse(self, reason: BaseException) -> None:
        Resolve(self.promise, self.broken).refuse(reason)
