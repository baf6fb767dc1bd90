"""Where messages go and how promises settle: all the rules, and nothing of turns.

The rules, once: a message to a promise waits where the promise is (for a local one here, for a
remote one at the peer, so it crosses at once: pipelining). What a promise becomes, its messages
and listeners follow, in order. What belongs to another vat or peer is put into the outbox; nothing in
here has an effect outside of the vat.
"""

from __future__ import annotations

from collections import deque
from typing import cast

from goblins_py.actors._outgoing import (
    Chase,
    Outgoing,
    Posting,
    Relay,
    RemoteDelivery,
    RemoteListen,
    RemoteSelect,
)
from goblins_py.actors._promise import (
    FRESH,
    Broken,
    Crossroads,
    Following,
    Fresh,
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
    Select,
    State,
    outcome_of,
)
from goblins_py.actors._reference import Connector, Ref
from goblins_py.actors._turn import Work
from goblins_py.errors import ActorError, NotPassableError, Refusal

__all__ = ["Junction"]


class Junction(Crossroads):
    """The crossroads itself.

    Attributes:
        queue: near work of the current churn, oldest first.
        outbox: what leaves when the churn is released, in order.
        unheard: reasons of broken promises that nobody was told of.
        outsiders: who waits here from outside the vat.
        owed: answers of other vats that messages in here will settle.
        suspended: methods that wait at an await.
    """

    def __init__(self) -> None:
        self.queue: deque[Work] = deque()
        self.outbox: list[Outgoing] = []
        self.unheard: deque[BaseException] = deque()
        self.outsiders: set[OutsideListener] = set()
        self.owed: set[Promise[object]] = set()
        self.suspended: set[object] = set()

    def admit(self, listener: OutsideListener) -> None:
        self.outsiders.add(listener)

    # --- messages ----------------------------------------------------------------

    def route(self, message: Message) -> None:
        target: object = message.target
        if isinstance(target, Promise):
            target = self._past(message, target)
            if target is None:
                return
            if not isinstance(target, Ref):
                self._answer_broken(message, ActorError("a message was sent to a value that is no object"))
                return
            message.target = target
        ref = cast("Ref[object]", target)
        if ref._home is not self:
            self._leave(message, ref)
        elif ref._connector is not None:
            self._cross(message, ref, ref._connector)
        else:
            self.queue.append(message)

    def _past(self, message: Message, promise: Promise[object]) -> object | None:
        """What the message goes on to; None if it waits, has left, or is answered."""
        promise = message.target = self._end_of_chain(promise)
        if promise._home is not self:
            self._leave(message, promise)
            return None
        state = promise._state
        match state:
            case Fulfilled():
                if type(message) is Select:
                    self._select(message, state.value)
                    return None
                return _DATA if state.value is None else state.value
            case Fresh():
                promise._state = state = Pending()
                state.messages.append(message)
            case Pending():
                state.messages.append(message)
            case RemotePending():
                self._cross(message, promise, state.connector)
            case Broken():
                self._settle_answer(message, state)
            case Following():  # pragma: no cover - the end of a chain follows nothing
                raise AssertionError("a chain of promises has no end")
        return None

    def _select(self, request: Select, value: object) -> None:
        """The promise has become this: so its part is known, or that there is none."""
        try:
            part = request.selection.of(value)
        except Refusal as error:
            self._settle_answer(request, Broken(error.with_traceback(None)))
            return
        self.resolve(cast("Promise[object]", request.answer), outcome_of(part))

    def _leave(self, message: Message, target: Ref[object] | Promise[object]) -> None:
        """To another vat, which answers from now on."""
        if message.near_only:
            self._answer_broken(message, _near_only())
            return
        if message.answer is not None:
            self.owed.discard(message.answer)
        self.outbox.append(Posting(target._home, message))

    def _cross(self, message: Message, target: Ref[object] | Promise[object], connector: Connector) -> None:
        """To a peer: from now on the answer is the peer's promise, and messages to it cross as well."""
        if message.near_only:
            self._answer_broken(message, _near_only())
            return
        message.target = target
        outgoing = RemoteSelect if type(message) is Select else RemoteDelivery
        self.outbox.append(outgoing(connector, target, message))
        answer = message.answer
        if answer is None or answer._home is not self:
            return
        state = answer._state
        if isinstance(state, Fresh):
            answer._state = RemotePending(connector)
        elif isinstance(state, Pending):
            answer._state = RemotePending(connector)
            for listener in state.listeners:
                self.listen(answer, listener)
            for waiting in state.messages:
                self.route(waiting)

    def _answer_broken(self, message: Message, error: ActorError) -> None:
        self._settle_answer(message, Broken(error))

    def _settle_answer(self, message: Message, broken: Broken) -> None:
        if message.answer is not None:
            self.resolve(message.answer, broken)
        elif broken.unheard is None:
            broken.unheard = self.unheard  # nobody asked, but a message was lost

    # --- promises ------------------------------------------------------------------

    def resolve(self, promise: Promise[object], outcome: Outcome | Promise[object]) -> None:
        if promise._home is not self:
            self.owed.discard(promise)
            self.outbox.append(Posting(promise._home, Resolve(promise, outcome)))
            return
        state = promise._state
        if state is FRESH:
            promise._state = outcome if type(outcome) is Fulfilled else self._new_state(promise, outcome)
        elif isinstance(state, Pending):
            promise._state = self._new_state(promise, outcome)
            for message in state.messages:
                self.route(message)
            for listener in state.listeners:
                self.listen(promise, listener)
        elif isinstance(state, RemotePending):
            promise._state = self._new_state(promise, outcome)
            for listener in state.listeners:
                self.listen(promise, listener)

    def _new_state(self, promise: Promise[object], outcome: Outcome | Promise[object]) -> State:
        if isinstance(outcome, Fulfilled):
            return outcome
        if isinstance(outcome, Broken):
            outcome.unheard = self.unheard
            return outcome
        end = self._end_of_chain(outcome)
        if end is promise:
            return self._cycle()
        if end._home is not self:
            self.outbox.append(Posting(end._home, Chase(end, promise)))
        elif isinstance(end._state, Fulfilled | Broken):
            return end._state
        return Following(end)

    def _cycle(self) -> Broken:
        broken = Broken(ActorError("a promise was resolved to itself: a cycle"))
        broken.unheard = self.unheard
        return broken

    def _end_of_chain(self, promise: Promise[object]) -> Promise[object]:
        """What the promise comes to, as far as this vat knows; the way there is short the next time."""
        if promise._home is not self or not isinstance(promise._state, Following):
            return promise
        start = promise._state
        end = start.to
        while end._home is self and isinstance(end._state, Following):
            end = end._state.to
        start.to = end
        return end

    def chase(self, at: Promise[object], origin: Promise[object]) -> None:
        """Go on looking whether `origin`, which follows `at`, follows itself by way of other vats."""
        while at._home is self and isinstance(at._state, Following):
            if at is origin:
                at._state = self._cycle()
                return
            at = at._state.to
        if at._home is not self:
            self.outbox.append(Posting(at._home, Chase(at, origin)))

    # --- listeners -------------------------------------------------------------------

    def listen(self, promise: Promise[object], listener: Listener) -> None:
        promise = self._end_of_chain(promise)
        if promise._home is not self:
            self.outbox.append(Posting(promise._home, Listen(promise, Relay(self, listener))))
            return
        state = promise._state
        match state:
            case Fresh():
                promise._state = state = Pending()
                state.listeners.append(listener)
            case Pending():
                state.listeners.append(listener)
            case RemotePending():
                if not state.listeners:
                    self.outbox.append(RemoteListen(state.connector, promise))
                state.listeners.append(listener)
            case Fulfilled():
                listener.notify(self, state)
            case Broken():
                state.heard = True
                listener.notify(self, state)
            case Following():  # pragma: no cover - the end of a chain follows nothing
                raise AssertionError("a chain of promises has no end")

    def dismiss(self, promise: Promise[object], listener: OutsideListener) -> None:
        """The listener does not wait for this promise any more."""
        self.outsiders.discard(listener)
        state = self._end_of_chain(promise)._state
        if isinstance(state, Pending | RemotePending) and listener in state.listeners:
            state.listeners.remove(listener)


_DATA = ()
"""Any value that is no object."""


def _near_only() -> NotPassableError:
    return NotPassableError("an argument may be passed only to objects of the same vat")
