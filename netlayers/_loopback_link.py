"""A network in memory: links with delay, partitions and losses, and the connections over them.

For tests, and to play in one process: everything belongs to one run of trio. Times are
trio's, so that a `MockClock` makes them exact.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

import attrs
import trio

from goblins_py.abc import Connection, Proof

__all__ = ["Link", "LoopbackConnection", "connect"]

_CAPACITY = 64 * 1024
"""Bytes under way in one direction before a sender has to wait."""


@attrs.define(eq=False)
class Link:
    """What lies between two peers; all their connections share it.

    Attributes:
        delay: seconds from send to receive, one way.
        partitioned: nothing arrives, until it is healed.
        chunk: the most bytes that one receive returns.
        changed: whoever waits for anything here.
    """

    chunk: int
    delay: float = 0.0
    partitioned: bool = False
    changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, repr=False)
    connections: set[LoopbackConnection] = attrs.field(factory=set, repr=False)

    def drop(self) -> None:
        """Break all connections: both ends get `trio.BrokenResourceError`."""
        for connection in self.connections:
            connection.lose()
        self.connections.clear()
        self.changed.unpark_all()


@attrs.define(eq=False)
class _Pipe:
    """One direction: bytes and when they arrive. An empty item is the end."""

    link: Link
    items: deque[tuple[float, memoryview]] = attrs.field(factory=deque)
    size: int = 0
    abandoned: bool = False  # nobody will take any more

    def put(self, data: bytes) -> None:
        self.items.append((trio.current_time() + self.link.delay, memoryview(data)))
        self.size += len(data)
        self.link.changed.unpark_all()

    def due(self) -> float:
        """When there is something to take, as far as is known now."""
        return math.inf if self.link.partitioned or not self.items else self.items[0][0]

    def take(self) -> bytes:
        """What has arrived; the end stays."""
        when, data = self.items[0]
        if not data:
            return b""
        self.items.popleft()
        taken, rest = data[: self.link.chunk], data[self.link.chunk :]
        if rest:
            self.items.appendleft((when, rest))
        self.size -= len(taken)
        self.link.changed.unpark_all()
        return bytes(taken)


class _State(Enum):
    OPEN = "open"
    LOST = "lost"
    CLOSED = "closed"


class LoopbackConnection(Connection):
    """One end of a connection in memory; `connect` makes both."""

    def __init__(self, link: Link, incoming: _Pipe, outgoing: _Pipe, peer: str) -> None:
        self._link = link
        self._incoming = incoming
        self._outgoing = outgoing
        self._proof = Proof.of(peer)
        self._state = _State.OPEN
        link.connections.add(self)

    @property
    def proof(self) -> Proof:
        """See `Connection.proof`: the designator of the other end."""
        return self._proof

    async def send(self, data: bytes) -> None:
        """See `Connection.send`."""
        await trio.lowlevel.checkpoint()
        try:
            while data := data[self.send_nowait(data) :]:
                await self._link.changed.park()
        except trio.Cancelled:
            self.lose()  # part of it is out: what came after it would be garbage
            raise

    def send_nowait(self, data: bytes) -> int:
        """See `Connection.send_nowait`."""
        self._check()
        if self._outgoing.abandoned:
            raise trio.BrokenResourceError("the far end hung up")
        taken = data[: _CAPACITY - self._outgoing.size]
        if taken:
            self._outgoing.put(taken)
        return len(taken)

    async def receive(self) -> bytes:
        """See `Connection.receive`. It returns at most the network's chunk size."""
        await trio.lowlevel.checkpoint()
        self._check()
        while (due := self._incoming.due()) > trio.current_time():
            with trio.move_on_at(due):
                await self._link.changed.park()
            self._check()
        return self._incoming.take()

    async def aclose(self) -> None:
        """See `Connection.aclose`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """The same at once; for connections that nobody has seen yet."""
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._outgoing.put(b"")
            self._incoming.abandoned = True
            self._link.connections.discard(self)
            self._link.changed.unpark_all()

    def lose(self) -> None:
        """Break this end, as the network does."""
        if self._state is _State.OPEN:
            self._state = _State.LOST

    def _check(self) -> None:
        match self._state:
            case _State.CLOSED:
                raise trio.ClosedResourceError("this connection was closed here")
            case _State.LOST:
                raise trio.BrokenResourceError("the network dropped this connection")
            case _State.OPEN:
                pass


def connect(link: Link, caller: str, callee: str) -> tuple[LoopbackConnection, LoopbackConnection]:
    """A new connection over `link`: the caller's end and the callee's."""
    there, back = _Pipe(link), _Pipe(link)
    return LoopbackConnection(link, back, there, callee), LoopbackConnection(link, there, back, caller)
