"""How records are sealed: not at all, or each by itself under a key.

Only here is a key used. In the first line of a file stands one of::

    plain                                 nothing is sealed
    key TAG                               under 32 bytes that the user keeps
    passphrase OPS MEM SALT TAG           under what Argon2id makes of a passphrase (MEM in bytes)

TAG is a MAC of the line up to it: it tells a wrong key from a damaged record, and nobody without
the key can change the line. Each file has a key of its own, made from the user's and the file's salt::

    TAG       BLAKE2b(line so far; key, person "goblins-header", 16 bytes), as hexadecimal digits
    file key  BLAKE2b(salt of the file; key, person "goblins-records", 32 bytes)
    record    24 random bytes, XChaCha20-Poly1305(LAST, record; file key, those bytes, offset as u64)

The offset, of the sealed record in the file, is what is authenticated beside it: a record that was moved
or exchanged for another does not open. LAST is one byte, 1 in the last record of a commit and else
0, so that no part of a commit can be cut off. Who can write the file can still cut whole commits off its
end, or put an older file in its place: nothing inside a file can tell.

Pure: random bytes are given, nothing is opened. No key is in a repr or an error.
"""

from __future__ import annotations

import hmac
import struct
from typing import Final

import attrs
from nacl import bindings, pwhash
from nacl.encoding import RawEncoder
from nacl.exceptions import CryptoError
from nacl.hash import blake2b

from goblins_py.errors import StoreKeyError
from persistence._frames import SALT_SIZE, FileHeader, new_header

__all__ = ["NO_SECRET", "Cost", "Plain", "Sealed", "Secret", "UnsealError", "Vault"]

KEY_SIZE: Final = 32
_NONCE_SIZE: Final = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_MAC_SIZE: Final = bindings.crypto_aead_xchacha20poly1305_ietf_ABYTES
_HEADER: Final = b"goblins-header"
_RECORDS: Final = b"goblins-records"
_OFFSET: Final = struct.Struct(">Q")


class UnsealError(ValueError):
    """A sealed record does not open here. The text says nothing of what is in it."""


@attrs.frozen
class Cost:
    """What Argon2id may cost who opens the store, and whoever guesses: passes over `memory` bytes."""

    passes: int = pwhash.argon2id.OPSLIMIT_MODERATE
    memory: int = pwhash.argon2id.MEMLIMIT_MODERATE

    def is_bearable(self) -> bool:
        """Whether a file may ask for so much: no more than what Argon2id calls sensitive."""
        most = pwhash.argon2id
        return (
            most.OPSLIMIT_MIN <= self.passes <= most.OPSLIMIT_SENSITIVE
            and most.MEMLIMIT_MIN <= self.memory <= most.MEMLIMIT_SENSITIVE
        )


@attrs.frozen
class Secret:
    """What the user gave: a key, or a passphrase, or neither.

    Attributes:
        cost: of a passphrase, for a store that is new.

    Raises:
        TypeError, ValueError: it is none; the text does not repeat it.
    """

    key: bytes | None = attrs.field(default=None, repr=False)
    passphrase: str | None = attrs.field(default=None, repr=False)
    cost: Cost = Cost()

    def __attrs_post_init__(self) -> None:
        if self.key is not None and self.passphrase is not None:
            raise ValueError("a store has a key or a passphrase, not both")
        if self.key is not None:
            _check_key(self.key)
        if self.passphrase is not None:
            _check_passphrase(self.passphrase)


def _check_key(key: object) -> None:
    if type(key) is not bytes:
        raise TypeError(f"a store's key is bytes, not {type(key).__name__}")
    if len(key) != KEY_SIZE:
        raise ValueError(f"a store's key is {KEY_SIZE} bytes")


def _check_passphrase(passphrase: object) -> None:
    if type(passphrase) is not str:
        raise TypeError(f"a passphrase is a str, not {type(passphrase).__name__}")
    if not passphrase:
        raise ValueError("an empty passphrase is none")
    try:
        passphrase.encode()
    except UnicodeEncodeError:  # it holds the passphrase
        raise ValueError("a passphrase that UTF-8 has no bytes for") from None


NO_SECRET: Final = Secret()


@attrs.frozen
class Plain:
    """Records as they are."""

    overhead: int = attrs.field(default=0, init=False)

    def seal(self, record: bytes, offset: int, nonce: bytes, *, is_last: bool) -> bytes:
        """What to write at `offset` of the file."""
        return record

    def unseal(self, stored: bytes, offset: int) -> tuple[bytes, bool | None]:
        """The record that was written at `offset`, and whether it is a commit's last: here, nobody knows."""
        return stored, None

    def nonce_size(self) -> int:
        """Random bytes for each record."""
        return 0


@attrs.frozen
class Sealed:
    """Records sealed under the key of one file."""

    _key: bytes = attrs.field(repr=False)
    overhead: int = attrs.field(default=_NONCE_SIZE + _MAC_SIZE + 1, init=False)

    def seal(self, record: bytes, offset: int, nonce: bytes, *, is_last: bool) -> bytes:
        """What to write at `offset` of the file. No nonce may come twice."""
        message = (b"\1" if is_last else b"\0") + record
        place = _OFFSET.pack(offset)
        return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(message, place, nonce, self._key)

    def unseal(self, stored: bytes, offset: int) -> tuple[bytes, bool | None]:
        """The record that was written at `offset`, and whether it is a commit's last.

        Raises:
            UnsealError: it was not written there by somebody with the key.
        """
        nonce, rest = stored[:_NONCE_SIZE], stored[_NONCE_SIZE:]
        if len(rest) < _MAC_SIZE + 1:
            raise UnsealError("a sealed record that is too short")
        try:
            message = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                rest, _OFFSET.pack(offset), nonce, self._key
            )
        except CryptoError:
            raise UnsealError("a sealed record that was tampered with") from None
        return message[1:], message[:1] == b"\1"

    def nonce_size(self) -> int:
        """Random bytes for each record."""
        return _NONCE_SIZE


@attrs.frozen
class Vault:
    """How all files of one store are sealed, whichever is the present one.

    Attributes:
        how: the words for it in the first line, but for the TAG.
        key: None if nothing is sealed.
    """

    how: bytes
    key: bytes | None = attrs.field(repr=False)

    @classmethod
    def make(cls, secret: Secret, kdf_salt: bytes) -> Vault:
        """For a new store. `kdf_salt`: 16 random bytes. Takes about a second with a passphrase."""
        if secret.key is not None:
            return cls(b"key", secret.key)
        if secret.passphrase is None:
            return cls(b"plain", None)
        cost = secret.cost
        how = b"passphrase %d %d %s" % (cost.passes, cost.memory, kdf_salt.hex().encode())
        return cls(how, _stretch(secret.passphrase, kdf_salt, cost))

    @classmethod
    def reopen(cls, secret: Secret, header: FileHeader) -> Vault:
        """For a file that there is.

        Raises:
            StoreKeyError: the secret is none for this file, or one is missing.
        """
        match header.words:
            case () | (b"plain",):
                _expect(secret.key is None and secret.passphrase is None, "the store is not encrypted")
                return cls(b"plain", None)
            case (b"key", tag):
                _expect(secret.key is not None, "the store is encrypted with a key")
                return cls(b"key", secret.key)._checked(header, tag)
            case (b"passphrase", passes, memory, kdf_salt, tag):
                _expect(secret.passphrase is not None, "the store is encrypted with a passphrase")
                cost, salt = _read_cost(passes, memory, kdf_salt)
                key = _stretch(secret.passphrase or "", salt, cost)
                return cls(b" ".join(header.words[:-1]), key)._checked(header, tag)
            case _:
                raise StoreKeyError("the store is encrypted in a way that this program does not know")

    def _checked(self, header: FileHeader, tag: bytes) -> Vault:
        before, _, _ = header.line.rpartition(b" " + tag + b" ")
        if not hmac.compare_digest(self._tag(before), tag):
            raise StoreKeyError("the key or passphrase is another one, or the first line was tampered with")
        return self

    def _tag(self, line: bytes) -> bytes:
        key = self.key or b""
        return blake2b(line, 16, key=key, person=_HEADER, encoder=RawEncoder).hex().encode()

    def new_header(self, salt: bytes) -> FileHeader:
        """The first line of a new file of this store, from `SALT_SIZE` random bytes."""
        if len(salt) != SALT_SIZE:
            raise ValueError("a salt of the wrong length")
        if self.key is None:
            return new_header(salt, lambda line: self.how)
        return new_header(salt, lambda line: self.how + b" " + self._tag(line + self.how))

    def cipher(self, header: FileHeader) -> Plain | Sealed:
        """For the records of the file with this first line."""
        if self.key is None:
            return Plain()
        return Sealed(blake2b(header.salt, 32, key=self.key, person=_RECORDS, encoder=RawEncoder))


def _expect(fits: bool, what: str) -> None:  # noqa: FBT001 - as in assert
    if not fits:
        raise StoreKeyError(what)


def _read_cost(passes: bytes, memory: bytes, kdf_salt: bytes) -> tuple[Cost, bytes]:
    try:
        cost, salt = Cost(int(passes), int(memory)), bytes.fromhex(kdf_salt.decode())
    except ValueError:
        raise StoreKeyError("what the first line says of the passphrase is damaged") from None
    if not cost.is_bearable() or len(salt) != pwhash.argon2id.SALTBYTES:
        raise StoreKeyError("the first line asks for more than a passphrase may cost")
    return cost, salt


def _stretch(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    return pwhash.argon2id.kdf(KEY_SIZE, passphrase.encode(), salt, cost.passes, cost.memory)
