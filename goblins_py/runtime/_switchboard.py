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

from goblins_py.abc import Connection, Establisher, Io, Proof, ProofKind
from goblins_py.actors import (
    Broken,
    Effect,
    Fulfilled,
    HandlerTurn,
    Home,
    NearOnly,
    Outcome,
    Promise,
    Ref,
    Resolve,
    Vat,
    implant,
    on,
    require_turn,
)
from goblins_py.captp import (
    Abort,
    Action,
    Await,
    Belief,
    Fail,
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
from goblins_py.locators import PeerLocator
from goblins_py.runtime._host import TrioHost
from goblins_py.runtime._introductions import Introductions
from goblins_py.runtime._pump import Pump

__all__ = ["HANDSHAKE_TIMEOUT", "Switchboard"]

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds."""

_CROSSING: Final = 0.25
"""Seconds that an answered dial waits for the hello of somebody who may be the same peer."""
_GC_INTERVAL: Final = 0.1
_YOUNG_EVERY: Final = 20
"""An idle process collects its young garbage every so many GC intervals."""

_log = logging.getLogger("goblins_py.runtime")


class Switchboard(NearOnly):
    """The sessions of one mycapn.

    Args:
        make_bootstrap: makes what a peer gets as position 0; its `_session` is set by us.
        limits: for each session.
        handshake: seconds from a connection to the peer's op:start-session.
    """

    def __init__(
        self,
        vat: Vat,
        io: Io,
        make_bootstrap: Callable[[Introductions], Any],
        *,
        limits: SessionLimits | None = None,
        handshake: float = HANDSHAKE_TIMEOUT,
    ) -> None:
        self.vat = vat
        self.io = io
        self._host = cast(TrioHost, vat.host)
        self._make_bootstrap = make_bootstrap
        self._introductions = Introductions(vat, self.connect, self._is_ours)
        self._limits = limits
        self._handshake = handshake
        self._netlayers: dict[str, Ref[Any]] = {}
        self._locations: dict[str, PeerLocator] = {}
        self._peers = PeerTable()
        self._waiting: dict[PeerLocator, list[Promise[Any]]] = {}
        self._pumps: dict[Session, Pump] = {}
        self._arriving: dict[Session, Callable[[PeerLocator], Belief]] = {}  # not started yet
        self._arrivals = trio.lowlevel.ParkingLot()

    # --- netlayers ---------------------------------------------------------------

    def install(self, name: str, netlayer: Ref[Any]) -> None:
        """Set a netlayer up; in a turn. Raises what its `setup` raises."""
        netlayer.setup(self.io, _Establisher(self, name))
        self._netlayers[name] = netlayer
        on(netlayer.our_location(), partial(self._locations.__setitem__, name), _ignore)

    def _is_ours(self, locator: PeerLocator) -> bool:
        return self._locations.get(locator.transport) == locator

    # --- reaching peers ------------------------------------------------------------

    def connect(self, locator: PeerLocator) -> Promise[Any]:
        """A promise of the bootstrap object of a peer: of the live session, or of one that is made."""
        turn = require_turn()
        promise: Promise[Any] = Promise(turn.home)
        turn.effects.append(_Connect(self, promise, locator))
        return promise

    def connect_now(self, promise: Promise[Any], locator: PeerLocator) -> None:
        """The same between turns: the table is looked at, and perhaps a dial is queued."""
        session = self._peers.live(locator)
        if session is not None:
            self.vat.resolve(promise, Fulfilled(cast(Session, session).references.bootstrap))
            return
        self._waiting.setdefault(locator, []).append(promise)
        if self._peers.dial(locator):
            self.vat.queue.append(HandlerTurn(self._dial, (locator,)))

    def _dial(self, locator: PeerLocator) -> None:
        """In a turn of its own: have the netlayer dial."""
        try:
            connection = self._netlayers[locator.transport].connect_to(locator)
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
                    self._settle(peer, Fulfilled(cast(Session, session).references.bootstrap))
                case Fail(peer, error):
                    self._settle(peer, Broken(error))
                case Abort(session, reason):
                    cast(Session, session).abort(reason)
                    self._pumps[cast(Session, session)].tell()
                case Await(peer):
                    self.io.start(self._wait_for_winner, peer)

    def _settle(self, peer: PeerLocator, outcome: Outcome) -> None:
        for promise in self._waiting.pop(peer, ()):
            self.vat.post(Resolve(promise, outcome))

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
        believe = self._arriving[session] = partial(_belief, connection.proof, transport)
        await self._pump(session, connection, believe)

    async def _pump(
        self, session: Session, connection: Connection, believe: Callable[[PeerLocator], Belief]
    ) -> None:
        def notice(event: Started | Severed | Introduced) -> None:
            if isinstance(event, Severed):
                _log.info("a session with %r was severed: %s", session.peer or session.dialled, event.reason)
            if isinstance(event, Introduced):
                self._introductions.receive(session, event)
            elif isinstance(event, Started):
                self._started(session, event.location, believe(event.location))
            else:
                self._ended(session)

        pump = Pump(self._host, session, connection, notice=notice, handshake=self._handshake)
        self._pumps[session] = pump
        try:
            await pump.run()
        finally:
            self._ended(session)
            del self._pumps[session]

    def _started(self, session: Session, claimed: PeerLocator, belief: Belief) -> None:
        _log.info("a session with %r has started (%s)", claimed, belief.value)
        self._introductions.open(session)
        if belief is not Belief.NONE:
            session.believe(verified=belief is not Belief.CLAIMED)
        self._arrived(session)
        if belief is Belief.DIALLED:
            self.io.start(self._enter_dialled, session, claimed)
        else:
            self._do(self._peers.started(claimed, session, belief))

    async def _enter_dialled(self, session: Session, peer: PeerLocator) -> None:
        """Have our dial used, unless the peer dials us as well and its hello decides otherwise."""
        with trio.move_on_after(_CROSSING):
            await self._wait_for_hellos(peer, {Belief.CLAIMED, Belief.PROVED})
        await self._wait_for_hellos(peer, {Belief.PROVED})  # only the peer itself can make us wait so
        if session.state is SessionState.ESTABLISHED:
            self._do(self._peers.started(peer, session, Belief.DIALLED))
            await trio.sleep(self._handshake)
            self._peers.settled(peer, session)

    async def _wait_for_hellos(self, peer: PeerLocator, beliefs: set[Belief]) -> None:
        while any(believe(peer) in beliefs for believe in self._arriving.values()):
            await self._arrivals.park()

    def _arrived(self, session: Session) -> None:
        if self._arriving.pop(session, None) is not None:
            self._arrivals.unpark_all()

    def _ended(self, session: Session) -> None:
        self._arrived(session)
        self._introductions.close(session)
        self._do(self._peers.ended(session, session.peer or session.dialled, session.reason))

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
                    session.collect()
            await trio.sleep(_GC_INTERVAL)


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
    __slots__ = ("locator", "promise", "switchboard")

    def __init__(self, switchboard: Switchboard, promise: Promise[Any], locator: PeerLocator) -> None:
        self.switchboard = switchboard
        self.promise = promise
        self.locator = locator

    def commit(self, vat: Home) -> None:
        self.switchboard.connect_now(self.promise, self.locator)


class _Establisher(Establisher):
    """One netlayer's way in."""

    def __init__(self, switchboard: Switchboard, transport: str) -> None:
        self._switchboard = switchboard
        self._transport = transport

    async def run(self, connection: Connection) -> None:
        await self._switchboard.accept(self._transport, connection)
