"""`goblins relay` and its commands: their options and their help."""

# ruff: noqa: PLC0415 - a command's imports are its own: `goblins --help` shall not wait for them

from __future__ import annotations

import logging

import rich_click as click

from goblins_py.cli._arguments import read_uri, store_unlocking

__all__ = ["relay"]

_PANELS = {"text_markup": "rich", "text_paragraph_linebreaks": "\n\n"}
_ADMIN = click.argument("admin", metavar="ADMIN-URI")
_INSECURE = click.option(
    "--insecure", is_flag=True, help="Dial ws:// anywhere, and wss:// with any certificate."
)
_NUMBER = click.IntRange(1)


@click.group()
@click.rich_config(help_config=_PANELS)
def relay() -> None:
    """Run a relay, so that people who cannot be dialled are reached; keep its accounts.

    Give ADMIN-URI, which [cyan]goblins relay serve[/] prints, as [cyan]@FILE[/], [cyan]-[/] (the first line
    of stdin) or [cyan]env:NAME[/]: whoever has it makes and removes accounts.
    """


@relay.command("serve")
@click.rich_config(help_config=_PANELS)
@click.option("--netlayer", default="tcp-tls", show_default=True, metavar="NAME", help="To be reached by.")
@click.option(
    "--host", metavar="HOST", help="The name or address that all clients reach it by. [dim]\\[127.0.0.1][/]"
)
@click.option("--port", type=click.IntRange(1, 65535), metavar="PORT", help="[dim]\\[a free one][/]")
@click.option("--insecure", is_flag=True, help="websocket: no TLS, and dial peers without checks.")
@click.option("--cert", metavar="FILE", help="websocket: PEM certificate and chain. [dim]\\[self-signed][/]")
@click.option("--key", metavar="FILE", help="websocket: PEM private key of the certificate.")
@click.option("--url", metavar="URL", help="websocket: what URIs say instead: behind a reverse proxy.")
@click.option("--store", metavar="FILE", help="Keep accounts here: the next start has them, and their URIs.")
@store_unlocking
def serve(**options: object) -> None:
    """Run a relay; print the URI of its admin object, and nothing else on stdout.

    Serves until SIGTERM or Ctrl-C. Without --host only programs on this machine can reach it. Version 0 of
    prelay is in clear: a relay can read and change all that it passes on.

    [bold]Example[/]

    [cyan]goblins relay serve --host relay.example --port 8088 --store relay.syrup > admin[/]
    """
    from goblins_py.cli._relay import RelayOptions, serve_relay

    _log(logging.WARNING)
    serve_relay(RelayOptions(**options))  # type: ignore[arg-type]


@relay.command("add-account")
@click.rich_config(help_config=_PANELS)
@_ADMIN
@click.argument("name")
@click.option("--sessions", type=_NUMBER, metavar="N", help="At a time, each way. [dim]\\[64][/]")
@click.option(
    "--bytes-per-second", type=_NUMBER, metavar="N", help="That its client sends. [dim]\\[64 MiB][/]"
)
@click.option("--queued-bytes", type=_NUMBER, metavar="N", help="Held for it by the relay. [dim]\\[8 MiB][/]")
@click.option("--message-size", type=_NUMBER, metavar="N", help="Bytes of one message. [dim]\\[8 MiB][/]")
@_INSECURE
def add_account(admin: str, name: str, *, insecure: bool, **quota: int | None) -> None:
    """Make an account; print its URI, which can be used once.

    [bold]Example[/]

    [cyan]goblins relay add-account @admin alice > account[/], and give that to Alice, who says
    [cyan]goblins serve guest_book.py:GuestBook --prelay @account --store alice.syrup[/]
    """
    from goblins_py.cli._relay import print_account

    _log(logging.CRITICAL)
    given = {key: number for key, number in quota.items() if number is not None}
    print_account(read_uri(admin), name, given, insecure=insecure)


@relay.command("list-accounts")
@click.rich_config(help_config=_PANELS)
@_ADMIN
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_INSECURE
def list_accounts(admin: str, *, as_json: bool, insecure: bool) -> None:
    """Print the names of all accounts, one per line."""
    from goblins_py.cli._relay import print_accounts

    _log(logging.CRITICAL)
    print_accounts(read_uri(admin), as_json=as_json, insecure=insecure)


@relay.command("remove-account")
@click.rich_config(help_config=_PANELS)
@_ADMIN
@click.argument("name")
@_INSECURE
def remove_account(admin: str, name: str, *, insecure: bool) -> None:
    """Remove an account: its sessions end, and nobody is reached by it any more."""
    from goblins_py.cli._relay import ask

    _log(logging.CRITICAL)
    ask(read_uri(admin), "remove-account", name, insecure=insecure)


@relay.command("stats")
@click.rich_config(help_config=_PANELS)
@_ADMIN
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_INSECURE
def stats(admin: str, *, as_json: bool, insecure: bool) -> None:
    """What each account uses now, as a table."""
    from goblins_py.cli._relay import print_statistics

    _log(logging.CRITICAL)
    print_statistics(read_uri(admin), as_json=as_json, insecure=insecure)


def _log(default: int) -> None:
    from goblins_py.cli._narrate import configure_logging

    context = click.get_current_context()
    configure_logging(context.obj if context else 0, default=default)
