"""Third-party handoffs: certificates made and checked, as pure functions.

Three roles. The *gifter* holds a reference of the exporter's and gives it to the receiver; the *receiver*
withdraws it; the *exporter* has the object. A give is signed with the gifter's key of its session with the
exporter, and names the receiver's key of *its* session with the gifter; the receiver signs its
withdrawal with that key. So a give is worth nothing to anybody else.

Each refusal is a `HandoffError` whose text says which check failed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import attrs

from goblins_py.actors import Ref
from goblins_py.captp._keys import public_key_value, read_public_key, verify
from goblins_py.captp._records import DescHandoffGive, DescHandoffReceive, DescSigEnvelope, to_record
from goblins_py.errors import HandoffError, LocatorError, RemoteProtocolError
from goblins_py.locators import PeerLocator
from goblins_py.syrup import Record, Value, encode

__all__ = [
    "Given",
    "HandoffSession",
    "Withdrawal",
    "make_give",
    "make_receive",
    "read_give",
    "verify_own_give",
    "verify_withdrawal",
]


class HandoffSession(ABC):
    """What a handoff needs of a session that has started."""

    __slots__ = ()

    @property
    @abstractmethod
    def introducible(self) -> bool:
        """May its peer's objects be given to others? Only if others would reach just this peer."""

    @property
    @abstractmethod
    def session_id(self) -> bytes:
        """The same on both sides."""

    @property
    @abstractmethod
    def our_side(self) -> bytes:
        """Our side's id."""

    @property
    @abstractmethod
    def their_side(self) -> bytes:
        """The peer's side's id."""

    @property
    @abstractmethod
    def our_key(self) -> bytes:
        """Our public key."""

    @property
    @abstractmethod
    def their_key(self) -> bytes:
        """The peer's public key."""

    @property
    @abstractmethod
    def their_location(self) -> Record:
        """The peer's location, as the peer wrote it."""

    @abstractmethod
    def sign(self, data: bytes) -> Value:
        """Sign with our key of this session."""

    @abstractmethod
    def deposit(self, gift_id: bytes, gift: Ref[object]) -> None:
        """Deposit one of the peer's objects with it, for somebody else to withdraw."""


@attrs.frozen
class Given:
    """What a receiver learns from a give.

    Attributes:
        exporter: where the object is.
        envelope: the signed give, to be passed on unchanged.
    """

    exporter: PeerLocator
    envelope: DescSigEnvelope


@attrs.frozen
class Withdrawal:
    """What an exporter learns from a withdrawal that is in order.

    Attributes:
        gifter: the session over which the gift was, or will be, deposited.
        gift_id: of any kind that the gifter chose.
        receiver: the id of the session with the receiver.
        count: to be used once by that receiver, for gifts of this gifter.
    """

    gifter: HandoffSession
    gift_id: object
    receiver: bytes
    count: int


def _seal(thing: DescHandoffGive | DescHandoffReceive, session: HandoffSession) -> DescSigEnvelope:
    return DescSigEnvelope(thing, session.sign(_bytes(thing)))


def _bytes(thing: object) -> bytes:
    return encode(to_record(thing), to_record)


# --- gifter -------------------------------------------------------------------


def make_give(*, exporter: HandoffSession, receiver: HandoffSession, gift_id: bytes) -> DescSigEnvelope:
    """The signed give that stands in the place of a reference of the exporter's."""
    give = DescHandoffGive(
        receiver_key=public_key_value(receiver.their_key),
        exporter_location=exporter.their_location,
        session=exporter.session_id,
        gifter_side=exporter.our_side,
        gift_id=gift_id,
    )
    return _seal(give, exporter)


# --- receiver -----------------------------------------------------------------


def read_give(envelope: DescSigEnvelope, gifter: HandoffSession) -> Given:
    """Read a give that arrived over the session with the gifter.

    Its signature cannot be checked here: the key is known to the exporter only.

    Raises:
        HandoffError: it is none, or not meant for us.
    """
    give = envelope.content
    if not isinstance(give, DescHandoffGive):
        raise HandoffError("a signed envelope that holds no give stands where a reference was expected")
    if give.receiver_key != public_key_value(gifter.our_key):
        raise HandoffError("the give is for another receiver's key")
    try:
        return Given(PeerLocator.from_record(give.exporter_location), envelope)
    except LocatorError as error:
        raise HandoffError(f"the give's exporter location is malformed: {error}") from None


def make_receive(
    given: Given, *, gifter: HandoffSession, exporter: HandoffSession, count: int
) -> DescSigEnvelope:
    """The signed withdrawal for the exporter.

    Args:
        count: never used before in the session with this exporter.
    """
    receive = DescHandoffReceive(
        receiving_session=exporter.session_id,
        receiving_side=exporter.our_side,
        handoff_count=count,
        signed_give=given.envelope,
    )
    return _seal(receive, gifter)


# --- exporter ---------------------------------------------------------------------


def verify_withdrawal(
    envelope: Any,
    *,
    receiver: HandoffSession,
    gifter_of: Callable[[bytes], HandoffSession | None],
    is_ours: Callable[[PeerLocator], bool],
) -> Withdrawal:
    """Check a withdrawal that arrived over the session with the receiver.

    Args:
        gifter_of: finds an open session by its id.
        is_ours: whether a locator is one of our own.

    Raises:
        HandoffError: which check failed.
    """
    receive, give = _opened(envelope)
    gifter = gifter_of(give.session)
    if gifter is None:
        raise HandoffError("the give names a session that is not open here")
    _check_give(give, receive.signed_give.signature, gifter, is_ours)
    _require(receive.receiving_session == receiver.session_id, "the withdrawal names another session")
    _require(receive.receiving_side == receiver.their_side, "the withdrawal names another side")
    key = _receiver_key(give)
    _require(verify(key, _bytes(receive), envelope.signature), "the withdrawal's signature does not fit")
    return Withdrawal(gifter, give.gift_id, receiver.session_id, receive.handoff_count)


def verify_own_give(
    envelope: DescSigEnvelope, *, gifter_of: Callable[[bytes], HandoffSession | None]
) -> tuple[HandoffSession, object]:
    """A give that points at ourselves: the gifter's session of the deposit, and the gift's id.

    Raises:
        HandoffError: which check failed.
    """
    give = envelope.content
    if not isinstance(give, DescHandoffGive):
        raise HandoffError("a signed envelope holds no give")
    gifter = gifter_of(give.session)
    if gifter is None:
        raise HandoffError("the give names a session that is not open here")
    _check_give(give, envelope.signature, gifter, lambda _: True)
    return gifter, give.gift_id


def _check_give(
    give: DescHandoffGive, signature: object, gifter: HandoffSession, is_ours: Callable[[PeerLocator], bool]
) -> None:
    _require(give.gifter_side == gifter.their_side, "the give names another side of its session")
    _require(_is_located(give, is_ours), "the give names another exporter")
    _require(verify(gifter.their_key, _bytes(give), signature), "the give's signature does not fit")


def _require(holds: bool, text: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise HandoffError(text)


def _opened(envelope: object) -> tuple[DescHandoffReceive, DescHandoffGive]:
    if not isinstance(envelope, DescSigEnvelope) or not isinstance(envelope.content, DescHandoffReceive):
        raise HandoffError("withdraw-gift takes a signed desc:handoff-receive")
    receive = envelope.content
    give = receive.signed_give.content
    if not isinstance(give, DescHandoffGive):
        raise HandoffError("the withdrawal holds no signed desc:handoff-give")
    return receive, give


def _is_located(give: DescHandoffGive, is_ours: Callable[[PeerLocator], bool]) -> bool:
    try:
        return is_ours(PeerLocator.from_record(give.exporter_location))
    except LocatorError:
        return False


def _receiver_key(give: DescHandoffGive) -> bytes:
    try:
        return read_public_key(give.receiver_key)
    except RemoteProtocolError:
        raise HandoffError("the give's receiver key is malformed") from None
