"""What `goblins store` does: each command a function. Results go to stdout, progress to stderr."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from goblins_py.abc import Snapshot
from goblins_py.cli._failure import ExitCode, Failure, printable
from goblins_py.cli._json import as_number, to_json, to_text
from goblins_py.cli._json import dump as dump_json
from goblins_py.cli._narrate import say
from goblins_py.cli._redact import shown_state
from goblins_py.cli._secret import Unlocking
from goblins_py.cli._stores import AnyStore, Target, kind_by_name, store_errors
from persistence import Checkpoint, Progress, StoreFacts, copy_store

__all__ = ["compact", "copy", "dump", "history", "info", "verify"]

# --- looking ------------------------------------------------------------------------


def info(target: Target, *, as_json: bool) -> None:
    """Say what a store is and what it holds."""
    facts = _inspect(target)
    if as_json:
        sys.stdout.write(dump_json(_as_json(facts)) + "\n")
        return
    about = Table(show_header=False, box=None)
    for word, text in _about(facts):
        about.add_row(f"[dim]{word}[/]", text)
    _console().print(about)
    classes = _classes(facts)
    if classes:
        table = Table("class", "objects", "bytes", box=None)
        for name, (objects, size) in classes.items():
            table.add_row(Text(name), f"{objects:,}", f"{size:,}")
        _console().print(table)


def verify(target: Target) -> None:
    """Read all of it."""
    facts = _inspect(target)
    objects = len(facts.snapshot.portraits) if facts.snapshot else 0
    found = f"{_count(objects, 'object')}, {_count(len(facts.checkpoints), 'checkpoint')}"
    sys.stdout.write(f"{target.path} is sound: {found}\n")
    if facts.unfinished:
        say(f"{facts.unfinished} bytes at its end are of a commit that did not end, or not yet", mark="note")


def dump(target: Target, *, at: int | None, secrets: bool, as_json: bool) -> None:
    """Print every object."""
    snapshot = _read(target, target.store(read_only=True, at=at) if at else target.store(read_only=True))
    portraits = sorted(snapshot.portraits.items()) if snapshot else []
    for slot, portrait in portraits:
        state = shown_state(portrait, secrets=secrets)
        if as_json:
            fields = ", ".join(f"{dump_json(name)}: {to_json(value)}" for name, value in state.items())
            version = to_json(portrait.version)
            head = f'"slot": {to_json(slot)}, "class": {dump_json(portrait.name)}, "version": {version}'
            sys.stdout.write(f'{{{head}, "state": {{{fields}}}}}\n')
        else:
            mark = "  root" if snapshot and slot in snapshot.roots else ""
            name = to_text(portrait.name)[1:-1]
            sys.stdout.write(f"{to_text(slot)}  {name}  version {to_text(portrait.version)}{mark}\n")
            width = max(map(len, state), default=0)
            sys.stdout.writelines(
                f"    {printable(name):{width}}  {to_text(value)}\n" for name, value in state.items()
            )


def history(target: Target, *, as_json: bool) -> None:
    """List the checkpoints."""
    found = _inspect(target).checkpoints
    if as_json:
        sys.stdout.write(dump_json(list(map(_checkpoint, found))) + "\n")
        return
    if not found:
        say(f"{target.path} has no checkpoints: a vat makes them with SyrupStore(..., history=N)")
        return
    table = Table("number", "made", "objects", box=None)
    for each in found:
        table.add_row(to_text(each.number), _made(each), f"{each.objects:,}")
    _console().print(table)


def _made(checkpoint: Checkpoint) -> str:
    try:
        return datetime.fromtimestamp(checkpoint.time, UTC).astimezone().isoformat(" ")
    except (ValueError, OverflowError, OSError):  # beyond the calendar: a clock was wrong, or somebody lied
        return f"{to_text(checkpoint.time)} s after 1970"


# --- changing -----------------------------------------------------------------------


def compact(target: Target) -> None:
    """Rewrite it."""
    before = Path(target.path).stat().st_size
    kept = len(_inspect(target).checkpoints)
    store = target.store(history=kept)
    with store_errors(target.path), _bar("compacting") as progress:
        trio.run(_compact, store, progress)
    after = Path(target.path).stat().st_size
    sys.stdout.write(f"{target.path}: {before:,} bytes, now {after:,}\n")


async def _compact(store: AnyStore, progress: Progress) -> None:
    await store.open()
    try:
        await store.compact(progress)
    finally:
        await store.aclose()


def copy(source: Target, path: str, sealing: Unlocking, *, at: int | None, kind: str | None) -> None:
    """Copy it."""
    target = Target(path, kind or kind_by_name(path), sealing).store()
    if Path(path).exists() and Path(path).samefile(source.path):
        raise Failure(ExitCode.USAGE, f"{path} is the source itself")
    found = source.store(read_only=True, at=at) if at else source.store(read_only=True)
    with store_errors(f"{source.path} to {path}"), _bar("copying"):
        objects = trio.run(copy_store, found, target)
    sys.stdout.write(f"{path}: {_count(objects, 'object')}\n")
    say("never use a store and its copy at the same time", mark="note")


# --- helpers --------------------------------------------------------------------------


def _inspect(target: Target) -> StoreFacts:
    with store_errors(target.path), _bar("reading") as progress:
        return trio.run(target.store().inspect, progress)


def _read(target: Target, store: AnyStore) -> Snapshot | None:
    async def read() -> Snapshot | None:
        snapshot = await store.open()
        await store.aclose()
        return snapshot

    with store_errors(target.path):
        return trio.run(read)


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    """A bar on stderr, if somebody looks at it."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), *Bar.get_default_columns(), TextColumn("[dim]{task.fields[amount]}[/]"))
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, amount="")
        yield partial(_advance, bar, task)


def _advance(bar: Bar, task: Any, done: int, total: int) -> None:
    bar.update(task, completed=done, total=max(total, 1), amount=f"{total:,} bytes")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _classes(facts: StoreFacts) -> dict[str, tuple[int, int]]:
    """Name to objects and bytes, the largest first."""
    objects, sizes = Counter[str](), Counter[str]()
    for slot, portrait in (facts.snapshot.portraits if facts.snapshot else {}).items():
        name = to_text(portrait.name)[1:-1]
        objects[name] += 1
        sizes[name] += facts.sizes.get(slot, 0)
    return {name: (objects[name], size) for name, size in sizes.most_common()}


def _about(facts: StoreFacts) -> Iterator[tuple[str, str]]:
    yield "kind", f"{facts.kind}, format {facts.version}"
    yield "encryption", facts.encryption
    yield "size", f"{facts.size:,} bytes, {facts.live:,} of them live"
    if facts.unfinished:
        yield "unfinished", f"{facts.unfinished:,} bytes of a commit that did not end, or not yet"
    snapshot = facts.snapshot
    if snapshot is None:
        yield "vat", "none: nothing was ever saved"
        return
    yield "vat", f"{snapshot.vat_id[:4].hex()}…"
    roots = ", ".join(map(to_text, snapshot.roots)) or "none"
    yield "roots", f"{roots} (version {to_text(snapshot.roots_version)})"
    yield "objects", f"{len(snapshot.portraits):,}"
    yield "checkpoints", f"{len(facts.checkpoints)}"


def _as_json(facts: StoreFacts) -> dict[str, object]:
    snapshot = facts.snapshot
    classes = {name: {"objects": count, "bytes": size} for name, (count, size) in _classes(facts).items()}
    return {
        "kind": facts.kind,
        "format": facts.version,
        "encryption": facts.encryption,
        "size": facts.size,
        "live": facts.live,
        "unfinished": facts.unfinished,
        "vat": snapshot.vat_id[:4].hex() if snapshot else None,
        "roots": list(map(as_number, snapshot.roots)) if snapshot else [],
        "roots_version": as_number(snapshot.roots_version) if snapshot else None,
        "objects": len(snapshot.portraits) if snapshot else 0,
        "classes": classes,
        "checkpoints": list(map(_checkpoint, facts.checkpoints)),
    }


def _checkpoint(found: Checkpoint) -> dict[str, object]:
    return {name: as_number(value) for name, value in attrs.asdict(found).items()}
