"""Refuses a wheel that is not the three packages, each with its py.typed: `check_wheel.py FILE`."""

import sys
import zipfile
from pathlib import Path, PurePosixPath

PACKAGES = {"goblins_py", "netlayers", "persistence"}


def complaints(names: list[str]) -> list[str]:
    """What is in the wheel and should not be, and what is missing."""
    files = [PurePosixPath(name) for name in names if not name.endswith("/")]
    files = [file for file in files if not file.parts[0].endswith(".dist-info")]
    strays = [f"stray: {file}" for file in files if file.parts[0] not in PACKAGES]
    kinds = [f"no source: {file}" for file in files if file.suffix != ".py" and file.name != "py.typed"]
    missing = sorted(PACKAGES - {file.parts[0] for file in files if file.name == "py.typed"})
    return [*strays, *kinds, *(f"missing: {name}/py.typed" for name in missing)]


if __name__ == "__main__":
    found = complaints(zipfile.ZipFile(Path(sys.argv[1])).namelist())
    sys.exit("\n".join(found) or None)
