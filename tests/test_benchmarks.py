"""Benchmarks gate nothing, but each runs: once, without peers, so that it does not rot."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sources import ROOT

BENCHMARKS = ROOT / "benchmarks"
ROWS = {
    "bulk": 1,
    "churns": 4,
    "compaction": 2,
    "connect": 1,
    "growth": 3,
    "local": 1,
    "memory": 1,
    "one_way": 1,
    "opening": 2,
    "pipelined": 1,
    "prelay": 4,
    "round_trips": 1,
    "syrup": 7,
    "websocket": 4,
}
"""How many each has."""
NOT_MEASURED = {"plot", "smoke", "summary"}
PATIENCE = 240


def run(script: str, *arguments: object, cwd: Path) -> str:
    command = [sys.executable, BENCHMARKS / f"{script}.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A folder with the JSON of each script, which has run once."""
    folder = tmp_path_factory.mktemp("benchmarks")
    run("smoke", folder, *ROWS, cwd=folder)
    return folder


def test_every_script_is_known_here() -> None:
    """A new one is run, too, and `make bench` runs all."""
    scripts = {path.stem for path in BENCHMARKS.glob("[a-z]*.py")}
    assert scripts == set(ROWS) | NOT_MEASURED
    words = (ROOT / "Makefile").read_text("utf-8").partition("BENCHES :=")[2].split("RESULTS")[0]
    assert set(ROWS) == set(words.replace("\\", "").split())


@pytest.mark.parametrize("script", sorted(ROWS))
def test_a_benchmark_runs_and_writes_its_rows(results: Path, script: str) -> None:
    """Each row has ours and whatever needs no package from elsewhere, each with a figure."""
    document = json.loads((results / f"{script}.json").read_text("utf-8"))
    assert (script, ROWS[script]) == (document["script"], len(document["rows"]))
    for row in document["rows"]:
        measured = [each for each in row["contestants"] if "missing" not in each]
        assert "ours" in {each["role"] for each in measured}
        assert all(each["values"] for each in measured)


def test_benchmarks_leave_nothing_behind(results: Path) -> None:
    """Stores that were made to be measured are gone."""
    assert {f"{script}.json" for script in ROWS} == {path.name for path in results.iterdir()}


def test_the_summary_has_a_line_for_each_bar(results: Path) -> None:
    """Out of the JSON of any scripts, with what was not measured told so."""
    said = run("summary", results / "pipelined.json", results / "syrup.json", cwd=results)
    assert 2 == said.count("Pipelined calls")
    assert 2 == said.count("not measured")


def test_a_peer_that_is_not_installed_is_one_line(tmp_path) -> None:
    """It is no failure, and what is there is measured."""
    said = run("local", "--smoke", "--peers", "pykka ask,nobody", cwd=tmp_path)
    is_there = importlib.util.find_spec("pykka") is not None
    assert is_there != ("pykka ask: not installed" in said)
    assert "bare loop, same guarantees" in said
