"""mycapn: the actor through which a vat gives out and enlivens sturdyrefs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import attrs

from goblins_py.abc import Asker
from goblins_py.actors import (
    Listen,
    PersistenceEnv,
    Promise,
    Pursuit,
    Ref,
    Source,
    actor,
    all_of,
    live,
    on,
    ref_to,
    require_turn,
    send,
    spawn,
)
from goblins_py.captp import Session, SessionLimits, read_path
from goblins_py.errors import (
    HandoffError,
    LocatorError,
    NetlayerError,
    UnknownTransportError,
)
from goblins_py.locators import PeerLocator, Sturdyref, parse_uri
from goblins_py.runtime._grants import Grant, Shelf
from goblins_py.runtime._introductions import Introductions
from goblins_py.runtime._registry import Registry
from goblins_py.runtime._sources import NoteSource
from goblins_py.runtime._switchboard import HANDSHAKE_TIMEOUT, Switchboard
from goblins_py.syrup import Map, Symbol

__all__ = ["Bootstrap", "MyCapn", "mycapn_env", "spawn_mycapn"]

_log = logging.getLogger("goblins_py.runtime")


@actor
class Bootstrap:
    """What a peer gets at position 0 of a session: objects for swiss numbers, and gifts."""

    _registry: Ref[Registry]
    _introductions: Introductions | None = live()
    _session: Session | None = live()

    def fetch(self, swiss_num: bytes) -> Ref[Any]:
        """The object. Raises `UnknownSwissNumError`."""
        found: Ref[Any] = self._registry.fetch(swiss_num)
        return found

    def deposit_gift(self, gift_id: object, gift: object) -> None:
        """As a gifter: have one of our objects ready for a third peer. Raises `HandoffError`."""
        introductions, session = self._desk()
        introductions.deposit(session, gift_id, gift)

    def withdraw_gift(self, envelope: object) -> object:
        """As a receiver: get what a gifter has deposited. Raises `HandoffError`: which check failed."""
        introductions, session = self._desk()
        return introductions.withdraw(session, envelope)

    def chase(self, promise: object, path: object) -> None:
        """Look whether a promise waits for itself over several peers. Raises `TypeError`: malformed."""
        if not isinstance(promise, Promise):
            raise TypeError("only a promise can be chased")
        require_turn().effects.append(Pursuit(promise, read_path(path)))

    def _desk(self) -> tuple[Introductions, Session]:
        if self._introductions is None or self._session is None:
            raise HandoffError("there is no session")
        return self._introductions, self._session

    @classmethod
    def of(cls, registry: Ref[Registry], introductions: Introductions) -> Bootstrap:
        """One for a new session, which says itself who it is once it is made."""
        bootstrap = cls(registry)
        bootstrap._introductions = introductions
        return bootstrap


@actor
class MyCapn:
    """Gives out sturdyrefs of objects, and enlivens those of others, over its netlayers."""

    _netlayers: Map[str, Ref[Any]]
    _registry: Ref[Registry]
    _limits: Map[str, float] = Map()
    _handshake: float = HANDSHAKE_TIMEOUT
    _may_dial: Ref[Any] | None = None
    _switchboard: Switchboard | None = live()
    _broken: dict[str, BaseException] | None = live()

    def on_start(self, restored: bool) -> None:  # noqa: FBT001 - the vat calls it so
        """Set the netlayers up, after spawn and after restore."""
        self._broken = {}
        self._switchboard = self._make_switchboard()
        for name, netlayer in self._netlayers.items():
            try:
                self._switchboard.install(name, netlayer)
            except Exception as error:  # noqa: BLE001 - a third party's netlayer; told to who asks for it
                self._broken[name] = error
                _log.error("netlayer %s cannot be used: %s", name, error)

    def _make_switchboard(self) -> Switchboard:
        vat: Any = require_turn().home
        limits = SessionLimits(**cast("Map[str, Any]", self._limits))
        make_bootstrap = partial(Bootstrap.of, self._registry)
        return Switchboard(
            vat,
            vat.host.io,
            make_bootstrap,
            limits=limits,
            handshake=self._handshake,
            may_dial=self._may_dial,
        )

    def register(
        self,
        ref: Ref[Any],
        transport: str | Symbol,
        *,
        label: str | None = None,
        valid_for: float | None = None,
    ) -> Promise[Sturdyref]:
        """Make an object reachable.

        Args:
            transport: the name of the netlayer that it shall be reached by.
            label: for whom: each label has a sturdyref of its own, which can be taken back alone.
            valid_for: seconds until the sturdyref is worth nothing; None is for ever. With a label that is
                there already it counts from now, and None leaves its expiry as it is.

        Returns:
            A promise of its sturdyref: the same for every time; with a label the same for each time with
            this label; with `valid_for` and no label another one each time.

        Raises:
            UnknownTransportError: no such netlayer. NetlayerError: it could not be set up.
        """
        name = _name(transport)
        netlayer = self._netlayer(name)
        number: bytes = self._registry.register(ref, transport=name, label=label, valid_for=valid_for)
        return on(netlayer.our_location(), lambda location: Sturdyref(location, number))

    def unregister(self, target: Ref[Any] | Sturdyref | str, *, label: str | None = None) -> Promise[bool]:
        """Take sturdyrefs back: they are answered like any that never were. References stay good.

        Args:
            target: an object, for all of its sturdyrefs; or one sturdyref, or its URI.
            label: of an object's sturdyrefs only the one for this label.

        Returns:
            A promise of False if there was nothing to take back.

        Raises:
            LocatorError: malformed. UnknownTransportError: no netlayer for it.
        """
        if isinstance(target, Ref):
            return on(self._registry.unregister(target, label=label))
        sturdyref = _sturdyref(target)
        ours = self._netlayer(sturdyref.peer.transport).our_location()
        return on(
            ours,
            lambda location: location == sturdyref.peer and self._registry.unregister(sturdyref.swiss_num),
        )

    def sturdyrefs(self, ref: Ref[Any] | None = None) -> Promise[tuple[Map[str, Any], ...]]:
        """What was given out, oldest first: all, or all of one object.

        Returns:
            A promise of one `Map` for each: `sturdyref`, `object`, `label` (or None), `registered` and
            `expires` (seconds since 1970, or None).
        """
        usable = [name for name in self._netlayers if name not in (self._broken or {})]
        locations = all_of(*[self._netlayers[name].our_location() for name in usable])

        def listed(locations: tuple[PeerLocator, ...]) -> tuple[Map[str, Any], ...]:
            found: tuple[Map[str, Any], ...] = self._registry.sturdyrefs(
                Map(zip(usable, locations, strict=True)), ref
            )
            return found

        return on(locations, listed)

    def enliven(self, target: Sturdyref | str, asked_by: Ref[Any] | Asker | None = None) -> Promise[Any]:
        """A promise of the object behind a sturdyref or its URI; an object of our own is itself.

        Args:
            asked_by: the peer that makes us dial, or an object of its, as a relay's client does: what it may
                make us dial is limited (see `spawn_mycapn`). None if our own program does.

        Raises:
            LocatorError: malformed. UnknownTransportError: no netlayer for it. The promise breaks with
                `ConnectFailedError`, `DesignatorMismatchError`, or if the peer does not know the object.
        """
        sturdyref = _sturdyref(target)
        ours = self._netlayer(sturdyref.peer.transport).our_location()
        return on(ours, lambda location: self._fetch(sturdyref, location, asked_by))

    def _fetch(self, sturdyref: Sturdyref, ours: PeerLocator, asked_by: Ref[Any] | Asker | None) -> object:
        if ours == sturdyref.peer:
            return self._registry.fetch(sturdyref.swiss_num)
        bootstrap = self._connect(sturdyref.peer, asked_by)
        answer: Promise[Any] = send(bootstrap).fetch(sturdyref.swiss_num)
        note = NoteSource(bootstrap, Source(ref_to(self), sturdyref))
        require_turn().effects.append(Listen(answer, note))
        return answer

    def connect_to_peer(self, target: PeerLocator | str) -> Promise[Any]:
        """A promise of a peer's bootstrap object. Raises as `enliven`."""
        locator = parse_uri(target) if isinstance(target, str) else target
        if not isinstance(locator, PeerLocator):
            raise LocatorError("this is a sturdyref, where a peer's locator belongs")
        self._netlayer(locator.transport)
        return self._connect(locator)

    def _connect(self, locator: PeerLocator, asked_by: Ref[Any] | Asker | None = None) -> Promise[Any]:
        if self._switchboard is None:
            raise NetlayerError("mycapn has not started yet")
        if isinstance(asked_by, Ref):
            asked_by = self._switchboard.asker_behind(asked_by)
        return self._switchboard.connect(locator, asked_by)

    def install_netlayer(self, netlayer: Ref[Any]) -> None:
        """Add a netlayer. Raises `NetlayerError` if there is one of that name, or it cannot be set up."""
        name: str = netlayer.netlayer_name()
        if name in self._netlayers:
            raise NetlayerError(f"a netlayer {name} is installed already")
        if self._switchboard is not None:
            self._switchboard.install(name, netlayer)
        self._netlayers = self._netlayers.set(name, netlayer)

    def self_location(self, transport: str | Symbol) -> Promise[PeerLocator]:
        """Where others reach us by this netlayer."""
        return self._our_location(_name(transport))

    def _our_location(self, transport: str) -> Promise[PeerLocator]:
        return on(self._netlayer(transport).our_location())

    def get_registry(self) -> Ref[Registry]:
        """The registry: `register`, `fetch`, `unregister`, by swiss numbers."""
        return self._registry

    def _netlayer(self, name: str) -> Ref[Any]:
        netlayer = self._netlayers.get(name)
        if netlayer is None:
            raise UnknownTransportError(f"no netlayer for the transport {name[:40]!r} is installed")
        if self._broken and name in self._broken:
            raise self._broken[name].with_traceback(None)
        return netlayer


def _name(transport: object) -> str:
    return transport.name if isinstance(transport, Symbol) else str(transport)


def _sturdyref(target: object) -> Sturdyref:
    located = parse_uri(target) if isinstance(target, str) else target
    if not isinstance(located, Sturdyref):
        raise LocatorError("enliven takes a sturdyref or the URI of one")
    return located


mycapn_env = PersistenceEnv(
    MyCapn,
    named={
        "goblins_py.runtime._mycapn.Registry": Registry,  # where it once was: stores have it so
        "goblins_py.runtime.Grant": Grant,
        "goblins_py.runtime.Shelf": Shelf,
    },
    leaves={"ocapn-peer": PeerLocator, "ocapn-sturdyref": Sturdyref},
)
"""What a persistent vat needs to save and restore a mycapn, and sturdyrefs in anybody's state."""


def spawn_mycapn(
    *netlayers: Ref[Any],
    limits: SessionLimits | None = None,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    may_dial: Ref[Any] | Callable[[PeerLocator, Asker], bool] | None = None,
) -> Ref[MyCapn]:
    """Spawn a mycapn in the current vat, over netlayers of the same vat.

    Args:
        limits: of each session.
        handshake_timeout: seconds from a connection to the peer's op:start-session.
        may_dial: whether a peer (`Asker`) may make us dial a locator, by giving us somebody's object or
            otherwise: a near object that is called with both, or a function (which no persistent vat can
            save). None: link-local addresses never, loopback and private ones only for peers that are
            themselves at one, also where a name leads to them. What our own program asks for is dialled.

    Raises:
        NetlayerError: two of one name.
    """
    named: dict[str, Ref[Any]] = {netlayer.netlayer_name(): netlayer for netlayer in netlayers}
    if len(named) != len(netlayers):
        raise NetlayerError("two netlayers of one name")
    bounds: Map[str, float] = Map(attrs.asdict(limits) if limits is not None else {})
    policy = may_dial if may_dial is None or isinstance(may_dial, Ref) else spawn(may_dial)
    return spawn(MyCapn, Map(named), spawn(Registry), bounds, float(handshake_timeout), policy)
