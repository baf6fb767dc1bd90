"""What an account is behind its two objects: the desk that opens sessions, and the endpoint and controller.

The desk is never given out. The endpoint is public: all that it can do is to knock. The controller belongs to
the account's client, which registers a listener with it and dials through it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, cast

from goblins_py.actors import (
    Promise,
    Ref,
    Resolver,
    actor,
    live,
    make_promise,
    on,
    send,
    send_only,
    spawn,
    timeout,
)
from goblins_py.errors import NetlayerError, Refusal
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.relay._leg import Leg, told
from goblins_py.relay._quota import Meter, Quota
from goblins_py.relay._yard import Yard
from goblins_py.syrup import Map
from netlayers import prelay_endpoint

__all__ = ["Desk", "PrelayController", "PrelayEndpoint"]

PATIENCE: Final = 25.0
"""Seconds for a session to be opened, the wait for a client that is not there included. Less than a dialler's
own patience, so that it hears why."""


@actor
class Desk:
    """One account at work. Its name, its quota and whether it was used are state; sessions are not."""

    name: str
    quota: Map[str, int]
    mycapn: Ref[Any]
    used: bool = False
    removed: bool = False
    _yard: Yard | None = live()
    _meter: Meter | None = live()
    _legs: set[Leg] | None = live()
    _listener: Ref[Any] | None = live()
    _waiting: dict[Leg, Resolver[Any]] | None = live()

    def open(self, yard: Yard) -> None:
        """Begin to work, after spawn and after restore."""
        self._yard = yard
        self._meter = Meter(Quota.of(self.quota), yard.io.now)
        self._legs, self._waiting = set(), {}

    def close(self, reason: str) -> None:
        """The account is removed: its sessions end, no more begin, and its client is told."""
        self.removed = True
        for leg in tuple(self._legs or ()):
            leg.end(reason)
        listener, self._listener = self._listener, None
        if listener is not None and self._yard is not None:
            self._yard.leave(listener, self)
            send_only(listener).abort(reason)

    def is_removed(self) -> bool:
        """Was the account removed?"""
        return self.removed

    def is_used(self) -> bool:
        """Has its client registered a listener, ever?"""
        return self.used

    def statistics(self) -> Map[str, object]:
        """What it uses now."""
        _, meter = self._running()
        return Map(
            {
                "name": self.name,
                "used": self.used,
                "online": self._listener is not None,
                "dialled": meter.dialled,
                "accepted": meter.accepted,
                "queued_bytes": meter.queued,
                "sent_bytes": meter.sent,
                "received_bytes": meter.received,
                "aborted": meter.aborted,
            }
        )

    # --- the client's listener -----------------------------------------------------

    def listen(self, listener: object) -> None:
        """The account's client takes sessions from now on; a former listener gets none any more."""
        yard, _ = self._running()
        if not isinstance(listener, Ref) or listener._connector is None:
            raise Refusal("a session listener is an object of the client's")
        if not self.used:
            self.used = True
        if self._listener is not None:
            yard.leave(self._listener, self)
        self._listener = listener
        yard.watch(listener, self, partial(self._listener_lost, listener))
        waiting, self._waiting = self._waiting or {}, {}
        for resolver in waiting.values():
            resolver.fulfill(listener)

    def _listener_lost(self, listener: Ref[Any], reason: str) -> None:
        if self._listener is listener:
            self._listener = None

    def _listening(self, leg: Leg) -> Ref[Any] | Promise[Any]:
        """The listener, or a promise of it that lives no longer than the leg: who knocked in vain is gone."""
        if self._listener is not None:
            return self._listener
        promise, resolver = make_promise()
        if self._waiting is not None:
            self._waiting[leg] = resolver
        return promise

    # --- sessions --------------------------------------------------------------------

    def accept(self, other_side: object) -> Promise[Any]:
        """Somebody knocks: a promise of the object to deliver to this account's client by."""
        yard, meter = self._running()
        if not yard.is_deliverable(other_side):
            raise Refusal("an endpoint is called with the object to deliver to")
        if meter.accepted >= meter.quota.sessions:
            raise Refusal("this peer has as many sessions as its relay allows")
        leg = self._new_leg("accepted")
        self._join(leg, cast("Ref[Any]", other_side), leg.other_side_lost)
        leg.lead_out(cast("Ref[Any]", other_side))
        session_out = spawn(leg.session_out)
        answer = timeout(send(self._listening(leg)).incoming_session(session_out), PATIENCE)
        return on(
            answer, partial(self._accepted, leg), partial(self._failed, leg, "the peer does not answer")
        )

    def _accepted(self, leg: Leg, deliver_in: object) -> Ref[Any] | Promise[Any]:
        yard, _ = self._running()
        if not isinstance(deliver_in, Ref) or deliver_in._connector is None:
            leg.end("the peer's client gave nothing to deliver to")
            return _broken("the peer's client gave nothing to deliver to")
        if leg.over is not None:
            return _turn_away(deliver_in, leg.over)
        leg.lead_in(deliver_in)
        self._join(leg, deliver_in, leg.client_lost)
        return yard.spawn_inlet(leg.session_in)

    def connect(self, locator: object, deliver_in: object) -> Promise[Any]:
        """The client dials: a promise of the object to deliver to the other side by."""
        yard, meter = self._running()
        if not isinstance(deliver_in, Ref) or deliver_in._connector is None:
            raise Refusal("connect takes the object to deliver to")
        if meter.dialled >= meter.quota.sessions:
            raise Refusal("this account has as many sessions as it may have")
        endpoint = self._checked(locator)
        leg = self._new_leg("dialled")
        leg.lead_in(deliver_in)
        self._join(leg, deliver_in, leg.client_lost)
        session_in = yard.spawn_inlet(leg.session_in)
        found = send(self.mycapn).enliven(endpoint, deliver_in)  # so a client can make us dial only so much
        answer = timeout(send(found)(session_in), PATIENCE + 2)
        failed = partial(self._failed, leg, "the peer's relay does not answer")
        return on(answer, partial(self._connected, leg), failed)

    def _checked(self, locator: object) -> Sturdyref:
        """Where the client dials. Raises `Refusal`."""
        if not isinstance(locator, PeerLocator):
            raise Refusal("connect takes the locator of a peer")
        try:
            return prelay_endpoint(locator)
        except NetlayerError as error:
            raise Refusal(str(error)) from None

    def _connected(self, leg: Leg, other_side: object) -> Ref[Any] | Promise[Any]:
        yard, _ = self._running()
        if not yard.is_deliverable(other_side):
            leg.end("that is no endpoint")
            return _broken("that is no endpoint")
        if leg.over is not None:
            return _turn_away(cast("Ref[Any]", other_side), leg.over)
        leg.lead_out(cast("Ref[Any]", other_side))
        self._join(leg, cast("Ref[Any]", other_side), leg.other_side_lost)
        return spawn(leg.session_out)

    def _failed(self, leg: Leg, late: str, error: BaseException) -> Promise[Any]:
        reason = late if isinstance(error, TimeoutError) else told(error)
        leg.end(reason)
        return _broken(reason)

    # --- the books ----------------------------------------------------------------------

    def _running(self) -> tuple[Yard, Meter]:
        if self.removed:
            raise Refusal("this account was removed")
        if self._yard is None or self._meter is None:
            raise Refusal("the relay is not running")
        return self._yard, self._meter

    def _new_leg(self, kind: str) -> Leg:
        yard, meter = self._running()
        leg = Leg(yard.io, meter, partial(self._ended, kind))
        if self._legs is not None:
            self._legs.add(leg)
        setattr(meter, kind, getattr(meter, kind) + 1)
        return leg

    def _ended(self, kind: str, leg: Leg) -> None:
        if self._yard is None or self._meter is None or self._legs is None:
            return
        self._legs.discard(leg)
        resolver = self._waiting.pop(leg, None) if self._waiting else None
        if resolver is not None:
            resolver.break_(Refusal("the peer does not answer"))
        setattr(self._meter, kind, getattr(self._meter, kind) - 1)
        for hop in (leg.inward, leg.outward):
            if hop is not None:
                self._yard.leave(hop.target, (leg, hop.target))

    def _join(self, leg: Leg, ref: Ref[Any], lost: Any) -> None:
        if self._yard is not None:
            self._yard.watch(ref, (leg, ref), lost)


def _turn_away(late: Ref[Any], reason: str) -> Promise[Any]:
    """The session ended before this was known to deliver to."""
    send_only(late).abort()
    return _broken(reason)


def _broken(reason: str) -> Promise[Any]:
    """Instead of an exception, which would undo that others are told."""
    promise, resolver = make_promise()
    resolver.break_(Refusal(reason))
    return promise


@actor
class PrelayEndpoint:
    """The public half of an account."""

    _desk: Ref[Desk]

    def __call__(self, other_side: object = None) -> object:
        return self._desk.accept(other_side)


@actor
class PrelayController:
    """The client's half of an account."""

    _desk: Ref[Desk]

    def set_session_listener(self, listener: object = None) -> None:
        """Take sessions by this object from now on. Raises `Refusal`."""
        self._desk.listen(listener)

    def connect(self, locator: object = None, deliver_in: object = None) -> object:
        """Dial the peer at a prelay locator; a promise of a session-out. Raises `Refusal`."""
        return self._desk.connect(locator, deliver_in)
