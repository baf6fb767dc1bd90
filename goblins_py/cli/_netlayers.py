"""The netlayers that commands know by name: a table. A new one is one row here."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final

import attrs

from goblins_py.actors import PersistenceEnv, Ref, spawn
from netlayers import TcpTlsNetlayer, tcp_tls_env

__all__ = ["NETLAYERS", "NetlayerKind", "Reach", "is_loopback"]


@attrs.frozen
class Reach:
    """Where others shall reach us.

    Attributes:
        host: the name or address that goes into the URI.
        port: None takes a free one.
        most: connections at a time, for netlayers that count them.
    """

    host: str
    port: int | None
    most: int = 1024


@attrs.frozen
class NetlayerKind:
    """One netlayer.

    Attributes:
        env: what saves and restores it.
        listening: spawns one that others can reach; in a turn.
        dialling: spawns one that only reaches others; in a turn.
    """

    env: PersistenceEnv
    listening: Callable[[Reach], Ref[Any]]
    dialling: Callable[[], Ref[Any]]


NETLAYERS: Final[dict[str, NetlayerKind]] = {
    "tcp-tls": NetlayerKind(
        env=tcp_tls_env,
        listening=lambda reach: spawn(TcpTlsNetlayer, reach.host, reach.port, reach.most),
        dialling=lambda: spawn(TcpTlsNetlayer, listen=False),
    ),
}
"""By the name that is the transport in a URI."""


def is_loopback(host: str) -> bool:
    """Does this name or address lead to the machine itself, and nowhere else?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
