"""Where a websocket locator leads: its one hint, `url`, read and written. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import attrs

from goblins_py.errors import InvalidHintError, LocatorError, UnknownTransportError
from goblins_py.locators import PeerLocator
from netlayers._websocket_auth import public_key_of

__all__ = ["TRANSPORT", "Target", "authority", "is_loopback", "origin_of", "read_target", "read_url"]

TRANSPORT: Final = "websocket"

_PORTS: Final = {"ws": 80, "wss": 443}
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*\.?")
_VISIBLE: Final = re.compile(r"[^\x00-\x20\x7f]*")
_RESOURCE: Final = re.compile(r"/[!-~]*")


@attrs.frozen
class Target:
    """A websocket address, checked.

    Attributes:
        secure: over TLS.
        host: a name in ASCII or an address without brackets.
        path: with the query, if there is one; begins with a slash.
    """

    secure: bool
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        """The address, as error texts show it: without path and query, which may be a secret."""
        return f"{'wss' if self.secure else 'ws'}://{authority(self.host)}:{self.port}"


def read_target(locator: PeerLocator) -> Target:
    """Read a locator.

    Raises:
        UnknownTransportError: it is of another transport. InvalidHintError: it has no usable `url`,
            or its designator is no key.
    """
    if locator.transport != TRANSPORT:
        raise UnknownTransportError(f"{TRANSPORT} cannot dial {locator.transport}")
    try:
        public_key_of(locator.designator)
    except LocatorError as error:
        raise InvalidHintError(str(error)) from None
    url = (locator.hints or {}).get("url")
    if url is None:
        raise InvalidHintError(f"the locator has no url hint, and {TRANSPORT} needs one")
    return read_url(url)


def read_url(url: str) -> Target:
    """Read a `ws://` or `wss://` URL. Raises `InvalidHintError`."""
    if not _VISIBLE.fullmatch(url):  # urlsplit drops line ends, which must never reach a request
        raise InvalidHintError("the url holds blanks or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidHintError("the url is none") from None
    if parts.scheme not in _PORTS:
        raise InvalidHintError("the url begins neither with wss:// nor with ws://")
    if parts.username is not None or parts.fragment:
        raise InvalidHintError("the url has a user name or a fragment, which mean nothing here")
    if port == 0:
        raise InvalidHintError("the url's port is no number from 1 to 65535")
    return Target(parts.scheme == "wss", _host(parts), port or _PORTS[parts.scheme], _resource(parts))


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise InvalidHintError("the url's host is no name and no address")
    return name


def _resource(parts: SplitResult) -> str:
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _RESOURCE.fullmatch(resource):
        raise InvalidHintError("the url's path holds characters that no path may hold")
    return resource


def authority(host: str) -> str:
    """A host as URLs have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Does this lead to the machine itself, and nowhere else?"""
    if host in {"localhost", "localhost."}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin_of(target: Target) -> str:
    """The origin of pages that are served from there, as browsers write it."""
    scheme, default = ("https", 443) if target.secure else ("http", 80)
    port = "" if target.port == default else f":{target.port}"
    return f"{scheme}://{authority(target.host)}{port}"
