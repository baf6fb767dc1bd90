"""What a session tells whoever carries it."""

from __future__ import annotations

import attrs

from goblins_py.actors import Effect, Promise
from goblins_py.captp._handoff import Given
from goblins_py.locators import PeerLocator

__all__ = ["Event", "Introduced", "Severed", "Started"]


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


@attrs.frozen
class Introduced:
    """The peer gave us somebody else's object.

    Attributes:
        given: what is to be withdrawn where.
        promise: what stands for the object until then.
    """

    given: Given
    promise: Promise[object]


Event = Started | Severed | Introduced | Effect
"""An `Effect` is to be posted to the home vat."""
