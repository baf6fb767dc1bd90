"""What is made of measured rows: tables on a terminal, and the verdict on each bar."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

Json = dict[str, Any]


def machine() -> Json:
    """Where and when the figures are from."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": commit.stdout.strip() or "unknown",
    }


def median(contestant: Json | None) -> float | None:
    """The figure, if there is one."""
    return statistics.median(contestant["values"]) if contestant and contestant.get("values") else None


def by_name(row: Json, name: str) -> Json | None:
    """That contestant."""
    return next((each for each in row["contestants"] if each["name"] == name), None)


def floor(row: Json) -> Json | None:
    """What carries us."""
    if row["floor"]:
        return by_name(row, row["floor"])
    return next((each for each in row["contestants"] if each["role"] == "floor"), None)


def ratio(ours: Json | None, base: Json | None, which: str = "values") -> float | None:
    """One in terms of the other: the median of the ratios of each round, since a slow moment hits both."""
    if not ours or not base or not ours.get(which) or not base.get(which):
        return None
    return statistics.median(x / y for x, y in zip(ours[which], base[which], strict=False))


def ratio_by_cpu(row: Json, ours: Json | None, base: Json | None) -> float | None:
    """The same by what the processor had to do, which a busy machine changes less."""
    return ratio(base, ours, "cpu") if row["is_rate"] else ratio(ours, base, "cpu")


def number(value: float | None) -> str:
    """Three digits that count, or all before the point."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@attrs.frozen
class Verdict:
    """One bar of a row: ours beside the row's floor, and beside what the bar is about."""

    row: str
    ours: str
    floor: str
    ratio: float | None
    text: str
    there: float | None
    by_cpu: float | None
    is_reached: bool | None
    is_reached_by_cpu: bool | None

    @property
    def word(self) -> str:
        """Of a table. If the processor decides, and says something else, the machine was too busy to tell."""
        word = {None: "not measured", True: "reached", False: "missed"}[self.is_reached]
        agree = self.is_reached_by_cpu in {None, self.is_reached}
        return word if agree else f"{word}, not by CPU"

    def cells(self) -> list[str]:
        """Of a table."""
        parts = ["-" if each is None else f"{each:.2f}" for each in (self.ratio, self.there, self.by_cpu)]
        return [self.row, self.ours, self.floor, parts[0], self.text, parts[1], parts[2], self.word]


SUMMARY_HEADS = ("row", "ours", "floor", "× floor", "bar", "× there", "by CPU", "")


def verdicts(row: Json, *, is_pure: bool) -> Iterator[Verdict]:
    """Each bar of the row."""
    base = floor(row)
    for bar in row["bars"]:
        name = bar["of"].removesuffix(", pure") if is_pure else bar["of"]
        ours, other = by_name(row, name), by_name(row, bar["to"])
        sign = "≥" if row["is_rate"] else "≤"
        text = f"{sign} {number(bar['factor'])}" + (f" × {bar['to']}" if bar["to"] else "")
        text += {"goblins_py": "", "goblins_py, pure": " (pure Python)"}.get(bar["of"], f" ({bar['of']})")
        part = ratio(ours, other)
        is_reached = reached(bar["factor"], part if bar["to"] else median(ours), is_rate=row["is_rate"])
        unit = row["unit"].replace("per second", "/s")
        by_cpu = ratio_by_cpu(row, ours, other)
        is_reached_by_cpu = reached(bar["factor"], by_cpu, is_rate=row["is_rate"])
        yield Verdict(
            row["title"],
            f"{number(median(ours))} {unit}",
            number(median(base)),
            ratio(ours, base),
            text,
            part,
            by_cpu,
            is_reached,
            is_reached_by_cpu if row["is_cpu_bound"] else None,
        )


def reached(bar: float, figure: float | None, *, is_rate: bool) -> bool | None:
    """Is it? None: nobody knows."""
    if figure is None:
        return None
    return figure >= bar if is_rate else figure <= bar


def cells(row: Json, contestant: Json) -> list[str]:
    """Min, median, max, ratio, cost."""
    values = contestant["values"]
    cost = statistics.median(contestant["cpu"]) if contestant.get("cpu") else None
    part = ratio(contestant, floor(row))
    figures = [number(each) for each in (min(values), statistics.median(values), max(values))]
    return [*figures, "-" if part is None else f"{part:.2f}", number(cost)]


def titled(title: str) -> Any:
    """An empty table, and what prints it."""
    from rich.console import Console  # here, because every process of a contestant imports this module
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 130, highlight=False)
    return console, Table(title=title, title_justify="left", min_width=100)


def print_row(row: Json, where: Json) -> None:
    """As a table."""
    console, table = titled(f"{row['title']} ({row['unit']})")
    for head in ("", "min", "median", "max", "× floor", "CPU µs"):
        table.add_column(head, justify="right" if head else "left")
    table.add_column("")
    missing = []
    for each in row["contestants"]:
        if "missing" in each:
            missing.append(f"{each['name']}: {each['missing']}")
        else:
            style = {"ours": "bold", "floor": "cyan", "also": "dim"}.get(each["role"], "")
            table.add_row(
                each["name"],
                *cells(row, each),
                f"{each['role']}{each['note'] and ', '}{each['note']}",
                style=style,
            )
    console.print(table)
    for line in missing:
        console.print(line, markup=False)
    for verdict in verdicts(row, is_pure=where["is_pure"]):
        console.print(f"{verdict.text}: {verdict.word}", markup=False)
    console.print()


def print_summary(documents: list[Json]) -> None:
    """One line for each bar."""
    console, table = titled("Summary")
    for head in SUMMARY_HEADS:
        table.add_column(head, justify="left" if head in {"row", "bar", ""} else "right")
    for document in documents:
        for row in document["rows"]:
            for verdict in verdicts(row, is_pure=document["machine"]["is_pure"]):
                table.add_row(*verdict.cells())
    console.print(table)
