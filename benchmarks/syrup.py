"""Syrup: encoding and decoding, of a small operation, data with many keys, and large byte strings.

python benchmarks/syrup.py [--quick] [--json FILE] [--peers none|all|a,b] [--reference PATH]

Other formats have other bytes for the same data; what is compared is the time. The reference Syrup of Python
is on no index: `--reference` is the folder that holds its `syrup.py`.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from _measure import (
    MICROSECONDS,
    OURS,
    PURE,
    Bar,
    Contestant,
    Row,
    Run,
    Unit,
    is_pure,
    main,
    plain,
    timed,
)
from _network import Process
from goblins_py.syrup import NEED_DATA, Decoder, Record, Symbol, decode, encode

DELIVER = Record(
    Symbol("op:deliver"),
    (
        Record(Symbol("desc:export"), (5,)),
        (Symbol("greet"), "Bob, from far away!", 42, (True, 1.5)),
        7,
        Record(Symbol("desc:import-object"), (8,)),
    ),
)
PLAIN = [
    "op:deliver",
    ["desc:export", 5],
    ["greet", "Bob, from far away!", 42, [True, 1.5]],
    7,
    ["desc:import-object", 8],
]
VALUES = {
    "deliver record": DELIVER,
    "1,000 keys": {f"key {number}": (number, f"value {number}", number % 2 == 0) for number in range(1000)},
    "1 MiB": bytes(2**20),
}
STREAM = encode(DELIVER) * 5000
REFERENCE = "reference Syrup of Python"
MSGSPEC = "msgspec msgpack"


def repeated(function: Callable[[Any], object], value: object) -> Run:
    """It again and again."""

    def work(count: int) -> None:
        for _ in range(count):
            function(value)

    return timed(work)


def decode_streams(count: int) -> None:
    """Many records, fed in pieces of 64 KiB."""
    decoder = Decoder()
    for _ in range(count):
        for start in range(0, len(STREAM), 2**16):
            decoder.feed(STREAM[start : start + 2**16])
            while decoder.next_value() is not NEED_DATA:
                pass


def our_work(verb: str, name: str) -> Run:
    """Ours, of either build."""
    if verb == "encode":
        return repeated(encode, VALUES[name])
    return repeated(decode, encode(VALUES[name]))


def serve(pipe: Any, verb: str, name: str) -> None:
    """The same in a process, for what is chosen by its environment."""
    run = our_work(verb, name)
    pipe.send("ready")
    while (count := pipe.recv()) is not None:
        pipe.send(run(count))


def without_native_parts(verb: str, name: str, stack: ExitStack) -> Run:
    """Ours in such a process."""
    process = Process("syrup", "serve", {"GOBLINS_PURE": "1"}, verb, name)
    stack.callback(process.end)
    return process.ask


def msgspec_work(verb: str, stack: ExitStack) -> Run:
    """Compiled MessagePack."""
    import msgspec

    data = msgspec.msgpack.encode(PLAIN)
    if verb == "encode":
        return repeated(msgspec.msgpack.Encoder().encode, PLAIN)
    return repeated(msgspec.msgpack.Decoder().decode, data)


def cbor2_work(verb: str, stack: ExitStack) -> Run:
    """CBOR."""
    import cbor2

    return repeated(cbor2.dumps, PLAIN) if verb == "encode" else repeated(cbor2.loads, cbor2.dumps(PLAIN))


def reference_work(path: Path, verb: str, stack: ExitStack) -> Run:
    """The other Python that speaks Syrup."""
    spec = importlib.util.spec_from_file_location("reference_syrup", path / "syrup.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    read = getattr(module, "syrup_decode", None) or module.syrup_read
    data = encode(DELIVER)
    return repeated(read, data) if verb == "decode" else repeated(module.syrup_encode, read(data))


def contestants(verb: str, name: str) -> list[Contestant]:
    """Ours; for the small record of both builds, if there are two."""
    found = [Contestant(OURS, "ours", plain(our_work(verb, name)), f"{len(encode(VALUES[name])):,} bytes")]
    if name == "deliver record" and not is_pure():
        found.append(Contestant(PURE, "also", functools.partial(without_native_parts, verb, name)))
    return found


def rows(options: argparse.Namespace) -> list[Row]:
    """A row for each verb and value."""
    found = []
    for verb in ("encode", "decode"):
        each = contestants(verb, "deliver record")
        each.append(Contestant(MSGSPEC, "floor", functools.partial(msgspec_work, verb), "", "msgspec"))
        each.append(Contestant("cbor2", "peer", functools.partial(cbor2_work, verb), "", "cbor2"))
        if options.reference:
            start = functools.partial(reference_work, options.reference, verb)
            each.append(Contestant(REFERENCE, "peer", start))
        bars = [Bar(1.5, MSGSPEC)] + [Bar(1 / 3, REFERENCE, of=PURE)] * bool(options.reference)
        found.append(Row(f"Syrup: {verb} a deliver record", MICROSECONDS, each, bars))
    found += [
        Row(f"Syrup: {verb} {name}", MICROSECONDS, contestants(verb, name))
        for name in list(VALUES)[1:]
        for verb in ("encode", "decode")
    ]
    ours = Contestant(OURS, "ours", plain(timed(decode_streams)), "5,000 deliver records")
    found.append(Row("Syrup: decode a stream in pieces", Unit("MiB/s", len(STREAM) / 2**20), [ours]))
    return found


if __name__ == "__main__":
    main(__doc__, rows)
