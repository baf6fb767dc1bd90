"""The process that `check.py` runs under callgrind: every operation, each between two marks."""

from __future__ import annotations

import gc
import json
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from types import ModuleType

OURS = ("goblins_py.", "persistence.")


def skip_facades() -> None:
    """Have packages that load nothing by themselves: trio and TLS take long under callgrind, and no part."""
    for name in OURS:
        spec = find_spec(name[:-1])
        package = sys.modules[name[:-1]] = ModuleType(name[:-1])
        package.__path__ = spec.submodule_search_locations


def native_parts() -> list[str]:
    """Our modules that are in use and compiled."""
    files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
    return sorted(n for n in files if n.startswith(OURS) and files[n].endswith(tuple(EXTENSION_SUFFIXES)))


def main() -> None:
    skip_facades()
    from operations import OPERATIONS, WARM

    gc.set_threshold(0)
    for prepare, times in OPERATIONS.values():
        run = prepare()
        run(WARM)  # the interpreter adapts code that runs often
        run(WARM)
        gc.collect()
        gc.freeze()  # or the next collection would look at all this again
        os.ctermid()  # callgrind starts a new count there, and nobody else calls it
        run(times)
        os.ctermid()
    times = {name: times for name, (_, times) in OPERATIONS.items()}
    print(json.dumps({"times": times, "native": native_parts()}), flush=True)
    os._exit(0)  # to take everything down is no operation


if __name__ == "__main__":
    main()
