"""One CapTP session: bytes in, events out; messages in, bytes out. No I/O, no clock.

What lives here: its start, its end, and the order of things; what goes in and out is `Inbound` and
`Outbound`. It must not know what carries the bytes, nor other sessions. It belongs to one vat (its home)
and is used on that vat's thread, between turns; only collections of imports are noted from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from goblins_py.actors import (
    Broken,
    Connector,
    Message,
    Promise,
    Ref,
    Resolve,
    Select,
    Severable,
    Source,
    Vat,
    reconnect,
)
from goblins_py.captp._events import Event, Introduced, Severed, Started
from goblins_py.captp._greeting import greeting, read_greeting
from goblins_py.captp._handoff import HandoffSession, read_give
from goblins_py.captp._inbound import OPERATIONS, Inbound
from goblins_py.captp._keys import SessionKeys, session_id, side_id
from goblins_py.captp._lifecycle import TRANSITIONS, SessionEvent, SessionState
from goblins_py.captp._limits import SessionLimits
from goblins_py.captp._outbound import Outbound
from goblins_py.captp._outbox import Outbox
from goblins_py.captp._peers import is_crossed
from goblins_py.captp._probation import Probation, Way
from goblins_py.captp._reasons import printable_reason
from goblins_py.captp._records import DescSigEnvelope, OpAbort, OpStartSession, as_ours, operation_bytes
from goblins_py.captp._references import SessionReferences
from goblins_py.captp._tables import Remote
from goblins_py.errors import HandoffError, LocatorError, RemoteProtocolError, SyrupDecodeError
from goblins_py.locators import PeerLocator
from goblins_py.syrup import NEED_DATA, Decoder, Limits, Record, Symbol, Value

__all__ = ["Session"]

_DEPOSIT: Final = Symbol("deposit-gift")


class Session(Connector, HandoffSession):
    """A session with one peer.

    Attributes:
        state: see `SessionState`.
        dialled: whom we dialled; None if it dialled us.
        peer: the peer's claimed location, once started.
        peer_key: its public key, once started.
        reason: why it was severed.
        aborted: we have sent op:abort.
        heard: how many operations the peer has sent.
        reachable: others could dial the peer where it says that it is.
        limits: of what is taken from the peer, and given to it.
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
        self.peer_key = b""
        self.reason = ""
        self.aborted = False
        self.heard = 0
        self.reachable = False
        self._verified = False
        self._entered = False
        self._count = 0
        self._home = home
        self.limits = limits = limits or SessionLimits()
        self.dialled = dialled
        self._keys = keys
        self._outbox = Outbox(limits)
        self.references = SessionReferences(home, self, bootstrap, limits)
        self._outbound = Outbound(home, self.references, self._outbox, limits)
        self._probation = Probation(self._outbound) if dialled is not None else None
        self._way: Way = self._probation or self._outbound
        self._inbound = Inbound(home, self.references, self._outbound, limits)
        self._watchers: list[Severable] = []
        self._greeting_bytes = 0
        size = Limits(value_size=limits.message_size, depth=limits.depth, items=limits.items)
        self._decoder = Decoder(size)
        self._outbox.put(operation_bytes(greeting(keys, location)))

    @property
    def our_side(self) -> bytes:
        """The id of our side."""
        return side_id(self._keys.public)

    @property
    def their_side(self) -> bytes:
        """The id of the peer's side, once started."""
        return side_id(self.peer_key)

    @property
    def verified(self) -> bool:
        return self._verified

    def believe(self, *, verified: bool) -> None:
        """The peer is taken for who it says it is.

        Args:
            verified: for certain; else for what a claim is worth on a transport without identities.
        """
        self._entered = True
        self._verified = verified

    # --- for handoffs: see `HandoffSession` --------------------------------------

    @property
    def introducible(self) -> bool:
        lasting = self.state is SessionState.ESTABLISHED and self._probation is None
        return self._entered and self.reachable and lasting

    @property
    def session_id(self) -> bytes:
        return session_id(self.our_side, self.their_side)

    @property
    def our_key(self) -> bytes:
        return self._keys.public

    @property
    def their_key(self) -> bytes:
        return self.peer_key

    @property
    def their_location(self) -> Record:
        return self._their_location

    def sign(self, data: bytes) -> Value:
        return self._keys.sign(data)

    def deposit(self, gift_id: bytes, gift: Ref[object]) -> None:
        self._outbound.deliver(
            self.references.bootstrap, Message(self.references.bootstrap, (_DEPOSIT, gift_id, gift))
        )

    def next_count(self) -> int:
        """A handoff count that was not used in this session."""
        count, self._count = self._count, self._count + 1
        return count

    def skip_counts(self) -> None:
        """A Guile exporter shares its count among a gifter's receivers: double ours."""
        self._count = max(1, self._count * 2)

    def _take_give(self, envelope: DescSigEnvelope) -> Promise[object]:
        promise: Promise[object] = Promise(self._home)
        try:
            self._inbound.events.append(Introduced(read_give(envelope, self), promise))
        except HandoffError as error:
            self._inbound.events.append(Resolve(promise, Broken(error)))
        return promise

    # --- bytes and events ------------------------------------------------------

    def receive(self, data: bytes, *, whole: bool = False) -> list[Event]:
        """Take bytes, any split of them; what follows from them, in order.

        The peer's mistakes never raise: they end the session with an op:abort that says why.

        Args:
            whole: `data` is one message, so one record and nothing else.
        """
        try:
            if self.state is not SessionState.SEVERED:
                self._decoder.feed(data)
                self._read_all(whole)
                if self.state is SessionState.GREETING:
                    self._check_greeting(len(data))
        except (SyrupDecodeError, RemoteProtocolError, LocatorError) as error:
            self.abort(str(error))
        return self.take_events()

    def _read_all(self, whole: bool) -> None:  # noqa: FBT001 - private, and in the way of every byte
        decoder, inbound = self._decoder, self._inbound
        while (record := decoder.next_value()) is not NEED_DATA:
            if whole and not decoder.at_border():
                raise RemoteProtocolError("a message that goes on after its record")
            label = record.label if type(record) is Record else None
            taker = OPERATIONS.get(label.name) if type(label) is Symbol else None
            if taker is None:
                self._take_rare(as_ours(record))
                if self.state is SessionState.SEVERED:
                    return
            else:
                if self.state is not SessionState.ESTABLISHED:
                    self._advance(SessionEvent.OPERATION)
                if not self.heard:
                    self.confirm()
                self.heard += 1
                taker(inbound, record)  # type: ignore[arg-type]  # it has a label
        if whole and not decoder.at_border():
            raise RemoteProtocolError("a message that ends within its record")

    def _take_rare(self, operation: object) -> None:
        match operation:
            case OpStartSession():
                self._start(operation)
            case OpAbort(reason=reason):
                self._outbox.clear()  # the peer reads no more
                self._sever(f"the peer aborted: {printable_reason(reason)}", crossed=is_crossed(reason))
            case _:
                raise RemoteProtocolError("a record that is no operation")

    def _check_greeting(self, count: int) -> None:
        self._greeting_bytes += count
        if self._greeting_bytes > self.limits.greeting_size:
            size = self.limits.greeting_size
            raise RemoteProtocolError(f"no op:start-session in {size} bytes: greeting_size limit")

    def take_events(self) -> list[Event]:
        """What has happened and was not told yet."""
        events, self._inbound.events = self._inbound.events, []
        return events

    @property
    def on_output(self) -> Callable[[], None]:
        """Called when there is something to write where there was nothing."""
        return self._outbox.on_output

    @on_output.setter
    def on_output(self, function: Callable[[], None]) -> None:
        self._outbox.on_output = function

    def data_to_send(self) -> bytes:
        """All that is to be written; the caller has it now, and says `sent` when it is gone."""
        return b"".join(self._outbox.take())

    def messages_to_send(self, *, in_pieces: bool = False) -> list[bytes]:
        """The same, message by message; or, for a stream, with long messages in pieces."""
        return self._outbox.take_pieces() if in_pieces else self._outbox.take()

    def sent(self, count: int) -> None:
        """So many bytes have left."""
        self._outbox.sent(count)

    @property
    def queued(self) -> int:
        """Bytes that have not left yet."""
        return self._outbox.queued

    def allow_queue(self, soft: int, hard: int) -> None:
        """Have other limits than `queue_soft` and `queue_hard` from now on; in bytes."""
        self._outbox.soft, self._outbox.hard = soft, hard

    @property
    def congested(self) -> bool:
        """Should we stop reading from this peer until it reads more?"""
        outbox = self._outbox
        return outbox.queued > outbox.soft

    # --- start and end ------------------------------------------------------------

    def _start(self, operation: OpStartSession) -> None:
        self._advance(SessionEvent.START)
        self.peer_key, location = read_greeting(operation, keys=self._keys, dialled=self.dialled)
        self.peer = location
        self._their_location = cast(Record, operation.location)
        self.references.receiver = self
        self.references.on_give = self._take_give
        self._inbound.events.append(Started(location))

    def _advance(self, event: SessionEvent) -> None:
        state = TRANSITIONS[self.state].get(event)
        if state is None:
            where = self.state.value
            raise RemoteProtocolError(f"{event.value} does not belong in a session that is {where}")
        self.state = state

    def abort(self, reason: str) -> None:
        """End the session and tell the peer why. Nothing if it has ended."""
        if self.state is not SessionState.SEVERED:
            self._outbox.put(operation_bytes(OpAbort(reason)))
            self.aborted = True
            self._sever(reason)

    def connection_lost(self, reason: str) -> None:
        """The connection is gone. Nothing if the session has ended."""
        if self.state is not SessionState.SEVERED:
            self._outbox.clear()
            self._sever(reason)

    def _sever(self, reason: str, *, crossed: bool = False) -> None:
        self._advance(SessionEvent.END)
        self.reason = reason
        if not (crossed and self._probation is not None and self._probation.enter_limbo()):
            self._let_go()
        self._decoder = Decoder()
        self._inbound.events.append(Severed(reason))

    def _let_go(self) -> None:
        """Break all that depends on the session."""
        reason = self.reason
        if self._probation is not None:
            self._probation.end()
        self._inbound.sever(reason)
        self._outbound.sever(reason)
        self.references.clear()
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.severed(reason)

    # --- crossed hellos: see `Probation` ----------------------------------------------

    def confirm(self) -> None:
        """No crossing is possible any more. Nothing if the session has ended."""
        if self.state is not SessionState.SEVERED:
            self._probation, self._way = None, self._outbound

    @property
    def in_limbo(self) -> bool:
        """Was it given up for another session, to which it could be handed over?"""
        return self._probation is not None and self._probation.in_limbo

    def hand_over(self, heir: Session) -> None:
        """The other session with the same peer has won: it gets what was sent over this one, in limbo."""
        if self._probation is None or not self._probation.in_limbo:
            return
        bootstrap = self.references.bootstrap
        self._outbound.sever(self.reason)
        self.references.clear()
        reconnect(bootstrap, self, heir)
        heir.references.imports.alias(bootstrap, 0)
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            heir.watch(watcher)
        self._probation.hand_over(self, heir)

    def give_up(self) -> list[Event]:
        """No other session has come: what was sent over this one breaks. Nothing if it is not in limbo."""
        if self.in_limbo:
            self._let_go()
        return self.take_events()

    # --- for the vat: see `Connector` ------------------------------------------------

    def deliver(self, target: object, message: object) -> None:
        self._way.deliver(target, message)  # type: ignore[arg-type]  # a cast is a call, and this is hot

    def select(self, target: object, request: object) -> None:
        self._way.select(cast(Remote, target), cast(Select, request))

    def listen(self, promise: object) -> None:
        self._way.listen(promise)  # type: ignore[arg-type]  # as above

    def flush(self, promise: object) -> None:
        self._outbound.flush(cast("Promise[object]", promise))

    def forget(self, promise: object) -> None:
        self._outbound.forget(cast("Promise[object]", promise))

    def chase(self, promise: object, path: tuple[bytes, ...]) -> None:
        self._outbound.chase(cast("Promise[object]", promise), path)

    def saved_as(self, ref: object) -> Source | str:
        return self.references.sources.get(cast("Ref[Any]", ref)) or super().saved_as(ref)

    def watch(self, listener: Severable) -> None:
        if self.state is not SessionState.SEVERED or self.in_limbo:
            self._watchers.append(listener)
        elif self._probation is not None and self._probation.heir is not None:
            self._probation.heir.watch(listener)
        else:
            listener.severed(self.reason)

    def ask_for_life(self) -> None:
        """Ask the peer for an answer of any kind."""
        if self.state is SessionState.ESTABLISHED:
            self._outbound.ask_for_life()

    # --- garbage ----------------------------------------------------------------------

    @property
    def has_garbage(self) -> bool:
        """Is there anything for `collect` to do?"""
        return self._outbound.has_garbage

    def collect(self) -> Callable[[], None]:
        """Take what we hold no more: a function that tells the peer; call it now and then."""
        return self._outbound.take_garbage()
