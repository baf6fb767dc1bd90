"""SIGKILL at any moment, five hundred times: each store has a prefix of the commits, with all it told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("kill_store.py")
KILLS = {"plain": 125, "encrypted": 125, "history": 125, "sqlite": 150}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KILLS)
def test_a_killed_store_holds_a_prefix_with_all_that_was_told(kind: str, tmp_path: Path) -> None:
    """Killed while it opens, commits and compacts; what each next process finds is judged cell by cell."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(PROGRAM), kind, str(tmp_path / "store"), str(KILLS[kind]), "7"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert 0 == done.returncode, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert KILLS[kind] == found["kills"]
    assert found["highest"] > 2 * KILLS[kind], "it was killed before it did anything"
    assert found["past"] == sorted(found["past"])
    assert bool(found["past"]) == (kind == "history")


def test_there_are_five_hundred_kills() -> None:
    """Over all stores; those of served objects are in tests/test_kill.py."""
    assert sum(KILLS.values()) >= 500
