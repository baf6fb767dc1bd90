"""Syrup: MB/s and microseconds, for a small operation, data with many keys, and large byte strings.

python benchmarks/syrup.py
"""

from __future__ import annotations

import timeit

from goblins_py.syrup import NEED_DATA, Decoder, Record, Symbol, decode, encode

DELIVER = Record(
    Symbol("op:deliver"),
    (
        Record(Symbol("desc:export"), (5,)),
        (Symbol("greet"), "Bob", 42, (True, 1.5)),
        7,
        Record(Symbol("desc:import-object"), (8,)),
    ),
)
TABLE = {f"key {number}": (number, f"value {number}", number % 2 == 0) for number in range(1000)}
BLOB = bytes(2**20)


def main() -> None:
    """Run and print."""
    print(f"{'':24}{'bytes':>10}{'encode us':>12}{'MB/s':>8}{'decode us':>12}{'MB/s':>8}")
    for name, value, repeat in (
        ("a deliver record", DELIVER, 20_000),
        ("1000 keys", TABLE, 50),
        ("1 MiB", BLOB, 200),
    ):
        data = encode(value)
        writing = min(timeit.repeat(lambda value=value: encode(value), number=repeat, repeat=5)) / repeat
        reading = min(timeit.repeat(lambda data=data: decode(data), number=repeat, repeat=5)) / repeat
        rates = [f"{seconds * 1e6:12.1f}{len(data) / seconds / 1e6:8.0f}" for seconds in (writing, reading)]
        print(f"{name:24}{len(data):10,}{''.join(rates)}")
    stream = encode(DELIVER) * 5000
    print(f"a stream of 5000 deliver records, fed in 64 KiB: {stream_rate(stream) / 1e6:.0f} MB/s")


def stream_rate(stream: bytes) -> float:
    """Bytes decoded per second."""

    def run() -> None:
        decoder = Decoder()
        for start in range(0, len(stream), 2**16):
            decoder.feed(stream[start : start + 2**16])
            while decoder.next_value() is not NEED_DATA:
                pass

    return len(stream) / min(timeit.repeat(run, number=1, repeat=5))


if __name__ == "__main__":
    main()
