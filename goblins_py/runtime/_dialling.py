"""What a peer can make us dial: how often, and where to.

Decisions only: nothing is dialled or resolved here, the clock is passed in. Gives, prelay connects and
hints of the peer's choice all come through here; what our own program asks for does not. Where a peer is,
is what its connection says (`Connection.remote_address`), never what its locator claims.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from enum import IntEnum
from typing import Final
from urllib.parse import urlsplit

import attrs

from goblins_py.abc import Asker
from goblins_py.captp import SessionLimits
from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator

__all__ = ["DialGuard", "MayDial", "Reach", "address_refusal", "reach_of", "where_refused"]

_MINUTE: Final = 60.0
_MANY: Final = 1000
"""Asking sessions above which those are forgotten that have asked for nothing within a minute."""

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


MayDial = Callable[[PeerLocator, Asker], bool]
"""A policy in the place of `where_refused`: may this peer make us dial there?"""


class Reach(IntEnum):
    """How far an address reaches; a smaller one is nearer to us."""

    LINK_LOCAL = 0
    """This link: routers, and the metadata services of clouds."""
    LOOPBACK = 1
    """This machine."""
    PRIVATE = 2
    """This network, or whatever else is not the public one."""
    PUBLIC = 3


class DialGuard:
    """Counts the dials that peers ask for, and refuses some. Our own program dials what it likes.

    Args:
        clock: seconds, from anywhere, never backwards.
        limits: `dials_at_once` and `dials_per_minute`, for each asking session.
        may_dial: whether a peer may make us dial there; None: see `where_refused`.
    """

    def __init__(
        self, clock: Callable[[], float], limits: SessionLimits, may_dial: MayDial | None = None
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._may_dial = may_dial
        self._under_way: dict[Hashable, int] = {}
        self._begun: dict[Hashable, deque[float]] = {}

    def asker(self, session: Hashable, peer: PeerLocator | None, address: str | None) -> Asker:
        """Who makes us dial, with what of our policy has to wait until names have been looked up."""
        asker = Asker(session, peer, address)
        if self._may_dial is not None:
            return asker
        return attrs.evolve(asker, refusal=lambda each: address_refusal(each, asker))

    def judge(self, locator: PeerLocator, asked_by: Asker | None) -> None:
        """May this be dialled? Nothing is counted.

        Raises:
            ConnectFailedError: it may not; the text says why.
        """
        if asked_by is None:
            return
        if self._may_dial is None:
            self._refuse(where_refused(locator, asked_by))
        elif not self._may_dial(locator, asked_by):
            self._refuse("may_dial says no")

    def begin(self, asked_by: Asker | None) -> None:
        """May one more dial begin? If so it counts, and `done` is to be called when it has ended.

        Raises:
            ConnectFailedError: it may not; the text says why. Then nothing was counted.
        """
        if asked_by is None:
            return
        session = asked_by.session
        if len(self._begun) > _MANY:
            self._tidy()
        self._refuse(self._how_often(session))
        self._under_way[session] = self._under_way.get(session, 0) + 1
        self._begun.setdefault(session, deque()).append(self._clock())

    @staticmethod
    def _refuse(refusal: str | None) -> None:
        if refusal is not None:
            raise ConnectFailedError(f"a peer asked us to dial, and may not: {refusal}")

    def done(self, asked_by: Asker | None) -> None:
        """A dial that was allowed has ended, one way or the other."""
        if asked_by is not None and asked_by.session in self._under_way:
            self._under_way[asked_by.session] -= 1

    def _tidy(self) -> None:
        """Sessions of another mycapn ask, too, and nobody tells when they end."""
        since = self._clock() - _MINUTE
        self._begun = {
            session: begun for session, begun in self._begun.items() if begun and begun[-1] > since
        }
        self._under_way = {session: count for session, count in self._under_way.items() if count}

    def forget(self, session: Hashable) -> None:
        """The asking session has ended; `done` may still come for what it asked."""
        self._under_way.pop(session, None)
        self._begun.pop(session, None)

    def _how_often(self, session: Hashable) -> str | None:
        at_once, per_minute = self._limits.dials_at_once, self._limits.dials_per_minute
        if self._under_way.get(session, 0) >= at_once:
            return f"{at_once} dials for it are under way: dials_at_once limit"
        begun = self._begun.get(session, deque())
        while begun and begun[0] <= self._clock() - _MINUTE:
            begun.popleft()
        if len(begun) >= per_minute:
            return f"{per_minute} dials were made for it within a minute: dials_per_minute limit"
        return None


def where_refused(locator: PeerLocator, asked_by: Asker) -> str | None:
    """Why a peer may not make us dial there, by the hints as they are written; None if it may.

    A name says nothing before it is resolved (but `localhost`): see `address_refusal`.
    """
    for host in _hosts(locator):
        refusal = address_refusal(host, asked_by)
        if refusal is not None:
            return refusal
    return None


def address_refusal(address: str, asked_by: Asker) -> str | None:
    """Why a peer may not make us dial this address; None if it may, or if it is a name.

    To be asked again for each address that a name was resolved to, or a name would be a way around.
    """
    reach = reach_of(address)
    match reach:
        case Reach.LINK_LOCAL:
            return "that address is link-local"
        case Reach.LOOPBACK | Reach.PRIVATE if _reach_of_asker(asked_by) is Reach.PUBLIC:
            return f"that address is {reach.name.lower()}, and the peer's own is not known to be"
        case _:
            return None


def _reach_of_asker(asked_by: Asker) -> Reach:
    reach = reach_of(asked_by.address) if asked_by.address is not None else None
    return Reach.PUBLIC if reach is None else reach


def reach_of(host: str) -> Reach | None:
    """How far an address reaches, in any notation that a resolver takes; None for a name."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return Reach.LOOPBACK
    address = _read_address(host)
    if address is None:
        return None
    return min(map(_reach, _meanings(address)))


def _reach(address: _IPAddress) -> Reach:
    if address.is_link_local:
        return Reach.LINK_LOCAL
    if address.is_loopback or address.is_unspecified:  # dialling "any" address reaches this machine
        return Reach.LOOPBACK
    # Not `is_private`: shared (100.64.0.0/10) and site-local ones are not public either.
    return Reach.PUBLIC if address.is_global and not address.is_multicast else Reach.PRIVATE


def _read_address(host: str) -> _IPAddress | None:
    text = host.strip("[]")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))  # 127.1, 0x7f000001, 2130706433, 0177.0.0.1
    except (OSError, ValueError):
        return None


def _meanings(address: _IPAddress) -> Iterator[_IPAddress]:
    """An address, or the IPv4 address that it is in other clothes."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    inner = address.ipv4_mapped or address.sixtofour
    low = int(address) & 0xFFFFFFFF
    if inner is None and (address in _NAT64 or (address in _V4_COMPATIBLE and low > 1)):
        inner = ipaddress.IPv4Address(low)
    yield address if inner is None else inner


def _hosts(locator: PeerLocator) -> Iterator[str]:
    """Everything in the hints that may name a machine; a port is a number, which may look like one."""
    for key, value in (locator.hints or {}).items():
        if key == "host" or "." in value or ":" in value:
            yield value
        host = _host_of_url(value) if "://" in value else None
        if host is not None:
            yield host


def _host_of_url(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
