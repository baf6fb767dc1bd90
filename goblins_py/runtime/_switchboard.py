"""One session per peer: the table behind a mycapn, its dials, and the sessions that others open.

It is no actor and no value (`NearOnly`): mycapn holds it in a live field. Its tables change between
turns only, so no failing turn can leave them half changed; what must happen in a turn (asking a
netlayer to dial) is queued as one.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import trio

from goblins_py.abc import Connection, Establisher, Io, ProofKind
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
    on,
    require_turn,
)
from goblins_py.captp import Session, SessionKeys, SessionLimits, SessionState, Severed, Started
from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator
from goblins_py.runtime._host import TrioHost
from goblins_py.runtime._pump import Pump

__all__ = ["HANDSHAKE_TIMEOUT", "Switchboard"]

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds from a connection to the peer's op:start-session."""

_GC_INTERVAL: Final = 0.1
_YOUNG_EVERY: Final = 20
"""An idle process collects its young garbage every so many GC intervals."""

_log = logging.getLogger("goblins_py.runtime")


class Switchboard(NearOnly):
    """The sessions of one mycapn.

    Args:
        bootstrap: what peers get as position 0.
    """

    def __init__(self, vat: Vat, io: Io, bootstrap: Ref[Any], *, limits: SessionLimits | None = None) -> None:
        self.vat = vat
        self.io = io
        self._host = cast(TrioHost, vat.host)
        self._bootstrap = bootstrap
        self._limits = limits
        self._netlayers: dict[str, Ref[Any]] = {}
        self._locations: dict[str, PeerLocator] = {}
        self._live: dict[PeerLocator, Session] = {}  # a locator equals another by transport and designator
        self._dials: dict[PeerLocator, list[Promise[Any]]] = {}
        self._sessions: set[Session] = set()

    # --- netlayers ---------------------------------------------------------------

    def install(self, name: str, netlayer: Ref[Any]) -> None:
        """Set a netlayer up; in a turn. Raises what its `setup` raises."""
        netlayer.setup(self.io, _Establisher(self, name))
        self._netlayers[name] = netlayer
        on(netlayer.our_location(), partial(self._locations.__setitem__, name))

    # --- reaching peers ------------------------------------------------------------

    def connect(self, locator: PeerLocator) -> Promise[Any]:
        """A promise of the bootstrap object of a peer: of the live session, or of one that is made."""
        turn = require_turn()
        promise: Promise[Any] = Promise(turn.home)
        turn.effects.append(_Connect(self, promise, locator))
        return promise

    def connect_now(self, promise: Promise[Any], locator: PeerLocator) -> None:
        """The same between turns: the tables are looked at, and perhaps a dial is queued."""
        session = self._live.get(locator)
        if session is not None:
            self.vat.resolve(promise, Fulfilled(session.references.bootstrap))
        elif locator in self._dials:
            self._dials[locator].append(promise)
        else:
            self._dials[locator] = [promise]
            self.vat.queue.append(HandlerTurn(self._dial, (locator,)))

    def _dial(self, locator: PeerLocator) -> None:
        """In a turn of its own: have the netlayer dial."""
        try:
            connection = self._netlayers[locator.transport].connect_to(locator)
        except Exception as error:  # noqa: BLE001 - a third party's netlayer; whoever waits is told
            self._end_dial(locator, Broken(error))
            return
        on(connection, partial(self._dialled, locator), partial(self._not_dialled, locator))

    def _not_dialled(self, locator: PeerLocator, reason: BaseException) -> None:
        self._end_dial(locator, Broken(reason))

    def _dialled(self, locator: PeerLocator, connection: Connection) -> None:
        self.io.start(self._run_dialled, locator, connection)

    async def _run_dialled(self, locator: PeerLocator, connection: Connection) -> None:
        reason = "the vat is closing"
        try:
            session = self._make_session(locator.transport, locator)
            await self._pump(session, connection, lambda started: True)
            reason = session.reason
        finally:  # if it did start, its dial is long over, and nobody waits
            self._end_dial(locator, Broken(ConnectFailedError(f"the peer started no session: {reason}")))
            with trio.CancelScope(shield=True):
                await connection.aclose()

    def _end_dial(self, locator: PeerLocator, outcome: Outcome) -> None:
        for promise in self._dials.pop(locator, ()):
            self.vat.post(Resolve(promise, outcome))

    # --- sessions ----------------------------------------------------------------------

    def _make_session(self, transport: str, dialled: PeerLocator | None) -> Session:
        session = Session(
            self.vat,
            location=self._locations[transport],
            keys=SessionKeys.from_seed(self.io.random_bytes(32)),
            bootstrap=self._bootstrap,
            dialled=dialled,
            limits=self._limits,
        )
        self._sessions.add(session)
        if len(self._sessions) == 1:
            self.io.start(self._collect_forever)
        return session

    async def accept(self, transport: str, connection: Connection) -> None:
        """Run a session over a connection that somebody made to us."""
        if transport not in self._locations:
            await connection.aclose()  # we do not know yet where we are
            return

        def believed(started: Started) -> bool:
            return _is_proved(connection, started.location, transport)

        await self._pump(self._make_session(transport, None), connection, believed)

    async def _pump(
        self, session: Session, connection: Connection, believed: Callable[[Started], bool]
    ) -> None:
        def notice(event: Started | Severed) -> None:
            if isinstance(event, Severed):
                self._severed(session)
            elif believed(event):
                self._enter(event.location, session)

        pump = Pump(self._host, session, connection, notice=notice, handshake=HANDSHAKE_TIMEOUT)
        try:
            await pump.run()
        finally:
            self._severed(session)

    def _enter(self, location: PeerLocator, session: Session) -> None:
        """This session is with the peer there; a session that is there already stays."""
        session = self._live.setdefault(location, session)
        self._end_dial(location, Fulfilled(session.references.bootstrap))

    def _severed(self, session: Session) -> None:
        self._sessions.discard(session)
        if session.peer is not None and self._live.get(session.peer) is session:
            del self._live[session.peer]

    # --- garbage -------------------------------------------------------------------------

    async def _collect_forever(self) -> None:
        """Tell peers what Python has collected, as long as there are sessions."""
        rounds = 0
        while self._sessions:
            await trio.sleep(_GC_INTERVAL)
            rounds += 1
            if rounds % _YOUNG_EVERY == 0:
                gc.collect(1)  # an idle process would never get round to it
            for session in self._sessions:
                if session.has_garbage and session.state is SessionState.ESTABLISHED:
                    session.collect()


def _is_proved(connection: Connection, claimed: PeerLocator, transport: str) -> bool:
    if claimed.transport != transport:
        return False
    proof = connection.proof
    if proof.kind is ProofKind.WITHOUT_IDENTITIES:
        return True
    return proof.kind is ProofKind.PROVED and proof.designator == claimed.designator


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
