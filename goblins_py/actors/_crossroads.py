"""Where messages go and how promises settle: all the rules, and nothing of turns.

The rules, once: a message to a promise waits where the promise is (for a local one here, for a
remote one at the peer, so it crosses at once: pipelining). What a promise becomes, its messages
and listeners follow, in order. What belongs to another vat or peer is put into the outbox; nothing in
here has an effect outside of the vat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import cast

from goblins_py.actors._promise import (
    Broken,
    Crossroads,
    Following,
    Fulfilled,
    Listen,
    Listener,
    Message,
    Outcome,
    OutsideListener,
    Pending,
    Promise,
    RemotePending,
    Resolve,
)
from goblins_py.actors._reference import Connector, Ref
from goblins_py.actors._turn import Effect, Home
from goblins_py.errors import ActorError, NotPassableError

__all__ = ["Junction", "Outgoing", "Posting", "Work"]


class Work(ABC):
    """Something in the near queue: a turn to be run."""

    __slots__ = ()

    @abstractmethod
    def run(self, vat: Junction) -> None:
        """Run it."""


class Outgoing(ABC):
    """What a churn wants to do to the world outside its vat."""

    __slots__ = ()

    @abstractmethod
    def release(self) -> None:
        """Do it; called on the vat's thread when the churn has ended, and is durable."""


class Posting(Outgoing):
    """Something for another vat of this process."""

    __slots__ = ("home", "item")

    def __init__(self, home: Home, item: Effect) -> None:
        self.home = home
        self.item = item

    def release(self) -> None:
        self.home.post(self.item)


class _RemoteDelivery(Outgoing):
    __slots__ = ("connector", "message", "target")

    def __init__(self, connector: Connector, target: object, message: Message) -> None:
        self.connector = connector
        self.target = target
        self.message = message

    def release(self) -> None:
        self.connector.deliver(self.target, self.message)


class _RemoteListen(Outgoing):
    __slots__ = ("connector", "promise")

    def __init__(self, connector: Connector, promise: Promise[object]) -> None:
        self.connector = connector
        self.promise = promise

    def release(self) -> None:
        self.connector.listen(self.promise)


class _Notify(Effect):
    """A far promise has settled: tell a listener of this vat."""

    __slots__ = ("listener", "outcome")

    def __init__(self, listener: Listener, outcome: Outcome) -> None:
        self.listener = listener
        self.outcome = outcome

    def commit(self, vat: Home) -> None:
        self.listener.notify(vat, self.outcome)


class _Relay(OutsideListener):
    """Stands at a far promise for a listener of our own vat."""

    __slots__ = ("home", "listener")

    def __init__(self, home: Home, listener: Listener) -> None:
        self.home = home
        self.listener = listener

    def notify(self, vat: Home, outcome: Outcome) -> None:
        junction = cast(Junction, vat)
        junction.outsiders.discard(self)
        junction.outbox.append(Posting(self.home, _Notify(self.listener, outcome)))

    def abandon(self, reason: BaseException) -> None:
        self.home.post(_Notify(self.listener, Broken(reason)))


class Junction(Crossroads):
    """The crossroads itself.

    Attributes:
        queue: near work of the current churn, oldest first.
        outbox: what leaves when the churn is released, in order.
        unheard: reasons of broken promises that nobody was told of.
        outsiders: who waits here from outside the vat.
        suspended: methods that wait at an await.
    """

    def __init__(self) -> None:
        self.queue: deque[Message | Work] = deque()
        self.outbox: list[Outgoing] = []
        self.unheard: list[BaseException] = []
        self.outsiders: set[OutsideListener] = set()
        self.suspended: set[object] = set()

    @abstractmethod
    def resume(self, method: object, outcome: Outcome) -> None:
        """Queue the next stretch of a suspended method."""

    def admit(self, listener: OutsideListener) -> None:
        self.outsiders.add(listener)

    def route(self, message: Message) -> None:
        target: object = message.target
        while isinstance(target, Promise):
            if target._home is not self:
                self._leave(message, target, Posting(target._home, message))
                return
            state = target._state
            match state:
                case Fulfilled():
                    target = state.value
                case Following():
                    target = state.to
                case Pending():
                    message.target = target
                    state.messages.append(message)
                    return
                case RemotePending():
                    self._cross(message, target, state.connector)
                    return
                case Broken():
                    self._settle_answer(message, state)
                    return
        if not isinstance(target, Ref):
            self._settle_answer(message, Broken(ActorError("a message was sent to a value that is no object")))
        elif target._home is not self:
            self._leave(message, target, Posting(target._home, message))
        elif target._connector is not None:
            self._cross(message, target, target._connector)
        else:
            message.target = target
            self.queue.append(message)

    def _leave(self, message: Message, target: Ref[object] | Promise[object], outgoing: Outgoing) -> None:
        message.target = target
        if message.near_only:
            reason = NotPassableError("an argument may be passed only to objects of the same vat")
            self._settle_answer(message, Broken(reason))
        else:
            self.outbox.append(outgoing)

    def _cross(self, message: Message, target: Ref[object] | Promise[object], connector: Connector) -> None:
        """To a peer: from now on the answer is the peer's promise, and messages to it cross as well."""
        self._leave(message, target, _RemoteDelivery(connector, target, message))
        answer = message.answer
        if message.near_only or answer is None or answer._home is not self:
            return
        state = answer._state
        if not isinstance(state, Pending):
            return
        answer._state = RemotePending(connector)
        for listener in state.listeners:
            self.listen(answer, listener)
        for waiting in state.messages:
            self.route(waiting)

    def _settle_answer(self, message: Message, outcome: Broken) -> None:
        if message.answer is not None:
            self.resolve(message.answer, outcome)

    def resolve(self, promise: Promise[object], outcome: Outcome | Promise[object]) -> None:
        if promise._home is not self:
            self.outbox.append(Posting(promise._home, Resolve(promise, outcome)))
            return
        state = promise._state
        if not isinstance(state, Pending | RemotePending):
            return
        new = self._new_state(promise, outcome)
        promise._state = new
        messages = state.messages if isinstance(state, Pending) else ()
        for message in messages:
            self.route(message)
        for listener in state.listeners:
            self.listen(promise, listener)

    def _new_state(
        self, promise: Promise[object], outcome: Outcome | Promise[object]
    ) -> Following | Fulfilled | Broken:
        if isinstance(outcome, Broken):
            outcome.unheard = self.unheard
        if not isinstance(outcome, Promise):
            return outcome
        end = self._end_of_chain(outcome)
        if end is promise:
            return Broken(ActorError("a promise was resolved to itself: a cycle"))
        if end._home is self and isinstance(end._state, Fulfilled | Broken):
            return end._state
        return Following(end)

    def _end_of_chain(self, promise: Promise[object]) -> Promise[object]:
        while promise._home is self and isinstance(promise._state, Following):
            promise = promise._state.to
        return promise

    def dismiss(self, promise: Promise[object], listener: OutsideListener) -> None:
        """The listener does not wait for this promise any more."""
        self.outsiders.discard(listener)
        state = self._end_of_chain(promise)._state
        if isinstance(state, Pending | RemotePending) and listener in state.listeners:
            state.listeners.remove(listener)

    def listen(self, promise: Promise[object], listener: Listener) -> None:
        promise = self._end_of_chain(promise)
        if promise._home is not self:
            self.outbox.append(Posting(promise._home, Listen(promise, _Relay(self, listener))))
            return
        state = promise._state
        match state:
            case Pending():
                state.listeners.append(listener)
            case RemotePending():
                if not state.listeners:
                    self.outbox.append(_RemoteListen(state.connector, promise))
                state.listeners.append(listener)
            case Fulfilled():
                listener.notify(self, state)
            case Broken():
                state.heard = True
                listener.notify(self, state)
            case Following():  # pragma: no cover - the end of a chain follows nothing
                raise AssertionError("a chain of promises has no end")
