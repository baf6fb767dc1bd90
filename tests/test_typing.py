"""The public API means to a type checker what the documentation says that it means."""

import subprocess
import sys

import pytest

from sources import ROOT

FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))


@pytest.mark.skipif(not FILES, reason="no typing tests are written yet")
def test_the_typing_files_pass_mypy_strict(tmp_path) -> None:
    """From an empty folder, so that mypy reads the installed packages, as a user's mypy does."""
    config = ROOT / "pyproject.toml"
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        config,
        "--cache-dir",
        tmp_path / "cache",
        *FILES,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
