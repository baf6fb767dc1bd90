"""One CapTP session: bytes in, events out; messages in, bytes out. No I/O, no clock.

What lives here: the four tables, the operations each way, and the end. It must not know what carries
the bytes, nor other sessions. It belongs to one vat (its home) and is used on that vat's thread,
between turns; only collections of imports are noted from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import attrs

from goblins_py.actors import (
    Broken,
    Connector,
    Effect,
    Fulfilled,
    Listen,
    Message,
    Outcome,
    Promise,
    Ref,
    Resolve,
    Severable,
    Vat,
    outcome_of,
    promise_told,
)
from goblins_py.captp._keys import SessionKeys, location_bytes, public_key_value, read_public_key, side_id, verify
from goblins_py.captp._lifecycle import TRANSITIONS, SessionEvent, SessionState
from goblins_py.captp._marshal import read_args, read_value, write_args, writer
from goblins_py.captp._reasons import read_reason, write_reason
from goblins_py.captp._records import (
    DescExport,
    DescImportObject,
    OpAbort,
    OpDeliver,
    OpGcAnswers,
    OpGcExports,
    OpListen,
    OpStartSession,
    deliver_bytes,
    read_record,
    to_record,
)
from goblins_py.captp._references import SessionReferences
from goblins_py.captp._reply import Reply
from goblins_py.captp._tables import HeldKind, Question, Remote
from goblins_py.errors import (
    GoblinsError,
    LocatorError,
    NotPassableError,
    QueueFullError,
    RemoteProtocolError,
    SessionSeveredError,
    SyrupDecodeError,
    SyrupEncodeError,
)
from goblins_py.locators import PeerLocator
from goblins_py.syrup import NEED_DATA, Decoder, Limits, Symbol, encode

__all__ = ["CAPTP_VERSION", "Session", "SessionLimits", "Severed", "Started"]

CAPTP_VERSION: Final = "1.0"
_FULFILL: Final = Symbol("fulfill")
_BREAK: Final = Symbol("break")


@attrs.frozen
class SessionLimits:
    """What one session takes from its peer, and from us.

    Attributes:
        message_size: bytes of one message.
        depth: of nesting in one message.
        greeting_size: bytes of the peer's op:start-session.
        exports, answers: how many entries the peer may cause in our tables.
        queue_soft: bytes queued to the peer above which we stop reading from it.
        queue_hard: bytes queued to it above which messages break with `QueueFullError`.
    """

    message_size: int = 8 * 2**20
    depth: int = 128
    greeting_size: int = 64 * 2**10
    exports: int = 1_000_000
    answers: int = 100_000
    queue_soft: int = 2**20
    queue_hard: int = 32 * 2**20


@attrs.frozen
class Started:
    """The peer's op:start-session was in order.

    Attributes:
        location: where it says that it is; believe it only as far as the connection proves it.
    """

    location: PeerLocator


@attrs.frozen
class Severed:
    """The session has ended."""

    reason: str


Event = Started | Severed | Effect
"""An `Effect` is to be posted to the home vat."""


class Session(Connector):
    """A session with one peer.

    Attributes:
        state: see `SessionState`.
        peer: the peer's claimed location, once started.
        reason: why it was severed.
        aborted: we have sent op:abort.
        on_output: called when there is something to write where there was nothing.
        references: the tables.
    """

    def __init__(
        self,
        home: Vat,
        *,
        location: PeerLocator,
        keys: SessionKeys,
        bootstrap: Ref[Any],
        dialled: PeerLocator | None = None,
        limits: SessionLimits | None = None,
    ) -> None:
        self.state = SessionState.GREETING
        self.peer: PeerLocator | None = None
        self.reason = ""
        self.aborted = False
        self._home = home
        self._limits = limits or SessionLimits()
        self._dialled = dialled
        self._keys = keys
        self.references = SessionReferences(home, self, bootstrap, max_exports=self._limits.exports)
        self._awaited: set[Promise[object]] = set()  # held, because somebody here listens
        self._spent: dict[int, int] = {}  # positions of the peer's that we hold less often: how often
        self._watchers: list[Severable] = []
        self._events: list[Event] = []
        self.on_output: Callable[[], None] = _nobody
        self._out: list[bytes] = []
        self._queued = 0
        self._write = writer(self.references)
        size = Limits(value_size=self._limits.message_size, depth=self._limits.depth)
        self._decoder = Decoder(size, special=read_record)
        self._greeting_bytes = 0
        self._greet(location)

    # --- bytes and events ------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes, any split of them; what follows from them, in order.

        The peer's mistakes never raise: they end the session with an op:abort that says why.
        """
        try:
            if self.state is not SessionState.SEVERED:
                self._decoder.feed(data)
                self._read_all()
                self._check_greeting(len(data))
        except (SyrupDecodeError, RemoteProtocolError, LocatorError) as error:
            self.abort(str(error))
        return self.take_events()

    def _read_all(self) -> None:
        while self.state is not SessionState.SEVERED:
            operation = self._decoder.next_value()
            if operation is NEED_DATA:
                return
            self._handle(operation)

    def _check_greeting(self, count: int) -> None:
        if self.state is SessionState.GREETING:
            self._greeting_bytes += count
            if self._greeting_bytes > self._limits.greeting_size:
                raise RemoteProtocolError(f"no op:start-session in {self._limits.greeting_size} bytes")

    def take_events(self) -> list[Event]:
        """What has happened and was not told yet."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """All that is to be written; the caller has it now, and says `sent` when it is gone."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def sent(self, count: int) -> None:
        """So many bytes have left."""
        self._queued -= count

    @property
    def queued(self) -> int:
        """Bytes that have not left yet."""
        return self._queued

    @property
    def congested(self) -> bool:
        """Should we stop reading from this peer until it reads more?"""
        return self._queued > self._limits.queue_soft

    def _send(self, operation: object) -> None:
        self._put(encode(to_record(operation), self._write))

    def _put(self, data: bytes) -> None:
        if not self._out:
            self.on_output()
        self._out.append(data)
        self._queued += len(data)

    # --- start and end ------------------------------------------------------------

    def _greet(self, location: PeerLocator) -> None:
        signature = self._keys.sign(location_bytes(location))
        key = public_key_value(self._keys.public)
        self._send(OpStartSession(CAPTP_VERSION, key, location.to_record(), signature))

    def _on_start_session(self, operation: OpStartSession) -> None:
        self._advance(SessionEvent.START)
        if operation.captp_version != CAPTP_VERSION:
            raise RemoteProtocolError("CapTP version is incompatible")
        public = read_public_key(operation.public_key)
        location = PeerLocator.from_record(operation.location)
        if not verify(public, location_bytes(location), operation.signature):
            raise RemoteProtocolError("Invalid location signature")
        if side_id(public) == side_id(self._keys.public):
            raise RemoteProtocolError("both sides have the same key")
        if self._dialled is not None and self._dialled != location:
            raise RemoteProtocolError("another peer was dialled than the one that answers")
        self.peer = location
        self._events.append(Started(location))

    def _advance(self, event: SessionEvent) -> None:
        state = TRANSITIONS[self.state].get(event)
        if state is None:
            raise RemoteProtocolError(f"{event.value} does not belong in a session that is {self.state.value}")
        self.state = state

    def abort(self, reason: str) -> None:
        """End the session and tell the peer why. Nothing if it has ended."""
        if self.state is not SessionState.SEVERED:
            self._send(OpAbort(reason))
            self.aborted = True
            self._sever(reason)

    def connection_lost(self, reason: str) -> None:
        """The connection is gone. Nothing if the session has ended."""
        self._sever(reason)

    def _on_abort(self, operation: OpAbort) -> None:
        self._sever(f"the peer aborted: {operation.reason[:500]}")

    def _sever(self, reason: str) -> None:
        if self.state is SessionState.SEVERED:
            return
        self._advance(SessionEvent.END)
        self.reason = reason
        broken = Broken(SessionSeveredError(reason))
        for thing in self.references.imports.living():
            if isinstance(thing, Promise):
                self._events.append(Resolve(thing, broken))
        self._awaited.clear()
        self.references.answers.clear()
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.severed(reason)
        self._events.append(Severed(reason))

    # --- operations in ----------------------------------------------------------------

    def _handle(self, operation: Any) -> None:
        kind = type(operation)
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise RemoteProtocolError("a record that is no operation")
        if kind is not OpStartSession and kind is not OpAbort:
            self._advance(SessionEvent.OPERATION)
        handler(self, operation)

    def _on_deliver(self, operation: OpDeliver) -> None:
        target = self.references.find(operation.to)
        if isinstance(target, Question):
            self._on_answer(target, operation)
            return
        args, kwargs = read_args(operation.args, self.references)
        self._events.append(Message(target, args, kwargs, answer=self._answer_for(operation)))

    def _answer_for(self, operation: OpDeliver) -> Promise[object] | None:
        position, resolver = operation.answer_pos, operation.resolve_me
        if position is False and resolver is False:
            return None
        reply = None if isinstance(resolver, bool) else Reply(self, resolver.position)
        answer = promise_told(self._home, reply)
        if not isinstance(position, bool):
            self._keep_answer(position, answer)
        return answer

    def _keep_answer(self, position: int, answer: Promise[object]) -> None:
        answers = self.references.answers
        if position in answers:
            raise RemoteProtocolError(f"answer position {position} is in use")
        if len(answers) >= self._limits.answers:
            raise RemoteProtocolError(f"more than {self._limits.answers} answers are kept for the peer")
        answers[position] = answer

    def _on_answer(self, question: Question, operation: OpDeliver) -> None:
        """The peer settles one of our questions."""
        outcome: Outcome | Promise[object]
        match operation.args:
            case (Symbol(name="fulfill"), value):
                outcome = outcome_of(read_value(value, self.references))
            case (Symbol(name="break"), reason):
                outcome = Broken(read_reason(read_value(reason, self.references)))
            case _:
                raise RemoteProtocolError("a resolver takes fulfill or break, and one value")
        answer = question.entry()
        if isinstance(answer, Promise):
            self._awaited.discard(answer)
            self._events.append(Resolve(answer, outcome))

    def _on_listen(self, operation: OpListen) -> None:
        target = self.references.find(operation.to)
        if isinstance(target, Question):
            raise RemoteProtocolError("op:listen to a resolver")
        if isinstance(target, Promise):
            self._events.append(Listen(target, Reply(self, operation.resolver.position)))
        else:
            self.reply(operation.resolver.position, Fulfilled(target))

    def _on_gc_exports(self, operation: OpGcExports) -> None:
        if len(operation.positions) != len(operation.deltas):
            raise RemoteProtocolError("op:gc-exports with lists of two lengths")
        for position, delta in zip(operation.positions, operation.deltas, strict=True):
            self.references.exports.drop(position, delta)

    def _on_gc_answers(self, operation: OpGcAnswers) -> None:
        for position in operation.positions:
            self.references.answers.pop(position, None)

    # --- operations out -----------------------------------------------------------------

    def deliver(self, target: object, message: object) -> None:
        letter = cast(Message, message)
        refusal = self._refusal()
        to = self.references.designation(cast(Remote, target))
        if refusal is not None or to is None:
            self._settle(letter.answer, refusal or SessionSeveredError("the target is not of this session"))
            return
        self.references.start_writing()
        try:
            args = encode(write_args(letter.args, letter.kwargs), self._write)
        except (NotPassableError, SyrupEncodeError) as error:
            self.references.undo_written()
            self._settle(letter.answer, NotPassableError(str(error)))
            return
        self._put(deliver_bytes(to, args, *self._ask(letter.answer)))

    def _ask(self, answer: Promise[object] | None) -> tuple[int, int] | tuple[None, None]:
        if answer is None:
            return None, None
        entry = self.references.imports.ask(answer)
        if answer._home is not self._home:
            self._awaited.add(answer)  # its listeners are in its own vat, and do not tell us
        return entry.position, self.references.exports.add(Question(entry))

    def _refusal(self) -> GoblinsError | None:
        if self.state is SessionState.SEVERED:
            return SessionSeveredError(self.reason)
        if self._queued > self._limits.queue_hard:
            return QueueFullError(f"more than {self._limits.queue_hard} bytes wait for the peer")
        return None

    def _settle(self, answer: Promise[object] | None, error: GoblinsError) -> None:
        if answer is not None:
            answer._home.post(Resolve(answer, Broken(error)))

    def listen(self, promise: object) -> None:
        waiting = cast("Promise[object]", promise)
        entry = self.references.imports.find(waiting)
        if entry is None or self.state is SessionState.SEVERED:
            self._settle(waiting, SessionSeveredError(self.reason or "the promise is not of this session"))
            return
        self._awaited.add(waiting)
        if entry.kind is HeldKind.IMPORT:
            resolver = self.references.exports.add(Question(entry))
            self._send(OpListen(DescExport(entry.position), DescImportObject(resolver), wants_partial=False))

    def watch(self, listener: Severable) -> None:
        if self.state is SessionState.SEVERED:
            listener.severed(self.reason)
        else:
            self._watchers.append(listener)

    def reply(self, resolver: int, outcome: Outcome) -> None:
        """Settle a promise of the peer's, through the resolver that it gave us."""
        if self.state is SessionState.SEVERED:
            return
        self.references.start_writing()
        try:
            args = encode(self._verdict(outcome), self._write)
        except (NotPassableError, SyrupEncodeError) as error:
            self.references.undo_written()
            args = encode((_BREAK, str(error)))
        self._put(deliver_bytes(DescExport(resolver), args, None, None))
        self._spend(resolver, 1)

    def _verdict(self, outcome: Outcome) -> tuple[object, ...]:
        if isinstance(outcome, Fulfilled):
            return _FULFILL, outcome.value
        return _BREAK, write_reason(outcome.reason, verbose=self._home.verbose)

    # --- garbage ------------------------------------------------------------------------

    @property
    def has_garbage(self) -> bool:
        """Is there anything that `collect` would tell the peer?"""
        return bool(self._spent or self.references.imports.collected)

    def collect(self) -> None:
        """Tell the peer what we hold no more, in one message each."""
        answers = []
        for entry in self.references.imports.take_collected():
            if entry.kind is HeldKind.QUESTION:
                answers.append(entry.position)
            elif entry.position != 0:
                self._spend(entry.position, entry.count)
        spent, self._spent = self._spent, {}
        if self.state is SessionState.SEVERED:
            return
        if answers:
            self._send(OpGcAnswers(tuple(answers)))
        if spent:
            self._send(OpGcExports(tuple(spent), tuple(spent.values())))

    def _spend(self, position: int, count: int) -> None:
        self._spent[position] = self._spent.get(position, 0) + count


def _nobody() -> None:
    """Whoever carries the bytes has not come yet; it will ask."""


_HANDLERS: Final[dict[type, Callable[[Session, Any], None]]] = {
    OpStartSession: Session._on_start_session,
    OpAbort: Session._on_abort,
    OpDeliver: Session._on_deliver,
    OpListen: Session._on_listen,
    OpGcExports: Session._on_gc_exports,
    OpGcAnswers: Session._on_gc_answers,
}
