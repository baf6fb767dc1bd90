r"""Coverage-guided bytes through both codecs, with sanitizers in the one in C; the first difference ends it.

::

    pip install atheris
    INCLUDE=$(python -c "import sysconfig; print(sysconfig.get_paths()['include'])")
    clang -shared -fPIC -g -O1 -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined \
        -DGOBLINS_FUZZ -I$INCLUDE goblins_py/syrup/native/*.c -o goblins_py/syrup/_native.so
    python tests/fuzz/fuzz_syrup.py --seeds SEEDS
    LD_PRELOAD=$(python -c "import atheris; print(atheris.path())")/asan_with_fuzzer.so PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=. python tests/fuzz/fuzz_syrup.py \
        -max_total_time=3600 -max_len=400 CORPUS SEEDS

The first three bytes of an input choose limits, hook and split; the rest is fed. What was read is written
again.
"""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from goblins_py.syrup import NEED_DATA, Limits, Record, Tagged, same
from vectors_syrup import MALFORMED, RECORDED_START_SESSION, TOLERATED, VALUES

CHOICES = 3
LIMITS = [
    Limits(),
    Limits(depth=160, value_size=1 << 62, digits=1 << 62),
    Limits(depth=2),
    Limits(value_size=20),
    Limits(digits=1),
    Limits(digits=8),
    Limits(items=1),
    Limits(items=5, depth=3, value_size=40, digits=9),
]


class Mismatch(BaseException):
    """The two differ."""


def make_hook(choice):
    """A `special` for the decoder, afresh for each of the two."""
    seen = []

    def hook(label, fields):
        seen.append(label)
        if choice == 3 and len(seen) > 2:
            raise ValueError(len(seen))
        if choice == 4:
            return NEED_DATA if len(seen) % 3 == 0 else Tagged("t", fields)
        return [] if choice == 5 else Record(label, fields) if choice == 2 else fields

    return None if choice < 2 else hook


def write_odd(value):
    """A `special` for the encoder."""
    if isinstance(value, Tagged):
        return value.value
    return Record(None, ()) if value is NEED_DATA else NotImplemented


def outcome(work):
    """What it returns, or the class, text and offset of what it raises."""
    try:
        return "value", work()
    except Exception as error:  # noqa: BLE001
        return type(error), str(error), getattr(error, "offset", None)


def write(encode, value, special, depth):
    """What an encoder makes of a value."""
    return outcome(lambda: encode(value, special, depth=depth))


def pieces_of(data, choice):
    """The bytes in one piece, in pieces of one size, or in uneven ones."""
    size = len(data) or 1 if choice < 64 else 1 + choice % 16 if choice < 192 else choice - 150
    return [data[start : start + size] for start in range(0, len(data), size)]


def trace(decoder, pieces):
    """All that can be seen of a decoder."""
    for piece in pieces:
        yield outcome(lambda piece=piece: decoder.feed(piece)), decoder.buffered, decoder.offset
        result = ("value", None)
        while result[0] == "value" and result[1] is not NEED_DATA:
            result = outcome(decoder.next_value)
            yield result, decoder.buffered, decoder.offset, decoder.at_border()
    yield outcome(decoder.finish), decoder.buffered, decoder.offset
    yield outcome(decoder.next_value), sorted(decoder._symbols)


def is_alike(left, right):
    """Whether two steps are the same; values as Syrup sees them, or as Python prints them."""
    if left[0][0] == right[0][0] == "value":
        mine, other = left[0][1], right[0][1]
        return left[1:] == right[1:] and (same(mine, other) or repr(mine) == repr(other))
    return left == right


class Both:
    """The two codecs."""

    def __init__(self):
        self.decoders = [import_module(f"goblins_py.syrup.{name}").Decoder for name in ("_decode", "_native")]
        self.whole = [import_module(f"goblins_py.syrup.{name}").decode for name in ("_whole", "_native")]
        self.encoders = [import_module(f"goblins_py.syrup.{name}").encode for name in ("_encode", "_native")]

    def compare(self, data):
        """Read it with both, then write what was read."""
        if len(data) < CHOICES:
            return
        options = {"canonical": data[0] >= 192}
        traces = [
            list(
                trace(
                    Decoder(LIMITS[data[0] % len(LIMITS)], special=make_hook(data[1] % 6), **options),
                    pieces_of(data[CHOICES:], data[2]),
                )
            )
            for Decoder in self.decoders
        ]
        if len(traces[0]) != len(traces[1]) or not all(map(is_alike, *traces)):
            raise Mismatch(traces)
        one, other = [
            (
                outcome(
                    lambda decode=decode: decode(data[CHOICES:], special=make_hook(data[1] % 6), **options)
                ),
            )
            for decode in self.whole
        ]
        if not is_alike(one, other):
            raise Mismatch(one, other)
        for step in traces[1]:
            if step[0][0] == "value":
                self.compare_written(step[0][1], data[1] // 8)

    def compare_written(self, value, depth):
        """Write it with both: as it is, in other containers, and with little depth."""
        for case in (value, [value, {"key": value}], (value, True, {"a", "b"})):
            for special in (None, write_odd):
                one, other = (write(encode, case, special, depth) for encode in self.encoders)
                if one != other:
                    raise Mismatch(case, one, other)


def write_seeds(folder):
    """The vectors of the tests as inputs, under several choices."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [data for _, data in VALUES] + [data for data, _ in (*TOLERATED, *MALFORMED)]
    for number, data in enumerate([*texts, RECORDED_START_SESSION]):
        for choices in (b"\0\0\0", b"\xc0\0\x41", b"\1\x7a\x48", b"\0\xfb\x42"):
            (folder / f"{number}-{choices.hex()}").write_bytes(choices + data)


def main():
    """Fuzz, or write the seeds."""
    if sys.argv[1:2] == ["--seeds"]:
        write_seeds(Path(sys.argv[2]))
        return
    import atheris

    with atheris.instrument_imports(include=["goblins_py.syrup._decode", "goblins_py.syrup._collect"]):
        both = Both()
    atheris.Setup(sys.argv, both.compare)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
