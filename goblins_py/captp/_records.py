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
from goblins_py.syrup import Record, Symbol

__all__ = [
    "DescAnswer",
    "DescExport",
    "DescImportObject",
    "DescImportPromise",
    "OpAbort",
    "OpDeliver",
    "OpGcAnswers",
    "OpGcExports",
    "OpListen",
    "OpStartSession",
    "Operation",
    "deliver_bytes",
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


@attrs.frozen
class DescImportObject:
    """An object that the sender exports to us."""

    position: int = _field(_position)


@attrs.frozen
class DescImportPromise:
    """A promise that the sender exports to us."""

    position: int = _field(_position)


@attrs.frozen
class DescExport:
    """Something that the receiver exported."""

    position: int = _field(_position)


@attrs.frozen
class DescAnswer:
    """The receiver's answer to an earlier message of the sender."""

    position: int = _field(_position)



def _resolve_me(value: object) -> bool:
    return value is False or type(value) in (DescImportObject, DescImportPromise)


@attrs.frozen
class OpStartSession:
    """The first record each way."""

    captp_version: str = _field(_of(str))
    public_key: object = _field(_of(tuple))
    location: object = _field(_of(Record))
    signature: object = _field(_of(tuple))


@attrs.frozen
class OpDeliver:
    """A message. `answer_pos` and `resolve_me` are False where they are not wanted."""

    to: DescExport | DescAnswer = _field(_of(DescExport, DescAnswer))
    args: tuple[object, ...] = _field(_of(tuple))
    answer_pos: int | bool = _field(_position_or_false)
    resolve_me: DescImportObject | DescImportPromise | bool = _field(_resolve_me)


@attrs.frozen
class OpListen:
    """Tell the resolver what becomes of a promise. Written with three fields, read with two or three."""

    to: DescExport | DescAnswer = _field(_of(DescExport, DescAnswer))
    resolver: DescImportObject | DescImportPromise = _field(_of(DescImportObject, DescImportPromise))
    wants_partial: bool = _field(_of(bool), default=False)


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


Operation = OpStartSession | OpDeliver | OpListen | OpGcExports | OpGcAnswers | OpAbort

TABLE: Final[dict[str, type]] = {
    "desc:import-object": DescImportObject,
    "desc:import-promise": DescImportPromise,
    "desc:export": DescExport,
    "desc:answer": DescAnswer,
    "op:start-session": OpStartSession,
    "op:deliver": OpDeliver,
    "op:listen": OpListen,
    "op:gc-exports": OpGcExports,
    "op:gc-answers": OpGcAnswers,
    "op:abort": OpAbort,
}
"""Label to class. The fields of a class are those of the record, in order."""

_CHECKS: Final = {
    label: (
        cls,
        tuple(field.metadata["check"] for field in attrs.fields(cls)),
        sum(field.default is attrs.NOTHING for field in attrs.fields(cls)),
    )
    for label, cls in TABLE.items()
}
_LABELS: Final = {cls: Symbol(label) for label, cls in TABLE.items()}
_NAMES: Final = {cls: tuple(field.name for field in attrs.fields(cls)) for cls in TABLE.values()}


def read_record(label: object, fields: tuple[Any, ...]) -> Any:
    """What stands in the place of a record that was read: ours if its label is, else a `Record`.

    Raises:
        RemoteProtocolError: one of ours with fields that do not fit it.
    """
    entry = _CHECKS.get(label.name) if isinstance(label, Symbol) else None
    if entry is None:
        return Record(label, fields)
    cls, checks, required = entry
    if not required <= len(fields) <= len(checks):
        raise RemoteProtocolError(f"{label} with {len(fields)} fields")
    for check, field in zip(checks, fields, strict=False):
        if not check(field):
            raise RemoteProtocolError(f"malformed {label}")
    return cls(*fields)


def to_record(value: object) -> Record:
    """The record of one of our classes. Raises KeyError for anything else."""
    cls = type(value)
    return Record(_LABELS[cls], tuple(getattr(value, name) for name in _NAMES[cls]))


def deliver_bytes(
    to: DescExport | DescAnswer, args: bytes, answer_pos: int | None, resolver: int | None
) -> bytes:
    """An `OpDeliver`, its arguments encoded already: what nearly all of the traffic is."""
    desc = b"<11'desc:export%d+>" if type(to) is DescExport else b"<11'desc:answer%d+>"
    answer = b"f" if answer_pos is None else b"%d+" % answer_pos
    resolve_me = b"f" if resolver is None else b"<18'desc:import-object%d+>" % resolver
    return b"".join((b"<10'op:deliver", desc % to.position, args, answer, resolve_me, b">"))
