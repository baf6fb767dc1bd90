"""One session per peer: who is believed, who replaces whom, who wins when both dial at once.

Decisions only: each method changes the table and returns what is to be done. What lives here must not
know what a session does, only who it is with. Who a peer *is*, is transport and designator; hints never
matter.

- A session is entered only if we dialled it, or if its peer *proved* its designator to the netlayer, or on a
  transport without identities, where a claim is believed for what it is worth. All others carry
  what their peer sends, and nothing that is meant for the peer they claim to be (OCapN issue 255).
- A new proved session replaces the live one (a laptop that changed networks is not locked out); on a
  transport without identities the second one is aborted.
- Crossed hellos (CapTP draft): while our dial is open an incoming session of the same peer decides by the
  side ids of the two openers; the smaller one loses. Our dial being answered does not end it, since the
  peer's hello over its own connection may come behind: it ends with the first operation over ours, for then
  the peer, too, counts it as the live one. When the handshake limit has passed nobody remembers anything.
- In between, a proved session is one that was on its way while ours was made (Guile Goblins goes on with its
  dial). It replaces nothing, and carries what its peer sends.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

import attrs

from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator

__all__ = ["CROSSED_HELLOS", "Abort", "Action", "Await", "Belief", "Fail", "PeerTable", "Sessionlike", "Use"]

CROSSED_HELLOS = "Crossed hellos mitigation"
_REPLACED = "replaced by a newer connection of the same peer"
_SECOND = "there is a session with this peer already"


class Belief(Enum):
    """Why a session's peer is taken for who it says it is."""

    DIALLED = "dialled"
    """We dialled it, and the netlayer checked it."""
    PROVED = "proved"
    """It dialled, and proved its designator to the netlayer (or is trusted to be honest)."""
    CLAIMED = "claimed"
    """The transport has no identities."""
    NONE = "none"
    """It dialled, and has proved nothing."""


class Sessionlike(Protocol):
    """What the table knows of a session. Compared by identity."""

    @property
    def our_side(self) -> bytes:
        """The id of our side."""

    @property
    def their_side(self) -> bytes:
        """The id of the peer's side, once it has started."""

    @property
    def heard(self) -> bool:
        """Has the peer sent an operation over it?"""


@attrs.frozen
class Use:
    """Whoever waits for this peer: this is the session."""

    peer: PeerLocator
    session: Sessionlike


@attrs.frozen
class Abort:
    """Abort this session."""

    session: Sessionlike
    reason: str


@attrs.frozen
class Fail:
    """Whoever waits for this peer waits in vain."""

    peer: PeerLocator
    error: BaseException


@attrs.frozen
class Await:
    """Call `gave_up_waiting` when the handshake limit has passed."""

    peer: PeerLocator


Action = Use | Abort | Fail | Await


class DialState(Enum):
    """How far a dial has come."""

    REACHING = "reaching"
    """The netlayer is at it."""
    GREETING = "greeting"
    """Our op:start-session is under way."""
    YIELDING = "yielding"
    """The peer gave up our connection for its own, which we wait for."""


@attrs.define
class _Dial:
    state: DialState = DialState.REACHING
    session: Sessionlike | None = None


class PeerTable:
    """All peers of one mycapn."""

    def __init__(self) -> None:
        self._live: dict[PeerLocator, Sessionlike] = {}
        self._dials: dict[PeerLocator, _Dial] = {}
        self._fresh: dict[PeerLocator, Sessionlike] = {}

    def live(self, peer: PeerLocator) -> Sessionlike | None:
        """The session with this peer, if there is one."""
        return self._live.get(peer)

    def dial(self, peer: PeerLocator) -> bool:
        """We want this peer. True: there is neither session nor dial; dial it now."""
        if peer in self._live or peer in self._dials:
            return False
        self._dials[peer] = _Dial()
        return True

    def reached(self, peer: PeerLocator) -> bool:
        """The netlayer has a connection. Shall a session start over it? Else there is one by now."""
        return peer in self._dials

    def greeting(self, peer: PeerLocator, session: Sessionlike) -> None:
        """Our op:start-session goes over the dialled connection."""
        dial = self._dials.get(peer)
        if dial is not None:
            dial.state, dial.session = DialState.GREETING, session

    def not_reached(self, peer: PeerLocator, error: BaseException) -> list[Action]:
        """The netlayer could not dial."""
        return [Fail(peer, error)] if self._dials.pop(peer, None) is not None else []

    def started(self, peer: PeerLocator, session: Sessionlike, belief: Belief) -> list[Action]:
        """A session has started, its peer claims to be this one."""
        match belief:
            case Belief.NONE:
                return []
            case Belief.DIALLED:
                return self._answered(peer, session)
            case Belief.PROVED | Belief.CLAIMED:
                return self._called(peer, session, belief)

    def _answered(self, peer: PeerLocator, session: Sessionlike) -> list[Action]:
        dial = self._dials.get(peer)
        if dial is None or dial.session is not session:
            return [Abort(session, _SECOND)]
        self._fresh[peer] = session
        return self._enter(peer, session)

    def settled(self, peer: PeerLocator, session: Sessionlike) -> None:
        """The handshake limit has passed since our dial was answered: no crossing is under way."""
        if self._fresh.get(peer) is session:
            del self._fresh[peer]

    def _called(self, peer: PeerLocator, session: Sessionlike, belief: Belief) -> list[Action]:
        ours = self._crossing(peer)
        if ours is not None and ours.our_side < session.their_side:
            return [Abort(ours, CROSSED_HELLOS), *self._enter(peer, session)]
        if ours is not None:
            return [Abort(session, CROSSED_HELLOS)]
        live = self._live.get(peer)
        if live is None:
            return self._enter(peer, session)
        if belief is Belief.CLAIMED:
            return [Abort(session, _SECOND)]
        if peer in self._fresh:
            return []
        return [Abort(live, _REPLACED), *self._enter(peer, session)]

    def _crossing(self, peer: PeerLocator) -> Sessionlike | None:
        """Our side of a crossing, if an incoming session of this peer can be one."""
        dial = self._dials.get(peer)
        if dial is not None:
            return dial.session if dial.state is DialState.GREETING else None
        fresh = self._fresh.get(peer)
        return fresh if fresh is not None and not fresh.heard else None

    def _enter(self, peer: PeerLocator, session: Sessionlike) -> list[Action]:
        self._live[peer] = session
        self._dials.pop(peer, None)
        return [Use(peer, session)]

    def ended(self, session: Sessionlike, peer: PeerLocator | None, reason: str) -> list[Action]:
        """A session has ended, started or not.

        Args:
            peer: who it was with; of a dial, who was dialled.
        """
        if peer is None:
            return []
        self.settled(peer, session)
        if self._live.get(peer) is session:
            del self._live[peer]
        dial = self._dials.get(peer)
        if dial is None or dial.session is not session:
            return []
        if _is_crossed(reason):
            dial.state, dial.session = DialState.YIELDING, None
            return [Await(peer)]
        del self._dials[peer]
        return [Fail(peer, ConnectFailedError(f"the peer started no session: {reason}"))]

    def gave_up_waiting(self, peer: PeerLocator) -> list[Action]:
        """The handshake limit has passed since the peer gave up our dial, and its own did not come."""
        dial = self._dials.get(peer)
        if dial is None or dial.state is not DialState.YIELDING:
            return []
        del self._dials[peer]
        text = "the peer counts a session of its own as the live one, and that has not come"
        return [Fail(peer, ConnectFailedError(text))]


def _is_crossed(reason: str) -> bool:
    return "crossed hellos" in reason.lower()
