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


def machine(*, is_pure: bool) -> Json:
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
        "build": "pure Python" if is_pure else "native",
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


def ratio(row: Json, contestant: Json) -> float | None:
    """Its median in terms of the floor's."""
    mine, base = median(contestant), median(floor(row))
    return mine / base if mine is not None and base else None


def number(value: float | None) -> str:
    """Three digits that count, or all before the point."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@attrs.frozen
class Verdict:
    """One bar of a row."""

    row: str
    ours: float | None
    base: float | None
    ratio: float | None
    text: str
    is_reached: bool | None

    @property
    def word(self) -> str:
        """Of a table."""
        return {None: "not measured", True: "reached", False: "missed"}[self.is_reached]


def verdicts(row: Json, *, is_pure: bool) -> Iterator[Verdict]:
    """Each bar of the row."""
    for bar in row["bars"]:
        name = bar["of"] if by_name(row, bar["of"]) or not is_pure else bar["of"].removesuffix(", pure")
        ours = median(by_name(row, name))
        base = median(by_name(row, bar["to"])) if bar["to"] else 1.0
        sign = "≥" if row["is_rate"] else "≤"
        text = f"{sign} {number(bar['factor'])}" + (f" × {bar['to']}" if bar["to"] else "")
        text += "" if bar["of"] == "goblins_py" else f" ({bar['of']})"
        part = ours / base if ours is not None and base else None
        reached = None if part is None else (part >= bar["factor"]) is row["is_rate"] or part == bar["factor"]
        yield Verdict(
            row["title"], ours, base if bar["to"] else None, part if bar["to"] else None, text, reached
        )


def cells(row: Json, contestant: Json) -> list[str]:
    """Min, median, max, ratio, cost."""
    values = contestant["values"]
    cost = statistics.median(contestant["cpu"]) if contestant.get("cpu") else None
    part = ratio(row, contestant)
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
    for verdict in verdicts(row, is_pure=where["build"] != "native"):
        console.print(f"{verdict.text}: {verdict.word}", markup=False)
    console.print()


def print_summary(documents: list[Json]) -> None:
    """One line for each bar."""
    console, table = titled("Summary")
    for head in ("row", "ours", "floor", "× floor", "bar", "× there", ""):
        table.add_column(head, justify="left" if head in {"row", "bar", ""} else "right")
    for document in documents:
        for row in document["rows"]:
            for each in verdicts(row, is_pure=document["machine"]["build"] != "native"):
                table.add_row(*summary_cells(row, each))
    console.print(table)


def summary_cells(row: Json, verdict: Verdict) -> list[str]:
    """Of one bar."""
    base = median(floor(row))
    part = verdict.ours / base if verdict.ours is not None and base else None
    parts = ["-" if each is None else f"{each:.2f}" for each in (part, verdict.ratio)]
    figures = [f"{number(verdict.ours)} {row['unit'].replace('per second', '/s')}", number(base)]
    return [verdict.row, *figures, parts[0], verdict.text, parts[1], verdict.word]
