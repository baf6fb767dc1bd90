"""One session per peer: the table behind a mycapn, its dials, and the sessions that others open.

It is no actor and no value (`NearOnly`): mycapn holds it in a live field. Its tables change between
turns only, so no failing turn can leave them half changed; what must happen in a turn (asking a
netlayer to dial) is queued as one.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, cast

import trio

from goblins_py.abc import Asker, Connection, Establisher, Io, Proof, ProofKind
from goblins_py.actors import (
    Broken,
    Effect,
    Fulfilled,
    HandlerTurn,
    Home,
    NearOnly,
    Promise,
    Ref,
    Resolve,
    Vat,
    implant,
    on,
    require_turn,
)
from goblins_py.captp import (
    OURS,
    Abort,
    Action,
    Await,
    Belief,
    Dialect,
    Event,
    Fail,
    GiveUp,
    HandOver,
    Introduced,
    PeerTable,
    Session,
    SessionKeys,
    SessionLimits,
    SessionState,
    Severed,
    Started,
    Use,
)
from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator
from goblins_py.runtime._dialling import DialGuard, MayDial
from goblins_py.runtime._garbage import CollectGarbage
from goblins_py.runtime._host import TrioHost
from goblins_py.runtime._introductions import Introductions
from goblins_py.runtime._pump import Pump
from goblins_py.runtime._wishes import Wish, Wishes

__all__ = ["HANDSHAKE_TIMEOUT", "Switchboard"]

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds."""

_GC_INTERVAL: Final = 0.1
_YOUNG_EVERY: Final = 20
"""An idle process collects its young garbage every so many GC intervals."""

_MOST_DIALECTS: Final = 1000
"""Peers whose dialect is remembered until their next session."""

_log = logging.getLogger("goblins_py.runtime")


class Switchboard(NearOnly):
    """The sessions of one mycapn.

    Args:
        make_bootstrap: makes what a peer gets as position 0; its `_session` is set by us.
        limits: for each session.
        handshake: seconds from a connection to the peer's op:start-session.
        may_dial: whether a peer may make us dial there; called in a turn. None: see `where_refused`.
    """

    def __init__(
        self,
        vat: Vat,
        io: Io,
        make_bootstrap: Callable[[Introductions], Any],
        *,
        limits: SessionLimits | None = None,
        handshake: float = HANDSHAKE_TIMEOUT,
        may_dial: MayDial | None = None,
    ) -> None:
        self.vat = vat
        self.io = io
        self._host = cast(TrioHost, vat.host)
        self._make_bootstrap = make_bootstrap
        self._limits = limits = limits or SessionLimits()
        self._introductions = Introductions(vat, self.connect, self._is_ours, limits)
        self._guard = DialGuard(io.now, limits, may_dial)
        self._handshake = handshake
        self._netlayers: dict[str, Ref[Any]] = {}
        self._locations: dict[str, PeerLocator] = {}
        self._peers = PeerTable()
        self._wishes = Wishes()
        self._dialects: dict[PeerLocator, Dialect] = {}
        self._pumps: dict[Session, Pump] = {}

    # --- netlayers ---------------------------------------------------------------

    def install(self, name: str, netlayer: Ref[Any]) -> None:
        """Set a netlayer up; in a turn. Raises what its `setup` raises."""
        netlayer.setup(self.io, _Establisher(self, name))
        self._netlayers[name] = netlayer
        on(netlayer.our_location(), partial(self._locations.__setitem__, name), _ignore)

    def _is_ours(self, locator: PeerLocator) -> bool:
        return self._locations.get(locator.transport) == locator

    # --- reaching peers ------------------------------------------------------------

    def connect(self, locator: PeerLocator, asked_by: Asker | None = None) -> Promise[Any]:
        """A promise of the bootstrap object of a peer: of the live session, or of one that is made.

        Args:
            asked_by: the peer that makes us dial; None if our own program does.

        Raises:
            ConnectFailedError: it may not make us dial there.
        """
        turn = require_turn()
        if self._peers.live(locator) is None:
            self._guard.judge(locator, asked_by)
        promise: Promise[Any] = Promise(turn.home)
        turn.effects.append(_Connect(self, Wish(promise, locator, asked_by)))
        return promise

    def asker_behind(self, ref: Ref[Any]) -> Asker:
        """The peer whose object this is, as somebody who makes us dial.

        Raises:
            ConnectFailedError: it is nobody's, or its peer is gone.
        """
        session: Any = ref._connector
        pump = self._pumps.get(session)
        if pump is None:
            raise ConnectFailedError("the peer that asked us to dial is gone")
        return self._guard.asker(session, session.peer, pump.remote_address)

    def connect_now(self, wish: Wish) -> None:
        """The same between turns: the table is looked at, and perhaps a dial is queued."""
        session = self._peers.live(wish.locator)
        if session is not None:
            self.vat.resolve(wish.promise, Fulfilled(cast(Session, session).references.bootstrap))
            return
        self._wishes.add(wish)
        if self._peers.dial(wish.locator):
            self._begin(wish)

    def _begin(self, wish: Wish) -> None:
        self._wishes.dialled(wish)
        try:
            if wish.asked_by is not None and _has_ended(wish.asked_by.session):
                raise ConnectFailedError("the peer that asked us to dial is gone")
            self._guard.begin(wish.asked_by)
        except ConnectFailedError as error:
            tried = self._wishes.end_dial(wish.locator)
            self._peers.not_reached(wish.locator, error)
            self._try_others(wish.locator, tried, error)
        else:
            self.vat.post(HandlerTurn(self._dial, (wish,)))

    def _dial(self, wish: Wish) -> None:
        """In a turn of its own: have the netlayer dial."""
        locator, asked_by = wish.locator, wish.asked_by
        try:
            netlayer = self._netlayers[locator.transport]
            connection = (
                netlayer.connect_to(locator) if asked_by is None else netlayer.connect_to(locator, asked_by)
            )
        except Exception as error:  # noqa: BLE001 - a third party's netlayer; whoever waits is told
            self._not_dialled(locator, error)
            return
        on(connection, partial(self._dialled, locator), partial(self._not_dialled, locator))

    def _not_dialled(self, locator: PeerLocator, error: BaseException) -> None:
        self._do(self._peers.not_reached(locator, error))

    def _dialled(self, locator: PeerLocator, connection: Connection) -> None:
        self.io.start(self._run_dialled, locator, connection)

    async def _run_dialled(self, locator: PeerLocator, connection: Connection) -> None:
        try:
            if self._peers.reached(locator):
                session = self._make_session(locator.transport, locator)
                self._peers.greeting(locator, session)
                await self._pump(session, connection, lambda claimed: Belief.DIALLED)
        finally:
            with trio.CancelScope(shield=True):
                await connection.aclose()

    def _do(self, actions: Sequence[Action]) -> None:
        """What the table has decided."""
        for action in actions:
            match action:
                case Use(peer, session):
                    self._use(peer, cast(Session, session))
                case Fail(peer, error):
                    self._try_others(peer, self._end_dial(peer), error)
                case Abort(session, reason):
                    cast(Session, session).abort(reason)
                    self._tell(cast(Session, session))
                case Await(peer):
                    self.io.start(self._wait_for_winner, peer)
                case HandOver(session, heir):
                    cast(Session, session).hand_over(cast(Session, heir))
                case GiveUp(session):
                    self._post(cast(Session, session).give_up())

    def _tell(self, session: Session) -> None:
        pump = self._pumps.get(session)
        if pump is not None:
            pump.tell()

    def _post(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Effect):
                self.vat.post(event)

    def _use(self, peer: PeerLocator, session: Session) -> None:
        self._end_dial(peer)
        for wish in self._wishes.fulfilled(peer):
            self.vat.post(Resolve(wish.promise, Fulfilled(session.references.bootstrap)))

    def _end_dial(self, peer: PeerLocator) -> Wish | None:
        tried = self._wishes.end_dial(peer)
        if tried is not None:
            self._guard.done(tried.asked_by)
        return tried

    def _try_others(self, peer: PeerLocator, tried: Wish | None, error: BaseException) -> None:
        """A dial has failed: by another way for those who know one, all others are told."""
        over, following = self._wishes.failed(peer, tried)
        for wish in over:
            self.vat.post(Resolve(wish.promise, Broken(error)))
        if following is not None and self._peers.dial(peer):
            self._begin(following)

    async def _wait_for_winner(self, peer: PeerLocator) -> None:
        await trio.sleep(self._handshake)
        self._do(self._peers.gave_up_waiting(peer))

    # --- sessions ----------------------------------------------------------------------

    def _make_session(self, transport: str, dialled: PeerLocator | None) -> Session:
        bootstrap = self._make_bootstrap(self._introductions)
        session = Session(
            self.vat,
            location=self._locations[transport],
            keys=SessionKeys.from_seed(self.io.random_bytes(32)),
            bootstrap=implant(self.vat, bootstrap),
            dialled=dialled,
            limits=self._limits,
        )
        bootstrap._session = session
        if not self._pumps:
            self.io.start(self._collect_forever)
        return session

    async def accept(self, transport: str, connection: Connection) -> None:
        """Run a session over a connection that somebody made to us."""
        if transport not in self._locations:
            await connection.aclose()  # we do not know yet where we are
            return
        session = self._make_session(transport, None)
        await self._pump(session, connection, partial(_belief, connection.proof, transport))

    async def _pump(
        self, session: Session, connection: Connection, believe: Callable[[PeerLocator], Belief]
    ) -> None:
        def notice(event: Started | Severed | Introduced) -> None:
            match event:
                case Started(location):
                    self._started(session, location, believe(location))
                case Introduced():
                    asker = self._guard.asker(session, session.peer, connection.remote_address)
                    self._introductions.receive(session, event, asker)
                case Severed(reason):
                    _log.info("a session with %r was severed: %s", session.peer or session.dialled, reason)
                    self._ended(session)

        pump = Pump(self._host, session, connection, notice=notice, handshake=self._handshake)
        self._pumps[session] = pump
        try:
            await pump.run()
        finally:
            self._ended(session)

    def _started(self, session: Session, claimed: PeerLocator, belief: Belief) -> None:
        _log.info("a session with %r has started (%s)", claimed, belief.value)
        self._introductions.open(session)
        if belief is not Belief.NONE:
            session.believe(verified=belief is not Belief.CLAIMED)
            session.references.recognise(self._dialects.get(claimed, OURS))
            self.vat.post(HandlerTurn(self._see_reach, (session, claimed)))
        self._do(self._peers.started(claimed, session, belief))
        if belief is Belief.DIALLED:
            self.io.start(self._settle_later, claimed, session)

    def _see_reach(self, session: Session, claimed: PeerLocator) -> None:
        """In a turn, before any of the peer's messages has its own."""
        session.reachable = bool(self._netlayers[claimed.transport].can_reach(claimed))

    async def _settle_later(self, peer: PeerLocator, session: Session) -> None:
        await trio.sleep(self._handshake)
        session.confirm()
        self._do(self._peers.settled(peer, session))

    def _ended(self, session: Session) -> None:
        if self._pumps.pop(session, None) is None:
            return
        self._introductions.close(session)
        self._guard.forget(session)
        peer = session.peer or session.dialled
        self._remember(peer, session.references.dialect)
        self._do(self._peers.ended(session, peer, session.reason))

    def _remember(self, peer: PeerLocator | None, dialect: Dialect) -> None:
        if peer is not None and dialect is not OURS:
            self._dialects.pop(peer, None)
            self._dialects[peer] = dialect
            if len(self._dialects) > _MOST_DIALECTS:
                del self._dialects[next(iter(self._dialects))]

    # --- garbage -------------------------------------------------------------------------

    async def _collect_forever(self) -> None:
        """Tell peers what Python has collected, as long as there are sessions."""
        rounds = 0
        await trio.sleep(_GC_INTERVAL)
        while self._pumps:
            rounds += 1
            if rounds % _YOUNG_EVERY == 0:
                gc.collect(1)  # an idle process would never get round to it
            for session in self._pumps:
                if session.has_garbage and session.state is SessionState.ESTABLISHED:
                    self.vat.post(CollectGarbage(session))
            await trio.sleep(_GC_INTERVAL)


def _has_ended(session: object) -> bool:
    """Of an asker's session, which may be one of another mycapn's."""
    return isinstance(session, Session) and session.state is SessionState.SEVERED


def _ignore(_: BaseException) -> None:
    """Who asks for the location is told."""


def _belief(proof: Proof, transport: str, claimed: PeerLocator) -> Belief:
    """How far somebody who dialled us is believed about its location."""
    if claimed.transport != transport:
        return Belief.NONE
    if proof.kind is ProofKind.WITHOUT_IDENTITIES:
        return Belief.CLAIMED
    return Belief.PROVED if proof == Proof.of(claimed.designator) else Belief.NONE


class _Connect(Effect):
    __slots__ = ("switchboard", "wish")

    def __init__(self, switchboard: Switchboard, wish: Wish) -> None:
        self.switchboard = switchboard
        self.wish = wish

    def commit(self, vat: Home) -> None:
        self.switchboard.connect_now(self.wish)


class _Establisher(Establisher):
    """One netlayer's way in."""

    def __init__(self, switchboard: Switchboard, transport: str) -> None:
        self._switchboard = switchboard
        self._transport = transport

    async def run(self, connection: Connection) -> None:
        await self._switchboard.accept(self._transport, connection)
