"""Growth: what a message costs with more objects, sessions and calls in flight.

python benchmarks/growth.py [--quick] [--json FILE]

Messages go to a hundred of the objects, to one of the sessions, or are calls that are answered when all of
them are in flight. A message should cost the same however many there are: the floor is the smallest number.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from contextlib import ExitStack

from _measure import MICROSECONDS, Bar, Contestant, Row, Run, Took, main
from _network import Pair, Process, cores_of

MOST = 1.2
WARM = 1000


def started(stack: ExitStack, entry: str, *arguments: object) -> Process:
    """A process of `contestants.many`."""
    process = Process("contestants.many", entry, {}, *arguments)
    stack.callback(process.end)
    return process


def among_objects(number: int, stack: ExitStack) -> Run:
    """Local sends in a vat with so many objects."""
    process = started(stack, "objects")
    process.ask(("spawn", number))
    cores = cores_of(is_pinned=True)
    return functools.partial(Pair(process, process, cores).run, "send")


def among_sessions(number: int, stack: ExitStack) -> Run:
    """Pipelined calls on one session of a server that has so many."""
    server = started(stack, "serve")
    if number > 1:
        started(stack, "crowd", server.first).ask(("join", number - 1))
    caller = started(stack, "call", server.first)
    return functools.partial(Pair(server, caller, cores_of(is_pinned=True)).run, "pipelined")


def all_in_flight(number: int, stack: ExitStack) -> Run:
    """Calls answered when so many are in flight."""
    server = started(stack, "serve")
    pair = Pair(server, started(stack, "call", server.first), cores_of(is_pinned=True))
    pair.run("held", min(number, WARM))

    def run(count: int) -> Took:
        took = [pair.run("held", number) for _ in range(max(1, count // number))]
        share = count / (number * len(took))
        cpu = None if took[0].cpu is None else share * sum(each.cpu or 0 for each in took)
        return Took(share * sum(each.amount for each in took), cpu)

    return run


def row(title: str, start: Callable[[int, ExitStack], Run], sizes: list[int], count: int = 0) -> Row:
    """Sizes beside each other; the largest is ours."""
    names = [f"{size:,}" for size in sizes]
    roles = ["floor", *["also"] * (len(sizes) - 2), "ours"]
    contestants = [
        Contestant(name, role, functools.partial(start, size))
        for name, role, size in zip(names, roles, sizes, strict=True)
    ]
    return Row(
        title,
        MICROSECONDS,
        contestants,
        [Bar(MOST, names[0], of=names[-1])],
        count=count,
        rounds=3 if count else 0,
    )


def rows(options: argparse.Namespace) -> list[Row]:
    """Objects, sessions, calls in flight."""
    objects, sessions, calls = [100, 10_000, 1_000_000], [10, 100, 1000], [100, 1000, 10_000, 100_000]
    if options.quick:
        objects, sessions, calls = [100, 10_000, 100_000], [10, 100], [100, 1000, 10_000]
    if options.smoke:
        objects, sessions, calls = [1, 2], [1, 2], [1, 2]
    return [
        row("A message among many objects", among_objects, objects),
        row("A call among many sessions", among_sessions, sessions),
        row("A call among many in flight", all_in_flight, calls, 5000 if options.quick else 20_000),
    ]


if __name__ == "__main__":
    main(__doc__, rows)
