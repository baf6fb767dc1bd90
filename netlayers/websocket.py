"""websocket: peers known by their Ed25519 keys, as Guile Goblins and Endo speak it; the way in for browsers.

A listener signs what a dialler made up, with the key that its designator is; then each CapTP message is a
binary message, over TLS unless told otherwise. Here is the actor, that is: configuration, identity and
messages. The work is done outside of turns, by `_websocket_listener` and `_websocket_dialler`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Final

import attrs
import trio

from goblins_py.abc import UNPROVED, WITHOUT_IDENTITIES, Asker, Connection, Establisher, Io, Netlayer
from goblins_py.actors import PersistenceEnv, Promise, actor, live
from goblins_py.errors import GoblinsError, InvalidHintError, NetlayerError
from goblins_py.locators import PeerLocator
from netlayers._certificate_sources import CertificateSource, PemFiles, SelfSigned
from netlayers._listening_host import address_to_bind, is_reachable
from netlayers._websocket_auth import DesignatorKey
from netlayers._websocket_dialler import WebsocketDialler
from netlayers._websocket_door import Door, read_site
from netlayers._websocket_keepalive import Keepalive
from netlayers._websocket_listener import WebsocketListener, WebsocketTerms
from netlayers._websocket_tls import server_context
from netlayers._websocket_url import TRANSPORT, authority, origin_of, read_target, read_url

__all__ = ["WebsocketNetlayer", "websocket_env"]

logger = logging.getLogger(__name__)

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@actor
class WebsocketNetlayer(Netlayer):
    """Listens for websockets on a TCP port, and dials. Restored, it has the same designator and port.

    Args:
        host: the name or address that others reach us by: goes into our locator's URL. Needed to listen.
        port: TCP port, 1 to 65535; None takes a free one, and keeps it.
        url: what our locator says instead of `wss://host:port`, as it stands: behind a reverse proxy.
        path: where on the server the websocket is; None is the path of `url`, or `/`.
        max_connections: established ones; further ones are closed at once. As many handshakes
            at a time, of which the oldest gives way.
        encrypted: listen with TLS. Without it, let a reverse proxy do TLS, or listen on loopback only.
        verify_certificates: as a dialler, insist that nobody listens in: over TLS with a certificate that is
            the designator's own or an authority's, or `ws://` within this machine. False dials anything.
        certificate: where the TLS certificate comes from: `SelfSigned()` or `PemFiles(cert, key)`.
        designator_key: 32 random bytes, the seed of the Ed25519 key that we are known by; None makes them in
            `setup`.
        allow_origins: origins (`https://example.com`) whose pages in browsers may connect, beside our own.
        site: a folder whose files plain HTTP requests get; `index.html` is in it.
        bind: the IP address to listen on; None is loopback if `host` is loopback, else all
            interfaces, IPv4 and IPv6 on one port number.
        listen: False only dials: our locator then has no hints.
        max_message_size: bytes of one message of a peer; a larger one ends the connection.
        trust_claims: believe a dialler that proves nothing about who it is, as Guile Goblins does:
            anybody may then pass for a peer that is not connected. One that proves another is not believed.
    """

    host: str | None = None
    port: int | None = None
    url: str | None = None
    path: str | None = None
    max_connections: int = 1024
    encrypted: bool = True
    verify_certificates: bool = True
    certificate: CertificateSource = SelfSigned()
    designator_key: bytes | None = None
    allow_origins: tuple[str, ...] = ()
    site: str | None = None
    bind: str | None = None
    listen: bool = True
    max_message_size: int = 8 * 2**20
    trust_claims: bool = False
    _dialler: WebsocketDialler | None = live()
    _listener: WebsocketListener | None = live()
    _watching: trio.CancelScope | None = live()

    def netlayer_name(self) -> str:
        """See `Netlayer.netlayer_name`."""
        return TRANSPORT

    def setup(self, io: Io, establisher: Establisher) -> None:
        """See `Netlayer.setup`. Makes key and certificate if there are none, and binds.

        Raises:
            NetlayerError: the configuration makes no sense, the certificate cannot be used, or the
                port cannot be bound.
        """
        self._check()
        seed = io.random_bytes(32) if self.designator_key is None else self.designator_key
        key, keepalive = DesignatorKey.from_seed(seed), Keepalive()
        self.designator_key = seed
        if self.listen:
            self._start_listening(io, establisher, key, keepalive=keepalive)
        io.start(keepalive.run)
        self._dialler = WebsocketDialler(key, io, keepalive, self.verify_certificates, self.max_message_size)

    def our_location(self) -> PeerLocator:
        """See `Netlayer.our_location`. Its one hint is `url`."""
        designator = self._ready().key.designator
        return PeerLocator(TRANSPORT, designator, {"url": self._announced()} if self.listen else None)

    def can_reach(self, locator: PeerLocator) -> bool:
        """See `Netlayer.can_reach`. Whoever only dials has no hints."""
        try:
            read_target(locator)
        except GoblinsError:
            return False
        return True

    def connect_to(self, locator: PeerLocator, asked_by: Asker | None = None) -> Promise[Connection]:
        """See `Netlayer.connect_to`. The hint `url` is dialled, as it stands."""
        dialler = self._ready()
        return dialler.io.start(_connect, dialler, locator, asked_by)

    def reload_certificate(self) -> None:
        """Show what the source has now, as after SIGHUP. Sessions go on.

        Raises:
            NetlayerError: the new one cannot be used; the old one is shown on.
        """
        if self._listener is not None and self.encrypted:
            host = self._certified_host()
            certificate = self.certificate.load(self._ready().key, host)
            self._listener.context = server_context(certificate)
            logger.info("the certificate for %s was loaded again", host)

    def reconfigure(
        self,
        *,
        url: str | None = None,
        pem_files: tuple[str, str] | None = None,
        allow_origins: tuple[str, ...] | None = None,
    ) -> None:
        """Change what is no part of who we are; what is None stays. Sessions go on.

        Args:
            pem_files: paths as of `PemFiles`, which is the source of certificates from then on.

        Raises:
            NetlayerError: it makes no sense, or the certificate cannot be used; nothing is changed.
        """
        if url is not None:
            _check_url(url)
        for origin in allow_origins or ():
            _read_origin(origin)
        source = self.certificate if pem_files is None else PemFiles(*pem_files)
        host, context = self._certified_host(url), None
        if self._listener is not None and self.encrypted:
            key = self._ready().key
            source = source.prepared(key, host)
            context = server_context(source.load(key, host))
        self.url, self.certificate = url or self.url, source
        self.allow_origins = self.allow_origins if allow_origins is None else allow_origins
        if self._listener is not None:
            self._listener.context = context
            terms = self._listener._terms
            door = attrs.evolve(terms.door, path=self._path(), origins=self._origins())
            self._listener._terms = attrs.evolve(terms, door=door)
            self._watch_certificate(self._ready().io, self._listener, self._ready().key)

    def statistics(self) -> Mapping[str, int]:
        """How many connections were accepted, established, refused…; see `Statistics`.

        `requests` are plain HTTP requests that were answered, with a page or without.
        """
        if self._listener is None:
            return {}
        counts: dict[str, int] = attrs.asdict(self._listener.statistics)
        counts["requests"] = self._listener.pages
        counts["handshake_failed"] -= self._listener.pages
        return counts

    def _ready(self) -> WebsocketDialler:
        if self._dialler is None:
            raise NetlayerError(f"this {TRANSPORT} netlayer is not set up yet")
        return self._dialler

    def _check(self) -> None:
        if self.listen and not self.host:
            raise NetlayerError(f"{TRANSPORT} needs the host that others reach it by, or listen=False")
        if self.listen and not is_reachable(str(self.host)):
            raise NetlayerError(f"{str(self.host)[:80]!r} is no name or address that others could dial")
        if self.port is not None and not 0 < self.port < 65536:
            raise NetlayerError(f"{self.port} is no port number")
        if self.max_connections < 1:
            raise NetlayerError("max_connections must be at least 1")
        if self.path is not None and not self.path.startswith("/"):
            raise NetlayerError("the path begins with a slash")
        if self.url is not None:
            _check_url(self.url)
        for origin in self.allow_origins:
            _read_origin(origin)

    def _start_listening(
        self, io: Io, establisher: Establisher, key: DesignatorKey, *, keepalive: Keepalive
    ) -> None:
        host, site, context = self._certified_host(), read_site(self.site), None
        if self.encrypted:
            source = self.certificate.prepared(key, host)
            context = server_context(source.load(key, host))
            self.certificate = source
        sockets = io.listen(self.bind or address_to_bind(self.host), self.port or 0)
        self.port = sockets[0].getsockname()[1]
        door = Door(self._path(), self._origins(), site)
        unproved = WITHOUT_IDENTITIES if self.trust_claims else UNPROVED
        terms = WebsocketTerms(key, door, self.max_message_size, unproved)
        self._listener = WebsocketListener(
            terms, establisher, self.max_connections, keepalive=keepalive, context=context
        )
        io.start(self._listener.run, tuple(sockets))
        self._watch_certificate(io, self._listener, key)

    def _watch_certificate(self, io: Io, listener: WebsocketListener, key: DesignatorKey) -> None:
        if not self.encrypted:
            return
        if self._watching is not None:
            self._watching.cancel()
        self._watching = trio.CancelScope()
        watch = partial(_watch, scope=self._watching)
        io.start(watch, self.certificate, listener, key, self._certified_host())

    def _announced(self) -> str:
        if self.url is not None:
            return self.url
        path = self._path()
        return f"{self._base()}:{self.port}{'' if path == '/' else path}"

    def _base(self) -> str:
        return f"{'wss' if self.encrypted else 'ws'}://{authority(str(self.host).strip('[]'))}"

    def _path(self) -> str:
        if self.path is not None:
            return self.path
        return "/" if self.url is None else read_url(self.url).path.partition("?")[0]

    def _certified_host(self, url: str | None = None) -> str:
        """What a certificate has to be for: behind a proxy that passes TLS on, the name in the URL."""
        return read_url(url or self.url or self._base()).host

    def _origins(self) -> frozenset[str]:
        """Whose pages may connect: those that are served from where we are reached, and those allowed."""
        here = read_url(f"{self._base()}:{self.port}")
        hosts = _LOOPBACK_NAMES if here.host in _LOOPBACK_NAMES else {here.host}
        ours = [attrs.evolve(here, host=host) for host in hosts]
        if self.url is not None:
            ours.append(read_url(self.url))
        return frozenset([*map(origin_of, ours), *map(_read_origin, self.allow_origins)])


websocket_env = PersistenceEnv(WebsocketNetlayer, SelfSigned, PemFiles)
"""What a persistent vat needs to save and restore a `WebsocketNetlayer`."""


def _check_url(url: str) -> None:
    try:
        read_url(url)
    except InvalidHintError as error:
        raise NetlayerError(f"url: {error}") from None


def _read_origin(origin: str) -> str:
    """An origin as browsers write it: scheme, host, and a port that is not the scheme's own."""
    text = origin.lower().rstrip("/")
    found = _ORIGIN.fullmatch(text)
    host, port = (found["host"], int(found["port"] or 0)) if found else ("", 0)
    if found is None or not is_reachable(host) or port > 65535:
        raise NetlayerError(f"{origin[:80]!r} is no origin: one is written https://example.com")
    is_default = port == _DEFAULT_PORTS.get(found["scheme"])
    return text.removesuffix(f":{found['port']}") if is_default else text


async def _connect(dialler: WebsocketDialler, locator: PeerLocator, asked_by: Asker | None) -> Connection:
    return await dialler.dial(locator, asked_by=asked_by)


async def _watch(
    source: CertificateSource,
    listener: WebsocketListener,
    key: DesignatorKey,
    host: str,
    *,
    scope: trio.CancelScope,
) -> None:
    """Show a new certificate when there is one; keep the old one while there is none that is any good."""

    def renew() -> None:
        try:
            listener.context = server_context(source.load(key, host))
        except NetlayerError as error:
            logger.warning("the new certificate is not used, the old one is kept: %s", error)
        else:
            logger.info("the certificate for %s has changed, and the new one is shown from now on", host)

    with scope:
        await source.watch(renew)
