"""`goblins store`: the commands, their options and their help. What they do is in `_store_work`."""

# ruff: noqa: PLC0415 - a command's imports are its own: `goblins --help` shall not wait for them

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import rich_click as click

__all__ = ["store"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_PANELS: Final = {"text_markup": "rich", "text_paragraph_linebreaks": "\n\n"}


def _unlocking(command: _Command) -> _Command:
    """The options that open an encrypted store."""
    key = click.option(
        "--key", metavar="SOURCE", help="Of an encrypted store, as hex or base64: env:NAME, @FILE, -, ask."
    )
    passphrase = click.option("--passphrase", metavar="SOURCE", help="Likewise.")
    return key(passphrase(command))


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_at = click.option(
    "--at", type=click.IntRange(1), metavar="NUMBER", help="A checkpoint, as history lists them."
)
_path = click.argument("path")


@click.group(context_settings={"help_option_names": ["--help"]})
@click.rich_config(help_config=_PANELS)
def store() -> None:
    """Look into a store, check it, compact it, copy it.

    SyrupStore's files and SqliteStore's are told apart by what is in them. All but compact only read, and can
    be used while a vat has the store.

    A key or passphrase is never written out on the command line, where others could read it: give
    [cyan]env:NAME[/], [cyan]@FILE[/] (its first line), [cyan]-[/] (a line of stdin) or [cyan]ask[/]. For an
    encrypted store without such an option you are asked, if there is a terminal.

    [bold]Exit codes[/] 0 done, 1 the store is damaged, in use, or cannot be opened with this key, 2 usage: no
    such file, bad options
    """


@store.command()
@click.rich_config(help_config=_PANELS)
@_path
@_unlocking
@_as_json
def info(path: str, key: str | None, passphrase: str | None, *, as_json: bool) -> None:
    """Say what a store is and what it holds: sizes, classes, checkpoints."""
    from goblins_py.cli._store_work import info
    from goblins_py.cli._stores import Target

    info(Target.named(path, key, passphrase), as_json=as_json)


@store.command()
@click.rich_config(help_config=_PANELS)
@_path
@_unlocking
def verify(path: str, key: str | None, passphrase: str | None) -> None:
    """Read every record of a store and check it. Nothing is repaired or changed."""
    from goblins_py.cli._store_work import verify
    from goblins_py.cli._stores import Target

    verify(Target.named(path, key, passphrase))


@store.command()
@click.rich_config(help_config=_PANELS)
@_path
@_unlocking
@_at
@click.option("--secrets", is_flag=True, help="Show keys and swiss numbers as well.")
@_as_json
def dump(
    path: str, key: str | None, passphrase: str | None, *, at: int | None, secrets: bool, as_json: bool
) -> None:
    """Print every object: its slot, class and state.

    All bytes, sturdyrefs in texts, and fields whose names speak of keys or secrets are redacted, unless there
    is --secrets. With --json one line per object.
    """
    from goblins_py.cli._store_work import dump
    from goblins_py.cli._stores import Target

    dump(Target.named(path, key, passphrase), at=at, secrets=secrets, as_json=as_json)


@store.command()
@click.rich_config(help_config=_PANELS)
@_path
@_unlocking
def compact(path: str, key: str | None, passphrase: str | None) -> None:
    """Rewrite a store without what is out of date. Its checkpoints are kept.

    A vat does this by itself; no vat may have the store meanwhile.
    """
    from goblins_py.cli._store_work import compact
    from goblins_py.cli._stores import Target

    compact(Target.named(path, key, passphrase))


@store.command()
@click.rich_config(help_config=_PANELS)
@click.argument("source")
@click.argument("target")
@_unlocking
@_at
@click.option(
    "--to",
    "kind",
    type=click.Choice(["syrup", "sqlite"]),
    help="What to make. [dim]\\[by the name: sqlite for .sqlite, .sqlite3, .db; else syrup][/]",
)
@click.option("--new-key", metavar="SOURCE", help="Encrypt the copy with this key.")
@click.option("--new-passphrase", metavar="SOURCE", help="Encrypt the copy with this passphrase.")
def copy(source: str, target: str, **options: Any) -> None:
    """Copy a store to a new one, of the same kind or another; encrypt it or decrypt it thereby.

    Copied is the present state, or that of a checkpoint, and not the history. Never use a store and its copy
    at the same time: each would be taken for the other.

    [bold]Examples[/]

    [cyan]goblins store copy book.syrup backup.syrup --new-passphrase ask[/]

    [cyan]goblins store copy book.syrup yesterday.syrup --at 17[/]
    """
    from goblins_py.cli._secret import read_unlocking
    from goblins_py.cli._store_work import copy
    from goblins_py.cli._stores import Target

    found = Target.named(source, options["key"], options["passphrase"])
    sealing = read_unlocking(options["new_key"], options["new_passphrase"], is_new=True)
    copy(found, target, sealing, at=options["at"], kind=options["kind"])


@store.command()
@click.rich_config(help_config=_PANELS)
@_path
@_unlocking
@_as_json
def history(path: str, key: str | None, passphrase: str | None, *, as_json: bool) -> None:
    """List the checkpoints of a store: past states that dump and copy take with --at."""
    from goblins_py.cli._store_work import history
    from goblins_py.cli._stores import Target

    history(Target.named(path, key, passphrase), as_json=as_json)
