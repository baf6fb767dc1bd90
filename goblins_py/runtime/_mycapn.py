"""mycapn: the actor through which a vat gives out and enlivens sturdyrefs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import attrs

from goblins_py.abc import Asker
from goblins_py.actors import (
    PersistenceEnv,
    Promise,
    Ref,
    actor,
    live,
    on,
    require_turn,
    send,
    spawn,
)
from goblins_py.captp import Session, SessionLimits
from goblins_py.errors import (
    HandoffError,
    LocatorError,
    NetlayerError,
    UnknownSwissNumError,
    UnknownTransportError,
)
from goblins_py.locators import PeerLocator, Sturdyref, parse_uri
from goblins_py.runtime._introductions import Introductions
from goblins_py.runtime._switchboard import HANDSHAKE_TIMEOUT, Switchboard
from goblins_py.syrup import Map, Symbol

__all__ = ["Bootstrap", "MyCapn", "Registry", "mycapn_env", "spawn_mycapn"]

_SWISS_BYTES: Final = 32

_log = logging.getLogger("goblins_py.runtime")


@actor
class Registry:
    """Objects by swiss number. Whoever has this can reach everything that is registered."""

    _objects: Map[bytes, Ref[Any]] = Map()
    _numbers: Map[Ref[Any], bytes] = Map()

    def register(self, ref: Ref[Any], swiss_num: bytes | None = None) -> bytes:
        """Register an object.

        Args:
            swiss_num: of your own choice; None makes 32 random bytes.

        Returns:
            Its swiss number; the old one if it is registered already.
        """
        _check_reference(ref)
        known = self._numbers.get(ref)
        if known is not None:
            return known
        _check_swiss_num(swiss_num)
        number = swiss_num or require_turn().home.host.random_bytes(_SWISS_BYTES)
        if number in self._objects:
            raise ValueError("another object is registered under this swiss number")
        self._objects = self._objects.set(number, ref)
        self._numbers = self._numbers.set(ref, number)
        return number

    def fetch(self, swiss_num: bytes) -> Ref[Any]:
        """The object. Raises `UnknownSwissNumError`."""
        ref = self._objects.get(swiss_num)
        if ref is None:
            raise UnknownSwissNumError("no object is registered under this swiss number")
        return ref

    def unregister(self, ref: Ref[Any]) -> bool:
        """Forget an object: its sturdyrefs are worth nothing from now on. False if it was not registered."""
        number = self._numbers.get(ref)
        if number is None:
            return False
        self._objects = self._objects.delete(number)
        self._numbers = self._numbers.delete(ref)
        return True


def _check_swiss_num(number: object) -> None:
    if number is not None and type(number) is not bytes:
        raise TypeError("a swiss number is bytes")


def _check_reference(ref: object) -> None:
    if not isinstance(ref, Ref):
        raise TypeError("only references can be registered, not promises or values")


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

    def register(self, ref: Ref[Any], transport: str | Symbol) -> Promise[Sturdyref]:
        """Make an object reachable.

        Args:
            transport: the name of the netlayer that it shall be reached by.

        Returns:
            A promise of its sturdyref, the same for every time.

        Raises:
            UnknownTransportError: no such netlayer. NetlayerError: it could not be set up.
        """
        netlayer = self._netlayer(_name(transport))
        number: bytes = self._registry.register(ref)
        return on(netlayer.our_location(), lambda location: Sturdyref(location, number))

    def enliven(self, target: Sturdyref | str, asked_by: Ref[Any] | None = None) -> Promise[Any]:
        """A promise of the object behind a sturdyref or its URI; an object of our own is itself.

        Args:
            asked_by: an object of the peer that makes us dial, as a relay's client does: what it may make us
                dial is limited (see `spawn_mycapn`). None if our own program does.

        Raises:
            LocatorError: malformed. UnknownTransportError: no netlayer for it. The promise breaks with
                `ConnectFailedError`, `DesignatorMismatchError`, or if the peer does not know the object.
        """
        sturdyref = _sturdyref(target)
        ours = self._netlayer(sturdyref.peer.transport).our_location()
        return on(ours, lambda location: self._fetch(sturdyref, location, asked_by))

    def _fetch(self, sturdyref: Sturdyref, ours: PeerLocator, asked_by: Ref[Any] | None) -> object:
        if ours == sturdyref.peer:
            return self._registry.fetch(sturdyref.swiss_num)
        return send(self._connect(sturdyref.peer, asked_by)).fetch(sturdyref.swiss_num)

    def connect_to_peer(self, target: PeerLocator | str) -> Promise[Any]:
        """A promise of a peer's bootstrap object. Raises as `enliven`."""
        locator = parse_uri(target) if isinstance(target, str) else target
        if not isinstance(locator, PeerLocator):
            raise LocatorError("this is a sturdyref, where a peer's locator belongs")
        self._netlayer(locator.transport)
        return self._connect(locator)

    def _connect(self, locator: PeerLocator, asked_by: Ref[Any] | None = None) -> Promise[Any]:
        if self._switchboard is None:
            raise NetlayerError("mycapn has not started yet")
        asker = None if asked_by is None else self._switchboard.asker_behind(asked_by)
        return self._switchboard.connect(locator, asker)

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
        """The registry: `register`, `fetch`, `unregister`."""
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
    MyCapn, Registry, leaves={"ocapn-peer": PeerLocator, "ocapn-sturdyref": Sturdyref}
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
