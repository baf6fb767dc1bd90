"""tcp-testing-only: plain TCP, for tests of OCapN implementations and for nothing else.

Nothing is authenticated and nothing is encrypted: whoever sits on the way reads and changes all of it,
whoever answers at an address is taken for the peer that was dialled, and whoever dials is believed to
be the peer that it says it is. A swiss number that goes over it is no secret any more. It is here
because the OCapN test suite and Endo speak it.

On the wire are Syrup records, either back to back (framing "none") or each as a Syrup byte string,
`<decimal length>:<record>` (framing "syrup"). A locator does not say which; who dials has to know.
"""

from __future__ import annotations

from typing import Final, get_args

from goblins_py.abc import Asker, Connection, Establisher, Io, Netlayer
from goblins_py.actors import PersistenceEnv, Promise, actor, live
from goblins_py.errors import GoblinsError, NetlayerError
from goblins_py.locators import PeerLocator
from netlayers._tcp_meeting import TRANSPORT, Framing, dial, read_address, serve

__all__ = ["TcpTestingOnlyNetlayer", "tcp_testing_only_env"]

_FRAMINGS: Final = get_args(Framing)


@actor
class TcpTestingOnlyNetlayer(Netlayer):
    """FOR TESTS ONLY: listens and dials by plain TCP, without any authentication or encryption.

    Restored, it has the same designator and port.

    Args:
        designator: any text; give each peer its own.
        host: the IP address to listen on, or "localhost" for both loopback addresses; it goes into
            our locator, as it is.
        port: TCP port, 1 to 65535; None takes a free one, and keeps it.
        framing: of the connections that we dial: "none" or "syrup". Those made to us are what the
            peer's first byte says.
        listen: False only dials: our locator then has no hints.
    """

    designator: str
    host: str = "127.0.0.1"
    port: int | None = None
    framing: Framing = "none"
    listen: bool = True
    _io: Io | None = live()

    def netlayer_name(self) -> str:
        """See `Netlayer.netlayer_name`."""
        return TRANSPORT

    def setup(self, io: Io, establisher: Establisher) -> None:
        """See `Netlayer.setup`.

        Raises:
            NetlayerError: the configuration makes no sense, or the port cannot be bound.
        """
        self._check()
        if self.listen:
            sockets = io.listen(self.host, self.port or 0)
            self.port = sockets[0].getsockname()[1]
            io.start(serve, tuple(sockets), establisher)
        self._io = io

    def our_location(self) -> PeerLocator:
        """See `Netlayer.our_location`. Its hints are `host` and `port`."""
        self._ready()
        if not self.listen:
            return PeerLocator(TRANSPORT, self.designator, None)
        return PeerLocator(TRANSPORT, self.designator, {"host": self.host, "port": str(self.port)})

    def can_reach(self, locator: PeerLocator) -> bool:
        """See `Netlayer.can_reach`. Whoever only dials has no hints."""
        try:
            read_address(locator)
        except GoblinsError:
            return False
        return True

    def connect_to(self, locator: PeerLocator, asked_by: Asker | None = None) -> Promise[Connection]:
        """See `Netlayer.connect_to`. The hints `host` and `port` are dialled; nobody is proved."""
        io = self._ready()
        return io.start(_connect, io, locator, self.framing, asked_by)

    def _ready(self) -> Io:
        if self._io is None:
            raise NetlayerError(f"this {TRANSPORT} netlayer is not set up yet")
        return self._io

    def _check(self) -> None:
        if not self.designator:
            raise NetlayerError(f"{TRANSPORT} needs a designator")
        if self.framing not in _FRAMINGS:
            raise NetlayerError(f"the framing is one of {', '.join(_FRAMINGS)}")
        if self.port is not None and not 0 < self.port < 65536:
            raise NetlayerError(f"{self.port} is no port number")


tcp_testing_only_env = PersistenceEnv(TcpTestingOnlyNetlayer)
"""What a persistent vat needs to save and restore a `TcpTestingOnlyNetlayer`."""


async def _connect(io: Io, locator: PeerLocator, framing: Framing, asked_by: Asker | None) -> Connection:
    return await dial(io, locator, framing, asked_by=asked_by)
