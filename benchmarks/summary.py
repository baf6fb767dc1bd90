"""One line for each bar of the table, out of what the other scripts have written.

python benchmarks/summary.py FILE...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import _report


def main(files: list[Path]) -> None:
    """Print it; a script that failed has left no file."""
    _report.print_summary([json.loads(file.read_text("utf-8")) for file in files if file.exists()])
    for file in files:
        if not file.exists():
            print(f"{file.stem}: no result")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
