"""Values to bytes and back."""

import hashlib
import math
import struct
from enum import IntEnum

import pytest
from hypothesis import given

from goblins_py.errors import SyrupDecodeError, SyrupEncodeError
from goblins_py.syrup import (
    NEED_DATA,
    Decoder,
    Leaf,
    Limits,
    Null,
    Record,
    Symbol,
    Tagged,
    decode,
    encode,
    same,
)
from strategies import splits, values
from vectors_syrup import DIGESTS, MALFORMED, RECORDED_START_SESSION, TOLERATED, VALUES

vectors = pytest.mark.parametrize(("value", "data"), VALUES, ids=[str(data[:30]) for _, data in VALUES])
modes = pytest.mark.parametrize("canonical", [False, True], ids=["tolerant", "canonical"])


def drain(decoder):
    """All whole values that a decoder has."""
    found = []
    while (value := decoder.next_value()) is not NEED_DATA:
        found.append(value)
    return found


def read_in_pieces(pieces, **options):
    """What a decoder makes of some pieces, which must end at a border."""
    decoder = Decoder(**options)
    found = []
    for piece in pieces:
        decoder.feed(piece)
        found += drain(decoder)
    decoder.finish()
    return found


def one_byte_each(data):
    """The bytes, each by itself."""
    return [data[index : index + 1] for index in range(len(data))]


# --- the table -----------------------------------------------------------------


@vectors
def test_value_is_written_canonically(value, data):
    """The encoder writes the bytes of the table."""
    assert encode(value) == data


@vectors
@modes
def test_value_is_read_whole(value, data, canonical):
    """Both modes read the canonical form, with Syrup's idea of sameness."""
    assert same(decode(data, canonical=canonical), value)


@vectors
@modes
def test_value_is_read_byte_by_byte(value, data, canonical):
    """Any split gives the same; one byte at a time is the worst."""
    (found,) = read_in_pieces(one_byte_each(data), canonical=canonical)
    assert same(found, value)


@vectors
@modes
def test_trailing_bytes_are_left_for_the_next_value(value, data, canonical):
    """A decoder stops where the value ends; decode refuses what follows, naming the place."""
    decoder = Decoder(canonical=canonical)
    decoder.feed(data + b"t1")
    assert same(decoder.next_value(), value)
    assert decoder.offset == len(data)
    assert decoder.next_value() is True
    assert not decoder.at_border()
    with pytest.raises(SyrupDecodeError) as caught:
        decode(data + b"t", canonical=canonical)
    assert caught.value.offset == len(data)


@vectors
@modes
def test_every_proper_prefix_needs_data_and_is_an_error_at_the_end(value, data, canonical):
    """No prefix is a value, and none is an error before the end of the input."""
    for length in range(1, len(data)):
        decoder = Decoder(canonical=canonical)
        decoder.feed(data[:length])
        assert decoder.next_value() is NEED_DATA
        assert not decoder.at_border()
        with pytest.raises(SyrupDecodeError) as caught:
            decoder.finish()
        assert caught.value.offset == length


@pytest.mark.parametrize(("data", "value"), TOLERATED)
def test_tolerant_mode_reads_other_forms(data, value):
    """What Goblins reads, we read: whole and byte by byte."""
    assert same(decode(data), value)
    (found,) = read_in_pieces(one_byte_each(data))
    assert same(found, value)


@pytest.mark.parametrize(("data", "value"), TOLERATED)
def test_canonical_mode_refuses_other_forms(data, value):
    """What the encoder would have written otherwise is refused: whole and byte by byte."""
    with pytest.raises(SyrupDecodeError, match="not canonical"):
        decode(data, canonical=True)
    with pytest.raises(SyrupDecodeError, match="not canonical"):
        read_in_pieces(one_byte_each(data), canonical=True)


@pytest.mark.parametrize(("data", "offset"), MALFORMED)
@modes
def test_malformed_bytes_are_refused_with_their_offset(data, offset, canonical):
    """The error says where, however the bytes are split."""
    with pytest.raises(SyrupDecodeError) as caught:
        decode(data, canonical=canonical)
    assert caught.value.offset == offset
    with pytest.raises(SyrupDecodeError) as caught:
        read_in_pieces(one_byte_each(data), canonical=canonical)
    assert caught.value.offset == offset


@pytest.mark.parametrize(("value", "length", "digest"), DIGESTS)
def test_signed_records_of_goblins_have_their_digests(value, length, digest):
    """The computed vectors of the wire reference."""
    data = encode(value)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (length, digest)
    assert decode(data, canonical=True) == value


def test_recorded_message_of_goblins_is_canonical():
    """A recorded op:start-session is read and written again as it was."""
    value = decode(RECORDED_START_SESSION, canonical=True)
    assert isinstance(value, Record)
    assert value.label == Symbol("op:start-session")
    assert encode(value) == RECORDED_START_SESSION


# --- properties ------------------------------------------------------------------


@given(values)
def test_what_is_written_is_read_again(value):
    """Round trip, in the strict mode."""
    data = encode(value)
    assert encode(decode(data, canonical=True)) == data
    assert same(decode(data), decode(data, canonical=True))


@given(values.flatmap(lambda value: splits(encode(value) + encode(value))))
def test_any_split_reads_the_same(pieces):
    """Two values in a row, cut anywhere."""
    data = b"".join(pieces)
    for canonical in (False, True):
        first, second = read_in_pieces(pieces, canonical=canonical)
        assert encode(first) + encode(second) == data


@given(values)
def test_canonical_mode_reads_exactly_what_is_written(value):
    """Change one byte: either no value, or one that is written as that."""
    data = bytearray(encode(value))
    for index in range(min(len(data), 40)):
        changed = data.copy()
        changed[index] ^= 0x11
        try:
            other = decode(changed, canonical=True)
        except SyrupDecodeError:
            continue
        assert encode(other) == changed


# --- numbers -----------------------------------------------------------------------


@pytest.mark.parametrize("digits", [599, 600, 601, 640, 4300, 4301, 20000])
def test_huge_integers_pass_the_interpreters_digit_limit(digits):
    """Python converts no more than 4300 digits; we convert in halves."""
    data = b"9" * (digits // 2) + b"0" * (digits - digits // 2)
    value = decode(data + b"-", limits=Limits(digits=digits))
    assert value == -(10 ** (digits // 2) - 1) * 10 ** (digits - digits // 2)
    assert encode(value) == data + b"-"


def test_there_is_one_nan():
    """Every NaN is written as one; only that one is canonical."""
    odd = b"D" + struct.pack(">Q", 0xFFF0000000000001)
    value = decode(odd)
    assert isinstance(value, float)
    assert math.isnan(value)
    assert encode(value) == b"D\x7f\xf8" + bytes(6)
    assert math.isnan(decode(encode(value), canonical=True))
    with pytest.raises(SyrupDecodeError, match="NaN"):
        decode(odd, canonical=True)


# --- limits --------------------------------------------------------------------------


def test_depth_limit_is_named():
    """As many containers as allowed are read, one more is refused."""
    limits = Limits(depth=3)
    assert decode(b"[[[]]]", limits=limits) == (((),),)
    with pytest.raises(SyrupDecodeError, match="depth") as caught:
        decode(b"[[[[", limits=limits)
    assert caught.value.offset == 3


def test_encoder_writes_no_deeper_than_a_decoder_reads():
    """What is written can be read again with default limits."""
    deepest = ()
    for _ in range(127):
        deepest = (deepest,)
    assert decode(encode(deepest)) == deepest
    with pytest.raises(SyrupEncodeError, match="deep"):
        encode((deepest,))


@pytest.mark.parametrize("data", [b"11:", b'99999999999999999999"', b"0000000000011'", b"[1+ 8:"])
def test_length_prefix_over_the_value_size_is_refused_at_once(data):
    """Nobody waits for, or makes room for, a body that may not come."""
    decoder = Decoder(Limits(value_size=12))
    decoder.feed(data)
    with pytest.raises(SyrupDecodeError, match="value_size"):
        decoder.next_value()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_value_size_counts_one_value(size):
    """Many values may pass, none of them longer than the limit, in any split."""
    data = b"[1+2+3+]" * 20
    pieces = [data[index : index + size] for index in range(0, len(data), size)]
    assert len(read_in_pieces(pieces, limits=Limits(value_size=8))) == 20
    with pytest.raises(SyrupDecodeError, match="value_size"):
        read_in_pieces(pieces, limits=Limits(value_size=7))


@pytest.mark.parametrize("limit", [1, 2, 8, 9, 10, 700])
def test_digits_limit_is_named(limit):
    """As many digits as allowed, one more is refused; whole and byte by byte."""
    limits = Limits(digits=limit)
    data = b"1" * limit + b"+"
    assert decode(data, limits=limits) == (10**limit - 1) // 9
    assert read_in_pieces(one_byte_each(data), limits=limits) == [(10**limit - 1) // 9]
    for too_long in (b"1" + data, b"0" + data):
        with pytest.raises(SyrupDecodeError, match="digits"):
            decode(too_long, limits=limits)
        with pytest.raises(SyrupDecodeError, match="digits"):
            read_in_pieces(one_byte_each(too_long), limits=limits)


def test_limits_below_one_are_refused():
    """A limit of nothing is a mistake."""
    with pytest.raises(ValueError, match="depth"):
        Limits(depth=0)


@pytest.mark.parametrize("form", [b"{%b}", b"#%b$"])
def test_keys_chosen_to_collide_are_refused(form):
    """Integers of one hash would make a dictionary quadratic."""
    step = 2**61 - 1
    numbers = [b"%d+" % (1 + index * step) for index in range(200)]
    with pytest.raises(SyrupDecodeError, match="hash"):
        decode(form % b"".join(numbers))


# --- the decoder's life ------------------------------------------------------------------


def test_values_before_an_error_are_read_and_then_the_error_stays():
    """A broken decoder raises the same again, whatever is called."""
    decoder = Decoder()
    decoder.feed(b"1+x2+")
    assert decoder.next_value() == 1
    with pytest.raises(SyrupDecodeError) as first:
        decoder.next_value()
    assert first.value.offset == 2
    for call in (decoder.next_value, decoder.finish, lambda: decoder.feed(b"1+")):
        with pytest.raises(SyrupDecodeError) as again:
            call()
        assert again.value is first.value


def test_blanks_between_values_are_no_value():
    """Trailing white space is consumed at a border, and counts for no value's size."""
    assert read_in_pieces([b" 1+ \n", b"\t", b"2+ " + b" " * 100], limits=Limits(value_size=4)) == [1, 2]


def test_special_makes_objects_of_records():
    """The hook is called from the innermost record outwards, in order."""
    seen = []

    def special(label, fields):
        seen.append((label.name, fields))
        return len(seen)

    assert decode(b"[<1'a><1'b<1'c5+>>]", special=special) == (1, 3)
    assert seen == [("a", ()), ("c", (5,)), ("b", (2,))]


@pytest.mark.parametrize("kind", [IndexError, RuntimeError, KeyboardInterrupt])
def test_error_of_the_hook_breaks_the_decoder(kind):
    """It is raised as it is, and nothing is read after it."""

    def special(label, fields):
        raise kind

    decoder = Decoder(special=special)
    decoder.feed(b"<1'a>1+")
    with pytest.raises(kind):
        decoder.next_value()
    with pytest.raises((kind, SyrupDecodeError)):
        decoder.next_value()


def test_object_without_hash_is_no_key():
    """What a hook makes must be hashable to be a key or a member."""
    for data in (b"{<1'a>1+}", b"#<1'a>$"):
        with pytest.raises(SyrupDecodeError, match="hash"):
            decode(data, special=lambda label, fields: [])


# --- what cannot be written ------------------------------------------------------------------


class Colour(IntEnum):
    """An int that is not one."""

    RED = 1


@pytest.mark.parametrize(
    "value", [None, Null, Tagged("a", 1), object(), Colour.RED, type("Text", (str,), {})("a"), Leaf(), 1j]
)
def test_what_syrup_has_no_form_for_is_refused(value):
    """At any depth; also what CapTP would write as a record."""
    for outer in (value, (value,), Record(Symbol("a"), (value,)), {"a": value}):
        with pytest.raises(SyrupEncodeError, match=type(value).__name__):
            encode(outer)


def test_special_writes_what_syrup_cannot():
    """At any depth, as key and member too; what it returns may need it again."""

    def special(value):
        return Record(Symbol("void"), ()) if value is None else None if value is Null else NotImplemented

    data = encode([None, {None: {None}}, Record(None, (Null,))], special)
    assert data == b"[<4'void>{<4'void>#<4'void>$}<<4'void><4'void>>]"
    with pytest.raises(SyrupEncodeError):
        encode(Leaf(), special)


def test_special_that_never_ends_is_an_error():
    """A hook that returns what it got does not hang the encoder."""
    with pytest.raises(SyrupEncodeError, match="deep"):
        encode(None, lambda value: value)


def test_mutable_containers_are_written_as_what_they_freeze_to():
    """A list as a list, a dict as a dictionary, a set as a set."""
    assert encode([1, {"a": {2}}]) == b'[1+{1"a#2+$}]'


def test_what_has_one_form_twice_is_refused():
    """Two NaNs are two keys to Python and one to Syrup."""
    for value in ({float("nan"): 1, float("nan"): 2}, {float("nan"), float("nan")}):
        with pytest.raises(SyrupEncodeError, match="same"):
            encode(value)


def test_lone_surrogates_are_refused():
    """They have no UTF-8 form."""
    with pytest.raises(SyrupEncodeError, match="surrogate"):
        encode("\ud800")


def test_list_that_contains_itself_is_refused():
    """The depth limit ends it."""
    endless = []
    endless.append(endless)
    with pytest.raises(SyrupEncodeError, match="itself"):
        encode(endless)
