"""Netlayers: actors that make connections, and know nothing of what goes over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar

import attrs

from goblins_py.abc._asker import Asker
from goblins_py.abc._io import Io
from goblins_py.actors import NearOnly, Promise
from goblins_py.locators import PeerLocator

__all__ = [
    "UNPROVED",
    "WITHOUT_IDENTITIES",
    "Connection",
    "Establisher",
    "Netlayer",
    "Proof",
    "ProofKind",
]


class ProofKind(Enum):
    """How much the far end of a connection has shown of who it is."""

    PROVED = "proved"
    """Its designator was checked by the netlayer (we dialled it, or it proved its own)."""
    UNPROVED = "unproved"
    """It dialled us and has shown nothing: what it claims of its location is not believed."""
    WITHOUT_IDENTITIES = "without identities"
    """The transport knows no identities; a claim is believed for what it is worth."""


@attrs.frozen
class Proof:
    """What a connection proves of its far end; see `ProofKind`.

    Attributes:
        designator: the proved designator; None unless kind is PROVED.
    """

    kind: ProofKind
    designator: str | None = None

    @classmethod
    def of(cls, designator: str) -> Proof:
        """The proof that the far end is the peer with this designator."""
        return cls(ProofKind.PROVED, designator)


UNPROVED = Proof(ProofKind.UNPROVED)
WITHOUT_IDENTITIES = Proof(ProofKind.WITHOUT_IDENTITIES)


class Connection(NearOnly, ABC):
    """Bytes both ways, in order. One task may send while another receives, no more of each."""

    message_oriented: ClassVar[bool] = False
    """True: each `send` and each `receive` is one whole CapTP message. Else any split."""

    notices_loss: ClassVar[bool] = False
    """True: it breaks in time when the far end disappears silently, as with TCP's keepalive.
    Else the session asks an idle peer now and then for a sign of life."""

    @property
    @abstractmethod
    def proof(self) -> Proof:
        """What the netlayer knows of the far end. Never changes."""

    @property
    def remote_address(self) -> str | None:
        """The IP address of the far end, as the system sees it; None if there is none, or it is hidden.

        What a peer may make us dial depends on it. Never changes. Optional: the default is None.
        """
        return None

    @property
    def why_lost(self) -> str | None:
        """Why `send` and `receive` raise BrokenResourceError, if the netlayer knows. Optional."""
        return None

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send all of `data`; returns when the system has taken it.

        Raises:
            trio.BrokenResourceError: the connection is lost. trio.ClosedResourceError: we
                closed it. After either, and after cancellation, nothing more can be sent.
        """

    def send_nowait(self, data: bytes) -> int:
        """Send what the system takes at once, without waiting, and say how many bytes that was.

        Raises: as `send`, but never Cancelled. Not while a `send` is under way. Optional: the
        default takes nothing; message-oriented connections take all or nothing.
        """
        return 0

    @abstractmethod
    async def receive(self) -> bytes:
        """Wait for bytes (at most 64 KiB of a stream; one message if message-oriented).

        Returns:
            What came; empty at the end of the stream, then always.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: as `send`. After cancellation
            nothing is lost: the next call goes on.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close, telling the far end if that needs no waiting. Idempotent; closed even if cancelled."""


class Establisher(NearOnly, ABC):
    """The runtime's end of a netlayer: makes a CapTP session of an accepted connection."""

    @abstractmethod
    async def run(self, connection: Connection) -> None:
        """Run CapTP over a connection that was made *to* us until it ends, then close it.

        Never raises but for cancellation; several run at the same time, each in a task of the
        netlayer's nursery.
        """


class Netlayer(ABC):
    """The messages of a netlayer. Its class is an `@actor` that has these methods.

    Configuration and identity (keys, certificate, the port really got) are its state fields,
    so that a restored netlayer has the same designator and address. Listeners and connections
    live in `live()` fields. All are near calls made in turns of the vat that it lives in.
    """

    @abstractmethod
    def netlayer_name(self) -> str:
        """The transport, e.g. "tcp-tls". Constant, and known before `setup`."""

    @abstractmethod
    def setup(self, io: Io, establisher: Establisher) -> None:
        """Make keys if there are none, bind, start accepting. Called once after spawn or restore.

        Raises:
            NetlayerError: e.g. the port is in use. mycapn reports it to whoever registers.
        """

    @abstractmethod
    def our_location(self) -> PeerLocator | Promise[PeerLocator]:
        """The locator that others reach us by, with hints; after `setup`."""

    @abstractmethod
    def can_reach(self, locator: PeerLocator) -> bool:
        """Could `connect_to` try this locator, by what it says? Pure, and before `setup` as well.

        False of a peer that only dials: its objects are not given to others as somebody to connect to.
        """

    @abstractmethod
    def connect_to(self, locator: PeerLocator, asked_by: Asker | None = None) -> Promise[Connection]:
        """Dial a peer; after `setup`.

        Args:
            asked_by: the peer that makes us dial, to be passed on to `Io.dial`; None if our own program does.

        Returns:
            A promise of a connection whose proof is for `locator.designator` (or that has no
            identities). It breaks with `InvalidHintError`, `ConnectFailedError` (one note per
            address tried) or `DesignatorMismatchError`; then nothing stays open.
        """
