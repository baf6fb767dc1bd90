"""One line for each bar of the table, out of what the other scripts have written.

python benchmarks/summary.py FILE...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import _report

if __name__ == "__main__":
    _report.print_summary([json.loads(Path(name).read_text("utf-8")) for name in sys.argv[1:]])
