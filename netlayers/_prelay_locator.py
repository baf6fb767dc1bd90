"""Where a peer is that is reached through a relay: its endpoint's sturdyref, written as a locator.

The designator is the base32 of the Syrup list `[base-designator base-transport swiss-number]`, the hints are
those of the base locator. So a prelay designator holds the endpoint's swiss number: whoever has the locator
can knock at the endpoint, and nothing more; it is no secret, but it is nobody's business either.
"""

from __future__ import annotations

from typing import Final

from goblins_py.errors import ConnectFailedError, LocatorError, SyrupDecodeError, UnknownTransportError
from goblins_py.locators import PeerLocator, Sturdyref, base32_decode, base32_encode
from goblins_py.syrup import Limits, Symbol, decode, encode

__all__ = ["TRANSPORT", "prelay_endpoint", "prelay_locator"]

TRANSPORT: Final = "prelay"

_LIMITS: Final = Limits(depth=2, items=8)


def prelay_locator(endpoint: Sturdyref) -> PeerLocator:
    """The locator of the peer behind an endpoint.

    Raises:
        LocatorError: the endpoint's own locator is so long that no designator could hold it.
    """
    peer = endpoint.peer
    written = encode((peer.designator, Symbol(peer.transport), endpoint.swiss_num))
    return PeerLocator(TRANSPORT, base32_encode(written), peer.hints)


def prelay_endpoint(locator: PeerLocator) -> Sturdyref:
    """The endpoint that a prelay locator leads to.

    Raises:
        UnknownTransportError: it is another transport's. ConnectFailedError: its designator is no prelay
            designator; the text repeats no part of it.
    """
    if locator.transport != TRANSPORT:
        raise UnknownTransportError(f"prelay cannot dial {locator.transport}")
    try:
        parts = decode(base32_decode(locator.designator), limits=_LIMITS)
        match parts:
            case (str(designator), Symbol(name=transport), bytes(swiss_num)):
                return Sturdyref(PeerLocator(transport, designator, locator.hints), swiss_num)
            case _:
                pass
    except (LocatorError, SyrupDecodeError):
        pass
    raise ConnectFailedError("this designator is none of prelay's")
