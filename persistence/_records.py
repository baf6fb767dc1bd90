"""The inner form of a store: what deltas amount to, and the Syrup records that say so.

::

    <graph vat-id roots-version [slot ...]>     of the whole store; the last one counts
    <portrait slot name version {state}>        the object at `slot`, from now on
    <removed [slot ...]>                        nothing is at these slots from now on
    <checkpoint number time>                    what the store held until here can be looked at later

A payload is a run of Syrup byte strings, each holding one record (sealed or not), so that a record can be
found and copied without reading it. Pure, and the same for every store that
keeps Syrup. No text of an error holds anything of a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias, TypeGuard

import attrs

from goblins_py.abc import Delta, Portrait
from goblins_py.errors import SyrupDecodeError, SyrupEncodeError
from goblins_py.syrup import NEED_DATA, Decoder, Limits, Map, Record, Symbol, encode

__all__ = [
    "GRAPH_KEY",
    "AnyRecord",
    "Change",
    "CheckpointRecord",
    "Graph",
    "KeyedRecord",
    "PortraitRecord",
    "RecordError",
    "RecordReader",
    "RemovedRecord",
    "encode_change",
    "encode_checkpoint",
    "encode_removed",
    "join_records",
    "merge",
    "next_record",
    "records_in",
]

GRAPH_KEY: Final = -1
"""Stands for the graph record where all others are known by their slots."""

KeyedRecord: TypeAlias = tuple[int | None, bytes]
"""A record and what it is the record of: a slot, `GRAPH_KEY`, or nothing that lasts."""

_GRAPH, _PORTRAIT, _REMOVED = Symbol("graph"), Symbol("portrait"), Symbol("removed")
_CHECKPOINT = Symbol("checkpoint")
_PORTRAIT_FIELDS = 4
_LONGEST_LENGTH = 20
_DEPTH = 160  # more than a message may have (128), and far below the recursion limit
_LIMITS = Limits(depth=_DEPTH, value_size=1 << 62, digits=1 << 62)  # our own writing: any size


class RecordError(ValueError):
    """These bytes are no record of a store. The text says why, and nothing of what is in them."""


@attrs.frozen
class Graph:
    """What a store holds beside its portraits; fields as in `Snapshot`."""

    vat_id: bytes = attrs.field(repr=False)
    roots_version: int
    roots: tuple[int, ...]


@attrs.frozen
class RemovedRecord:
    """Nothing is at these slots from now on."""

    slots: tuple[int, ...]


@attrs.frozen
class CheckpointRecord:
    """All before this record is one state that can be looked at later.

    Attributes:
        number: from 1, growing.
        time: when it was made, in seconds since 1970.
    """

    number: int
    time: int


@attrs.frozen
class Change:
    """What a run of deltas amounts to. No slot is in both `portraits` and `removed`.

    Attributes:
        graph: the new one; None if it stays.
    """

    graph: Graph | None
    portraits: Mapping[int, Portrait]
    removed: frozenset[int]


PortraitRecord: TypeAlias = tuple[int, Portrait]
"""The object at a slot, from now on. A plain tuple: a large store has as many as objects."""

AnyRecord: TypeAlias = Graph | PortraitRecord | RemovedRecord | CheckpointRecord


# --- deltas to records -----------------------------------------------------


def merge(deltas: Iterable[Delta], graph: Graph | None) -> Change:
    """What the deltas, in this order, do to a store that holds `graph` (None: that is new).

    Raises:
        ValueError: a new store would not know its vat.
    """
    portraits, removed = dict[int, Portrait](), set[int]()
    before = graph
    for delta in deltas:
        portraits.update(delta.portraits)
        if removed:
            removed.difference_update(delta.portraits)
        if delta.removed:
            for slot in delta.removed:
                portraits.pop(slot, None)
            removed.update(delta.removed)
        graph = _merge_graph(graph, delta)
        if graph is None and (portraits or removed):
            raise ValueError("the first delta of a new store must have vat_id and roots")
    return Change(None if graph == before else graph, portraits, frozenset(removed))


def _merge_graph(graph: Graph | None, delta: Delta) -> Graph | None:
    if delta.vat_id is None and delta.roots_version is None and delta.roots is None:
        return graph
    vat_id = graph.vat_id if delta.vat_id is None and graph else delta.vat_id
    roots = graph.roots if delta.roots is None and graph else delta.roots
    version = graph.roots_version if delta.roots_version is None and graph else delta.roots_version
    if vat_id is None or roots is None:
        raise ValueError("the first delta of a new store must have vat_id and roots")
    return Graph(vat_id, version or 0, tuple(roots))


def encode_change(change: Change) -> list[KeyedRecord]:
    """The records that say `change`; none if there is nothing to say.

    Raises:
        SyrupEncodeError: a value that could not be written, or not be read back.
            A slot, name or version that is not what it must be counts as one.
    """
    records: list[KeyedRecord] = []
    reader = RecordReader()
    if change.graph is not None:
        record = Record(_GRAPH, attrs.astuple(change.graph, recurse=False))
        records.append((GRAPH_KEY, _encode(reader, record, "the graph")))
    for slot, portrait in change.portraits.items():
        record = Record(_PORTRAIT, (slot, portrait.name, portrait.version, dict(portrait.state)))
        records.append((slot, _encode(reader, record, f"{portrait.name} at slot {slot}")))
    if change.removed:
        record = Record(_REMOVED, (tuple(sorted(change.removed)),))
        records.append((None, _encode(reader, record, "the removed slots")))
    return records


def encode_checkpoint(checkpoint: CheckpointRecord) -> bytes:
    """The record that says so."""
    return encode(Record(_CHECKPOINT, (checkpoint.number, checkpoint.time)))


def encode_removed(slots: Iterable[int]) -> bytes:
    """The record that says so."""
    return encode(Record(_REMOVED, (tuple(sorted(slots)),)))


def _encode(reader: RecordReader, record: Record, what: str) -> bytes:
    """Encode, and prove that it can be read back."""
    try:
        data = encode(record, depth=_DEPTH)
        reader.read(data)
    except SyrupEncodeError as error:
        error.add_note(f"while storing {what}")
        raise
    except RecordError as error:
        raise SyrupEncodeError(f"{what} could not be read back: {error}") from None
    return data


# --- records to values -----------------------------------------------------


_new_portrait: Final[Callable[[type[Portrait]], Portrait]] = object.__new__
_put_name: Final[Callable[[Portrait, str], None]] = Portrait.__dict__["name"].__set__
_put_version: Final[Callable[[Portrait, int], None]] = Portrait.__dict__["version"].__set__
_put_state: Final[Callable[[Portrait, Map[str, object]], None]] = Portrait.__dict__["state"].__set__


class RecordReader:
    """Reads records, one after the other; keeps what makes the next one cheaper."""

    def __init__(self) -> None:
        self._decoder = Decoder(_LIMITS)
        self._portrait: object = _PORTRAIT
        self._names: dict[str, str] = {}

    def read(self, data: bytes) -> AnyRecord:
        """The record that these bytes, all of them, are.

        Raises:
            RecordError: they are none, or its fields are not what they must be.
        """
        decoder = self._decoder
        start = decoder.offset
        try:
            decoder.feed(data)
            value = decoder.next_value()
        except SyrupDecodeError as error:
            self._decoder = Decoder(_LIMITS)
            raise RecordError(f"no Syrup from byte {error.offset - start} of the record on") from None
        if value is NEED_DATA or not decoder.at_border():
            self._decoder = Decoder(_LIMITS)
            raise RecordError("not one whole Syrup value")
        if type(value) is not Record:
            raise RecordError("not a record")
        label = value.label
        if label is not self._portrait:
            if label != _PORTRAIT:
                return _rare_record(label, value.fields)
            self._portrait = label  # nearly all are: the next one's will be the very same
        return self._read_portrait(value.fields)

    def _read_portrait(self, fields: tuple[object, ...]) -> tuple[int, Portrait]:
        if len(fields) != _PORTRAIT_FIELDS:
            raise RecordError("a record that stores do not have")
        slot, name, version, state = fields
        if (
            type(slot) is not int
            or type(version) is not int
            or type(name) is not str
            or slot < 0
            or version < 0
        ):
            raise RecordError("a portrait with fields of the wrong kind")
        if type(state) is not Map:
            raise RecordError("a portrait whose state is not fields with names")
        for key in state:
            if type(key) is not str:
                raise RecordError("a portrait whose state is not fields with names")
        portrait = _new_portrait(Portrait)  # by its slots: a store has a million of them
        _put_name(portrait, self._names.setdefault(name, name))  # few names, many objects
        _put_version(portrait, version)
        _put_state(portrait, state)
        return slot, portrait


def _rare_record(label: object, fields: tuple[object, ...]) -> AnyRecord:
    match label, fields:
        case label, (vat_id, version, roots) if label == _GRAPH:
            return _graph(vat_id, version, roots)
        case label, (slots,) if label == _REMOVED and _are_slots(slots):
            return RemovedRecord(slots)
        case label, (number, time) if label == _CHECKPOINT and _is_count(number) and _is_count(time):
            return CheckpointRecord(number, time)
    raise RecordError("a record that stores do not have")


def _graph(vat_id: object, version: object, roots: object) -> Graph:
    if not isinstance(vat_id, bytes) or not _is_count(version) or not _are_slots(roots):
        raise RecordError("a graph with fields of the wrong kind")
    return Graph(vat_id, version, roots)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0


def _are_slots(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(_is_count(slot) for slot in value)


# --- records in a payload --------------------------------------------------


def join_records(records: Iterable[bytes]) -> bytes:
    """A payload of these records."""
    pieces: list[bytes] = []
    for record in records:
        pieces += (b"%d:" % len(record), record)
    return b"".join(pieces)


def next_record(payload: bytes, position: int) -> tuple[int, int]:
    """From where to where the record goes whose byte string starts at `position`.

    Raises:
        RecordError: none does.
    """
    colon = payload.find(b":", position, position + _LONGEST_LENGTH)
    digits = payload[position:colon] if colon >= 0 else b""
    if not digits.isdigit():
        raise RecordError("no record where one must start")
    stop = colon + 1 + int(digits)
    if stop > len(payload):
        raise RecordError("a record that is longer than its frame")
    return colon + 1, stop


def records_in(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """All records of a payload, and where each starts in it; as `next_record`, for all of a large file.

    Raises:
        RecordError: something in it is no byte string.
    """
    decoder = Decoder(_LIMITS)
    decoder.feed(payload)
    try:
        while (record := decoder.next_value()) is not NEED_DATA:
            if type(record) is not bytes:
                raise RecordError("no record where one must start")
            yield decoder.offset - len(record), record
    except SyrupDecodeError:
        raise RecordError("no record where one must start") from None
    if not decoder.at_border():
        raise RecordError("a record that is longer than its frame")
