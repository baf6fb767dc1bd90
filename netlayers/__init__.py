"""The netlayers: ways to reach a peer. One file (and its private parts) for each."""

from netlayers._certificate_sources import CertificateSource, PemFiles, SelfSigned, ServerCertificate
from netlayers._certificates import generate_tls_certificate, generate_tls_private_key
from netlayers.loopback import LoopbackNetlayer, LoopbackNetwork, loopback_env
from netlayers.tcp_testing_only import TcpTestingOnlyNetlayer, tcp_testing_only_env
from netlayers.tcp_tls import TcpTlsNetlayer, tcp_tls_env
from netlayers.websocket import WebsocketNetlayer, websocket_env

__all__ = [
    "CertificateSource",
    "LoopbackNetlayer",
    "LoopbackNetwork",
    "PemFiles",
    "SelfSigned",
    "ServerCertificate",
    "TcpTestingOnlyNetlayer",
    "TcpTlsNetlayer",
    "WebsocketNetlayer",
    "generate_tls_certificate",
    "generate_tls_private_key",
    "loopback_env",
    "tcp_testing_only_env",
    "tcp_tls_env",
    "websocket_env",
]
