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
- What was sent over an answered dial that loses is handed over to the winner. That it has lost is for the
  peer to say, by its op:abort: only then is it certain that nothing of it was read. Whichever comes first,
  the abort or the winner, the other is waited for.
- In between, a proved session is one that was on its way while ours was made: the peer is about to give it
  up, or (Guile Goblins) has both. It lives beside ours, and replaces it when ours ends, or when the handshake
  limit has passed and ours has been silent since the other came: then it is a newer one after all.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

import attrs

from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator

__all__ = [
    "CROSSED_HELLOS",
    "Abort",
    "Action",
    "Await",
    "Belief",
    "Fail",
    "GiveUp",
    "HandOver",
    "PeerTable",
    "Sessionlike",
    "Use",
    "is_crossed",
]

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
    def heard(self) -> int:
        """How many operations the peer has sent over it."""

    @property
    def in_limbo(self) -> bool:
        """Has the peer given it up for another one, and does what was sent over it wait for that?"""


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


@attrs.frozen
class HandOver:
    """What waits in limbo goes over this session."""

    session: Sessionlike
    heir: Sessionlike


@attrs.frozen
class GiveUp:
    """What waits in limbo breaks."""

    session: Sessionlike


Action = Use | Abort | Fail | Await | HandOver | GiveUp


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


@attrs.frozen
class _Candidate:
    """A session beside our fresh one, and how much had come over that when it started."""

    session: Sessionlike
    heard_before: int


class PeerTable:
    """All peers of one mycapn.

    Sessions in `_fresh` are our dials that were answered within the handshake limit; in `_candidates` are
    proved ones that may replace them; in `_limbo` those of our dials that lost a crossing whose winner has
    not come yet.
    """

    def __init__(self) -> None:
        self._live: dict[PeerLocator, Sessionlike] = {}
        self._dials: dict[PeerLocator, _Dial] = {}
        self._fresh: dict[PeerLocator, Sessionlike] = {}
        self._candidates: dict[PeerLocator, list[_Candidate]] = {}
        self._limbo: dict[PeerLocator, list[Sessionlike]] = {}

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
        return self._fail(peer, error) if peer in self._dials else []

    def _fail(self, peer: PeerLocator, error: BaseException) -> list[Action]:
        del self._dials[peer]
        return [Fail(peer, error), *map(GiveUp, self._limbo.pop(peer, ()))]

    # --- sessions that start -------------------------------------------------------

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

    def _called(self, peer: PeerLocator, session: Sessionlike, belief: Belief) -> list[Action]:
        ours = self._crossing(peer)
        if ours is not None:
            return self._crossed(peer, session, ours)
        live = self._live.get(peer)
        if live is None:
            return self._enter(peer, session)
        if belief is Belief.CLAIMED:
            return [Abort(session, _SECOND)]
        if self._fresh.get(peer) is live:
            self._candidates.setdefault(peer, []).append(_Candidate(session, live.heard))
            return []
        return [Abort(live, _REPLACED), *self._enter(peer, session)]

    def _crossing(self, peer: PeerLocator) -> Sessionlike | None:
        """Our side of a crossing, if an incoming session of this peer can be one."""
        dial = self._dials.get(peer)
        if dial is not None:
            return dial.session if dial.state is DialState.GREETING else None
        fresh = self._fresh.get(peer)
        return fresh if fresh is not None and not fresh.heard else None

    def _crossed(self, peer: PeerLocator, theirs: Sessionlike, ours: Sessionlike) -> list[Action]:
        if ours.our_side >= theirs.their_side:
            return [Abort(theirs, CROSSED_HELLOS)]
        if self._live.get(peer) is not ours:
            return [Abort(ours, CROSSED_HELLOS), *self._enter(peer, theirs)]
        del self._fresh[peer]  # the peer will abort it, and it will be handed over
        return self._enter(peer, theirs)

    def _enter(self, peer: PeerLocator, session: Sessionlike) -> list[Action]:
        self._live[peer] = session
        self._dials.pop(peer, None)
        losers = self._limbo.pop(peer, ())
        return [Use(peer, session), *(HandOver(loser, session) for loser in losers)]

    def settled(self, peer: PeerLocator, session: Sessionlike) -> list[Action]:
        """The handshake limit has passed since our dial was answered: no crossing is under way."""
        if self._fresh.get(peer) is not session:
            return []
        del self._fresh[peer]
        candidates = self._candidates.pop(peer, ())
        silent = [each for each in candidates if each.heard_before == session.heard]
        return [Abort(session, _REPLACED), *self._enter(peer, silent[-1].session)] if silent else []

    # --- sessions that end --------------------------------------------------------------

    def ended(self, session: Sessionlike, peer: PeerLocator | None, reason: str) -> list[Action]:
        """A session has ended, started or not. Once for each.

        Args:
            peer: who it was with; of a dial, who was dialled.
        """
        if peer is None:
            return []
        if self._fresh.get(peer) is session:
            del self._fresh[peer]
        candidates = [each for each in self._candidates.pop(peer, ()) if each.session is not session]
        was_live = self._live.get(peer) is session
        if was_live:
            del self._live[peer]
        elif candidates:
            self._candidates[peer] = candidates
        if session.in_limbo:
            return self._in_limbo(peer, session)
        if was_live:
            return self._enter(peer, candidates[-1].session) if candidates else []
        return self._dial_ended(peer, session, reason)

    def _in_limbo(self, peer: PeerLocator, session: Sessionlike) -> list[Action]:
        """The peer has given up our answered dial for its own one, which has come, or comes now."""
        heir = self._live.get(peer)
        if heir is not None:
            return [HandOver(session, heir)]
        self._limbo.setdefault(peer, []).append(session)
        if peer in self._dials:
            return []
        self._dials[peer] = _Dial(DialState.YIELDING)
        return [Await(peer)]

    def _dial_ended(self, peer: PeerLocator, session: Sessionlike, reason: str) -> list[Action]:
        dial = self._dials.get(peer)
        if dial is None or dial.session is not session:
            return []
        if is_crossed(reason):
            dial.state, dial.session = DialState.YIELDING, None
            return [Await(peer)]
        return self._fail(peer, ConnectFailedError(f"the peer started no session: {reason}"))

    def gave_up_waiting(self, peer: PeerLocator) -> list[Action]:
        """The handshake limit has passed since the peer gave up our dial, and its own did not come."""
        dial = self._dials.get(peer)
        if dial is None or dial.state is not DialState.YIELDING:
            return []
        text = "the peer counts a session of its own as the live one, and that has not come"
        return self._fail(peer, ConnectFailedError(text))


def is_crossed(reason: str) -> bool:
    """Is this the reason of an op:abort by which a peer gives up one of two crossed connections?"""
    return "crossed hellos" in reason.lower()
