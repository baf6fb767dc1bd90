"""tcp-tls: peers known by their certificates, as Guile Goblins speaks it.

A listener sends its certificate in clear, then both shake hands by TLS 1.3 pinned to exactly
that certificate, then CapTP goes over the bare stream. The designator is the hash of the
certificate's PEM text. Here is the actor, that is: configuration, identity and messages. The
work is done outside of turns, by `_tls_listener` and `_tls_dialler`.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from goblins_py.abc import UNPROVED, WITHOUT_IDENTITIES, Asker, Connection, Establisher, Io, Netlayer
from goblins_py.actors import PersistenceEnv, Promise, actor, live
from goblins_py.errors import GoblinsError, NetlayerError
from goblins_py.locators import PeerLocator
from netlayers._certificates import canonical_pair
from netlayers._listening_host import address_to_bind, is_reachable
from netlayers._tls_dialler import TRANSPORT, dial, read_target
from netlayers._tls_identity import Identity, make_identity
from netlayers._tls_listener import TlsListener

__all__ = ["TcpTlsNetlayer", "tcp_tls_env"]


@actor
class TcpTlsNetlayer(Netlayer):
    """Listens on a TCP port, and dials. Restored, it has the same designator and port.

    Args:
        host: the name or address that others reach us by: goes into our locator, as it is.
            Needed to listen.
        port: TCP port, 1 to 65535; None takes a free one, and keeps it.
        max_connections: established ones; further ones are closed at once. As many handshakes
            at a time, of which the oldest gives way.
        key: private key (PEM); None makes one in `setup`.
        cert: its certificate (PEM, perhaps a chain); None makes one in `setup`.
        bind: the IP address to listen on; None is loopback if `host` is loopback, else all
            interfaces, IPv4 and IPv6 on one port number.
        listen: False only dials: our locator then has no hints.
        trust_claims: believe a dialler that shows no certificate about who it is, as Guile Goblins does:
            anybody may then pass for a peer that is not connected. One that shows another's is not believed.
    """

    host: str | None = None
    port: int | None = None
    max_connections: int = 1024
    key: str | bytes | None = None
    cert: str | bytes | None = None
    bind: str | None = None
    listen: bool = True
    trust_claims: bool = False
    _io: Io | None = live()
    _identity: Identity | None = live()
    _listener: TlsListener | None = live()

    def netlayer_name(self) -> str:
        """See `Netlayer.netlayer_name`."""
        return TRANSPORT

    def setup(self, io: Io, establisher: Establisher) -> None:
        """See `Netlayer.setup`. Makes key and certificate if there are none, and binds.

        Raises:
            NetlayerError: the configuration makes no sense, the key or certificate cannot be
                used, or the port cannot be bound.
        """
        self._check()
        key, cert = canonical_pair(self.key, self.cert)
        identity = make_identity(key, cert)
        self.key, self.cert = key, cert
        self._io, self._identity = io, identity
        if self.listen:
            unproved = WITHOUT_IDENTITIES if self.trust_claims else UNPROVED
            listener = TlsListener(identity, establisher, self.max_connections, unproved=unproved)
            self._start_listening(io, listener)

    def our_location(self) -> PeerLocator:
        """See `Netlayer.our_location`. Its hints are `host` and `port`."""
        designator = self._ready()[1].designator
        if not self.listen:
            return PeerLocator(TRANSPORT, designator, None)
        return PeerLocator(TRANSPORT, designator, {"host": str(self.host), "port": str(self.port)})

    def can_reach(self, locator: PeerLocator) -> bool:
        """See `Netlayer.can_reach`. Whoever only dials has no hints."""
        try:
            read_target(locator)
        except GoblinsError:
            return False
        return True

    def connect_to(self, locator: PeerLocator, asked_by: Asker | None = None) -> Promise[Connection]:
        """See `Netlayer.connect_to`. The hints `host` and `port` (8088 if missing) are dialled."""
        io, identity = self._ready()
        return io.start(_connect, identity, io, locator, asked_by)

    def statistics(self) -> Mapping[str, int]:
        """How many connections were accepted, established, refused…; see `Statistics`."""
        return {} if self._listener is None else attrs.asdict(self._listener.statistics)

    def _ready(self) -> tuple[Io, Identity]:
        if self._io is None or self._identity is None:
            raise NetlayerError("this tcp-tls netlayer is not set up yet")
        return self._io, self._identity

    def _check(self) -> None:
        if self.listen and not self.host:
            raise NetlayerError("tcp-tls needs the host that others reach it by, or listen=False")
        if self.listen and not is_reachable(str(self.host)):
            raise NetlayerError(f"{str(self.host)[:80]!r} is no name or address that others could dial")
        if self.port is not None and not 0 < self.port < 65536:
            raise NetlayerError(f"{self.port} is no port number")
        if self.max_connections < 1:
            raise NetlayerError("max_connections must be at least 1")

    def _start_listening(self, io: Io, listener: TlsListener) -> None:
        sockets = io.listen(self.bind or address_to_bind(self.host), self.port or 0)
        self.port = sockets[0].getsockname()[1]
        self._listener = listener
        io.start(listener.run, tuple(sockets))


tcp_tls_env = PersistenceEnv(TcpTlsNetlayer)
"""What a persistent vat needs to save and restore a `TcpTlsNetlayer`."""


async def _connect(identity: Identity, io: Io, locator: PeerLocator, asked_by: Asker | None) -> Connection:
    return await dial(identity, io, locator, asked_by=asked_by)
