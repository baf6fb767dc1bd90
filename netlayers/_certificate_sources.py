"""Where the TLS certificate of a listener comes from: an interface, and the two kinds that need nobody.

A source is a value: it is saved with its netlayer. What it makes (a self-signed certificate) or names (files)
is in it. Sources that fetch certificates from elsewhere implement `CertificateSource`, too.
"""

from __future__ import annotations

import ipaddress
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
import trio
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from goblins_py.abc import NearOnly
from goblins_py.actors import value
from goblins_py.errors import NetlayerError
from netlayers._certificates import LAST_DATE, TlsPrivateKey, load_private_key
from netlayers._websocket_auth import DesignatorKey

__all__ = ["CertificateSource", "PemFiles", "SelfSigned", "ServerCertificate", "names_of", "valid_for"]

_LOOK_EVERY: Final = 5.0
"""Seconds between two looks at the files."""
_LARGEST_FILE: Final = 2**20
_LONGEST_COMMON_NAME: Final = 64


@attrs.frozen
class ServerCertificate(NearOnly):
    """What a listener shows.

    Attributes:
        key: the private key of the first certificate.
        chain: the certificate itself, then its issuers as far as they are to be sent.
    """

    key: TlsPrivateKey = attrs.field(repr=False)
    chain: tuple[x509.Certificate, ...]


class CertificateSource(ABC):
    """Makes the certificate of one listener.

    Implement it as an `@value` class and list that in the environment: it is saved with the netlayer.
    """

    @abstractmethod
    def prepared(self, key: DesignatorKey, host: str) -> CertificateSource:
        """This source, complete with what is to be kept; called in `setup`, before anything is bound.

        Args:
            key: of the designator.
            host: the name or address that others reach us by.

        Raises:
            NetlayerError: no certificate can be had; the text says why.
        """

    @abstractmethod
    def load(self, key: DesignatorKey, host: str) -> ServerCertificate:
        """The certificate to show from now on. Arguments and errors as `prepared`."""

    async def watch(self, changed: Callable[[], None]) -> None:  # noqa: B027 - doing nothing is a default
        """Call `changed` whenever `load` may return something else; runs as long as the listener does.

        The default returns at once: nothing ever changes.
        """


@value
class SelfSigned(CertificateSource):
    """A certificate for the designator key itself, made at first start and kept.

    It proves the designator to whoever compares the keys, as our dialler does. To a browser it proves
    nothing.

    Args:
        cert: PEM; None makes one.
    """

    cert: str | None = None

    def prepared(self, key: DesignatorKey, host: str) -> CertificateSource:
        """See `CertificateSource.prepared`."""
        return self if self.cert is not None else SelfSigned(_self_signed(key, host))

    def load(self, key: DesignatorKey, host: str) -> ServerCertificate:
        """See `CertificateSource.load`."""
        chain = _read_certificates(str(self.cert).encode(), "the saved certificate")
        if _public_bytes(chain[0]) != _key_bytes(key.private):
            raise NetlayerError("the saved certificate is not for the designator key")
        return ServerCertificate(key.private, chain)


@value
class PemFiles(CertificateSource):
    """A certificate that somebody else issued, in files that are read again when they change.

    Args:
        cert: path of the PEM file with the certificate and the chain after it.
        key: path of the PEM file with its private key, unencrypted.
    """

    cert: str
    key: str

    def prepared(self, key: DesignatorKey, host: str) -> CertificateSource:
        """See `CertificateSource.prepared`. The paths are saved, made absolute."""
        absolute = PemFiles(str(Path(self.cert).absolute()), str(Path(self.key).absolute()))
        absolute.load(key, host)
        return absolute

    def load(self, key: DesignatorKey, host: str) -> ServerCertificate:
        """See `CertificateSource.load`. Checked are the key, the dates and the names."""
        chain = _read_certificates(_read_file(self.cert), self.cert)
        private_key = _read_key(self.key)
        if _public_bytes(chain[0]) != _key_bytes(private_key):
            raise NetlayerError(
                f"the private key in {self.key} does not belong to the certificate in {self.cert}"
            )
        _check_dates(chain[0], self.cert)
        if not valid_for(chain[0], host):
            names = ", ".join(names_of(chain[0])) or "no name at all"
            raise NetlayerError(f"the certificate in {self.cert} is for {names}, and not for {host}")
        return ServerCertificate(private_key, chain)

    async def watch(self, changed: Callable[[], None]) -> None:
        """See `CertificateSource.watch`. Looks at the files every five seconds."""
        seen = self._look()
        while True:
            await trio.sleep(_LOOK_EVERY)
            now = self._look()
            if now != seen:
                seen = now
                changed()

    def _look(self) -> tuple[object, ...]:
        return tuple(map(_identity, (self.cert, self.key)))


def names_of(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that a certificate is for: its subject alternative names, no others."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    names = extension.value
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def valid_for(certificate: x509.Certificate, host: str) -> bool:
    """Is it for this name or address? RFC 6125: `*` stands for one whole label, the first, and no other."""
    wanted = _plain(host)
    return any(_covers(_plain(name), wanted) for name in names_of(certificate))


def _covers(name: str, wanted: str) -> bool:
    if name == wanted:
        return True
    first, _, rest = wanted.partition(".")
    return bool(first) and "." in rest and not _is_address(wanted) and name == f"*.{rest}"


def _plain(host: str) -> str:
    bare = host.strip("[]")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare.rstrip(".").lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _self_signed(key: DesignatorKey, host: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, key.designator[:_LONGEST_COMMON_NAME])])
    public_key = key.private.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(LAST_DATE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .sign(key.private, None)
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _general_name(host: str) -> x509.GeneralName:
    plain = _plain(host)
    if _is_address(plain):
        return x509.IPAddress(ipaddress.ip_address(plain))
    return x509.DNSName(plain)


def _check_dates(certificate: x509.Certificate, where: str) -> None:
    now = datetime.now(UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > ends:
        raise NetlayerError(f"the certificate in {where} has expired on {ends:%Y-%m-%d %H:%M} UTC")
    if now < begins:
        raise NetlayerError(f"the certificate in {where} is not valid before {begins:%Y-%m-%d %H:%M} UTC")


def _read_file(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise NetlayerError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > _LARGEST_FILE:
        raise NetlayerError(f"{path} is too large to be a PEM file")
    return data


def _read_key(path: str) -> TlsPrivateKey:
    try:
        return load_private_key(_read_file(path))
    except NetlayerError as error:
        raise error if path in str(error) else NetlayerError(f"{path}: {error}") from None


def _read_certificates(pem: bytes, where: str) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except (ValueError, UnsupportedAlgorithm):
        raise NetlayerError(f"{where} holds no certificate that can be read") from None


def _public_bytes(certificate: x509.Certificate) -> bytes | None:
    try:
        return _info_bytes(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None  # a key of an unknown kind


def _key_bytes(key: TlsPrivateKey) -> bytes:
    return _info_bytes(key.public_key())


def _info_bytes(public_key: CertificatePublicKeyTypes) -> bytes:
    return public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _identity(path: str) -> object:
    """What changes when a file does; None if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - follows links, as certificate tools make them
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
