"""Who is at which end of a websocket: keys, and the records that prove them. Pure: no I/O, no sockets.

The exchange `init:peer-auth` is Goblins': the acceptor signs what the dialler made up. What the dialler
may prove in its payload is ours; a peer that knows nothing of it sees 128 bytes and signs them.

A designator key signs two kinds of record and nothing else, both read back strictly first: no peer can
have it sign something that means something elsewhere.
"""

from __future__ import annotations

from typing import Final

import attrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from goblins_py.errors import LocatorError, NetlayerError, SyrupDecodeError
from goblins_py.locators import base32_decode, base32_encode
from goblins_py.syrup import Limits, Record, Symbol, Value, decode, encode

__all__ = [
    "CHALLENGE_SIZE",
    "MAX_AUTH_SIZE",
    "DesignatorKey",
    "answer_auth",
    "auth_message",
    "check_auth_answer",
    "dialler_payload",
    "proved_dialler",
    "public_key_of",
    "read_auth_message",
]

CHALLENGE_SIZE: Final = 32
"""Bytes of the acceptor's challenge, and of a plain dialler's payload."""
MAX_AUTH_SIZE: Final = 4096
"""Bytes of one message of the exchange; Goblins and Endo send 54 and 176."""

_KEY_SIZE: Final = 32
_PROOF_SIZE: Final = CHALLENGE_SIZE + _KEY_SIZE + 64
_LIMITS: Final = Limits(depth=8, value_size=MAX_AUTH_SIZE, items=64)

_AUTH: Final = Symbol("init:peer-auth")
_ENVELOPE: Final = Symbol("desc:sig-envelope")
_DIALLER_AUTH: Final = Symbol("ocapn:dialler-auth")


@attrs.frozen(eq=False)
class DesignatorKey:
    """The long-lived Ed25519 key of a peer.

    Attributes:
        private: the secret half; never in a repr.
    """

    private: ed25519.Ed25519PrivateKey = attrs.field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> DesignatorKey:
        """From 32 random bytes.

        Raises:
            NetlayerError: there are not 32.
        """
        if len(seed) != _KEY_SIZE:
            raise NetlayerError(f"a designator key is {_KEY_SIZE} random bytes, not {len(seed)}")
        return cls(ed25519.Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return _raw(self.private.public_key())

    @property
    def designator(self) -> str:
        """The public key in base32: 52 characters."""
        return base32_encode(self.public)


def public_key_of(designator: str) -> bytes:
    """The 32 bytes of the public key that a designator is. Raises `LocatorError`: it is none."""
    public = base32_decode(designator)
    if len(public) != _KEY_SIZE:
        raise LocatorError("the designator is no Ed25519 key in base32")
    return public


def auth_message(payload: bytes) -> bytes:
    """Message 1, dialler to acceptor: `<init:peer-auth PAYLOAD>`."""
    return encode(Record(_AUTH, (payload,)))


def read_auth_message(message: bytes) -> bytes:
    """The payload of message 1.

    Raises:
        NetlayerError: it is not just that record, canonically written, with bytes in it.
    """
    match _read(message):
        case Record(label, (bytes() as payload,)) if label == _AUTH and auth_message(payload) == message:
            return payload
    raise NetlayerError("its first message is no init:peer-auth")


def answer_auth(key: DesignatorKey, message: bytes) -> bytes:
    """Message 2: message 1, which `read_auth_message` took, in an envelope that `key` signed."""
    record = Record(_AUTH, (read_auth_message(message),))
    return encode(Record(_ENVELOPE, (record, _signature(key.private.sign(message)))))


def check_auth_answer(designator: str, message: bytes, answer: bytes) -> bool:
    """Has the peer with this designator signed our own message 1? False for anything malformed."""
    match _read(answer):
        case Record(label, (_, signature)) if label == _ENVELOPE:
            return _fits(public_key_of(designator), message, signature)
    return False


def dialler_payload(key: DesignatorKey, challenge: bytes, nonce: bytes, acceptor: str) -> bytes:
    """The payload with which a dialler proves its own designator, too: nonce, public key, signature.

    Args:
        challenge: what the acceptor sent in its response.
        nonce: 32 random bytes.
        acceptor: the designator that was dialled.
    """
    return nonce + key.public + key.private.sign(_dialler_auth(challenge, nonce, acceptor))


def proved_dialler(payload: bytes, challenge: bytes, acceptor: str) -> str | None:
    """The designator that a dialler has proved by its payload; None: it did not try.

    Raises:
        NetlayerError: the payload has the form of a proof, and is none.
    """
    if len(payload) != _PROOF_SIZE:
        return None
    nonce, public = payload[:CHALLENGE_SIZE], payload[CHALLENGE_SIZE : CHALLENGE_SIZE + _KEY_SIZE]
    signature = payload[CHALLENGE_SIZE + _KEY_SIZE :]
    if not _verify(public, _dialler_auth(challenge, nonce, acceptor), signature):
        raise NetlayerError("its proof of who it is does not hold")
    return base32_encode(public)


def _dialler_auth(challenge: bytes, nonce: bytes, acceptor: str) -> bytes:
    return encode(Record(_DIALLER_AUTH, (challenge, nonce, acceptor)))


def _read(message: bytes) -> Value:
    try:
        return decode(message, limits=_LIMITS)
    except SyrupDecodeError:
        return None


def _signature(raw: bytes) -> Value:
    halves = ((Symbol("r"), raw[:32]), (Symbol("s"), raw[32:]))
    return (Symbol("sig-val"), (Symbol("eddsa"), *halves))


def _fits(public: bytes, data: bytes, written: Value) -> bool:
    match written:
        case (_, (_, (_, bytes() as r), (_, bytes() as s))) if len(r) == len(s) == 32:
            return written == _signature(r + s) and _verify(public, data, r + s)
    return False


def _verify(public: bytes, data: bytes, signature: bytes) -> bool:
    # By libsodium, because it refuses keys of small order: with those, anybody can sign. OpenSSL takes them.
    try:
        VerifyKey(public).verify(data, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _raw(public_key: ed25519.Ed25519PublicKey) -> bytes:
    return public_key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
