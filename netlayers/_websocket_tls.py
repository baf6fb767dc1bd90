"""TLS under websockets: what a listener shows, and whom a dialler takes for the peer that it dialled.

TLS 1.3 only, no tickets, no session cache, no client certificates: diallers prove themselves by
`init:peer-auth`. A dialler takes a certificate whose key *is* the designator, or a chain that the system's
certificate authorities hold valid for the host in the URL.
"""

from __future__ import annotations

import ssl
from typing import Final

import attrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from OpenSSL import SSL, crypto

from goblins_py.abc import NearOnly
from goblins_py.errors import NetlayerError
from netlayers._certificate_sources import ServerCertificate, names_of, valid_for

__all__ = ["check_server", "client_context", "client_tls", "server_context"]


def server_context(certificate: ServerCertificate) -> SSL.Context:
    """The settings of a listener. Raises `NetlayerError`: OpenSSL does not take the certificate."""
    context = _context()
    try:
        context.use_certificate(certificate.chain[0])
        for link in certificate.chain[1:]:
            context.add_extra_chain_cert(link)
        context.use_privatekey(certificate.key)
        context.check_privatekey()
    except SSL.Error as exc:
        raise NetlayerError(f"OpenSSL refuses this key and certificate: {exc}") from None
    return context


def client_context() -> SSL.Context:
    """The settings of a dialler. Certificates are judged after the handshake, by `check_server`."""
    context = _context()
    context.set_default_verify_paths()  # and SSL_CERT_FILE, SSL_CERT_DIR
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        context.load_verify_locations(paths.cafile, paths.capath)
    context.set_verify(SSL.VERIFY_PEER, _take_note)
    return context


def client_tls(context: SSL.Context, sock: object, host: str) -> SSL.Connection:
    """The TLS state of a connection that we make."""
    tls = SSL.Connection(context, sock)  # type: ignore[arg-type]
    tls.set_app_data(_Findings())
    tls.set_connect_state()
    if ":" not in host and not host.replace(".", "").isdigit():  # an address is no server name
        tls.set_tlsext_host_name(host.rstrip(".").encode("ascii"))
    return tls


def check_server(tls: SSL.Connection, public: bytes, host: str) -> None:
    """May this be the peer whose key is `public`, at `host`?

    Raises:
        NetlayerError: neither its key nor the authorities say so.
    """
    certificate = tls.get_peer_certificate(as_cryptography=True)
    if certificate is None:
        raise NetlayerError("it showed no certificate")
    key = certificate.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey) and _raw(key) == public:
        return
    findings = tls.get_app_data()
    if not isinstance(findings, _Findings) or findings.problem is not None:
        problem = findings.problem if isinstance(findings, _Findings) else "nobody looked at it"
        raise NetlayerError(f"its certificate is not the designator's own, and no authority's: {problem}")
    if not valid_for(certificate, host):
        names = ", ".join(names_of(certificate)[:8]) or "nothing"
        raise NetlayerError(f"its certificate is for {names}, and not for {host}")


@attrs.define(eq=False)
class _Findings(NearOnly):
    """What OpenSSL says of a certificate chain: the first thing that is wrong with it."""

    problem: str | None = None


def _take_note(tls: SSL.Connection, _certificate: crypto.X509, *found: int) -> bool:
    error, _depth, ok = found
    findings = tls.get_app_data()
    if not ok and isinstance(findings, _Findings) and findings.problem is None:
        findings.problem = _VERDICTS.get(error, f"OpenSSL's verdict is {error}")
    return True


_VERDICTS: Final = {
    10: "it has expired",
    9: "it is not valid yet",
    18: "it is self-signed",
    19: "its root is unknown",
    20: "its issuer is unknown",
    21: "its issuer is unknown",
    26: "it is not for servers",
}
"""The usual ones of OpenSSL's X509_V_ERR_*."""


def _context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps no 34 KiB of buffers
    return context


def _raw(key: ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
