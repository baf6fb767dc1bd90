"""Memory: bytes for each actor, reference, session and call in flight.

python benchmarks/memory.py [--quick] [--json FILE]

What a process has more when it has many of them, divided by their number; garbage is collected before.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from _measure import BYTES, Bar, Contestant, Row, Run, main
from growth import started

WARM = 1000
"""Of each before the first look: what the first ones need is not theirs alone."""
CALL_HERE, CALL_THERE = "call in flight, at the caller", "call in flight, at who answers"


def actors(warm: int, stack: ExitStack) -> Run:
    """Spawned, idle, with two fields."""
    process = started(stack, "objects")
    process.ask(("spawn", warm))

    def run(count: int) -> float:
        before = process.ask(("memory", 0))
        process.ask(("spawn", count))
        return process.ask(("memory", 0)) - before

    return run


def at_peers(order: str, warm: int, stack: ExitStack, *, is_there: bool) -> Run:
    """What an order of the caller costs at him, or at whom he calls."""
    server = started(stack, "serve")
    caller = started(stack, "call", server.first)
    caller.ask((order, warm))
    looked_at = server if is_there else caller

    def run(count: int) -> float:
        before = looked_at.ask(("memory", 0))
        caller.ask((order, count))
        return looked_at.ask(("memory", 0)) - before

    return run


def sessions(warm: int, stack: ExitStack, *, netlayer: str = "tcp-tls") -> Run:
    """At the server, with an object of its in the hands of each; fifty times fewer than of other things."""
    server = started(stack, "serve", netlayer)
    crowd = started(stack, "crowd", server.first, netlayer)
    crowd.ask(("join", max(1, warm // 50)))

    def run(count: int) -> float:
        before, joined = server.ask(("memory", 0)), max(1, count // 50)
        crowd.ask(("join", joined))
        return (server.ask(("memory", 0)) - before) * count / joined

    return run


def rows(options: argparse.Namespace) -> list[Row]:
    """One table."""
    if not Path("/proc/self/statm").exists():
        return []
    warm, count = (1, 1) if options.smoke else (WARM, 2000 if options.quick else 50_000)
    starts: dict[str, Callable[[int, ExitStack], Run]] = {
        "idle actor of two fields": actors,
        "far reference, at the holder": functools.partial(at_peers, "references", is_there=False),
        "far reference, at the owner, with its actor": functools.partial(
            at_peers, "references", is_there=True
        ),
        "idle session, at the server": sessions,
        CALL_HERE: functools.partial(at_peers, "hold", is_there=False),
        CALL_THERE: functools.partial(at_peers, "hold", is_there=True),
    }
    contestants = [Contestant(name, "ours", functools.partial(start, warm)) for name, start in starts.items()]
    bars = [Bar(2000, of=CALL_HERE), Bar(2000, of=CALL_THERE)]
    return [Row("Memory for each", BYTES, contestants, bars, count=count, rounds=1)]


if __name__ == "__main__":
    main(__doc__, rows)
