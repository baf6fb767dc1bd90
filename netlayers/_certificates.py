"""Keys and certificates of tcp-tls, as PEM text. Pure: no I/O, no TLS.

A peer's designator *is* its certificate: SHA-256 twice over the PEM text, byte for byte. So
a certificate is rewritten once, here, as canonical PEM (64 columns, LF, one newline at the
end), and never again. No error text holds a key.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from goblins_py.errors import NetlayerError

__all__ = [
    "TlsPrivateKey",
    "canonical_pair",
    "designator_of",
    "generate_tls_certificate",
    "generate_tls_private_key",
    "load_certificate",
    "load_private_key",
]

TlsPrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
"""The kinds of key that every peer we know of can check."""

LAST_DATE = datetime.fromtimestamp(2147483647, UTC)
"""The latest expiry that Guile Goblins accepts. An expired certificate would kill every URI."""

_RSA_BITS = 3072
_SMALLEST_RSA_BITS = 2048
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})


def designator_of(pem: bytes) -> str:
    """The designator of the peer that has this certificate (52 characters).

    Args:
        pem: the PEM text, byte for byte as the preamble carries it.
    """
    digest = hashlib.sha256(hashlib.sha256(pem).digest()).digest()
    return base64.b32encode(digest).decode("ascii").rstrip("=").lower()


def generate_tls_private_key(kind: Literal["p256", "ed25519", "rsa"] = "p256") -> str:
    """Make a new private key, as unencrypted PKCS #8 PEM text.

    Args:
        kind: "p256" and "ed25519" shake hands fast; "rsa" (3072 bits) is for those who must.

    Raises:
        ValueError: another kind.
    """
    match kind:
        case "p256":
            return _key_text(ec.generate_private_key(ec.SECP256R1()))
        case "ed25519":
            return _key_text(ed25519.Ed25519PrivateKey.generate())
        case "rsa":
            return _key_text(rsa.generate_private_key(65537, _RSA_BITS))
    raise ValueError(f"no such kind of key: {kind!r} (there are p256, ed25519 and rsa)")


def generate_tls_certificate(key: str | bytes) -> str:
    """Make a self-signed certificate for a private key (PEM), as canonical PEM text.

    Valid from a day back (clocks differ) to 2038-01-19 03:14:07 UTC, the latest date that
    Guile Goblins takes. Two calls give two certificates, hence two designators.

    Raises:
        NetlayerError: `key` is no private key that tcp-tls can use.
    """
    private_key = load_private_key(key)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CapTP")])
    public_key = private_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(LAST_DATE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(private_key), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    algorithm = None if isinstance(private_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return _certificate_text(builder.sign(private_key, algorithm))


def canonical_pair(key: str | bytes | None, cert: str | bytes | None) -> tuple[str, str]:
    """The key and the certificate to serve with, both as canonical PEM text.

    Args:
        key: PEM; None makes a new one.
        cert: PEM, perhaps a chain, of which only the key's own certificate is kept; None
            makes a new one for the key.

    Raises:
        NetlayerError: one of them cannot be read or used, they do not belong together, or
            there is a certificate without a key.
    """
    if key is None:
        if cert is not None:
            raise NetlayerError("a certificate was given without its private key")
        key = generate_tls_private_key()
    private_key = load_private_key(key)
    key_text = _key_text(private_key)
    if cert is None:
        return key_text, generate_tls_certificate(key_text)
    return key_text, _certificate_text(_leaf_for(private_key, cert))


def load_private_key(key: str | bytes) -> TlsPrivateKey:
    """Read a private key from PEM.

    Raises:
        NetlayerError: it is encrypted, unreadable, too short or of a kind that TLS 1.3 lacks.
    """
    try:
        private_key = serialization.load_pem_private_key(_as_bytes(key), password=None)
    except TypeError:
        raise NetlayerError("the private key is encrypted: decrypt it first") from None
    except (ValueError, UnsupportedAlgorithm):
        raise NetlayerError("the private key is no PEM text that can be read") from None
    match private_key:
        case rsa.RSAPrivateKey(key_size=bits) if bits < _SMALLEST_RSA_BITS:
            raise NetlayerError(f"an RSA key of {bits} bits is too short: at least {_SMALLEST_RSA_BITS}")
        case ec.EllipticCurvePrivateKey(curve=curve) if curve.name not in _CURVES:
            raise NetlayerError(f"TLS 1.3 has no curve {curve.name}: use P-256")
        case ec.EllipticCurvePrivateKey() | ed25519.Ed25519PrivateKey() | rsa.RSAPrivateKey():
            return private_key
        case _:
            raise NetlayerError("tcp-tls takes EC, Ed25519 and RSA keys only")


def load_certificate(cert: str | bytes) -> x509.Certificate:
    """Read the first certificate of a PEM text.

    Raises:
        NetlayerError: there is none that can be read.
    """
    return _load_certificates(cert)[0]


def _leaf_for(private_key: TlsPrivateKey, cert: str | bytes) -> x509.Certificate:
    ours = _public_bytes(private_key.public_key())
    for certificate in _load_certificates(cert):
        try:
            if _public_bytes(certificate.public_key()) == ours:
                return certificate
        except (ValueError, UnsupportedAlgorithm):
            continue  # some other link of the chain, with a key of an unknown kind
    raise NetlayerError("the private key does not belong to the certificate")


def _load_certificates(cert: str | bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_as_bytes(cert))
    except (ValueError, UnsupportedAlgorithm):
        raise NetlayerError("the certificate is no PEM text that can be read") from None


def _key_usage(private_key: TlsPrivateKey) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=isinstance(private_key, rsa.RSAPrivateKey),
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_text(private_key: TlsPrivateKey) -> str:
    pem = private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode("ascii")


def _certificate_text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _public_bytes(public_key: CertificatePublicKeyTypes) -> bytes:
    return public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _as_bytes(pem: str | bytes) -> bytes:
    return pem.encode("utf-8") if isinstance(pem, str) else pem
