"""CapTP's records: one table of classes, labels and fields, for reading and for writing.

Names are mechanical: `OpDeliver` is `op:deliver`. Descriptors are named from the *receiver's* side: we
send `desc:import-object` for what we export. `0` and `f` are never confused: a position is an
integer that is no boolean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from goblins_py.errors import RemoteProtocolError
from goblins_py.syrup import Record, Symbol, encode

__all__ = [
    "TABLE",
    "DescAnswer",
    "DescExport",
    "DescHandoffGive",
    "DescHandoffReceive",
    "DescImportObject",
    "DescImportPromise",
    "DescSigEnvelope",
    "OpAbort",
    "OpDeliver",
    "OpGcAnswers",
    "OpGcExports",
    "OpGet",
    "OpIndex",
    "OpListen",
    "OpStartSession",
    "OpUntag",
    "Operation",
    "as_ours",
    "deliver_bytes",
    "deliver_pieces",
    "operation_bytes",
    "position_in",
    "read_record",
    "to_record",
]


def _position(value: object) -> bool:
    return type(value) is int and value >= 0


def _position_or_false(value: object) -> bool:
    return value is False or _position(value)


def _positions(value: object) -> bool:
    return type(value) is tuple and all(type(item) is int and item >= 0 for item in value)


def _counts(value: object) -> bool:
    return type(value) is tuple and all(type(item) is int and item > 0 for item in value)


def _of(*kinds: type) -> Callable[[object], bool]:
    return lambda value: type(value) in kinds


def _field(check: Callable[[object], bool], default: Any = attrs.NOTHING) -> Any:
    return attrs.field(metadata={"check": check}, default=default)


# (RUF009 does not know `_field`.)


@attrs.define(unsafe_hash=True)
class DescImportObject:
    """An object that the sender exports to us."""

    position: int = _field(_position)


@attrs.define(unsafe_hash=True)
class DescImportPromise:
    """A promise that the sender exports to us."""

    position: int = _field(_position)


@attrs.define(unsafe_hash=True)
class DescExport:
    """Something that the receiver exported."""

    position: int = _field(_position)


@attrs.define(unsafe_hash=True)
class DescAnswer:
    """The receiver's answer to an earlier message of the sender."""

    position: int = _field(_position)


def _resolver_or_false(value: object) -> bool:
    return value is False or type(value) in (DescImportObject, DescImportPromise)


@attrs.frozen
class OpStartSession:
    """The first record each way."""

    captp_version: str = _field(_of(str))
    public_key: object = _field(_of(tuple))
    location: object = _field(_of(Record))
    signature: object = _field(_of(tuple))


@attrs.define(unsafe_hash=True)
class OpDeliver:
    """A message. `answer_pos` and `resolve_me` are False where they are not wanted."""

    to: DescExport | DescAnswer = _field(_of(DescExport, DescAnswer))  # noqa: RUF009
    args: tuple[object, ...] = _field(_of(tuple))
    answer_pos: int | bool = _field(_position_or_false)
    resolve_me: DescImportObject | DescImportPromise | bool = _field(_resolver_or_false)  # noqa: RUF009


@attrs.frozen
class OpListen:
    """Tell the resolver what becomes of a promise. Written with three fields, read with two or three."""

    to: DescExport | DescAnswer = _field(_of(DescExport, DescAnswer))  # noqa: RUF009
    resolver: DescImportObject | DescImportPromise = _field(_of(DescImportObject, DescImportPromise))  # noqa: RUF009
    wants_partial: bool = _field(_of(bool), default=False)


@attrs.frozen
class OpGet:
    """The answer becomes a field of the struct that the target will be."""

    to: DescExport | DescAnswer = _field(_of(DescExport, DescAnswer))  # noqa: RUF009
    key: str = _field(_of(str))
    answer_pos: int = _field(_position)


@attrs.frozen
class OpIndex:
    """The answer becomes an item of the list that the target will be."""

    to: DescExport | DescAnswer = _field(_of(DescExport, DescAnswer))  # noqa: RUF009
    key: int = _field(_position)
    answer_pos: int = _field(_position)


@attrs.frozen
class OpUntag:
    """The answer becomes what is under this tag. Written with a string, read with a symbol as well."""

    to: DescExport | DescAnswer = _field(_of(DescExport, DescAnswer))  # noqa: RUF009
    key: str | Symbol = _field(_of(str, Symbol))  # noqa: RUF009
    answer_pos: int = _field(_position)


@attrs.frozen
class OpGcExports:
    """Counts of exports that the sender holds no more; two lists of one length."""

    positions: tuple[int, ...] = _field(_positions)
    deltas: tuple[int, ...] = _field(_counts)


@attrs.frozen
class OpGcAnswers:
    """Answers that the sender will not use any more."""

    positions: tuple[int, ...] = _field(_positions)


@attrs.frozen
class OpAbort:
    """The last record of a session."""

    reason: str = _field(_of(str))


@attrs.frozen
class DescHandoffGive:
    """An introduction: the holder of the receiver's key may have the gift from the exporter."""

    receiver_key: object = _field(_of(tuple))
    exporter_location: Record = _field(_of(Record))  # noqa: RUF009
    session: bytes = _field(_of(bytes))
    gifter_side: bytes = _field(_of(bytes))
    gift_id: bytes | str | int = _field(_of(bytes, str, int))


@attrs.frozen
class DescSigEnvelope:
    """Something and its signature."""

    content: object = _field(lambda value: True)
    signature: object = _field(_of(tuple))


@attrs.frozen
class DescHandoffReceive:
    """A receiver asks the exporter for its gift."""

    receiving_session: bytes = _field(_of(bytes))
    receiving_side: bytes = _field(_of(bytes))
    handoff_count: int = _field(_position)
    signed_give: DescSigEnvelope = _field(_of(DescSigEnvelope))  # noqa: RUF009


Operation = (
    OpStartSession | OpDeliver | OpListen | OpGet | OpIndex | OpUntag | OpGcExports | OpGcAnswers | OpAbort
)

TABLE: Final[dict[str, type]] = {
    "desc:import-object": DescImportObject,
    "desc:import-promise": DescImportPromise,
    "desc:export": DescExport,
    "desc:answer": DescAnswer,
    "desc:sig-envelope": DescSigEnvelope,
    "desc:handoff-give": DescHandoffGive,
    "desc:handoff-receive": DescHandoffReceive,
    "op:start-session": OpStartSession,
    "op:deliver": OpDeliver,
    "op:listen": OpListen,
    "op:get": OpGet,
    "op:index": OpIndex,
    "op:untag": OpUntag,
    "op:gc-exports": OpGcExports,
    "op:gc-answers": OpGcAnswers,
    "op:abort": OpAbort,
}
"""Label to class. The fields of a class are those of the record, in order."""

_LABELS: Final = {cls: Symbol(label) for label, cls in TABLE.items()}
_NAMES: Final = {cls: tuple(field.name for field in attrs.fields(cls)) for cls in TABLE.values()}


# --- reading ---------------------------------------------------------------


def _reader(label: str, cls: type) -> Callable[[tuple[Any, ...]], object]:
    """A function from the fields of a record to its object, as the table says."""
    fields = attrs.fields(cls)
    checks = tuple(field.metadata["check"] for field in fields)
    required = sum(field.default is attrs.NOTHING for field in fields)

    def read(values: tuple[Any, ...]) -> object:
        if not required <= len(values) <= len(checks):
            raise RemoteProtocolError(f"{label} with {len(values)} fields")
        for check, value in zip(checks, values, strict=False):
            if not check(value):
                raise RemoteProtocolError(f"malformed {label}")
        return cls(*values)

    return read


_READERS: Final = {label: _reader(label, cls) for label, cls in TABLE.items()}
_POSITIONS: Final = (DescImportObject, DescImportPromise, DescExport, DescAnswer)
_DESCRIPTORS: Final = {label: cls for label, cls in TABLE.items() if cls in _POSITIONS}


def read_record(label: object, fields: tuple[Any, ...]) -> Any:
    """What stands in the place of a record that was read: ours if its label is, else a `Record`.

    Raises:
        RemoteProtocolError: one of ours with fields that do not fit it.
    """
    if type(label) is Symbol:
        name = label.name
        descriptor = _DESCRIPTORS.get(name)
        if descriptor is not None and len(fields) == 1:  # what most records are: without a detour
            position = fields[0]
            if type(position) is int and position >= 0:
                return descriptor(position)
        reader = _READERS.get(name)
        if reader is not None:
            return reader(fields)
    return Record(label, fields)


def as_ours(value: Any) -> Any:
    """A value that was read, with our classes in place of our records; not within sets and dictionaries.

    The most frequent ones, `op:deliver` and its descriptors, need not be made: see `position_in`.

    Raises:
        RemoteProtocolError: as `read_record`.
    """
    kind = type(value)
    if kind is Record:
        return read_record(value.label, tuple([as_ours(field) for field in value.fields]))
    return tuple([as_ours(item) for item in value]) if kind is tuple else value


def position_in(descriptor: object, one: str, other: str) -> tuple[str, int]:
    """Which of two labels a descriptor has, and its position.

    Raises:
        RemoteProtocolError: it is another one, or none.
    """
    if type(descriptor) is Record:
        label, fields = descriptor.label, descriptor.fields
        if type(label) is Symbol and len(fields) == 1:
            name, position = label.name, fields[0]
            if name in (one, other) and type(position) is int and position >= 0:
                return name, position
    raise RemoteProtocolError(f"malformed {one} or {other}")


# --- writing ---------------------------------------------------------------


def to_record(value: object) -> Record:
    """The record of one of our classes. Raises KeyError for anything else."""
    cls = type(value)
    fields = [getattr(value, name) for name in _NAMES[cls]]
    return Record(_LABELS[cls], tuple([to_record(item) if type(item) in _NAMES else item for item in fields]))


def operation_bytes(operation: Operation) -> bytes:
    """An operation that holds no references."""
    return encode(to_record(operation))


def deliver_bytes(to: bytes, args: bytes, answer_pos: int, resolver: int) -> bytes:
    """An `OpDeliver` that asks for an answer, target and arguments encoded already: most of the traffic."""
    return b"<10'op:deliver%b%b%d+<18'desc:import-object%d+>>" % (to, args, answer_pos, resolver)


def deliver_pieces(to: bytes, args: bytes, answer_pos: int, resolver: int) -> tuple[bytes, bytes, bytes]:
    """The same in pieces, with long arguments as they are."""
    head, tail = b"<10'op:deliver%b" % to, b"%d+<18'desc:import-object%d+>>" % (answer_pos, resolver)
    return head, args, tail
