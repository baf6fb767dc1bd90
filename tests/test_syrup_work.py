"""A decoder's work and memory are in proportion to the bytes, however they come."""

import sys

import pytest

from goblins_py.syrup import NEED_DATA, Decoder, Limits

SHAPES = {
    "one long string": lambda size: b"%d:%b" % (size, bytes(size)),
    "one long integer": lambda size: b"7" * size + b"+",
    "one long length": lambda size: b"0" * size + b"1:x",
    "one long list": lambda size: b"[" + b"1+" * (size // 2) + b"]",
    "one long dictionary": lambda size: (
        b"{" + b"".join(b"%d+t" % (1000 + n) for n in range(size // 6)) + b"}"
    ),
    "blanks": lambda size: b"[" + b" " * size + b"]",
    "many values": lambda size: b"[]" * (size // 2),
}
LIMITS = Limits(digits=100_000)


def steps_and_peak(data, chunk, **options):
    """How many lines of Python it takes to read some bytes, and the most bytes ever held."""
    steps = peak = 0

    def trace(frame, event, arg):
        nonlocal steps
        if event == "line":
            steps += 1
        return trace

    decoder = Decoder(LIMITS, **options)
    sys_trace = sys.gettrace()
    sys.settrace(trace)
    try:
        for start in range(0, len(data), chunk):
            decoder.feed(data[start : start + chunk])
            while decoder.next_value() is not NEED_DATA:
                pass
            peak = max(peak, decoder.buffered)
    finally:
        sys.settrace(sys_trace)
    decoder.finish()
    return steps, peak


@pytest.mark.parametrize(
    ("shape", "canonical"),
    [(shape, False) for shape in SHAPES]
    + [(shape, True) for shape in SHAPES if shape not in ("one long length", "blanks")],
)
def test_twice_the_bytes_take_twice_the_steps(shape, canonical):
    """Also one byte at a time: nothing is scanned again."""
    for chunk in (1, 7):
        (less, _), (more, _) = (
            steps_and_peak(SHAPES[shape](size), chunk, canonical=canonical) for size in (1000, 2000)
        )
        assert more <= 2.2 * less  # in C both may be 0: test_syrup_native counts bytes there


@pytest.mark.parametrize("shape", ["one long list", "one long dictionary", "blanks", "many values"])
def test_only_the_unread_token_is_held(shape):
    """Consumed bytes are let go; a token that is cut in two is all that stays."""
    _, peak = steps_and_peak(SHAPES[shape](4000), 3)
    assert peak <= 12


@pytest.mark.parametrize("shape", ["one long integer", "one long length"])
def test_digits_are_scanned_once(shape):
    """Digits that were looked at are no longer in what will be looked at."""
    _, peak = steps_and_peak(SHAPES[shape](4000), 3)
    assert peak <= 4


def test_body_is_not_looked_at_until_it_is_whole():
    """While a long string comes in, the decoder does nothing but collect it."""
    decoder = Decoder()
    decoder.feed(b"100000:")
    assert decoder.next_value() is NEED_DATA
    decoder._scan = None  # whoever looks now, fails
    for _ in range(99999):
        decoder.feed(b"x")
        assert decoder.next_value() is NEED_DATA
    del decoder._scan
    decoder.feed(b"x1+")
    assert decoder.next_value() == b"x" * 100000
    assert decoder.next_value() == 1


def test_many_values_in_one_chunk_are_not_copied_again_and_again():
    """Feeding while values are left does not move what is left."""
    decoder = Decoder()
    decoder.feed(b"1+" * 1000)
    buffer = decoder._buffer
    for _ in range(1000):
        decoder.feed(b"2+")
        assert decoder.next_value() == 1
        assert decoder._buffer is buffer
    assert decoder.next_value() == 2
    assert decoder.buffered == 2 * 999


def test_consumed_chunk_is_released():
    """A quiet decoder holds nothing."""
    decoder = Decoder()
    decoder.feed(b"3:abc" * 100)
    while decoder.next_value() is not NEED_DATA:
        pass
    assert decoder._buffer == b""
    assert decoder.at_border()


def test_symbols_remembered_are_bounded():
    """A peer cannot fill the cache of symbols."""
    decoder = Decoder()
    for number in range(3000):
        decoder.feed(b"%d'%d" % (len(b"%d" % number), number))
        decoder.next_value()
    decoder.feed(b"1000'" + b"x" * 1000)
    decoder.next_value()
    assert len(decoder._symbols) == 1024
    assert max(map(len, decoder._symbols)) <= 64
