"""Counts the instructions that the core operations take, and compares them with `baseline.json`.

python tests/guard/check.py [--update]

callgrind counts what the processor is told to do: the same on a quiet and on a busy machine, to the last
digit. What is counted is the goblins_py that is installed. Figures are in units of a fixed piece of Python
(`operations.fixed_work`), which makes them much the same with another build of the same Python. More than
`TOLERANCE` for the worse must be mended or justified; more than that for the better must be written down, or
it could be lost again unseen.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "baseline.json"
UNIT = "unit"
"""In the baseline, its own count in instructions; all others are in units."""
TOLERANCE = 0.10
ANOTHER_BUILD = 0.03
"""By how much at least the unit itself differs where Python was built otherwise."""
TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)

SLOWER = "slower: mend it; or `make guard-update`, and say in the commit why it is worth it"
FASTER = "faster: `make guard-update` keeps it so"
NEW = "not in the baseline: `make guard-update`"
GONE = "not counted any more: `make guard-update`"


@attrs.frozen
class Row:
    """One operation.

    Attributes:
        before, now: in units; None if there is no such count.
    """

    operation: str
    before: float | None
    now: float | None

    @property
    def change(self) -> float:
        """0.1 is 10 % more than before."""
        return self.now / self.before - 1 if self.before and self.now else 0.0

    @property
    def complaint(self) -> str:
        """What to do about it; empty if nothing."""
        if self.before is None:
            return NEW
        if self.now is None:
            return GONE
        if abs(self.change) <= TOLERANCE:
            return ""
        return SLOWER if self.change > 0 else FASTER


def compare(before: Mapping[str, float], now: Mapping[str, float]) -> list[Row]:
    """All operations of either."""
    names = dict.fromkeys([*now, *before])
    return [Row(name, before.get(name), now.get(name)) for name in names if name != UNIT]


def uncounted(baseline: Iterable[str], counted: Iterable[str]) -> list[str]:
    """Builds in the baseline of the Python that was counted with, that were not."""
    counted = set(counted)
    pythons = {key.rpartition(" ")[0] for key in counted}
    return [key for key in baseline if key.rpartition(" ")[0] in pythons and key not in counted]


def per_operation(report: str, times: Mapping[str, int]) -> dict[str, float]:
    """Instructions each time, out of callgrind's report: one part from each mark to the next.

    Raises:
        ValueError: there are not as many parts as there must be.
    """
    totals = [int(total) for total in TOTALS.findall(report)]
    if len(totals) != 2 * len(times) + 1:
        raise ValueError(f"{len(totals)} parts in callgrind's report of {len(times)} operations")
    return {name: total / times[name] for name, total in zip(times, totals[1::2], strict=True)}


def in_units(counts: Mapping[str, float]) -> dict[str, float]:
    """As the baseline has it."""
    unit = counts[UNIT]
    return {name: round(count / (1 if name == UNIT else unit), 4) for name, count in counts.items()}


# --- counting ------------------------------------------------------------------------------


def run(build: Mapping[str, str], under: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """What `counted.py` prints. It gets little of our environment: its very size moves what is in memory."""
    done = subprocess.run(
        [*under, sys.executable, str(HERE / "counted.py")],
        env={"PYTHONHASHSEED": "0", "PYTHONPATH": str(HERE.parent), **build},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def count(valgrind: str, build: Mapping[str, str]) -> dict[str, float]:
    """What each operation takes, in units."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        options = ["-q", "--vgdb=no", "--tool=callgrind", "--combine-dumps=yes", "--dump-before=ctermid"]
        said = run(build, under=[valgrind, *options, f"--callgrind-out-file={report}"])
        return in_units(per_operation(report.read_text(), said["times"]))


def count_builds(valgrind: str) -> dict[str, dict[str, float]]:
    """The build without native parts, and the one with them if it is there, by their keys in the baseline."""
    builds = {"pure": {"GOBLINS_PURE": "1"}, "native": {}}
    first = [run(build) for build in builds.values()]  # shows mistakes at once, has modules compiled
    if not first[-1]["native"]:
        del builds["native"]
    python = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = pool.map(lambda build: count(valgrind, build), builds.values())
        return dict(zip([f"{python} {build}" for build in builds], counts, strict=True))


# --- telling -------------------------------------------------------------------------------


def show(key: str, before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Print a table; is there nothing to complain of?"""
    rows, unit = compare(before, now), now[UNIT]
    print(f"\n{key}: in units of {unit:,.0f} instructions")
    print(f"{'':18}{'baseline':>10}{'now':>10}{'change':>9}{'instructions':>14}")
    for row in rows:
        figures = ("-" if each is None else f"{each:.3f}" for each in (row.before, row.now))
        print(f"{row.operation:18}{next(figures):>10}{next(figures):>10}{row.change:>+9.1%}", end="")
        print(f"{unit * (row.now or 0):>14,.0f}  {row.complaint}")
    if UNIT in before and abs(unit / before[UNIT] - 1) > ANOTHER_BUILD:
        print(f"The baseline was made with another build of this Python, whose unit is {before[UNIT]:,.0f}:")
        print("some per cent may be due to that. It is CI's build that counts.")
    return not any(row.complaint for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Count instructions, and compare them with the baseline.")
    parser.add_argument("--update", action="store_true", help="write the baseline anew")
    update = parser.parse_args().update
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        print("callgrind is what counts instructions: install valgrind (Debian: apt-get install valgrind)")
        return 1
    baseline = json.loads(BASELINE.read_text())
    counted = count_builds(valgrind)
    good = [show(key, baseline.get(key, {}), now) for key, now in counted.items()]
    left = uncounted(baseline, counted)
    if left:
        print(f"Not counted, for there is no such build here: {', '.join(left)}")
    if update:
        BASELINE.write_text(json.dumps(baseline | counted, indent=2, sort_keys=True) + "\n")
        return 0
    return 0 if all(good) and not (left and os.environ.get("CI")) else 1


if __name__ == "__main__":
    sys.exit(main())
