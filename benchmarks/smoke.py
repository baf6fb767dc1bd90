"""Every script once, without peers, to see that it runs; in one process, because most of the time is imports.

python benchmarks/smoke.py FOLDER SCRIPT...

Writes SCRIPT.json into the folder for each.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main(folder: Path, scripts: list[str]) -> None:
    """As the command line would run them."""
    for name in scripts:
        script = Path(__file__).with_name(f"{name}.py")
        sys.argv = [str(script), "--smoke", "--peers", "none", "--json", str(folder / f"{name}.json")]
        runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
