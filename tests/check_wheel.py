"""Refuses a wheel that is not the three packages, each with its py.typed: `check_wheel.py FILE`.

One built with a compiler also holds the codec in C, and modules compiled from the sources beside them; then
it is for one platform.
"""

import sys
import zipfile
from pathlib import Path, PurePosixPath

PACKAGES = {"goblins_py", "netlayers", "persistence"}
NATIVE = "goblins_py/syrup/_native.*.so"


def complaints(names: list[str]) -> list[str]:
    """What is in the wheel and should not be, and what is missing."""
    files = [PurePosixPath(name) for name in names if not name.endswith("/")]
    files = [file for file in files if not file.parts[0].endswith(".dist-info")]
    strays = [f"stray: {file}" for file in files if file.parts[0] not in PACKAGES]
    others = [file for file in files if file.suffix != ".py" and file.name != "py.typed"]
    compiled = {file for file in others if file.suffix == ".so" and _source(file) in files}
    kinds = [f"no source: {file}" for file in others if not file.match(NATIVE) and file not in compiled]
    missing = sorted(PACKAGES - {file.parts[0] for file in files if file.name == "py.typed"})
    return [*strays, *kinds, *(f"missing: {name}/py.typed" for name in missing)]


def _source(compiled: PurePosixPath) -> PurePosixPath:
    return compiled.with_name(compiled.name.partition(".")[0] + ".py")


def platform_complaints(wheel: str, names: list[str]) -> list[str]:
    """Whether machine code is in a wheel that says it is for every machine."""
    is_native = any(PurePosixPath(name).match(NATIVE) for name in names)
    return [f"{wheel}: not for all platforms"] if is_native and wheel.endswith("-none-any.whl") else []


if __name__ == "__main__":
    path = Path(sys.argv[1])
    inside = zipfile.ZipFile(path).namelist()
    found = complaints(inside) + platform_complaints(path.name, inside)
    sys.exit("\n".join(found) or None)
