"""`Io`: the outside world, as one capability."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, TypeVarTuple

from goblins_py.abc._asker import Asker
from goblins_py.actors import NearOnly, Promise

__all__ = ["Io"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Io(NearOnly, ABC):
    """What an actor needs to touch the world outside its vat.

    It is handed to an actor by whoever has it, never found. It may be passed to near
    objects only, and is kept in `live()` fields. The runtime has one for each vat; tests
    may bring their own.
    """

    @abstractmethod
    def listen(self, host: str | None, port: int) -> Sequence[socket.socket]:
        """Bind and listen on TCP; may be called in a turn (it does not wait).

        Args:
            host: an IP address to bind; None for all interfaces, "localhost" for both loopback
                addresses: IPv4 and IPv6 on one port number (one of them where the other is missing).
            port: 1 to 65535, or 0 for any free one.

        Returns:
            The listening sockets, non-blocking, all on one port. Whoever asked closes them;
            the vat closes what is left when it ends.

        Raises:
            NetlayerError: the port is in use, or may not be bound; the text names it.
                Nothing stays bound.
        """

    @abstractmethod
    async def dial(self, host: str, port: int, asked_by: Asker | None = None) -> socket.socket:
        """Connect by TCP, all addresses of `host` tried as RFC 8305 says (happy eyeballs).

        Args:
            asked_by: the peer that makes us dial: addresses that it may not make us reach are not tried.
                None if our own program does.

        Returns:
            A connected, non-blocking socket with TCP_NODELAY set. The caller closes it.

        Raises:
            OSError: none of the addresses answered, or may be tried. Cancelled: nothing stays open.
        """

    @abstractmethod
    def start(self, async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> Promise[T]:
        """Run trio code beside the vat, from within a turn of it or from a started task.

        The task starts when the turn's effects are released (never, if the turn fails) and is
        cancelled when the vat ends. It must not touch actors but through `send`.

        Returns:
            A promise of what the task returns, `NearOnly` things included. It breaks with
            what the task raises.
        """

    @abstractmethod
    def now(self) -> float:
        """Seconds on the vat's clock, which only goes forward, and starts anew with the process."""

    @abstractmethod
    def wall_time(self) -> float:
        """Seconds since 1970 by a clock that people set: for what counts across restarts. It may jump."""

    @abstractmethod
    def random_bytes(self, count: int) -> bytes:
        """`count` bytes that nobody can guess."""
