"""loopback: peers in one process, over a network in memory that tests can slow, cut and heal.

    network = LoopbackNetwork()

    def alice():
        netlayer = spawn(LoopbackNetlayer, "alice")
        netlayer.attach(network)
        return spawn_mycapn(netlayer)

The network is no value, so it is no state: a restored netlayer waits until it is attached again.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from goblins_py.abc import Asker, Connection, Establisher, Io, NearOnly, Netlayer
from goblins_py.actors import PersistenceEnv, Promise, actor, live
from goblins_py.errors import ConnectFailedError, NetlayerError, UnknownTransportError
from goblins_py.locators import PeerLocator
from netlayers._loopback_link import Link, LoopbackConnection, connect

__all__ = ["LoopbackNetlayer", "LoopbackNetwork", "loopback_env"]

TRANSPORT = "loopback"

DIAL_TIMEOUT = 10.0
"""Seconds after which a dial over a partitioned link fails."""

_Arrivals = trio.MemoryReceiveChannel[LoopbackConnection]


class LoopbackNetwork(NearOnly):
    """A network for one run of trio. Peers are known by any designators; links exist by being named.

    Args:
        chunk: the most bytes that one receive returns. 1 exercises stream decoders.
    """

    def __init__(self, *, chunk: int = 64 * 1024) -> None:
        self._chunk = chunk
        self._links: dict[frozenset[str], Link] = {}
        self._members: dict[str, trio.MemorySendChannel[LoopbackConnection]] = {}

    def set_delay(self, a: str, b: str, seconds: float) -> None:
        """From now on what `a` and `b` send each other takes so long, each way."""
        self._link(a, b).delay = seconds

    def partition(self, a: str, b: str) -> None:
        """Hold back all that `a` and `b` send each other, and let no dial through, until `heal`."""
        self._link(a, b).partitioned = True

    def heal(self, a: str, b: str) -> None:
        """End a partition: what was held back arrives."""
        link = self._link(a, b)
        link.partitioned = False
        link.changed.unpark_all()

    def drop(self, a: str, b: str) -> None:
        """Break the connections between `a` and `b`; what was under way is lost."""
        self._link(a, b).drop()

    def close(self) -> None:
        """Break all connections, and take no more dials."""
        for link in self._links.values():
            link.drop()
        for arrivals in self._members.values():
            arrivals.close()
        self._members.clear()

    def join(self, designator: str) -> _Arrivals:
        """Be reachable as `designator`, in the place of whoever was before: a restarted peer.

        Returns:
            Where our ends of the connections that are made to us arrive. Close it to leave.
        """
        inlet, outlet = trio.open_memory_channel[LoopbackConnection](math.inf)
        former = self._members.pop(designator, None)
        if former is not None:
            former.close()
        self._members[designator] = inlet
        return outlet

    async def dial(self, caller: str, callee: str) -> Connection:
        """Connect; takes one way there and one back.

        Raises:
            ConnectFailedError: nobody is reachable as `callee`, or the link stayed
                partitioned for `DIAL_TIMEOUT`. Nothing stays open.
        """
        link = self._link(caller, callee)
        with trio.move_on_after(DIAL_TIMEOUT):
            await trio.sleep(2 * link.delay)
            while link.partitioned:
                await link.changed.park()
            return self._connect(link, caller, callee)
        raise _failure(callee, f"no answer within {DIAL_TIMEOUT:g} s")

    def _connect(self, link: Link, caller: str, callee: str) -> Connection:
        arrivals = self._members.get(callee)
        if arrivals is None or arrivals.statistics().open_receive_channels == 0:
            raise _failure(callee, "nobody listens")
        ours, theirs = connect(link, caller, callee)
        arrivals.send_nowait(theirs)
        return ours

    def _link(self, a: str, b: str) -> Link:
        return self._links.setdefault(frozenset((a, b)), Link(self._chunk))


@actor
class LoopbackNetlayer(Netlayer):
    """A peer on a `LoopbackNetwork`; `attach` it before it is used. Both ends are always proved.

    Args:
        designator: any text without a dot that is unique on the network.
    """

    designator: str
    _network: LoopbackNetwork | None = live()
    _io: Io | None = live()
    _establisher: Establisher | None = live()

    def attach(self, network: LoopbackNetwork) -> None:
        """Join a network; before or after `setup`, and again after a restore."""
        self._network = network
        self._serve_if_ready()

    def netlayer_name(self) -> str:
        """See `Netlayer.netlayer_name`."""
        return TRANSPORT

    def setup(self, io: Io, establisher: Establisher) -> None:
        """See `Netlayer.setup`. Accepts nothing until it is attached."""
        self._io, self._establisher = io, establisher
        self._serve_if_ready()

    def our_location(self) -> PeerLocator:
        """See `Netlayer.our_location`. It has no hints."""
        return PeerLocator(TRANSPORT, self.designator, None)

    def can_reach(self, locator: PeerLocator) -> bool:
        """See `Netlayer.can_reach`. Everybody listens."""
        return locator.transport == TRANSPORT

    def connect_to(self, locator: PeerLocator, asked_by: Asker | None = None) -> Promise[Connection]:
        """See `Netlayer.connect_to`. Breaks with `NetlayerError` while it is not attached."""
        if self._io is None:
            raise NetlayerError("this loopback netlayer is not set up yet")
        return self._io.start(_dial, self._network, self.designator, locator)

    def _serve_if_ready(self) -> None:
        if self._network is not None and self._io is not None and self._establisher is not None:
            self._io.start(_serve, self._network.join(self.designator), self._establisher.run)


loopback_env = PersistenceEnv(LoopbackNetlayer)
"""What a persistent vat needs to save and restore a `LoopbackNetlayer`."""


async def _dial(network: LoopbackNetwork | None, caller: str, locator: PeerLocator) -> Connection:
    if locator.transport != TRANSPORT:
        raise UnknownTransportError(f"loopback cannot dial {locator.transport}")
    if network is None:
        raise NetlayerError("this loopback netlayer is not attached to a network")
    return await network.dial(caller, locator.designator)


async def _serve(arrivals: _Arrivals, run: Callable[[Connection], Awaitable[None]]) -> None:
    """Run a session for each connection that arrives, until cancelled or replaced."""
    async with trio.open_nursery() as nursery:
        try:
            async for connection in arrivals:
                nursery.start_soon(run, connection)
        finally:
            _turn_away(arrivals)


def _turn_away(arrivals: _Arrivals) -> None:
    """Close what has not been taken up, so that nobody waits for us at the other end."""
    with arrivals, suppress(trio.WouldBlock, trio.EndOfChannel):
        while True:
            arrivals.receive_nowait().close()


def _failure(callee: str, reason: str) -> ConnectFailedError:
    error = ConnectFailedError(f"cannot connect to {callee} by loopback")
    error.add_note(f"{callee}: {reason}")
    return error
