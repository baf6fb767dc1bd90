"""Where messages go and how promises settle: all the rules, and nothing of turns.

The rules, once: a message to a promise waits where the promise is (for a local one here, for a
remote one at the peer, so it crosses at once: pipelining). What a promise becomes, its messages
and listeners follow, in order. What belongs to another vat or peer is put into the outbox; nothing in
here has an effect outside of the vat.

Order is kept for each reference. A peer's promise to which messages have crossed, and that turns out to be
an object of ours or of that same peer, goes on leading over the peer (`Detour`) until the peer says
that all of them have arrived; if it is a third party's object, as long as the connection to the
peer lives. Then the promise is what it became. Listeners are told at once.
"""

from __future__ import annotations

from collections import deque
from typing import cast

from goblins_py.actors._outgoing import (
    Chase,
    Outgoing,
    Posting,
    Pursuit,
    Relay,
    RemoteChase,
    RemoteDelivery,
    RemoteFlush,
    RemoteForget,
    RemoteListen,
    RemoteSelect,
)
from goblins_py.actors._passable import near_only_error
from goblins_py.actors._promise import (
    FRESH,
    Broken,
    Crossroads,
    Detour,
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
from goblins_py.actors._reference import Connector, Ref, way_out
from goblins_py.actors._turn import Work
from goblins_py.errors import ActorError, Refusal

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
        ref: Ref[object] = target  # type: ignore[assignment]  # a cast is a call, and this is hot
        if ref._home is not self:
            self._leave(message, ref)
        elif ref._connector is not None:
            if ref._connector.indirect:
                message.target = cast("Promise[object]", ref._connector.lead(self))
                self.route(message)
            else:
                self._cross(message, ref, ref._connector)
        else:
            self.queue.append(message)

    def _past(self, message: Message, promise: Promise[object]) -> object | None:
        """What the message goes on to; None if it waits, has left, or is answered."""
        named = promise
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
            case Fresh() | Pending():
                self._wait(message, promise, state)
            case RemotePending():
                state.used = True
                self._cross(message, promise, state.connector)
                if named is not promise:  # what the peer settles may be that it follows what we follow
                    self._ask(promise, state)
            case Detour():
                self._cross(message, promise, state.connector)
                state.sent = True
                self._flush(promise, state)
            case Broken():
                self._settle_answer(message, state)
            case Following():  # pragma: no cover - the end of a chain follows nothing
                raise AssertionError("a chain of promises has no end")
        return None

    def _wait(self, message: Message, promise: Promise[object], state: Fresh | Pending) -> None:
        """Nobody knows yet what the promise becomes: the message waits with it."""
        if isinstance(state, Fresh):
            promise._state = state = Pending()
        state.messages.append(message)

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
            self._answer_broken(message, near_only_error())
            return
        if message.answer is not None:
            self.owed.discard(message.answer)
        self.outbox.append(Posting(target._home, message))

    def _cross(self, message: Message, target: Ref[object] | Promise[object], connector: Connector) -> None:
        """To a peer: from now on the answer is the peer's promise, and messages to it cross as well."""
        if message.near_only:
            self._answer_broken(message, near_only_error())
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
            self._move(answer, state.listeners)
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
            self._move(promise, state.listeners)
        elif isinstance(state, RemotePending):
            new = self._new_state(promise, outcome)
            promise._state = self._detour(promise, state, new) if state.used else new
            self._move(promise, state.listeners)

    def _move(self, promise: Promise[object], listeners: list[Listener]) -> None:
        """The promise has become something else: listeners follow, but for those that stay."""
        for listener in listeners:
            if listener.stays:
                listener.changed(self, promise)
            else:
                self.listen(promise, listener)

    def _new_state(self, promise: Promise[object], outcome: Outcome | Promise[object]) -> State:
        if isinstance(outcome, Fulfilled):
            return outcome
        if isinstance(outcome, Broken):
            outcome.unheard = self.unheard
            return outcome
        end = self._end_of_chain(outcome)
        if self._last(end) is promise:
            if isinstance(promise._state, RemotePending):
                self.outbox.append(RemoteForget(promise._state.connector, promise))
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
        while (to := self._next(at)) is not None:
            if at is origin:
                at._state = self._cycle()
                return
            at = to
        if at._home is not self:
            self.outbox.append(Posting(at._home, Chase(at, origin)))

    def pursue(self, promise: Promise[object], path: tuple[bytes, ...]) -> None:
        """Go on with a chase that came from a peer. It ends where a promise waits for nobody else's."""
        promise = self._last(promise)
        if promise._home is not self:
            self.outbox.append(Posting(promise._home, Pursuit(promise, path)))
        elif isinstance(promise._state, RemotePending):
            self.outbox.append(RemoteChase(promise._state.connector, promise, path))

    def _next(self, promise: Promise[object]) -> Promise[object] | None:
        """The promise that it became, if it did, whatever way messages go."""
        state = promise._state if promise._home is self else None
        if isinstance(state, Detour):
            state = state.became
        return state.to if isinstance(state, Following) else None

    def _last(self, promise: Promise[object]) -> Promise[object]:
        """What the promise comes to by way of detours as well."""
        while (to := self._next(promise)) is not None:
            promise = to
        return promise

    # --- detours ---------------------------------------------------------------------

    def _detour(self, promise: Promise[object], pending: RemotePending, new: State) -> State:
        """What a promise becomes to which messages have crossed."""
        if isinstance(new, Fulfilled) and isinstance(new.value, Ref):
            beyond = way_out(new.value)
        elif isinstance(new, Following):
            state = new.to._state if new.to._home is self else None
            beyond = state.connector if isinstance(state, RemotePending | Detour) else None
        else:
            return new  # no order is to be kept of messages that fail
        here = beyond is None or beyond is pending.connector
        detour = Detour(pending.connector, new, clears=here and not pending.third)
        if beyond is None:  # to the same peer both ways are equally long: that can wait until it is used
            self._flush(promise, detour)
        return detour

    def _flush(self, promise: Promise[object], detour: Detour) -> None:
        """Ask when the way will be clear, unless that was asked already."""
        if detour.clears and not detour.flushing:
            detour.flushing, detour.sent = True, False
            detour.covered, detour.waiting = detour.waiting, []
            self.outbox.append(RemoteFlush(detour.connector, promise))

    def flushed(self, promise: Promise[object]) -> None:
        """All has arrived that was sent before we asked: if that is all, the detour ends."""
        state = promise._state
        if not isinstance(state, Detour) or not state.flushing:
            return
        state.flushing = False
        told = state.covered
        if state.sent:
            self._flush(promise, state)
        else:
            promise._state = state.became
            told = told + state.waiting
        for listener in told:
            self._tell_what_became(state, listener)

    def lost(self, promise: Promise[object], broken: Broken) -> None:
        """The peer is gone: what has settled is what it became, all else breaks."""
        state = promise._state if promise._home is self else None
        if not isinstance(state, Detour):
            self.resolve(promise, broken)
            return
        promise._state = state.became
        for listener in (*state.covered, *state.waiting):
            self._tell_what_became(state, listener)

    def _tell_what_became(self, state: Detour, listener: Listener) -> None:
        if isinstance(state.became, Fulfilled):
            listener.notify(self, state.became)
        else:
            self.listen(state.became.to, listener)

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
            case RemotePending() | Detour():
                self._listen_there(promise, state, listener)
            case Fulfilled():
                listener.notify(self, state)
            case Broken():
                state.heard = state.heard or not listener.stays
                listener.notify(self, state)
            case Following():  # pragma: no cover - the end of a chain follows nothing
                raise AssertionError("a chain of promises has no end")

    def _listen_there(
        self, promise: Promise[object], state: RemotePending | Detour, listener: Listener
    ) -> None:
        if isinstance(state, Detour):
            if listener.in_order and state.clears:
                state.waiting.append(listener)
                self._flush(promise, state)
            else:
                self._tell_what_became(state, listener)
        elif listener.owns(promise):
            listener.notify(self, Fulfilled(promise))
        else:
            self._ask(promise, state)
            state.listeners.append(listener)
            if listener.abroad:
                self.outbox.append(RemoteChase(state.connector, promise))

    def _ask(self, promise: Promise[object], state: RemotePending) -> None:
        """See that we hear of it when the peer settles the promise."""
        if not state.asked:
            state.asked = True
            self.outbox.append(RemoteListen(state.connector, promise))

    def dismiss(self, promise: Promise[object], listener: OutsideListener) -> None:
        """The listener does not wait for this promise any more."""
        self.outsiders.discard(listener)
        state = self._end_of_chain(promise)._state
        if isinstance(state, Detour):
            for waiting in (state.covered, state.waiting):
                if listener in waiting:
                    waiting.remove(listener)
            state = self._last(promise)._state
        if isinstance(state, Pending | RemotePending) and listener in state.listeners:
            state.listeners.remove(listener)


_DATA = ()
"""Any value that is no object."""
