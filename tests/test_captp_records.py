"""Operations and descriptors: one table, read and written."""

import attrs
import pytest

from captp_kit import one_by_one, to_bytes
from goblins_py.captp._records import (
    TABLE,
    DescAnswer,
    DescExport,
    DescImportObject,
    DescImportPromise,
    OpDeliver,
    OpStartSession,
    deliver_bytes,
    operation_bytes,
    read_record,
)
from goblins_py.errors import RemoteProtocolError, SyrupDecodeError
from goblins_py.syrup import NEED_DATA, Decoder, Record, Symbol, decode
from vectors_captp import MALFORMED, OPERATIONS, READ_ONLY, START


def ids(vectors):
    return [str(vector[0])[:60] for vector in vectors]


@pytest.mark.parametrize(("operation", "data"), OPERATIONS, ids=ids(OPERATIONS))
def test_an_operation_is_written_as_the_table_says(operation, data) -> None:
    """Bytes for bytes."""
    assert data == to_bytes(operation)


@pytest.mark.parametrize(("operation", "data"), OPERATIONS, ids=ids(OPERATIONS))
def test_an_operation_is_read_whole_in_pieces_and_with_more_behind_it(operation, data) -> None:
    """Any split; every proper prefix is "need data"; types and values are those written, 0 being no false."""
    for pieces in ([data], one_by_one(data), [data + b"<8'op:"]):
        decoder = Decoder(special=read_record)
        for piece in pieces[:-1]:
            decoder.feed(piece)
            assert decoder.next_value() is NEED_DATA
        decoder.feed(pieces[-1])
        assert repr(operation) == repr(decoder.next_value())


@pytest.mark.parametrize(("data", "operation"), READ_ONLY)
def test_what_only_peers_write_is_read(data, operation) -> None:
    """Two fields of op:listen, and what Syrup tolerates."""
    assert operation == decode(data, special=read_record)


@pytest.mark.parametrize("data", MALFORMED)
def test_a_malformed_record_of_ours_is_refused(data) -> None:
    """A boolean is no position, a position no boolean; counts are positive; all fields count."""
    with pytest.raises(RemoteProtocolError):
        decode(data, special=read_record)


def test_records_of_others_are_left_alone() -> None:
    """Whatever the label is."""
    for label in (Symbol("op:unheard-of"), "desc:export", 5, DescExport(1)):
        assert Record(label, (1,)) == read_record(label, (1,))


def test_our_start_session_is_the_vector() -> None:
    """333 bytes; their digest is among the Syrup vectors."""
    operation, size = START
    assert size == len(operation_bytes(operation))
    assert operation == decode(operation_bytes(operation), special=read_record)


def test_the_short_way_to_write_a_message_is_the_long_way() -> None:
    """`deliver_bytes` writes what the table says."""
    fast = deliver_bytes(to_bytes(DescAnswer(3)), b"[1+]", 4, 5)
    operation = decode(fast, special=read_record)
    assert fast == to_bytes(operation)
    assert isinstance(operation, OpDeliver)


def test_names_are_mechanical() -> None:
    """`OpDeliver` is `op:deliver`, `DescImportObject` is `desc:import-object`."""
    for label, cls in TABLE.items():
        assert cls.__name__ == "".join(word.capitalize() for word in label.replace(":", "-").split("-"))


def test_descriptors_of_two_kinds_are_never_equal() -> None:
    """Else two keys of a dictionary could be taken for one."""
    kinds = [cls(1) for cls in (DescImportObject, DescImportPromise, DescExport, DescAnswer)]
    assert len(set(kinds)) == len(kinds) == 4
    assert kinds[0] not in [(1,), 1]


def test_every_field_has_its_check() -> None:
    """A field without one would let anything pass."""
    for cls in TABLE.values():
        assert all(callable(field.metadata["check"]) for field in attrs.fields(cls))


def test_half_an_operation_is_an_error_at_the_end() -> None:
    """The connection's end in the middle of a record is noticed."""
    decoder = Decoder(special=read_record)
    decoder.feed(operation_bytes(START[0])[:-1])
    assert decoder.next_value() is NEED_DATA
    with pytest.raises(SyrupDecodeError):
        decoder.finish()
    assert OpStartSession is type(START[0])
