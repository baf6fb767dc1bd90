"""Messages are taken as they were read, and mean what the table says."""

import pytest

from captp_kit import Stranger, to_bytes
from goblins_py.actors import Ref
from goblins_py.captp._records import (
    DescExport,
    DescImportObject,
    OpAbort,
    OpDeliver,
    as_ours,
    deliver_bytes,
    deliver_pieces,
    position_in,
)
from goblins_py.errors import NotPassableError, RemoteProtocolError
from goblins_py.syrup import Map, Record, Symbol, decode
from vectors_captp import MALFORMED, OPERATIONS, READ_ONLY

THEIRS = Record(Symbol("desc:import-object"), (5,))


@pytest.mark.parametrize(("operation", "data"), [*OPERATIONS, *((read, data) for data, read in READ_ONLY)])
def test_what_was_read_plainly_becomes_what_the_table_says(operation, data) -> None:
    """As if each record had been replaced while it was read."""
    assert operation == as_ours(decode(data))


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_malformed_is_refused_afterwards_as_well(data) -> None:
    """All that a decoder with `read_record` refuses."""
    with pytest.raises(RemoteProtocolError):
        as_ours(decode(data))


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_malformed_ends_the_session(data) -> None:
    """As an operation, and as an argument at any depth."""
    for message in (data, b"<10'op:deliver<11'desc:export0+>[4'incr[%b]]ff>" % data):
        stranger = Stranger()
        assert OpAbort is type(stranger.say(message)[-1])
        assert not stranger.alive


@pytest.mark.parametrize(
    "argument",
    [(THEIRS,), Map({"a": (THEIRS,)}), Map({THEIRS: 1}), frozenset({THEIRS}), Record(Symbol("r"), (THEIRS,))],
)
def test_a_descriptor_is_a_reference_wherever_it_stands(argument) -> None:
    """In lists, dictionaries, sets and records."""
    message = OpDeliver(DescExport(0), (Symbol("same"), argument), False, DescImportObject(1))
    (answer,) = Stranger().say(message)
    assert b"<11'desc:export5+>" in to_bytes(answer)


def test_a_descriptor_has_one_of_two_labels_and_a_position() -> None:
    """Nothing else will do."""
    export = Record(Symbol("desc:export"), (3,))
    assert ("desc:export", 3) == position_in(export, "desc:export", "desc:answer")
    for wrong in (export, 3, Record("desc:answer", (3,)), Record(Symbol("desc:answer"), (True,))):
        with pytest.raises(RemoteProtocolError):
            position_in(wrong, "desc:answer", "desc:import-object")


@pytest.mark.parametrize("extra", [b"1" * 10_000, "1" * 10_000])
def test_long_integers_are_found_beside_long_strings_of_digits(extra) -> None:
    """A string is nothing to look into; an integer is refused whatever stands beside it."""
    references = Stranger().us.session.references
    assert str(len(extra)).encode() in references.write((Symbol("m"), extra, 10**4000))
    with pytest.raises(NotPassableError, match="digits limit"):
        references.write((Symbol("m"), extra, (10**5000,)))
    assert isinstance(references.bootstrap, Ref)


@pytest.mark.parametrize("size", [0, 2**14, 2**14 + 1, 2**20])
def test_a_long_message_is_written_as_a_short_one_whole_or_in_pieces(size) -> None:
    """Whole for who carries messages, in pieces for a stream: the same bytes, counted once."""
    stranger = Stranger()
    message = OpDeliver(DescExport(0), (Symbol("same"), bytes(size)), False, DescImportObject(1))
    session = stranger.us.session
    for in_pieces in (False, True):
        stranger.us.hear(to_bytes(message))
        messages = session.messages_to_send(in_pieces=in_pieces)
        assert (1 if size < 2**14 or not in_pieces else 3) == len(messages)
        (answer,) = (decode(b"".join(messages)),)
        assert (Symbol("fulfill"), bytes(size)) == answer.fields[1]
        assert session.queued == len(b"".join(messages))
        session.sent(session.queued)
    assert deliver_bytes(b"to", b"args", 1, 2) == b"".join(deliver_pieces(b"to", b"args", 1, 2))
