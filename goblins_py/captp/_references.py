"""References of one session: which descriptor stands for what, each way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from goblins_py.actors import Connector, Promise, Ref, RemotePending, Source, Vat, resolver_for
from goblins_py.captp._dialects import OURS, Dialect, check, disordered, encode_ordered
from goblins_py.captp._handoff import HandoffSession, make_give
from goblins_py.captp._limits import SessionLimits
from goblins_py.captp._marshal import has_long_integer, writer
from goblins_py.captp._records import (
    DescAnswer,
    DescExport,
    DescHandoffGive,
    DescImportObject,
    DescImportPromise,
    DescSigEnvelope,
    position_in,
    to_record,
)
from goblins_py.captp._tables import Exported, Exports, HeldKind, Imports, Question, Remote
from goblins_py.errors import NotPassableError, RemoteProtocolError
from goblins_py.syrup import Limits, Record, Symbol, Value, encode

__all__ = ["SessionReferences"]

_OUR_PROMISE: Final = Symbol("desc:import-promise")
_OUR_OBJECT: Final = Symbol("desc:import-object")
_YOUR_EXPORT: Final = Symbol("desc:export")
_DIGITS: Final = Limits().digits
_MANY_DIGITS: Final = b"0" * _DIGITS
"""What is too long for any peer's decoder, once all digits are zeros; a byte string may hold it, too."""
_ZEROED: Final = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
"""Makes zeros of digits. A regular expression takes 25 times as long, on bytes chosen for it 4000 times."""
_GIFT_ID: Final = 32
"""Random bytes of a gift's id."""
_ENVELOPE: Final = 200
"""Bytes of a message besides its arguments, generously."""


def _many_digits(data: bytes) -> bool:
    return _MANY_DIGITS in data.translate(_ZEROED)


class SessionReferences:
    """The tables, and the translation.

    Attributes:
        answers: promises of what the peer's messages return, by the peer's positions.
        bootstrap: the peer's bootstrap object.
        receiver: the session itself, once started, as the one that gives are made for.
        on_give: makes a promise of a give that has come.
        sources: how references were had, the first way that is known; also good once the session is severed.
        dialect: how the peer is written to; ours until it shows another.
    """

    def __init__(self, home: Vat, connector: Connector, bootstrap: Ref[Any], limits: SessionLimits) -> None:
        self._home = home
        self._connector = connector
        self._max_size = limits.message_size - _ENVELOPE
        self._short = min(_DIGITS, self._max_size)  # bytes that pass no limit, whatever they are
        self.exports = Exports(bootstrap, limits.exports)
        self.imports = Imports()
        self.answers: dict[int, Promise[object]] = {}
        self.bootstrap: Ref[Any] = Ref(home, None, connector)
        self.imports.add(self.bootstrap, 0)
        self.sources: WeakKeyDictionary[Ref[Any], Source] = WeakKeyDictionary()
        self.dialect: Dialect = OURS
        self._written: list[int] = []
        self._given: list[tuple[HandoffSession, bytes, Ref[object]]] = []
        self.receiver: HandoffSession | None = None
        self.on_give: Callable[[DescSigEnvelope], Promise[object]] = _not_started
        self._special = writer(self)

    def clear(self) -> None:
        """The peer is gone."""
        self.exports.clear()
        self.imports.clear()
        self.answers.clear()

    # --- out -----------------------------------------------------------------

    def write(self, value: object) -> bytes:
        """A value for the peer; what it exports is counted.

        Raises:
            NotPassableError: it cannot be sent; then nothing was counted.
        """
        self._written.clear()
        self._given.clear()
        try:
            if self.dialect.records is not None:  # there is something that the peer does not take
                check(value, self.dialect)
            data = encode(value, self._special)
            if b"{" in data and self.dialect.ordered and disordered(value):
                self._undo_written()
                data = encode_ordered(value, self._special)
        except (TypeError, ValueError) as error:  # SyrupEncodeError and NotPassableError are TypeErrors
            self._undo_written()
            raise NotPassableError(str(error)) from None
        if len(data) > self._short:
            self._check_long(value, data)
        if self._given:
            self._deposit()
        return data

    def _check_long(self, value: Any, data: bytes) -> None:
        """Refuse what passes a limit that a short message cannot pass."""
        size = len(data)
        if type(value) is tuple:  # long strings are what makes most long messages long
            size -= sum([len(item) for item in value if type(item) is bytes or type(item) is str])
        if size > _DIGITS and _many_digits(data) and has_long_integer(value, _DIGITS):
            self._undo_written()
            raise NotPassableError(f"an integer of more than {_DIGITS} digits: digits limit")
        if len(data) > self._max_size:
            self._undo_written()
            raise NotPassableError(f"a message of {len(data)} bytes: message_size limit")

    def _deposit(self) -> None:
        for exporter, gift_id, gift in self._given:
            exporter.deposit(gift_id, gift)
        self._given.clear()  # the exporter has them now: an idle session holds on to nobody's objects

    def _undo_written(self) -> None:
        for position in self._written:
            self.exports.drop(position, 1)
        self._written.clear()
        self._given.clear()

    def describe(self, thing: Remote) -> Value:
        """The descriptor of something that is being written. Raises `NotPassableError`."""
        if isinstance(thing, Ref) and thing._connector is not None and thing._connector.indirect:
            thing = thing._connector.behind() or thing  # straight to the object, if it is awake
        entry = self.imports.find(thing)
        if entry is not None and entry.kind is HeldKind.IMPORT:
            return Record(_YOUR_EXPORT, (entry.position,))
        if isinstance(thing, Ref):
            exporter: object = thing._connector
            if isinstance(exporter, HandoffSession) and exporter.introducible and self.receiver is not None:
                return self._give(thing, exporter, self.receiver)
        position = self.exports.add(thing)
        self._written.append(position)
        return Record(_OUR_PROMISE if isinstance(thing, Promise) else _OUR_OBJECT, (position,))

    def _give(self, gift: Ref[object], exporter: HandoffSession, receiver: HandoffSession) -> Value:
        """A third party's object: an introduction in its place. It is deposited once the message is whole."""
        gift_id = self._home.host.random_bytes(_GIFT_ID)
        self._given.append((exporter, gift_id, gift))
        return to_record(make_give(exporter=exporter, receiver=receiver, gift_id=gift_id))

    def recognise(self, dialect: Dialect) -> None:
        """The peer wrote what only this kind of peer writes; the first such thing counts."""
        if self.dialect is OURS:
            self.dialect = dialect

    # --- in ------------------------------------------------------------------

    def designate(self, descriptor: Any) -> object:
        """What a descriptor in a received value stands for. Raises `RemoteProtocolError`."""
        kind = type(descriptor)
        if kind is DescExport:
            thing = self.exports.get(descriptor.position)
            return self._resolver(thing) if isinstance(thing, Question) else thing
        if kind is DescAnswer:
            return self.answer(descriptor.position)
        if kind is DescSigEnvelope:
            # A withdrawal is an argument of the bootstrap's, and of nobody else's.
            return self.on_give(descriptor) if type(descriptor.content) is DescHandoffGive else descriptor
        return self._imported(descriptor)

    def _imported(self, descriptor: DescImportObject | DescImportPromise) -> Remote:
        position = descriptor.position
        known = self.imports.received(position)
        if known is not None:
            return known
        thing: Remote
        if type(descriptor) is DescImportPromise:
            thing = Promise(self._home, RemotePending(self._connector))
        else:
            thing = Ref(self._home, None, self._connector)
        self.imports.add(thing, position)
        return thing

    def _resolver(self, question: Question) -> Ref[object]:
        promise = question.entry()
        return resolver_for(promise if isinstance(promise, Promise) else Promise(self._home))

    def answer(self, position: int) -> Promise[object]:
        """The answer at one of the peer's positions. Raises `RemoteProtocolError`."""
        promise = self.answers.get(position)
        if promise is None:
            raise RemoteProtocolError(f"unknown answer position {position}")
        return promise

    def find(self, to: DescExport | DescAnswer) -> Exported:
        """The target of a received operation. Raises `RemoteProtocolError`."""
        return self.exports.get(to.position) if type(to) is DescExport else self.answer(to.position)

    def target(self, to: object) -> Exported:
        """The same, of a message: its target as it was read."""
        name, position = position_in(to, "desc:export", "desc:answer")
        return self.exports.get(position) if name == "desc:export" else self.answer(position)


def _not_started(_: DescSigEnvelope) -> Promise[object]:
    raise RemoteProtocolError("a give before the session has started")
