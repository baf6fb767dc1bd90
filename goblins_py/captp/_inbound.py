"""What comes in: the operations of an established session, as events for the vat.

Everything here decides and notes; nothing is done to any object or promise before the vat takes the
events. The peer's mistakes raise `RemoteProtocolError`, which ends the session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal
from weakref import ReferenceType

from goblins_py.actors import (
    Broken,
    Flushed,
    Fulfilled,
    Introduce,
    Listen,
    Lost,
    Message,
    Outcome,
    Promise,
    Resolve,
    Select,
    Selection,
    SelectionKind,
    Vat,
    outcome_of,
    promise_told,
)
from goblins_py.captp._events import Event
from goblins_py.captp._limits import SessionLimits
from goblins_py.captp._marshal import read_args, read_value
from goblins_py.captp._outbound import Outbound
from goblins_py.captp._reasons import read_reason
from goblins_py.captp._records import (
    OpGcAnswers,
    OpGcExports,
    OpGet,
    OpIndex,
    OpListen,
    OpUntag,
    as_ours,
    position_in,
)
from goblins_py.captp._references import SessionReferences
from goblins_py.captp._reply import Dismiss, Reply
from goblins_py.captp._tables import Flush, Question
from goblins_py.errors import RemoteError, RemoteProtocolError, SessionSeveredError
from goblins_py.syrup import Record, Symbol

__all__ = ["OPERATIONS", "Inbound"]

_ENVELOPE: Final = Symbol("desc:sig-envelope")
_SELECTIONS: Final = {
    OpGet: SelectionKind.FIELD,
    OpIndex: SelectionKind.ITEM,
    OpUntag: SelectionKind.UNTAGGED,
}


_Wanted = int | Literal[False]


class Inbound:
    """The receiving half of a session.

    Attributes:
        events: what has happened and was not told yet.
    """

    def __init__(
        self, home: Vat, references: SessionReferences, outbound: Outbound, limits: SessionLimits
    ) -> None:
        self.events: list[Event] = []
        self._home = home
        self._references = references
        self._outbound = outbound
        self._max_answers = limits.answers

    def sever(self, reason: str) -> None:
        """Break all that waits for the peer, once; and let nothing wait here for it."""
        broken = Broken(SessionSeveredError(reason))
        for thing in self._references.imports.living():
            if isinstance(thing, Promise):
                self.events.append(Lost(thing, broken))
        for reply, weak in list(self._outbound.listening.items()):
            promise = weak()
            if promise is not None:
                self.events.append(Dismiss(promise, reply))

    # --- messages ----------------------------------------------------------------

    def deliver(self, record: Record) -> None:
        """A message for one of our objects, or for a resolver: the answer to a question of ours.

        It is most of the traffic, so it is taken as it was read: see `as_ours`.
        """
        try:
            to, args, position, resolver = record.fields
        except ValueError:
            raise RemoteProtocolError(f"op:deliver with {len(record.fields)} fields") from None
        if type(args) is not tuple or not (position is False or (type(position) is int and position >= 0)):
            raise RemoteProtocolError("malformed op:deliver")
        if resolver is not False:
            resolver = position_in(resolver, "desc:import-object", "desc:import-promise")[1]
        references = self._references
        target = references.target(to)
        if isinstance(target, Question):
            self._settle(target, args)
            answer = self._answer_for(position, resolver)
            if answer is not None:
                self.events.append(Resolve(answer, Fulfilled(None)))
            return
        args, kwargs = read_args(args, references)
        self.events.append(Message(target, args, kwargs, self._answer_for(position, resolver)))

    def _answer_for(self, position: _Wanted, resolver: _Wanted) -> Promise[object] | None:
        """The promise of what a message returns. Both are False where they are not wanted."""
        if resolver is False:
            if position is False:
                return None
            answer = promise_told(self._home, None)
        else:
            answer = promise_told(self._home, self._reply_to(resolver))
        if position is not False:
            self._keep(position, answer)
        return answer

    def _reply_to(self, resolver: int, *, in_order: bool = False) -> Reply:
        outbound = self._outbound
        if outbound.unanswered >= self._max_answers:
            raise RemoteProtocolError(f"more than {self._max_answers} calls without an answer: answers limit")
        outbound.unanswered += 1
        return Reply(outbound, resolver, in_order=in_order)

    def _keep(self, position: int, answer: Promise[object]) -> None:
        answers = self._references.answers
        if position in answers:
            raise RemoteProtocolError(f"answer position {position} is in use")
        if len(answers) >= self._max_answers:
            raise RemoteProtocolError(f"more than {self._max_answers} answers are kept: answers limit")
        answers[position] = answer

    def _settle(self, question: Question, args: tuple[Any, ...]) -> None:
        """The peer settles one of our questions."""
        try:
            verb, value = args
        except ValueError:
            raise RemoteProtocolError("a resolver takes fulfill or break, and one value") from None
        given = type(value) is Record and value.label == _ENVELOPE
        if type(value) is not int:
            value = read_value(value, self._references)
        name = verb.name if type(verb) is Symbol else None  # to compare symbols takes a call
        if name == "fulfill":
            self._resolve(question, outcome_of(value), Introduce if given else Resolve)
        elif name == "break":
            self._resolve(question, Broken(read_reason(value)))
        else:
            raise RemoteProtocolError("a resolver was sent something else than fulfill or break")

    def _resolve(
        self, question: Question, outcome: Outcome | Promise[object], effect: type[Resolve] = Resolve
    ) -> None:
        question.answered = True
        promise = question.entry()
        if not isinstance(promise, Promise):
            return
        if type(question) is Flush:
            self.events.append(Flushed(promise))
        else:
            self._outbound.waiting.discard(promise)
            self.events.append(effect(promise, outcome))

    def listen(self, record: Record) -> None:
        """The peer wants to know what becomes of a promise of ours."""
        operation: OpListen = as_ours(record)
        target = self._references.find(operation.to)
        if isinstance(target, Question):
            raise RemoteProtocolError("op:listen to a resolver")
        reply = self._reply_to(operation.resolver.position, in_order=True)
        if isinstance(target, Promise):
            self._outbound.listening[reply] = ReferenceType(target)
            self.events.append(Listen(target, reply))
        else:
            self._outbound.reply(reply, Fulfilled(target))

    def select(self, record: Record) -> None:
        """A part of what a promise of ours will be; told to whoever listens to the answer."""
        operation: OpGet | OpIndex | OpUntag = as_ours(record)
        target = self._references.find(operation.to)
        if isinstance(target, Question):
            raise RemoteProtocolError("a part of a resolver was asked for")
        key = operation.key
        selection = Selection(_SELECTIONS[type(operation)], key.name if isinstance(key, Symbol) else key)
        answer = promise_told(self._home, None)
        self._keep(operation.answer_pos, answer)
        promise = target if isinstance(target, Promise) else Promise(self._home, Fulfilled(target))
        self.events.append(Select(promise, selection, answer))

    # --- garbage -------------------------------------------------------------------

    def gc_exports(self, record: Record) -> None:
        """The peer holds things of ours less often."""
        operation: OpGcExports = as_ours(record)
        if len(operation.positions) != len(operation.deltas):
            raise RemoteProtocolError("op:gc-exports with lists of two lengths")
        for position, delta in zip(operation.positions, operation.deltas, strict=True):
            question = self._references.exports.drop(position, delta)
            if question is not None and not question.answered and not isinstance(question, Flush):
                self._resolve(question, Broken(RemoteError("the peer let go of the call without an answer")))

    def gc_answers(self, record: Record) -> None:
        """The peer will not use these answers any more."""
        operation: OpGcAnswers = as_ours(record)
        for position in operation.positions:
            self._references.answers.pop(position, None)


OPERATIONS: Final[dict[str, Callable[[Inbound, Record], None]]] = {
    "op:deliver": Inbound.deliver,
    "op:listen": Inbound.listen,
    "op:get": Inbound.select,
    "op:index": Inbound.select,
    "op:untag": Inbound.select,
    "op:gc-exports": Inbound.gc_exports,
    "op:gc-answers": Inbound.gc_answers,
}
"""What may come once both have started, and what takes it."""
