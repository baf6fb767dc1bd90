"""The README's example is a program, and does what the README says."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def example() -> str:
    """The one Python block."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    return code


def test_the_example_runs_twice_and_counts_on(tmp_path):
    """Bob is number 2 the second time: state and URI survive."""
    program = tmp_path / "example.py"
    program.write_text(example(), "utf-8")
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", program.name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        for _ in range(2)
    ]
    assert [run.stdout for run in said] == [
        f"Hello Bob, I am Alice. You are number {number}.\n" for number in (1, 2)
    ]
    assert [run.stderr for run in said] == ["", ""]


def test_the_example_is_as_short_as_the_readme_says():
    """Thirty lines, blank ones not counted."""
    assert len([line for line in example().splitlines() if line.strip()]) <= 30
