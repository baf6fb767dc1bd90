"""`goblins relay`: run a relay, and keep its accounts."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

import attrs
import trio
from rich.console import Console
from rich.table import Table

from goblins_py.abc import Store
from goblins_py.actors import PersistenceEnv, Ref, spawn
from goblins_py.cli._call import Request, call
from goblins_py.cli._failure import ExitCode, Failure, printable
from goblins_py.cli._json import to_json
from goblins_py.cli._kept import Served, explained, roots_of, served_env
from goblins_py.cli._narrate import tell
from goblins_py.cli._netlayers import (
    NETLAYERS,
    Reach,
    address_of,
    check_certificate,
    check_host,
    check_understood,
)
from goblins_py.cli._restored import change_websocket
from goblins_py.cli._signals import reload_certificate, signals_received, until_told_to_end
from goblins_py.cli._stores import kept_store
from goblins_py.locators import Sturdyref
from goblins_py.relay import RELAY_LIMITS, relay_env, spawn_relay
from goblins_py.runtime import OpenVat, open_persistent_vat, open_vat, spawn_mycapn
from goblins_py.syrup import Map, Symbol

__all__ = ["RelayOptions", "ask", "print_account", "print_accounts", "print_statistics", "serve_relay"]

_WHAT: Final = "relay of accounts"
_MOST_FILES: Final = 16 * 1024
_OTHER_FILES: Final = 64
_COLUMNS: Final = {
    "name": "account",
    "used": "used",
    "online": "online",
    "dialled": "dialled",
    "accepted": "accepted",
    "sent_bytes": "sent",
    "received_bytes": "received",
    "queued_bytes": "queued",
    "aborted": "aborted",
}


@attrs.frozen
class RelayOptions:
    """The command line of `goblins relay serve`."""

    netlayer: str
    host: str | None
    port: int | None
    insecure: bool
    cert: str | None
    key: str | None
    url: str | None
    store: str | None
    store_key: str | None
    store_passphrase: str | None


def serve_relay(options: RelayOptions) -> None:
    """Serve until SIGTERM or SIGINT. Raises `Failure`."""
    _check(options)
    with explained("the relay", options.store):
        store = None
        if options.store is not None:
            store = kept_store(options.store, options.store_key, options.store_passphrase)
        trio.run(_serve, options, store)


def _check(options: RelayOptions) -> None:
    if options.netlayer not in NETLAYERS:
        known = ", ".join(NETLAYERS)
        raise Failure(ExitCode.USAGE, f"there is no netlayer {options.netlayer!r}; there is {known}")
    check_host(options.host)
    check_certificate(options.cert, options.key, insecure=options.insecure)
    check_understood(options, NETLAYERS[options.netlayer].options, options.netlayer)


async def _serve(options: RelayOptions, store: Store | None) -> None:
    with signals_received() as signals:
        async with _bring_up(options, store) as (vat, (mycapn, admin)):

            async def give_out() -> None:
                sturdyref = cast(Sturdyref, await vat.send(mycapn).register(admin, options.netlayer))
                _introduce(options, sturdyref)
                sys.stdout.write(f"{sturdyref.uri}\n")
                sys.stdout.flush()

            await until_told_to_end(signals, give_out, partial(reload_certificate, vat, mycapn))


@asynccontextmanager
async def _bring_up(
    options: RelayOptions, store: Store | None
) -> AsyncIterator[tuple[OpenVat, tuple[Ref[Any], Ref[Any]]]]:
    reach = _reach_of(options)
    what = f"{_WHAT} over {options.netlayer}"

    def roots() -> tuple[Ref[Any], ...]:
        mycapn = spawn_mycapn(NETLAYERS[options.netlayer].listening(reach), limits=RELAY_LIMITS)
        return mycapn, spawn(Served, what), spawn_relay(mycapn, options.netlayer)

    if store is None:
        async with open_vat("relay") as vat:
            mycapn, _, admin = await vat.run(roots)
            yield vat, (mycapn, admin)
        return
    env = PersistenceEnv(extends=[relay_env, served_env, NETLAYERS[options.netlayer].env])
    async with open_persistent_vat(env, roots, store, name="relay") as (vat, restored):
        mycapn, desk, admin = roots_of(restored, options.store)
        if desk.what != what:
            raise Failure(ExitCode.BROKEN, f"{options.store} holds a {desk.what}, not a {what}")
        if options.netlayer == "websocket":
            await vat.run(change_websocket, mycapn, reach)
        yield vat, (mycapn, admin)


def _reach_of(options: RelayOptions) -> Reach:
    return Reach(
        options.host or "127.0.0.1",
        options.port,
        insecure=options.insecure,
        cert=options.cert,
        key=options.key,
        url=options.url,
        most=_raise_file_limit(),
    )


def _raise_file_limit() -> int:
    """Each client is a socket: allow as many as the system lets us; how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, wanted - _OTHER_FILES)


def _introduce(options: RelayOptions, admin: Sturdyref) -> None:
    host, port = address_of(admin.peer)
    tell(
        "The relay is up",
        {
            "where": f"{admin.peer.transport} at {host}, port {port}",
            "accounts": "lost when this process ends (--store FILE keeps them)"
            if options.store is None
            else f"in {options.store}",
            "the URI": "whoever has it makes and removes accounts: keep it to yourself",
            "next": "goblins relay add-account ADMIN-URI NAME",
            "what it sees": "all that it passes on: version 0 of prelay is in clear",
            "stop": "Ctrl-C",
        },
    )


# --- for the operator --------------------------------------------------------------------


def ask(uri: str, method: str, *args: object, insecure: bool = False, timeout: float = 30.0) -> object:
    """Send the relay's admin object a message. Raises `Failure`."""
    try:
        sturdyref = Sturdyref.from_uri(uri)
    except ValueError as error:
        raise Failure(ExitCode.USAGE, f"malformed URI: {error}") from None
    if sturdyref.peer.transport not in NETLAYERS:
        transport = sturdyref.peer.transport
        raise Failure(ExitCode.UNREACHABLE, f"no netlayer for the transport {transport}")
    return call(Request(sturdyref, (Symbol(method), *args), timeout, insecure))


def print_account(uri: str, name: str, quota: Mapping[str, int], *, insecure: bool = False) -> None:
    """Make an account; its URI is all that is printed."""
    answer = ask(uri, "add-account", name, *([Map(quota)] if quota else []), insecure=insecure)
    if not isinstance(answer, Sturdyref):
        raise Failure(ExitCode.BROKEN, "that is no relay: it answered with something else than an account")
    sys.stdout.write(f"{answer.uri}\n")


def print_accounts(uri: str, *, as_json: bool, insecure: bool = False) -> None:
    """The names of all accounts, one per line."""
    names = [str(name) for name in cast("tuple[object, ...]", ask(uri, "get-accounts", insecure=insecure))]
    text = json.dumps(names) + "\n" if as_json else "".join(f"{printable(name)}\n" for name in names)
    sys.stdout.write(text)


def print_statistics(uri: str, *, as_json: bool, insecure: bool = False) -> None:
    """What each account uses: a table, or JSON."""
    rows = cast("tuple[Map[str, object], ...]", ask(uri, "statistics", insecure=insecure))
    if as_json:
        sys.stdout.write(to_json(rows) + "\n")
        return
    table = Table(*_COLUMNS.values(), box=None, header_style="bold")
    for column in table.columns[3:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*(_shown(row.get(key)) for key in _COLUMNS))
    Console(highlight=False).print(table)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))
