"""Who makes us dial, if it is not our own program."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import attrs

from goblins_py.actors import NearOnly
from goblins_py.locators import PeerLocator

__all__ = ["Asker"]


def _no_refusal(_: str) -> None:
    return None


@attrs.frozen
class Asker(NearOnly):
    """A peer that makes us dial: by giving us somebody's object, say, or by a relay's locator.

    Whoever dials for it passes this on, down to `Io.dial`, which leaves out what `refusal` refuses.

    Attributes:
        session: its session, by which its dials are counted.
        peer: who it says that it is.
        address: the IP address at the far end of its connection; None if the transport has none, or hides it.
        refusal: of an IP address: why this peer may not make us reach it; None if it may.
    """

    session: Hashable = attrs.field(repr=False)
    peer: PeerLocator | None = None
    address: str | None = None
    refusal: Callable[[str], str | None] = attrs.field(default=_no_refusal, repr=False, eq=False)
