"""Line editing by the standard library: history and completion.

The history is the owner's alone, and no URI gets into the file: whoever read it could use the object.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["line_editing"]

_KEPT = 1000
_SECRET = "ocapn:"  # noqa: S105 - the beginning of what must not be kept


@contextmanager
def line_editing(namespace: dict[str, Any]) -> Iterator[None]:
    """Edit lines, complete names of the namespace with Tab, remember lines until the next time."""
    try:
        import readline  # noqa: PLC0415 - not everywhere
    except ImportError:  # pragma: no cover - builds without it
        yield
        return
    import rlcompleter  # noqa: PLC0415 - only with readline

    readline.set_completer(rlcompleter.Completer(namespace).complete)
    editline = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if editline else "tab: complete")
    path = _history_file()
    with suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        readline.set_completer(None)
        with suppress(OSError):
            _save(readline, path)


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "goblins" / "repl_history"


def _save(readline: Any, path: Path) -> None:
    for position in reversed(range(readline.get_current_history_length())):
        if _SECRET in (readline.get_history_item(position + 1) or ""):
            readline.remove_history_item(position)
    readline.set_history_length(_KEPT)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    readline.write_history_file(path)
