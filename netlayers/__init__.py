"""The netlayers: ways to reach a peer. One file (and its private parts) for each."""

from netlayers._certificates import generate_tls_certificate, generate_tls_private_key

__all__ = ["generate_tls_certificate", "generate_tls_private_key"]
