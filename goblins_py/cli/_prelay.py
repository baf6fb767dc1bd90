"""What commands do to reach peers through relays, and to be reached through one."""

from __future__ import annotations

from typing import Any

from goblins_py.actors import Ref, spawn
from goblins_py.cli._failure import ExitCode, Failure
from goblins_py.cli._netlayers import NETLAYERS
from goblins_py.errors import LocatorError, NetlayerError
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.runtime import spawn_mycapn
from netlayers import PrelayNetlayer, fetch_and_spawn_prelay_netlayer, prelay_endpoint

__all__ = [
    "PRELAY",
    "base_of",
    "has_netlayer",
    "install_base",
    "install_prelay",
    "listening_netlayers",
    "netlayers_of",
    "read_account",
    "spawn_dialling_mycapn",
]

PRELAY = "prelay"


def base_of(peer: PeerLocator) -> str:
    """The transport by which a peer, or the relay that it is behind, is dialled. Raises `Failure`."""
    if peer.transport != PRELAY:
        return peer.transport
    try:
        return prelay_endpoint(peer).peer.transport
    except NetlayerError as error:
        raise Failure(ExitCode.USAGE, f"malformed URI: {error}") from None


def spawn_dialling_mycapn(peer: PeerLocator, *, insecure: bool = False) -> Ref[Any]:
    """A mycapn that can dial this peer and others like it, and cannot be reached; in a turn."""
    mycapn = spawn_mycapn(NETLAYERS[base_of(peer)].dialling(insecure=insecure))
    if peer.transport == PRELAY:
        mycapn.install_netlayer(spawn(PrelayNetlayer, mycapn))
    return mycapn


def has_netlayer(mycapn: Ref[Any], name: str) -> bool:
    """Has this mycapn a netlayer of that name, be it a broken one? In a turn."""
    return name in netlayers_of(mycapn)


def netlayers_of(mycapn: Ref[Any]) -> Any:
    """By their names, those that are broken, too."""
    behaviour: Any = mycapn._behaviour
    return behaviour._netlayers


def listening_netlayers(mycapn: Ref[Any]) -> tuple[str, ...]:
    """The names of those by which others reach us; some only dial, as for a relay. In a turn."""
    return tuple(
        name
        for name, netlayer in netlayers_of(mycapn).items()
        if getattr(netlayer._behaviour, "listen", name == PRELAY)
    )


def install_prelay(mycapn: Ref[Any], account: Sturdyref, *, insecure: bool = False) -> None:
    """Be reached through the relay where this account is; in a turn."""
    install_base(mycapn, account, insecure=insecure)
    mycapn.install_netlayer(fetch_and_spawn_prelay_netlayer(account, mycapn=mycapn))


def install_base(mycapn: Ref[Any], account: Sturdyref, *, insecure: bool = False) -> None:
    """See that the relay where this account is can be dialled; in a turn."""
    base = account.peer.transport
    if not has_netlayer(mycapn, base):
        mycapn.install_netlayer(NETLAYERS[base].dialling(insecure=insecure))


def read_account(uri: str) -> Sturdyref:
    """An account's URI. Raises `Failure`."""
    try:
        account = Sturdyref.from_uri(uri)
    except LocatorError as error:
        raise Failure(ExitCode.USAGE, f"malformed account URI: {error}") from None
    if account.peer.transport not in NETLAYERS:
        raise Failure(ExitCode.UNREACHABLE, f"no netlayer for the transport {account.peer.transport}")
    return account
