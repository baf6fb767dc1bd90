"""prelay: peers that only dial out, reached through a relay that both can dial.

A peer has an account at a relay: an *endpoint*, which anybody may knock at, and a *controller*, which is its
own. Both are ordinary objects there, reached over another netlayer (the *base*); the messages of a session
over prelay travel as byte strings in messages to such objects. Version 0: in clear, the relays are trusted.

Here is the actor: configuration, identity and messages. The tie to the relay is in `_prelay_relay`, what
carries one session in `_prelay_connection`. The relay itself is no business of this package's.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final

import trio

from goblins_py.abc import UNPROVED, WITHOUT_IDENTITIES, Asker, Connection, Establisher, Io, Netlayer, Proof
from goblins_py.actors import (
    PersistenceEnv,
    Promise,
    Ref,
    Resolver,
    actor,
    all_of,
    live,
    make_promise,
    on,
    require_turn,
    send,
    send_only,
    spawn,
    timeout,
)
from goblins_py.errors import ConnectFailedError, NetlayerError, NoSuchMethodError, Refusal, RemoteError
from goblins_py.locators import PeerLocator, Sturdyref, base32_encode
from goblins_py.syrup import Symbol
from netlayers._prelay_budget import Budget
from netlayers._prelay_connection import INBOXES, DeliverIn, PrelayConnection, told
from netlayers._prelay_locator import TRANSPORT, prelay_endpoint, prelay_locator
from netlayers._prelay_relay import PATIENCE, RelayTie, backoff
from netlayers._prelay_watches import Watches

__all__ = ["PrelayNetlayer", "fetch_and_spawn_prelay_netlayer", "prelay_env"]

_INCOMING: Final = Symbol("incoming-session")
_ABORT: Final = Symbol("abort")
_STRANGER: Final = 32
"""Bytes of the designator of a peer that only dials."""

_log = logging.getLogger("netlayers.prelay")


@actor
class PrelayNetlayer(Netlayer):
    """A peer behind a relay; without any account one that only dials. Restored, it has the same designator.

    Args:
        enliven: an object with the message `enliven`: the mycapn of the base netlayer, or a facet of it. The
            same mycapn may have this netlayer, too.
        endpoint: where others knock: its sturdyref, or a promise of it (which a store cannot keep).
        controller: what we steer our relay with, likewise.
        account: redeemed once for endpoint and controller, if they are not given.
        trust_claims: believe those who dial us about who they are. A relay proves nothing of them, so that
            anybody may then pass for a peer that is not connected.
        max_connections: how many peers may be connected to us. Further ones are refused.
    """

    enliven: Ref[Any]
    endpoint: Sturdyref | Promise[Sturdyref] | None = None
    controller: Sturdyref | Promise[Sturdyref] | None = None
    account: Sturdyref | None = None
    trust_claims: bool = False
    max_connections: int = 1024
    _io: Io | None = live()
    _establisher: Establisher | None = live()
    _tie: RelayTie | None = live()
    _location: PeerLocator | None = live()
    _known: tuple[Promise[Any], Resolver[Any]] | None = live()
    _connections: set[PrelayConnection] | None = live()
    _accepted: set[PrelayConnection] | None = live()
    _budgets: tuple[Budget, Budget] | None = live()
    _watches: Watches | None = live()

    def netlayer_name(self) -> str:
        """See `Netlayer.netlayer_name`."""
        return TRANSPORT

    def setup(self, io: Io, establisher: Establisher) -> None:
        """See `Netlayer.setup`. Redeems the account if there is one to be redeemed; finds the relay.

        Raises:
            NetlayerError: the configuration makes no sense.
        """
        if self.max_connections < 1:
            raise NetlayerError("max_connections must be at least 1")
        self._io, self._establisher = io, establisher
        self._connections, self._accepted = set(), set()
        self._budgets = Budget(), Budget(INBOXES)
        match self.endpoint, self.controller:
            case Sturdyref(), Sturdyref():
                self._begin()
            case None, None if self.account is not None:
                self._redeem(0)
            case None, None:
                self._location = PeerLocator(TRANSPORT, base32_encode(io.random_bytes(_STRANGER)))
            case (None, _) | (_, None):
                raise NetlayerError("prelay takes an endpoint and a controller, or none of them")
            case endpoint, controller:
                on(all_of(endpoint, controller), self._take_pair, self._give_up)

    def our_location(self) -> PeerLocator | Promise[PeerLocator]:
        """See `Netlayer.our_location`. A promise as long as the account is not redeemed."""
        if self._location is not None:
            return self._location
        if self._known is None:
            self._known = make_promise()
        return self._known[0]

    def can_reach(self, locator: PeerLocator) -> bool:
        """See `Netlayer.can_reach`. Whoever only dials has no endpoint."""
        try:
            prelay_endpoint(locator)
        except NetlayerError:
            return False
        return True

    def connect_to(self, locator: PeerLocator, asked_by: Asker | None = None) -> Promise[Connection]:
        """See `Netlayer.connect_to`. Through our relay if we have one, else straight to the peer's."""
        io, _ = self._ready()
        endpoint = prelay_endpoint(locator)
        connection = self._new_connection(io, Proof.of(locator.designator))
        deliver_in = spawn(DeliverIn(connection))
        if self._tie is None:
            asker = () if asked_by is None else (asked_by,)
            answer = send(send(self.enliven).enliven(endpoint, *asker))(deliver_in)
        else:
            answer = send(self._tie.controller()).connect(locator, deliver_in)
        on(answer, partial(_abandon_late, connection), _ignore)
        return on(
            timeout(answer, PATIENCE), partial(self._opened, connection), partial(_not_opened, connection)
        )

    def is_registered(self) -> bool:
        """Can others reach us just now, as far as we know?"""
        return self._tie is not None and self._tie.is_tied

    # --- our account -------------------------------------------------------------

    def _redeem(self, attempt: int) -> None:
        """Ask for our pair. Until we are registered with it we may ask again: a crash here loses nothing."""
        answer = timeout(send(send(self.enliven).enliven(self.account))(), PATIENCE)
        on(answer, self._take_pair, partial(self._not_redeemed, attempt))

    def _not_redeemed(self, attempt: int, error: BaseException) -> None:
        if isinstance(error, RemoteError | Refusal):
            self._give_up(NetlayerError(f"the account cannot be used: {told(error)}"))
            return
        io, _ = self._ready()
        seconds = backoff(attempt, io.random_bytes(1)[0] / 255)
        _log.warning("the relay cannot be asked for our account: %s; again in %.1f s", told(error), seconds)
        on(io.start(trio.sleep, seconds), lambda _: self._redeem(attempt + 1))

    def _take_pair(self, pair: object) -> None:
        match pair:
            case (Sturdyref() as endpoint, Sturdyref() as controller):
                self.endpoint, self.controller = endpoint, controller
                self._begin()
            case _:
                self._give_up(NetlayerError("what answered is no account at a relay"))

    def _give_up(self, error: BaseException) -> None:
        _log.info("prelay cannot be used: %s", told(error))
        if self._known is None:
            self._known = make_promise()
        on(self._known[0], None, _ignore)
        self._known[1].break_(error)

    def _begin(self) -> None:
        """We know who we are."""
        io, _ = self._ready()
        if not isinstance(self.endpoint, Sturdyref) or not isinstance(self.controller, Sturdyref):
            raise NetlayerError("prelay has no endpoint yet")
        self._location = prelay_locator(self.endpoint)
        if self._known is not None:
            self._known[1].fulfill(self._location)
        self._tie = RelayTie(
            io, self.enliven, self.controller, listener=self._listen, on_lost=self._lose_connections
        )
        self._tie.seek()

    def _ready(self) -> tuple[Io, Establisher]:
        if self._io is None or self._establisher is None:
            raise NetlayerError("this prelay netlayer is not set up yet")
        return self._io, self._establisher

    # --- sessions ------------------------------------------------------------------

    def _listen(self, method: object = None, argument: object = None) -> Ref[Any] | None:
        """The listener's behaviour: somebody has knocked, or the relay is done with us."""
        if method == _ABORT:
            if self._tie is not None:
                self._tie.dismissed(told(Refusal(argument)))
            return None
        if method != _INCOMING:
            raise NoSuchMethodError("a session listener takes incoming-session and abort")
        return self._accept(argument)

    def _accept(self, session_out: object) -> Ref[Any]:
        if not isinstance(session_out, Ref):
            raise Refusal("incoming-session takes the object to deliver to")
        io, establisher = self._ready()
        accepted = self._accepted
        if accepted is None or len(accepted) >= self.max_connections:
            raise Refusal("this peer has as many sessions as it takes")
        proof = WITHOUT_IDENTITIES if self.trust_claims else UNPROVED
        connection = self._new_connection(io, proof)
        accepted.add(connection)
        deliver_in = spawn(DeliverIn(connection))
        self._carry(connection, session_out)
        io.start(establisher.run, connection)
        return deliver_in

    def _new_connection(self, io: Io, proof: Proof) -> PrelayConnection:
        out, inboxes = self._budgets or (Budget(), Budget(INBOXES))
        home = require_turn().home
        return PrelayConnection(home, io, proof, budget=out, inboxes=inboxes, on_close=self._forget)

    def _opened(self, connection: PrelayConnection, session_out: object) -> Connection:
        if not isinstance(session_out, Ref):
            raise ConnectFailedError("the relay answered with something else than a session")
        self._carry(connection, session_out)
        return connection

    def _carry(self, connection: PrelayConnection, session_out: Ref[Any]) -> None:
        connection.open(session_out)
        if self._connections is not None and not connection.is_over:
            self._connections.add(connection)
        if self._tie is None:  # each goes over a session of its own, else the tie tells
            if self._watches is None:
                self._watches = Watches()
            self._watches.add(connection, session_out)

    def _forget(self, connection: PrelayConnection) -> None:
        for group in (self._connections, self._accepted):
            if group is not None:
                group.discard(connection)

    def _lose_connections(self, reason: str) -> None:
        for connection in tuple(self._connections or ()):
            connection.lose(reason)


prelay_env = PersistenceEnv(PrelayNetlayer, leaves={"ocapn-peer": PeerLocator, "ocapn-sturdyref": Sturdyref})
"""What a persistent vat needs to save and restore a `PrelayNetlayer`, beside what its `enliven` needs."""


def fetch_and_spawn_prelay_netlayer(account: Sturdyref, *, mycapn: Ref[Any]) -> Ref[PrelayNetlayer]:
    """A netlayer that redeems a relay account, in the current vat.

    Args:
        account: what the relay's operator gave us; it can be used once.
        mycapn: over a netlayer that reaches the relay. Install what is returned in it, or in another one.
    """
    return spawn(PrelayNetlayer, mycapn, None, None, account)


def _not_opened(connection: PrelayConnection, error: BaseException) -> Connection:
    connection.close()
    failure = ConnectFailedError("cannot connect to the peer through the relay")
    for note in (told(error), *getattr(error, "__notes__", ())):
        failure.add_note(note)
    raise failure


def _abandon_late(connection: PrelayConnection, session_out: object) -> None:
    """The answer came when nobody waited any more: let the far end know."""
    if connection.is_over and isinstance(session_out, Ref):
        send_only(session_out).abort()


def _ignore(_: BaseException) -> None:
    """Who asked is told otherwise."""
