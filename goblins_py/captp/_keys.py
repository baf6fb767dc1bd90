"""Session keys, ids and signatures (CapTP draft; wire/goblins: Ed25519, "keys and ids")."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import attrs
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from goblins_py.errors import RemoteProtocolError
from goblins_py.locators import PeerLocator
from goblins_py.syrup import Record, Symbol, Value, encode

__all__ = [
    "SessionKeys",
    "location_bytes",
    "public_key_value",
    "read_public_key",
    "session_id",
    "side_id",
    "verify",
]


_R, _S, _EDDSA, _SIG_VAL = map(Symbol, ("r", "s", "eddsa", "sig-val"))
_MY_LOCATION: Final = Symbol("my-location")
_PUBLIC_KEY, _ECC, _Q = map(Symbol, ("public-key", "ecc", "q"))
_CURVE: Final = (Symbol("curve"), Symbol("Ed25519"))
_FLAGS: Final = (Symbol("flags"), _EDDSA)


def _sha256d(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


@attrs.frozen
class SessionKeys:
    """A fresh key pair, one for each session.

    Attributes:
        signing: the secret half; never in a repr.
    """

    signing: SigningKey = attrs.field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> SessionKeys:
        """From 32 random bytes."""
        return cls(SigningKey(seed))

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return bytes(self.signing.verify_key)

    def sign(self, data: bytes) -> Value:
        """A signature, as it is written: `['sig-val ['eddsa ['r R] ['s S]]]`."""
        raw = self.signing.sign(data).signature
        return _written(raw[:32], raw[32:])


def public_key_value(public: bytes) -> Value:
    """A public key, as it is written."""
    return _PUBLIC_KEY, (_ECC, _CURVE, _FLAGS, (_Q, public))


def _written(r: bytes, s: bytes) -> Value:
    return _SIG_VAL, (_EDDSA, (_R, r), (_S, s))


def read_public_key(value: Any) -> bytes:
    """The 32 bytes of a written key. Raises `RemoteProtocolError`."""
    try:
        public = value[1][3][1]
    except (TypeError, LookupError):
        public = None
    if type(public) is not bytes or len(public) != 32 or value != public_key_value(public):
        raise RemoteProtocolError("malformed public key")
    return public


def verify(public: bytes, data: bytes, signature: Any) -> bool:
    """Does the written signature fit? False for a malformed one, too."""
    try:
        _, (_, (_, r), (_, s)) = signature
        if signature != _written(r, s) or len(r) != 32 or len(s) != 32:
            return False
        VerifyKey(public).verify(data, r + s)
    except (TypeError, ValueError, BadSignatureError):
        return False
    return True


def location_bytes(location: PeerLocator) -> bytes:
    """What a location signature signs: `<my-location LOCATION>`, canonically."""
    return encode(Record(_MY_LOCATION, (location.to_record(),)))


def side_id(public: bytes) -> bytes:
    """The 32 byte id of one side of a session."""
    return _sha256d(encode(public_key_value(public)))


def session_id(one_side: bytes, other_side: bytes) -> bytes:
    """The 32 byte id of a session, the same on both sides."""
    return _sha256d(b"prot0" + b"".join(sorted((one_side, other_side))))
