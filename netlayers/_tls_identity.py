"""What a tcp-tls peer shows of itself, and what it accepts of others: the TLS settings.

TLS 1.3 only, no tickets, no session cache. We check the hash of a certificate, never its
dates or issuer: the designator is that hash. Both roles present our certificate; the verify
callbacks here are the only place that decides about someone else's.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from OpenSSL import SSL, crypto

from goblins_py.abc import NearOnly
from goblins_py.errors import NetlayerError
from netlayers._certificates import designator_of, load_certificate, load_private_key
from netlayers._preamble import MAX_PEM_SIZE, encode_preamble

__all__ = ["Identity", "Pin", "make_identity", "presented_designator"]


@attrs.frozen
class Pin:
    """The one certificate that a connection we dialled may meet (`SSL.Connection` app data).

    Attributes:
        der: that certificate.
    """

    der: bytes

    @classmethod
    def of(cls, pem: bytes) -> Pin:
        """Pin the certificate of a preamble.

        Raises:
            NetlayerError: there is no certificate in it.
        """
        try:
            return cls(_der(crypto.load_certificate(crypto.FILETYPE_PEM, pem)))
        except crypto.Error:
            raise NetlayerError("its preamble holds no certificate") from None


@attrs.frozen(eq=False)
class Identity(NearOnly):
    """Who we are: our designator, and the TLS settings that prove it in either role.

    Attributes:
        preamble: what a listener sends in clear on accept.
    """

    designator: str
    preamble: bytes = attrs.field(repr=False)
    server: SSL.Context = attrs.field(repr=False)
    client: SSL.Context = attrs.field(repr=False)


def make_identity(key: str, cert: str) -> Identity:
    """Make the TLS settings of a canonical pair; see `canonical_pair`.

    Raises:
        NetlayerError: OpenSSL does not take the pair.
    """
    pem = cert.encode("ascii")
    return Identity(
        designator=designator_of(pem),
        preamble=encode_preamble(pem),
        server=_context(key, cert, _accept_anyone),
        client=_context(key, cert, _accept_pinned),
    )


def presented_designator(tls: SSL.Connection) -> str | None:
    """The designator that the far end has proved in the handshake; None: it showed no certificate.

    TLS has checked that it holds the key. Its certificate is re-encoded with 64 columns and
    LF, as its owner's preamble would carry it.

    Raises:
        NetlayerError: the certificate is longer than any preamble may be.
    """
    certificate = tls.get_peer_certificate()
    if certificate is None:
        return None
    pem = crypto.dump_certificate(crypto.FILETYPE_PEM, certificate)
    if len(pem) > MAX_PEM_SIZE:
        raise NetlayerError(f"it presented a certificate of {len(pem)} bytes")
    return designator_of(pem)


_Verifier = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]


def _context(key: str, cert: str, accept: _Verifier) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps no 34 KiB of buffers
    context.set_verify(SSL.VERIFY_PEER, accept)
    try:
        context.use_certificate(load_certificate(cert))
        context.use_privatekey(load_private_key(key))
        context.check_privatekey()
    except SSL.Error as exc:
        raise NetlayerError(f"OpenSSL refuses this key and certificate: {exc}") from None
    return context


def _accept_anyone(*_: object) -> bool:
    return True  # whoever dials us is known by what the certificate hashes to, or not at all


def _accept_pinned(connection: SSL.Connection, certificate: crypto.X509, *found: int) -> bool:
    _error, depth, _ok = found
    pin = connection.get_app_data()
    # Links above the leaf prove nothing here and are let through; the leaf is at depth 0.
    return depth > 0 or (isinstance(pin, Pin) and _der(certificate) == pin.der)


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
