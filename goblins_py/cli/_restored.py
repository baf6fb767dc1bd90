"""What a command line changes of the netlayers that a store has: configuration, never who they are."""

from __future__ import annotations

from typing import Any

from goblins_py.actors import Ref
from goblins_py.cli._failure import ExitCode, Failure
from goblins_py.cli._netlayers import Reach
from goblins_py.cli._prelay import PRELAY, install_base
from goblins_py.locators import Sturdyref
from netlayers import fetch_and_spawn_prelay_netlayer

__all__ = ["change_account", "change_websocket"]


def change_account(mycapn: Ref[Any], account: Sturdyref, *, insecure: bool) -> None:
    """Try this account, if the one that the store has was never good for anything; in a turn."""
    capn: Any = mycapn._behaviour
    former = capn._netlayers[PRELAY]._behaviour
    if former.endpoint is not None or former.account == account:
        return
    former._io = None  # it may be asking for its account just now: the answer counts no more
    install_base(mycapn, account, insecure=insecure)
    netlayer = fetch_and_spawn_prelay_netlayer(account, mycapn=mycapn)
    capn._switchboard.install(PRELAY, netlayer)
    capn._netlayers = capn._netlayers.set(PRELAY, netlayer)


def change_websocket(mycapn: Ref[Any], reach: Reach) -> None:
    """Certificate, origins, URL, as far as they are given; in a turn. Raises `Failure`, `NetlayerError`."""
    capn: Any = mycapn._behaviour
    netlayer = capn._netlayers["websocket"]
    encrypted = netlayer._behaviour.encrypted
    if reach.insecure and encrypted:
        raise Failure(ExitCode.USAGE, "--insecure comes too late: the store's websocket netlayer has TLS")
    if reach.cert is not None and not encrypted:
        raise Failure(ExitCode.USAGE, "--cert comes too late: the store's websocket netlayer has no TLS")
    files = (reach.cert, reach.key) if reach.cert and reach.key else None
    if files is None and reach.url is None and not reach.allow_origins:
        return
    netlayer.reconfigure(url=reach.url, pem_files=files, allow_origins=tuple(reach.allow_origins) or None)
    if "websocket" in capn._broken:  # the files that it was saved with are gone, say
        capn._switchboard.install("websocket", netlayer)
        del capn._broken["websocket"]
