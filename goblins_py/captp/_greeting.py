"""op:start-session: what we say of ourselves, and what we take from a peer."""

from __future__ import annotations

from typing import Final

from goblins_py.captp._keys import (
    SessionKeys,
    location_bytes,
    public_key_value,
    read_public_key,
    side_id,
    verify,
)
from goblins_py.captp._records import OpStartSession
from goblins_py.errors import RemoteProtocolError
from goblins_py.locators import PeerLocator

__all__ = ["CAPTP_VERSION", "greeting", "read_greeting"]

CAPTP_VERSION: Final = "1.0"


def greeting(keys: SessionKeys, location: PeerLocator) -> OpStartSession:
    """Ours: key, location, and that location signed by that key."""
    signature = keys.sign(location_bytes(location))
    return OpStartSession(CAPTP_VERSION, public_key_value(keys.public), location.to_record(), signature)


def read_greeting(
    operation: OpStartSession, *, keys: SessionKeys, dialled: PeerLocator | None
) -> tuple[bytes, PeerLocator]:
    """The peer's key and the location that it claims.

    Args:
        dialled: where we dialled to; nobody else may answer.

    Raises:
        RemoteProtocolError, LocatorError: the peer cannot be talked to.
    """
    if operation.captp_version != CAPTP_VERSION:
        raise RemoteProtocolError("CapTP version is incompatible")
    public = read_public_key(operation.public_key)
    location = PeerLocator.from_record(operation.location)
    if not verify(public, location_bytes(location), operation.signature):
        raise RemoteProtocolError("Invalid location signature")
    if side_id(public) == side_id(keys.public):
        raise RemoteProtocolError("both sides have the same key")
    if dialled is not None and dialled != location:
        raise RemoteProtocolError("another peer was dialled than the one that answers")
    return public, location
