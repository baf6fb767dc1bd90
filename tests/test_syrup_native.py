"""The codec in C does what the codec in Python does: same values, bytes, errors, offsets, whatever comes."""

import gc
import importlib
import math
import os
import random
import subprocess
import sys
import tracemalloc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goblins_py.errors import SyrupDecodeError
from goblins_py.syrup import NEED_DATA, Limits, Map, Null, Record, Symbol, Tagged, same
from goblins_py.syrup import _decode as pure_decode
from goblins_py.syrup import _encode as pure_encode
from goblins_py.syrup import _whole as pure_whole
from strategies import splits, values
from test_syrup_codec import one_byte_each
from test_syrup_work import LIMITS, SHAPES
from vectors_syrup import MALFORMED, TOLERATED, VALUES

try:
    native = importlib.import_module("goblins_py.syrup._native")
except ImportError as error:
    if os.environ.get("CI"):
        raise
    pytest.skip(f"the codec in C is not built: {error}", allow_module_level=True)

TEXTS = [data for _, data in VALUES] + [data for data, _ in (*TOLERATED, *MALFORMED)]
TOKENS = one_byte_each(b"<>[]{}#$()ldetf \nDFx01")
TOKENS += [b"7+", b"0+", b"0-", b"12-", b"3:abc", b'2"ok', b"2'ok", b"1'a", b"123456789"]
TOKENS += [bytes(8), b"\xff", b'1"\xff', b"1'\xff", b"9999999999:", b"1" * 20 + b"+", b"5:"]


def outcome(work):
    """What it returns or raises, as something that can be compared; what was returned, if anything."""
    try:
        return "value", work()
    except Exception as error:  # noqa: BLE001  # a hook may raise anything
        return type(error), str(error), getattr(error, "offset", None)


def alike(left, right):
    """Whether two outcomes are the same to Syrup; classes that both have count as themselves."""
    if left[0] == right[0] == "value":
        return type(left[1]) is type(right[1]) and (same(left[1], right[1]) or left[1] == right[1])
    return left == right


def step_by_step(decoder, pieces, read=100):
    """Everything that can be seen of a decoder while it is fed."""
    seen = []

    def note(result):
        seen.append((result, decoder.buffered, decoder.offset, decoder.at_border(), sorted(decoder._symbols)))

    for piece in pieces:
        note(outcome(lambda piece=piece: decoder.feed(piece)))
        for _ in range(read):
            result = outcome(decoder.next_value)
            note(result)
            if result[1] is NEED_DATA or result[0] != "value":
                break
    note(outcome(decoder.finish))
    note(outcome(decoder.next_value))
    note(outcome(lambda: decoder.feed(b"t")))
    return seen


def assert_read_alike(pieces, read=100, **options):
    """Feed both the same, and look at both after each step."""
    found = [step_by_step(module.Decoder(**options), pieces, read) for module in (pure_decode, native)]
    for pure, other in zip(*found, strict=True):
        assert alike(pure[0], other[0])
        assert pure[1:] == other[1:]


def assert_decoded_alike(data, **options):
    """Have both read exactly one value."""
    pure = outcome(lambda: pure_whole.decode(data, **options))
    assert alike(pure, outcome(lambda: native.decode(data, **options)))


def assert_written_alike(value, special=None, **options):
    """Have both write it."""
    pure, other = (
        outcome(lambda module=module: module.encode(value, special, **options))
        for module in (pure_encode, native)
    )
    assert pure == other


limits = st.builds(
    Limits,
    depth=st.integers(1, 4),
    value_size=st.integers(1, 60),
    digits=st.integers(1, 12),
    items=st.integers(1, 8),
)
options = st.fixed_dictionaries(
    {"canonical": st.booleans()},
    optional={"limits": limits | st.just(Limits(digits=1 << 62, value_size=1 << 62))},
)


@st.composite
def mutated(draw):
    """Valid bytes with a few of them changed, put in or left out."""
    data = bytearray(b"".join(draw(st.lists(values.map(pure_encode.encode), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 2))] = draw(st.sampled_from(TOKENS) | st.binary(max_size=2))
    return bytes(data)


hostile = st.lists(st.sampled_from(TOKENS), max_size=30).map(b"".join) | st.binary(max_size=40)

# --- reading ---------------------------------------------------------------------


@pytest.mark.parametrize("canonical", [False, True])
def test_each_vector_is_read_alike_however_it_is_cut(canonical):
    """Whole, byte by byte, and cut in two at every place; also if it is malformed."""
    for data in TEXTS:
        for cut in range(len(data) if len(data) < 200 else 1):
            assert_read_alike([data[:cut], data[cut:] + b"1+"], canonical=canonical)
        assert_read_alike([data[index : index + 1] for index in range(len(data))], canonical=canonical)


@given(st.one_of(mutated(), hostile, st.sampled_from(TEXTS)).flatmap(splits), options, st.integers(0, 3))
def test_whatever_comes_is_read_alike(pieces, options, read):
    """Any bytes in any split, with any limits, read at once or not: the same after each step."""
    assert_read_alike(pieces, read or 100, **options)
    assert_decoded_alike(b"".join(pieces), **options)


@given(mutated().flatmap(splits), st.integers(0, 5), st.sampled_from([ValueError, KeyboardInterrupt, None]))
def test_a_hook_is_called_alike(pieces, calls, error):
    """Same labels and fields in the same order; what it raises is raised, also if that is no Exception."""

    def reader(module):
        seen = []

        def special(label, fields):
            seen.append((label, fields))
            if error is not None and len(seen) > calls:
                raise error("enough")
            return [Record(label, fields), NEED_DATA, 5, [], fields][len(seen) % 5]

        decoder = module.Decoder(special=special)
        try:
            steps = step_by_step(decoder, pieces)
        except KeyboardInterrupt:
            steps = [outcome(decoder.next_value), decoder.offset, decoder.buffered]
        return seen, steps

    (seen, steps), (other_seen, other_steps) = reader(pure_decode), reader(native)
    assert repr(seen) == repr(other_seen)
    assert repr(steps) == repr(other_steps)


@pytest.mark.parametrize("count", [1, 31, 63, 64, 65, 66, 200])
def test_many_keys_and_members_are_read_alike(count):
    """On both sides of where the Python helpers take over: fine ones, doubles, and chosen to collide."""
    for step in (1, 2**61 - 1):
        numbers = [b"%d+" % (1 + index * step) for index in range(count)]
        for keys in (numbers, [*numbers, numbers[0]], [*numbers, b"D" + bytes(8)], [b"t", *numbers]):
            assert_read_alike([b"#%b$" % b"".join(keys)])
            assert_read_alike([b"{%b}" % b"".join(key + b"t" for key in keys)])
            assert_read_alike([b"{%b}" % b"t".join(keys)])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_each_kind_of_bytes_is_fed_alike(kind):
    """And what is no bytes is refused without breaking the decoder."""
    assert_read_alike([kind(b"[1+3:a"), kind(b"bc]"), kind(b"")])
    for data in (b"[1+3:abc]", b"[1+3:abc", b"t t", b"", b"x", b"0001+"):
        assert_decoded_alike(kind(data))
        assert_decoded_alike(kind(data), canonical=True)
    for bad in ("text", None, [1, 2], 1.5):
        assert_read_alike([b"[1+", bad, b"]"])
    for start in (b"", b"[1+"):
        decoder = native.Decoder()
        decoder.feed(start)
        for bad in ("text", None, 1.5):
            with pytest.raises(TypeError):
                decoder.feed(bad)
        assert decoder.buffered == len(start)


@pytest.mark.parametrize("chunk", [1, 7, 4096, 65536])
def test_a_long_body_in_pieces_is_read_alike(chunk):
    """Whatever it is the body of, and whatever follows it."""
    for mark in (b":", b'"', b"'"):
        size = 300 if chunk < 10 else 200_000
        data = b"[%d%b" % (size, mark) + b"x" * size + b"1+]t" + b"%d%b" % (size, mark) + b"y" * size
        assert_read_alike([data[index : index + chunk] for index in range(0, len(data), chunk)])
        bad = data.replace(b"1+]", b"1+x")
        assert_read_alike([bad[index : index + chunk] for index in range(0, len(bad), chunk)])


def test_a_hook_that_uses_its_own_decoder_does_no_harm():
    """It may feed it; reading and finishing inside a read are refused, in words."""
    decoder = None
    notes = []

    def special(label, fields):
        decoder.feed(b"2+" * 100)
        for call in (decoder.next_value, decoder.finish, lambda: decoder.__init__(canonical=True)):
            with pytest.raises(RuntimeError) as caught:
                call()
            notes.append(str(caught.value))
        return fields

    decoder = native.Decoder(special=special)
    decoder.feed(b"[<1'a5+>]")
    assert decoder.next_value() == ((5,),)
    assert decoder.next_value() == 2
    assert all("decoder" in note for note in notes)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_byte_is_looked_at_once_or_twice(shape):
    """In C there are no lines to count, so it counts the bytes it goes over, in any split."""
    for size in (1000, 2000):
        data = SHAPES[shape](size)
        for chunk in (1, 7, 5000):
            decoder = native.Decoder(LIMITS)
            for start in range(0, len(data), chunk):
                decoder.feed(data[start : start + chunk])
                while decoder.next_value() is not NEED_DATA:
                    pass
            assert decoder._looked <= 2 * len(data)


# --- writing ----------------------------------------------------------------------


def wrap(value):
    """What CapTP would do, in short."""
    if value is None or value is Null:
        return Record(Symbol("void"), () if value is None else (None,))
    return value.value if isinstance(value, Tagged) else NotImplemented


odd = st.sampled_from(
    [None, Null, Tagged("a", (1, None)), object(), 1j, "\ud800", bytearray(b"x"), 2**70, -(2**63)]
)
anything = st.recursive(
    values | odd,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=3) | st.integers() | st.floats(), inner, max_size=12),
        st.builds(lambda label, fields: Record(label, tuple(fields)), inner, st.lists(inner, max_size=3)),
        st.sets(st.integers() | st.text() | st.none() | st.floats(), max_size=12),
    ),
    max_leaves=8,
)


@given(anything, st.sampled_from([None, wrap, lambda value: value]), st.integers(-1, 6) | st.just(128))
def test_whatever_is_given_is_written_alike(value, special, depth):
    """The same bytes or the same error, with any hook and any depth."""
    assert_written_alike(value, special, depth=depth)


@pytest.mark.parametrize(
    "number", [0, 1, 9, 10, 99, 2**31, 2**63 - 1, 2**63, 2**64, 10**600, 10**5000], ids=int.bit_length
)
def test_integers_of_any_size_are_written_alike(number):
    """On both sides of what fits in a register."""
    assert_written_alike(number)
    assert_written_alike(-number)


@pytest.mark.parametrize("size", [0, 100, 127, 128, 500, 511, 512, 513, 10_000])
def test_values_of_any_length_are_written_alike(size):
    """On both sides of where buffers grow; in order, too."""
    for value in (b"x" * size, "x" * size, "é" * size, tuple(range(size)), Symbol("s" * size)):
        assert_written_alike(value)
        assert_written_alike((value, [value], {value: value, "key": value}))
    assert_written_alike({f"{number % 7} {number}": number for number in range(size)})
    assert_written_alike(Map(dict.fromkeys(range(size))), wrap)
    assert_written_alike({str(number) for number in range(size)})


@pytest.mark.parametrize("fields", [[1, 2], "ab", range(3), None, 5, {1: 2}])
def test_a_record_of_odd_fields_is_written_alike(fields):
    """Its constructor looks at nothing."""
    assert_written_alike(Record(Symbol("a"), fields))
    assert_written_alike(Record(fields, ()))


def test_a_hook_that_changes_what_is_being_written_does_no_harm():
    """A list that shrinks or grows is written as far as it is there; a dict or set that does is refused."""

    def write(module, make, change):
        value = make()

        def special(found):
            change(value)
            return 5

        return outcome(lambda: module.encode(value, special))

    cases = [
        (lambda: [None, None, 1, 2], lambda value: value.pop()),
        (lambda: [None, 1], lambda value: value.append(7)),
        (lambda: {None: 1, "b": 2}, lambda value: value.update(c=3)),
        (lambda: {None: 1}, lambda value: value.clear()),
        (lambda: {"a": None, "b": None}, lambda value: value.pop("b", None)),
        (lambda: {None}, lambda value: value.add(4)),
        (lambda: {None, 1}, lambda value: value.clear()),
    ]
    for make, change in cases:
        assert write(pure_encode, make, change) == write(native, make, change)


def test_a_value_nested_without_end_is_refused_alike():
    """Also where the caller allows more depth than the C stack surely has."""
    endless = []
    endless.append(endless)
    assert_written_alike(endless)
    with pytest.raises(RecursionError):
        native.encode(endless, depth=10**9)


def test_arguments_are_as_in_python():
    """Names, defaults, and what is missing or too much."""
    assert native.encode(value=None, special=wrap, depth=5) == b"<4'void>"
    assert native.encode(1, None) == b"1+"
    for args, kwargs in (((), {}), ((1, None, 5), {}), ((1,), {"value": 1}), ((1,), {"deep": 1})):
        with pytest.raises(TypeError):
            native.encode(*args, **kwargs)
    assert native.decode(data=b"<1'a>", special=lambda label, fields: fields, limits=Limits()) == ()
    for args, kwargs in (
        ((), {}),
        ((b"t", True), {}),
        ((b"t",), {"data": b"t"}),
        ((5.5,), {}),
        ((b"t",), {"x": 1}),
    ):
        with pytest.raises(TypeError):
            native.decode(*args, **kwargs)
    for args, kwargs in (((Limits(), True), {}), ((), {"limit": 1})):
        with pytest.raises(TypeError):
            native.Decoder(*args, **kwargs)


# --- memory ---------------------------------------------------------------------------


def traced(work):
    """The most bytes that Python's allocators held beyond what they held before."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_long_byte_strings_are_copied_once():
    """Into the value when reading, into the message when writing."""
    body = bytes(2**20)
    data = native.encode(body)

    def read():
        decoder = native.Decoder()
        decoder.feed(data)
        assert len(decoder.next_value()) == len(body)

    assert traced(lambda: native.encode(body)) < 1.1 * len(body)
    assert traced(read) < 1.1 * len(body)


def everything(module, seed):
    """A bit of all that the codec does, errors included."""
    chance = random.Random(seed)  # to be repeatable is the point
    for data in TEXTS:
        for change in (0, 1):
            mutant = bytearray(data)
            for _ in range(change):
                mutant[chance.randrange(len(mutant))] = chance.randrange(256)
            cut = chance.randrange(len(data))
            for special in (None, lambda label, fields: [label], lambda label, fields: 1 // 0):
                decoder = module.Decoder(Limits(items=50), canonical=bool(change), special=special)
                step_by_step(decoder, [bytes(mutant[:cut]), bytes(mutant[cut:])])
    for value in [value for value, _ in VALUES] + [{1: object()}, [1j], {math.nan, -math.nan}, "\ud800"]:
        for special in (None, wrap, lambda value: 1 // 0):
            outcome(lambda value=value, special=special: module.encode([value, {"a": value}], special))


def test_no_reference_is_lost_or_kept():
    """After many rounds there are as many objects, and as much memory, as before."""
    marker = object()
    total = getattr(sys, "gettotalrefcount", lambda: 0)

    def state():
        gc.collect()
        counts = [sys.getrefcount(kept) for kept in (marker, NEED_DATA, Record, Map, native.Decoder)]
        return len(gc.get_objects()), sys.getallocatedblocks(), total(), counts

    def rounds(count):
        for seed in range(count):
            everything(native, seed)
            outcome(lambda: native.encode([marker, {"a": marker}], lambda value: 1 // 0))
            outcome(lambda: native.encode({"k": [marker]}, lambda value: value))

    rounds(3)
    grown = []
    for _ in range(4):  # Python's own free lists fill up in the first ones; what is lost is lost in each
        *before, counts = state()
        rounds(4)
        *after, counts_after = state()
        grown.append([now - then for now, then in zip(after, before, strict=True)])
        assert counts_after == counts
    assert min(objects for objects, _, _ in grown) <= 0
    assert min(blocks for _, blocks, _ in grown) < 60
    assert min(references for _, _, references in grown) < 60


def test_a_decoder_in_a_circle_is_collected():
    """The hook may hold its decoder."""

    class Hook:
        def __call__(self, label, fields):
            return self

    hook = Hook()
    hook.decoder = native.Decoder(special=hook)
    hook.decoder.feed(b"[<1'a>[<1'b>")
    hook.decoder.next_value()
    gc.collect()
    before = len(gc.get_objects())
    del hook
    assert gc.collect() >= 2
    assert len(gc.get_objects()) < before


def test_the_collector_is_spared_what_is_in_no_circle():
    """Values that hold values only; what a hook made is looked at, and a circle through it is collected."""

    class Made:
        pass

    data = b"[<1'a5+[]{1\"b[1'c]}[1+[2+]]>]"
    decoder = native.Decoder()
    decoder.feed(data)
    value = decoder.next_value()
    inside = [value[0], value[0].label, value[0].fields, *value[0].fields]
    assert [] == [each for each in [value, *inside] if gc.is_tracked(each) and each != ()]
    assert not gc.is_tracked(value[0].fields[2]._items)
    gc.collect()
    assert value == pure_encode_and_back(value)

    def circle():
        made = Made()
        decoder = native.Decoder(special=lambda label, fields: made)
        decoder.feed(b"[{1+[{2+<1'x>}]}]")
        made.value = decoder.next_value()
        assert gc.is_tracked(made.value)
        return weakref.ref(made)

    gone = circle()
    gc.collect()
    assert gone() is None


def pure_encode_and_back(value):
    """The same, through the other codec."""
    decoder = pure_decode.Decoder()
    decoder.feed(pure_encode.encode(value))
    return decoder.next_value()


def test_the_environment_chooses_python():
    """GOBLINS_PURE, if it is not empty."""
    for value, expected in (("1", "pure"), ("", "native")):
        code = (
            "import goblins_py.syrup as s; print(s.IMPLEMENTATION, s.Decoder.__module__, s.encode.__module__)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "GOBLINS_PURE": value},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split()[0] == expected
        assert ("_native" in done.stdout) == (expected == "native")


def test_after_an_error_the_same_error_is_raised_again():
    """The very same object, with a fresh traceback."""
    decoder = native.Decoder()
    decoder.feed(b"x")
    with pytest.raises(SyrupDecodeError) as first:
        decoder.next_value()
    with pytest.raises(SyrupDecodeError) as again:
        decoder.feed(b"1+")
    assert first.value is again.value
