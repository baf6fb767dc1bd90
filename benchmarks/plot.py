"""The tables and plots of docs/performance, out of what the other scripts have written.

python benchmarks/plot.py [benchmarks/results] [docs]

Writes `_performance_tables.rst` and the SVGs in `_plots` there, anew: what has no result is gone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from _report import SUMMARY_HEADS, cells, median, number, verdicts

Json = dict[str, Any]

ORDER = (
    "round_trips", "pipelined", "one_way", "connect", "bulk", "local", "syrup", "churns", "opening",
    "growth", "memory", "websocket", "prelay", "compaction",
)  # fmt: skip
HEADS = ("", "min", "median", "max", "× floor", "CPU µs", "")
GREY = "#808080"
"""Of text and lines: readable on white and on black."""
COLOURS = {"ours": "#e07b39", "floor": "#2a9d8f", "peer": "#7d8fb3", "also": "#b0a090"}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "goblins_py",
    "font.size": 9,
    "text.color": GREY,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def measured(row: Json) -> list[Json]:
    """Who took part."""
    return [each for each in row["contestants"] if "missing" not in each]


# --- tables ------------------------------------------------------------------------------------


def list_table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table of reStructuredText."""
    yield from (".. list-table::", "   :header-rows: 1", "")
    for line in (heads, *lines):
        yield from (f"   {' ' if at else '*'} - {cell}".rstrip() for at, cell in enumerate(line))
    yield ""


def row_lines(row: Json, plot: str | None) -> Iterator[str]:
    """Heading, plot and table of one row."""
    title = f"{row['title']} ({row['unit']})"
    yield from (title, "~" * len(title), "")
    if plot:
        yield from (
            f".. image:: {plot}",
            f"   :alt: {row['title']}: medians, and the range of all rounds",
            "",
        )
    lines = []
    for each in measured(row):
        name = f"**{each['name']}**" if each["role"] == "ours" else each["name"]
        lines.append([name, *cells(row, each), ", ".join(filter(None, (each["role"], each["note"])))])
    yield from list_table(HEADS, lines)


def summary_lines(documents: list[Json]) -> Iterator[str]:
    """Each bar."""
    found = [
        verdict.cells()
        for document in documents
        for row in document["rows"]
        for verdict in verdicts(row, is_pure=document["machine"]["is_pure"])
    ]
    yield from ("Summary", "~~~~~~~", "")
    yield from list_table(SUMMARY_HEADS, found)


def all_lines(documents: list[Json], plots: dict[str, str]) -> Iterator[str]:
    """The included file."""
    where = documents[0]["machine"]
    yield from (".. Made by `make bench-docs`: what is written here is lost.", "")
    yield f"{where['python']}, {where['cores']} cores, load {where['load']}, {where['build']},"
    yield from (f"commit {where['commit']}, {where['date']}.", "")
    yield from summary_lines(documents)
    for document in documents:
        for row in document["rows"]:
            yield from row_lines(row, plots.get(row["title"]))


# --- plots -------------------------------------------------------------------------------------


def plot(row: Json, file: Path) -> None:
    """Bars of medians, with the range of all rounds."""
    shown = measured(row)[::-1]
    middles = [median(each) or 0 for each in shown]
    ranges = [
        [middle - min(each["values"]) for each, middle in zip(shown, middles, strict=True)],
        [max(each["values"]) - middle for each, middle in zip(shown, middles, strict=True)],
    ]
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 0.5 + 0.26 * len(shown)))
        colours = [COLOURS[each["role"]] for each in shown]
        names = [each["name"] for each in shown]
        axes.barh(names, middles, xerr=ranges, color=colours, ecolor=GREY, error_kw={"linewidth": 0.8})
        for at, (each, middle) in enumerate(zip(shown, middles, strict=True)):
            axes.annotate(f"  {number(middle)}", (max(each["values"]), at), va="center", fontsize=8)
        axes.set_xlim(0, 1.12 * max(max(each["values"]) for each in shown))
        axes.set_xlabel(row["unit"])
        nobody = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # small, and the same each time
        figure.savefig(file, format="svg", transparent=True, bbox_inches="tight", metadata=nobody)
        plt.close(figure)


def plots_of(documents: list[Json], docs: Path) -> dict[str, str]:
    """A file for each row with a bar or a peer."""
    folder = docs / "_plots"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    found = {}
    for document in documents:
        for at, row in enumerate(document["rows"], 1):
            is_plotted = row["bars"] or any(each["role"] == "peer" for each in measured(row))
            if is_plotted and row["unit"] != "bytes":
                name = f"_plots/{document['script']}-{at}.svg"
                plot(row, docs / name)
                found[row["title"]] = name
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The tables and plots of docs/performance")
    parser.add_argument("results", type=Path, nargs="?", default=Path("benchmarks/results"))
    parser.add_argument("docs", type=Path, nargs="?", default=Path("docs"))
    options = parser.parse_args()
    files = [options.results / f"{name}.json" for name in ORDER]
    read = [json.loads(file.read_text("utf-8")) for file in files if file.exists()]
    text = "\n".join(all_lines(read, plots_of(read, options.docs)))
    (options.docs / "_performance_tables.rst").write_text(text.rstrip("\n") + "\n", "utf-8")
