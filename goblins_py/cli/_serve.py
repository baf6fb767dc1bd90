"""`goblins serve`: one actor, reachable by its sturdyref until a signal comes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
import trio

from goblins_py.abc import Store
from goblins_py.actors import PersistenceEnv, Ref, passable, spawn
from goblins_py.cli._failure import ExitCode, Failure, printable
from goblins_py.cli._json import read_argument
from goblins_py.cli._kept import Served, explained, roots_of, served_env
from goblins_py.cli._load import Program, check_arguments, load_program, make_env
from goblins_py.cli._narrate import Facts, say, tell
from goblins_py.cli._netlayers import (
    NETLAYERS,
    Reach,
    address_of,
    check_certificate,
    check_host,
    check_understood,
    is_loopback,
)
from goblins_py.cli._prelay import (
    PRELAY,
    has_netlayer,
    install_prelay,
    listening_netlayers,
    netlayers_of,
    read_account,
)
from goblins_py.cli._restored import change_account, change_websocket
from goblins_py.cli._signals import reload_certificate, signals_received, until_told_to_end
from goblins_py.cli._stores import kept_store
from goblins_py.errors import UnknownObjectError
from goblins_py.locators import Sturdyref
from goblins_py.runtime import OpenVat, open_persistent_vat, open_vat, spawn_mycapn

__all__ = ["ServeOptions", "check_netlayers", "serve"]

_AT_ONCE = 2.0
"""Seconds that a netlayer may take before it is said that we wait for it."""


@attrs.frozen
class ServeOptions:
    """The command line of `goblins serve`."""

    target: str
    args: Sequence[str]
    netlayers: Sequence[str]
    prelay: str | None
    host: str | None
    ports: Sequence[int]
    insecure: bool
    cert: str | None
    key: str | None
    url: str | None
    allow_origins: Sequence[str]
    store: str | None
    store_key: str | None
    store_passphrase: str | None
    history: int | None
    name: str | None
    verbose_errors: bool

    @property
    def listening(self) -> Sequence[str]:
        """The netlayers that shall listen, as far as the command line tells."""
        return self.netlayers or (() if self.prelay else ("tcp-tls",))


@attrs.frozen
class _Up:
    """What is up: the vat, the object, and whether a store had it already."""

    vat: OpenVat
    mycapn: Ref[Any]
    served: Ref[Any]
    restored: bool


def check_netlayers(options: ServeOptions) -> None:
    """See whether the options fit the netlayers. Raises `Failure`."""
    if PRELAY in options.netlayers:
        raise Failure(ExitCode.USAGE, "prelay needs an account at a relay: give --prelay ACCOUNT-URI")
    for name in options.netlayers:
        if name not in NETLAYERS:
            raise Failure(ExitCode.USAGE, f"there is no netlayer {name!r}; there is {', '.join(NETLAYERS)}")
    if len(set(options.netlayers)) < len(options.netlayers):
        raise Failure(ExitCode.USAGE, "a netlayer was given twice")
    check_certificate(options.cert, options.key, insecure=options.insecure)
    if options.netlayers or options.store is None or not Path(options.store).exists():
        _check_fit(options, options.listening)


def _check_fit(options: ServeOptions, listening: Sequence[str]) -> None:
    """See whether the options mean something to what we are reached by. Raises `Failure`."""
    if options.ports and len(options.ports) != len(listening):
        raise Failure(ExitCode.USAGE, f"{len(listening)} netlayers, but {len(options.ports)} ports")
    understood = frozenset().union(*(NETLAYERS[name].options for name in listening))
    if options.prelay is not None:
        understood |= NETLAYERS[read_account(options.prelay).peer.transport].options & {"insecure"}
    check_understood(options, understood, ", ".join(listening) or PRELAY)


def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT. Raises `Failure`."""
    check_host(options.host)
    program = load_program(options.target)
    try:
        args = tuple(passable(read_argument(arg)) for arg in options.args)
    except (ValueError, TypeError) as error:
        raise Failure(ExitCode.USAGE, printable(f"bad --arg: {error}")) from None
    if options.store is None and (options.store_key or options.store_passphrase or options.history):
        raise Failure(ExitCode.USAGE, "there is no --store for --store-key, --store-passphrase or --history")
    if options.store is None or not Path(options.store).exists():
        check_arguments(program, args)  # before a store is made
    with explained(options.target, options.store):
        store = None if options.store is None else _store_of(options, options.store)
        trio.run(_serve, options, program, args, store)


def _store_of(options: ServeOptions, path: str) -> Store:
    """Perhaps it has to be asked for what opens it: that is done before signals are ours."""
    return kept_store(path, options.store_key, options.store_passphrase, history=options.history)


async def _serve(
    options: ServeOptions, program: Program, args: tuple[object, ...], store: Store | None
) -> None:
    with signals_received() as signals:
        async with _bring_up(options, program, args, store) as up:
            hung_up = partial(reload_certificate, up.vat, up.mycapn)
            await until_told_to_end(signals, partial(_give_out, up, options, program), hung_up)


async def _give_out(up: _Up, options: ServeOptions, program: Program) -> None:
    """Give the object out by each netlayer, in their order; print each URI as soon as it is known."""
    ways = await up.vat.run(_ways, up, options)
    _check_fit(options, [name for name in ways if name != PRELAY])
    for name in ways:
        await up.vat.run(_install, up, name, ways, options)
    uris: list[Sturdyref] = []
    for number, name in enumerate(ways):
        with trio.move_on_after(_AT_ONCE):
            uris.append(await _share(up, name))
        if len(uris) == number:
            break
    late = ways[len(uris) :]
    _introduce(options, program, up, uris=uris, late=late)
    _print(uris)
    for name in late:
        say(f"waiting for {_whereabouts(up, name)}; the URI is printed when it has answered.", mark="note")
        _print([await _share(up, name)])


def _print(uris: Sequence[Sturdyref]) -> None:
    sys.stdout.write("".join(f"{uri.uri}\n" for uri in uris))
    sys.stdout.flush()


@asynccontextmanager
async def _bring_up(
    options: ServeOptions, program: Program, args: tuple[object, ...], store: Store | None
) -> AsyncIterator[_Up]:
    made: list[Ref[Any]] = []

    def roots() -> tuple[Ref[Any], ...]:
        check_arguments(program, args)
        made.append(spawn(program.actor, *args))
        return spawn_mycapn(), spawn(Served, program.name), made[0]

    name = options.name or program.actor.__name__
    if store is None:
        async with open_vat(name, verbose=options.verbose_errors) as vat:
            mycapn, _, served = await vat.run(roots)
            yield _Up(vat, mycapn, served, restored=False)
        return
    env = make_env([program.module], served_env)
    opening = open_persistent_vat(env, roots, store, name=name, verbose=options.verbose_errors)
    async with opening as (vat, restored):
        mycapn, desk, served = roots_of(restored, options.store)
        if desk.what != program.name:
            _check_former_name(desk.what, options, program, env=env)
            await vat.run(setattr, desk, "what", program.name)
        yield _Up(vat, mycapn, served, restored=not made)


def _check_former_name(what: str, options: ServeOptions, program: Program, *, env: PersistenceEnv) -> None:
    """See whether an environment of the module says that this is a former name of the class."""
    try:
        same = env.class_named(what) is program.actor
    except UnknownObjectError:
        same = False
    if not same:
        raise Failure(ExitCode.BROKEN, f"{options.store} holds a {what}, not a {program.name}")


def _ways(up: _Up, options: ServeOptions) -> tuple[str, ...]:
    """The names of the netlayers to be reached by, those that wait for others last; in a turn.

    What the store has is used again: all of it, unless the command line says what to listen with.
    """
    kept = listening_netlayers(up.mycapn)
    named = options.netlayers or tuple(name for name in kept if name != PRELAY)
    prelay = (PRELAY,) if options.prelay is not None or PRELAY in kept else ()
    return (*named, *prelay) or ("tcp-tls",)


def _install(up: _Up, netlayer: str, ways: Sequence[str], options: ServeOptions) -> None:
    """See that mycapn has this netlayer, with the configuration that is wanted; in a turn."""
    account = read_account(options.prelay) if netlayer == PRELAY and options.prelay is not None else None
    match netlayer, has_netlayer(up.mycapn, netlayer):
        case "prelay", True if account is not None:
            change_account(up.mycapn, account, insecure=options.insecure)
        case "prelay", False if account is not None:
            install_prelay(up.mycapn, account, insecure=options.insecure)
        case _, True if netlayer not in listening_netlayers(up.mycapn):
            raise Failure(ExitCode.USAGE, f"{options.store} has a {netlayer} netlayer that only dials")
        case "websocket", True:
            change_websocket(up.mycapn, _reach_of(options, netlayer, ways))
        case _, False:
            up.mycapn.install_netlayer(NETLAYERS[netlayer].listening(_reach_of(options, netlayer, ways)))
        case _:
            pass  # it goes on as it was saved


async def _share(up: _Up, netlayer: str) -> Sturdyref:
    return cast(Sturdyref, await up.vat.send(up.mycapn).register(up.served, netlayer))


def _reach_of(options: ServeOptions, netlayer: str, ways: Sequence[str]) -> Reach:
    ports = dict(zip(ways, options.ports, strict=False))
    return Reach(
        options.host or "127.0.0.1",
        ports.get(netlayer),
        insecure=options.insecure,
        cert=options.cert,
        key=options.key,
        url=options.url,
        allow_origins=options.allow_origins,
    )


def _introduce(
    options: ServeOptions, program: Program, up: _Up, *, uris: Sequence[Sturdyref], late: Sequence[str]
) -> None:
    """Say on stderr what is going on, and who can reach it."""
    for note in _notes(options, up, uris):
        say(note, mark="note")
    where = [*map(_where, uris), *(f"{name}, through {_whereabouts(up, name)}" for name in late)]
    facts: Facts = {"where": "\n".join(where), "who": _who(uris, late)}
    if options.store is None:
        facts["state"] = "lost when this process ends (--store FILE keeps it)"
    else:
        found = "restored from" if up.restored else "in"
        facts["state"] = f"{found} {options.store}, saved before any answer leaves"
    facts["the URI"] = "whoever has it can use the object: hand it on like a key"
    facts["stop"] = "Ctrl-C"
    tell(f"{program.actor.__name__} is up", facts)


def _notes(options: ServeOptions, up: _Up, uris: Sequence[Sturdyref]) -> Iterator[str]:
    if not up.restored:
        return
    if options.args:
        yield f"--arg is ignored: {options.store} has the object already, with its state"
    if options.prelay is not None and _account_of(up) not in {None, read_account(options.prelay)}:
        yield f"--prelay is ignored: {options.store} has an account already"
    yield from _surprises(options, up)
    ways = [uri.peer.transport for uri in uris]
    for uri in (each for each in uris if each.peer.transport != PRELAY):
        host, port = address_of(uri.peer)
        wanted = options.host or host, _reach_of(options, uri.peer.transport, ways).port or port
        if options.url is None and wanted != (host, port):
            yield f"--host and --port are ignored: URIs given out by {options.store} say {host}, port {port}"


def _surprises(options: ServeOptions, up: _Up) -> Iterator[str]:
    """What the store has otherwise than the netlayers on the command line make one expect."""
    if not options.netlayers:
        return
    for name in listening_netlayers(up.mycapn):
        if name not in (PRELAY, *options.netlayers):
            yield f"it is reached by {name}, too: start without --netlayer to have that URI"
    listener = netlayers_of(up.mycapn).get("websocket") if "websocket" in options.netlayers else None
    if listener is not None and not listener._behaviour.encrypted and not options.insecure:
        yield f"websocket is without TLS, as with --insecure: {options.store} has it so"


def _whereabouts(up: _Up, netlayer: str) -> str:
    """Who has not answered yet."""
    account = _account_of(up) if netlayer == PRELAY else None
    if account is None:
        return netlayer
    host, port = address_of(account.peer)
    return f"the relay at {host}, port {port}"


def _account_of(up: _Up) -> Sturdyref | None:
    return cast("Sturdyref | None", netlayers_of(up.mycapn)[PRELAY]._behaviour.account)


def _where(uri: Sturdyref) -> str:
    host, port = address_of(uri.peer)
    if uri.peer.transport == PRELAY:
        return f"prelay, through the relay at {host}, port {port}"
    return f"{uri.peer.transport} at {host}, port {port}"


def _who(uris: Sequence[Sturdyref], late: Sequence[str]) -> str:
    if all(uri.peer.transport == PRELAY for uri in uris):
        return "every machine that can connect to the relay, which can read and change all that goes over it"
    if all(is_loopback(address_of(uri.peer)[0]) for uri in uris) and not late:
        return "programs on this machine only (--host NAME lets others in)"
    return "every machine that can connect to this one; it listens on all interfaces"
