"""The netlayers that commands know by name: a table. A new one is one row here."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from goblins_py.actors import PersistenceEnv, Ref, spawn
from goblins_py.cli._failure import ExitCode, Failure
from goblins_py.locators import PeerLocator
from netlayers import (
    PemFiles,
    SelfSigned,
    TcpTlsNetlayer,
    WebsocketNetlayer,
    tcp_tls_env,
    websocket_env,
)

__all__ = [
    "NETLAYERS",
    "NetlayerKind",
    "Reach",
    "address_of",
    "check_certificate",
    "check_host",
    "check_understood",
    "is_loopback",
]


@attrs.frozen
class Reach:
    """Where others shall reach us.

    Attributes:
        host: the name or address that goes into the URI.
        port: None takes a free one.
        insecure: without TLS. Unless `url` says that a proxy does it, peers are dialled without checks.
        cert: path of a PEM file; None makes a self-signed certificate.
        key: path of its private key.
        url: what a URI says instead of host and port.
        allow_origins: of pages that may connect.
        most: connections at a time, for netlayers that count them.
    """

    host: str
    port: int | None
    insecure: bool = False
    cert: str | None = None
    key: str | None = None
    url: str | None = None
    allow_origins: Sequence[str] = ()
    most: int = 1024


@attrs.frozen
class NetlayerKind:
    """One netlayer.

    Attributes:
        env: what saves and restores it.
        listening: spawns one that others can reach; in a turn.
        dialling: spawns one that only reaches others; in a turn. Given `insecure=True`, without checks.
        options: those of the command line that only some netlayers have.
    """

    env: PersistenceEnv
    listening: Callable[[Reach], Ref[Any]]
    dialling: Callable[..., Ref[Any]]
    options: frozenset[str] = frozenset()


def _listening_websocket(reach: Reach) -> Ref[Any]:
    return spawn(
        WebsocketNetlayer,
        reach.host,
        reach.port,
        url=reach.url,
        encrypted=not reach.insecure,
        verify_certificates=not reach.insecure or str(reach.url).startswith("wss://"),
        certificate=SelfSigned()
        if reach.cert is None or reach.key is None
        else PemFiles(reach.cert, reach.key),
        allow_origins=tuple(reach.allow_origins),
        max_connections=reach.most,
    )


NETLAYERS: Final[dict[str, NetlayerKind]] = {
    "tcp-tls": NetlayerKind(
        env=tcp_tls_env,
        listening=lambda reach: spawn(TcpTlsNetlayer, reach.host, reach.port, reach.most),
        dialling=lambda *, insecure=False: spawn(TcpTlsNetlayer, listen=False),
    ),
    "websocket": NetlayerKind(
        env=websocket_env,
        listening=_listening_websocket,
        dialling=lambda *, insecure=False: spawn(
            WebsocketNetlayer, listen=False, verify_certificates=not insecure
        ),
        options=frozenset({"insecure", "cert", "key", "url", "allow_origins"}),
    ),
}
"""By the name that is the transport in a URI."""


def address_of(peer: PeerLocator) -> tuple[str, int]:
    """Host and port where a peer of one of these netlayers says that it is."""
    hints = peer.hints or {}
    if "url" in hints:
        url = urlsplit(hints["url"])
        return url.hostname or "", url.port or (443 if url.scheme == "wss" else 80)
    return hints.get("host", ""), int(hints.get("port", 0))


def check_host(host: str | None) -> None:
    """See whether others could dial this. Raises `Failure`."""
    try:
        is_none = ipaddress.ip_address((host or "localhost").strip("[]")).is_unspecified
    except ValueError:
        is_none = False
    if is_none:
        raise Failure(ExitCode.USAGE, f"--host is the name that others reach you by; {host} is none")


def check_certificate(cert: str | None, key: str | None, *, insecure: bool) -> None:
    """See whether these options go together. Raises `Failure`."""
    if (cert is None) != (key is None):
        raise Failure(ExitCode.USAGE, "--cert and --key go together")
    if insecure and cert is not None:
        raise Failure(ExitCode.USAGE, "--insecure listens without TLS: there is no use for --cert")


def check_understood(options: object, understood: Container[str], by: str) -> None:
    """See whether the netlayers know what to do with the options of websockets. Raises `Failure`.

    Args:
        options: a command line, as its class has it.
        understood: names of options.
        by: whose they are, in words.
    """
    for name in ("insecure", "cert", "key", "url", "allow_origins"):
        if getattr(options, name, None) and name not in understood:
            option = name.removesuffix("s").replace("_", "-")
            raise Failure(ExitCode.USAGE, f"--{option} means nothing to {by}")


def is_loopback(host: str) -> bool:
    """Does this name or address lead to the machine itself, and nowhere else?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
