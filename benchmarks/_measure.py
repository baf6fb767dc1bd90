"""How a row of the table is stated and measured: contestants side by side, interleaved in rounds.

A script states its rows and calls `main`. Everything of a row is measured in one run, the contestants taking
turns, so that a busy moment of the machine hits all alike: figures of one run can be compared, those of
different runs cannot. Tables, JSON and verdicts are made by `_report`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import attrs

import _report

OURS, PURE = "goblins_py", "goblins_py, pure"


class Took(NamedTuple):
    """What one run cost: seconds (or bytes), and seconds of the processor by all who took part, if known."""

    amount: float
    cpu: float | None = None


Run = Callable[[int], "Took | float"]
"""Does it so many times; may do it a little more often than asked only if it scales what it returns."""


@attrs.frozen
class Unit:
    """How a figure is made of what was done and what it took."""

    name: str
    per: float = 1.0
    is_rate: bool = True

    def value(self, count: int, amount: float) -> float:
        """The figure."""
        return count * self.per / amount if self.is_rate else amount * self.per / count


PER_SECOND = Unit("per second")
MIB_PER_SECOND = Unit("MiB/s")
MILLISECONDS = Unit("ms", 1e3, is_rate=False)
MICROSECONDS = Unit("µs", 1e6, is_rate=False)
BYTES = Unit("bytes", is_rate=False)


@attrs.frozen
class Contestant:
    """One who runs: `start` sets up what is given back with the stack, and returns what does the work.

    Attributes:
        role: "ours", "floor", "peer", or "also" for what is shown beside them.
        package: what must be importable, else it is "not installed".
    """

    name: str
    role: str
    start: Callable[[ExitStack], Run]
    note: str = ""
    package: str = ""


@attrs.frozen
class Bar:
    """What to reach: `factor` times the figure of `to`, or `factor` itself where `to` is empty."""

    factor: float
    to: str = ""
    of: str = OURS


@attrs.frozen
class Row:
    """One table.

    Attributes:
        floor: whom all are compared with; the first of the floors, if none is named.
        count: fixes how much a run does; else runs are as long as the options say.
        rounds: at most.
        is_cpu_bound: the processor decides, not a disk, so that a verdict by its seconds is one, too.
    """

    title: str
    unit: Unit
    contestants: Sequence[Contestant]
    bars: Sequence[Bar] = ()
    floor: str = ""
    count: int = 0
    rounds: int = 0
    is_cpu_bound: bool = True


def plain(run: Run) -> Callable[[ExitStack], Run]:
    """The `start` of what needs no setting up."""
    return lambda stack: run


def timed(work: Callable[[int], object]) -> Run:
    """The `run` of a function that does all of its work in this thread."""

    def run(count: int) -> Took:
        worked, start = time.process_time(), time.perf_counter()
        work(count)
        return Took(time.perf_counter() - start, time.process_time() - worked)

    return run


def is_pure() -> bool:
    """Do we run without the native codec?"""
    return importlib.import_module("goblins_py.syrup").IMPLEMENTATION == "pure"


def build() -> str:
    """How what we measure was built, in words."""
    codec = "codec in Python" if is_pure() else "codec in C"
    file = importlib.import_module("goblins_py.actors._vat").__file__ or ""
    return f"{codec}, modules {'not ' if file.endswith('.py') else ''}compiled"


# --- measuring ----------------------------------------------------------------------------


def is_wanted(contestant: Contestant, peers: str) -> bool:
    """Was it asked for?"""
    if contestant.role != "peer" or peers == "all":
        return True
    return contestant.name in peers.split(",")


def started(
    row: Row, options: argparse.Namespace, stack: ExitStack
) -> Iterator[tuple[Contestant, Run | str]]:
    """All who were asked for, set up, or why not."""
    for contestant in row.contestants:
        if not is_wanted(contestant, options.peers):
            continue
        if contestant.package and importlib.util.find_spec(contestant.package) is None:
            yield contestant, "not installed"
            continue
        try:
            yield contestant, contestant.start(stack)
        except Exception as error:
            if contestant.role != "peer":
                raise
            yield contestant, f"does not start: {type(error).__name__}: {error}".splitlines()[0]


def enough(run: Run, seconds: float) -> int:
    """How often it is done in so many seconds; it is warm then, too."""
    count = 1
    while (took := Took(*as_pair(run(count))).amount) < seconds / 4:
        count = max(count * 2, min(count * 20, int(count * seconds / 2 / max(took, 1e-9))))
    return max(1, int(count * seconds / took)) if seconds else 1


def as_pair(took: Took | float) -> tuple[float, float | None]:
    """A bare number is an amount without a known cost."""
    return took if isinstance(took, Took) else (took, None)


def measure(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """The row as JSON: each contestant's figure of each round."""
    rounds = min(options.rounds, row.rounds or options.rounds)
    with ExitStack() as stack:
        found, running = [], []
        for contestant, run in started(row, options, stack):
            entry: dict[str, Any] = {
                "name": contestant.name,
                "role": contestant.role,
                "note": contestant.note,
            }
            found.append(entry | ({"missing": run} if isinstance(run, str) else {"values": [], "cpu": []}))
            if not isinstance(run, str):
                count = (1 if options.smoke else row.count) or enough(run, options.seconds)
                running.append((found[-1], run, count))
        for number in range(rounds):
            for entry, run, count in running[number % 2 :: 2] + running[1 - number % 2 :: 2]:
                amount, cpu = as_pair(run(count))
                entry["values"].append(row.unit.value(count, amount))
                if cpu is not None:
                    entry["cpu"].append(cpu / count * 1e6)
    bars = [attrs.asdict(bar) for bar in row.bars]
    about = {"unit": row.unit.name, "is_rate": row.unit.is_rate, "floor": row.floor}
    about["is_cpu_bound"] = row.is_cpu_bound
    return {"title": row.title, **about, "bars": bars, "contestants": found}


def options_of(description: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, which is the same for all scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="less steady, in seconds")
    parser.add_argument("--smoke", action="store_true", help="everything once, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    parser.add_argument(
        "--peers", default="all", help="none, all, or names with commas between (default: all)"
    )
    parser.add_argument("--seconds", type=float, help="of one round of one contestant")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--unpinned", action="store_true", help="also with processes free to use all cores")
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where files are made: the disk that counts"
    )
    parser.add_argument("--reference", type=Path, metavar="PATH", help="where a reference Python Syrup is")
    options = parser.parse_args(arguments)
    seconds, rounds = (0.0, 1) if options.smoke else (0.06, 5) if options.quick else (0.2, 11)
    options.seconds = seconds if options.seconds is None else options.seconds
    options.rounds = rounds if options.rounds is None else options.rounds
    return options


def main(
    description: str | None,
    rows: Callable[[argparse.Namespace], Iterable[Row]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Measure the rows of a script one by one, print each, and write the JSON.

    `options.stack` is closed at the end: for what several rows share.
    """
    options = options_of((description or "").splitlines()[0], arguments)
    machine = _report.machine() | {"build": build(), "is_pure": is_pure()}
    document = {"script": Path(sys.argv[0]).stem, "machine": machine, "rows": []}
    with ExitStack() as options.stack:
        for row in rows(options):
            document["rows"].append(measure(row, options))
            _report.print_row(document["rows"][-1], document["machine"])
    if options.json:
        options.json.write_text(json.dumps(document, indent=1), "utf-8")
