"""The netlayers: ways to reach a peer. One file (and its private parts) for each."""

from netlayers._certificate_sources import CertificateSource, PemFiles, SelfSigned, ServerCertificate
from netlayers._certificates import generate_tls_certificate, generate_tls_private_key
from netlayers._prelay_locator import prelay_endpoint, prelay_locator
from netlayers.loopback import LoopbackNetlayer, LoopbackNetwork, loopback_env
from netlayers.prelay import PrelayNetlayer, fetch_and_spawn_prelay_netlayer, prelay_env
from netlayers.tcp_testing_only import TcpTestingOnlyNetlayer, tcp_testing_only_env
from netlayers.tcp_tls import TcpTlsNetlayer, tcp_tls_env
from netlayers.websocket import WebsocketNetlayer, websocket_env

__all__ = [
    "CertificateSource",
    "LoopbackNetlayer",
    "LoopbackNetwork",
    "PemFiles",
    "PrelayNetlayer",
    "SelfSigned",
    "ServerCertificate",
    "TcpTestingOnlyNetlayer",
    "TcpTlsNetlayer",
    "WebsocketNetlayer",
    "fetch_and_spawn_prelay_netlayer",
    "generate_tls_certificate",
    "generate_tls_private_key",
    "loopback_env",
    "prelay_endpoint",
    "prelay_env",
    "prelay_locator",
    "tcp_testing_only_env",
    "tcp_tls_env",
    "websocket_env",
]
