"""What a session tells whoever carries it."""

from __future__ import annotations

import attrs

from goblins_py.actors import Effect
from goblins_py.locators import PeerLocator

__all__ = ["Event", "Severed", "Started"]


@attrs.frozen
class Started:
    """The peer's op:start-session was in order.

    Attributes:
        location: where it says that it is; believe it only as far as the connection proves it.
    """

    location: PeerLocator


@attrs.frozen
class Severed:
    """The session has ended. Comes last, and once."""

    reason: str


Event = Started | Severed | Effect
"""An `Effect` is to be posted to the home vat."""
