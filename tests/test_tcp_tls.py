"""The tcp-tls netlayer as an actor: configuration, identity, messages."""

import socket
from contextlib import asynccontextmanager

import pytest
import trio

from goblins_py.abc import Proof
from goblins_py.errors import (
    ConnectFailedError,
    DesignatorMismatchError,
    InvalidHintError,
    NetlayerError,
    UnknownTransportError,
)
from goblins_py.locators import PeerLocator
from netlayer_kit import NurseryIo, RunInTest
from netlayers import TcpTlsNetlayer, generate_tls_certificate, generate_tls_private_key
from netlayers._listening_host import address_to_bind


class RecordingIo(NurseryIo):
    """Also keeps what was listened on."""

    def __init__(self, nursery):
        super().__init__(nursery)
        self.listened = []

    def listen(self, host, port):
        sockets = NurseryIo.listen(host, port)
        self.listened.append((host, port, sockets))
        return sockets


@asynccontextmanager
async def an_io():
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            io = RecordingIo(nursery)
            yield io
            nursery.cancel_scope.cancel()
            for _, _, sockets in io.listened:
                for sock in sockets:
                    sock.close()


def set_up(io, *args, establisher=None, **fields):
    netlayer = TcpTlsNetlayer(*args, **fields)
    netlayer.setup(io, establisher or RunInTest())
    return netlayer


async def test_dialler_only_peer_reaches_a_listening_one():
    """The whole way by the messages; both are proved, though only one can be dialled."""
    accepted = RunInTest()
    async with an_io() as io:
        alice = set_up(io, "127.0.0.1", establisher=accepted)
        bob = set_up(io, listen=False)
        connection = await bob.connect_to(alice.our_location()).wait()
        assert connection.proof == Proof.of(alice.our_location().designator)
        await connection.send(b"hello")
        theirs = await accepted.connection()
        assert theirs.proof == Proof.of(bob.our_location().designator)
        assert await theirs.receive() == b"hello"
        assert alice.statistics()["established"] == 1
        await connection.aclose()


async def test_location_has_host_and_port_as_strings():
    """The real port, kept as state."""
    async with an_io() as io:
        alice = set_up(io, "localhost")
        location = alice.our_location()
        assert alice.netlayer_name() == location.transport == "tcp-tls"
        assert dict(location.hints) == {"host": "localhost", "port": str(alice.port)}
        assert alice.port == io.listened[0][2][0].getsockname()[1]


async def test_dialler_only_peer_has_a_designator_and_no_hints():
    """It can prove who it is, and cannot be dialled."""
    async with an_io() as io:
        location = set_up(io, listen=False).our_location()
        assert len(location.designator) == 52
        assert not location.hints
        assert io.listened == []


async def test_restored_netlayer_has_the_same_designator_and_port():
    """Its state fields are all that it needs."""
    async with an_io() as io:
        before = set_up(io, "localhost")
        location = before.our_location()
        state = (before.host, before.port, before.max_connections, before.key, before.cert)
    assert all(value is None or isinstance(value, str | int) for value in state)
    async with an_io() as io:
        assert set_up(io, *state).our_location() == location


@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
async def test_users_own_pair_is_used(kind):
    """In whatever wrapping, as text or bytes."""
    key = generate_tls_private_key(kind)
    cert = generate_tls_certificate(key)
    async with an_io() as io:
        netlayer = set_up(io, listen=False, key=key.encode(), cert=cert.replace("\n", "\r\n").encode())
        assert (netlayer.key, netlayer.cert) == (key, cert)


async def test_key_of_another_certificate_is_refused_before_anything_is_bound():
    """Setup fails, and says why."""
    cert = generate_tls_certificate(generate_tls_private_key())
    async with an_io() as io:
        with pytest.raises(NetlayerError, match="does not belong"):
            set_up(io, "localhost", key=generate_tls_private_key(), cert=cert)
        assert io.listened == []


async def test_port_in_use_is_an_error_that_names_it():
    """From setup, synchronously."""
    async with an_io() as io:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(NetlayerError, match=f"port {port}.* in use"):
                set_up(io, "localhost", port)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "needs the host"),
        ({"host": ""}, "needs the host"),
        ({"host": "h", "port": 0}, "no port number"),
        ({"host": "h", "port": 65536}, "no port number"),
        ({"host": "h", "max_connections": 0}, "at least 1"),
        ({"host": "h", "bind": "example.com"}, "IP address"),
        ({"host": "h", "cert": "a certificate"}, "without its private key"),
    ],
)
async def test_configuration_that_makes_no_sense_is_refused(fields, text):
    """By setup, in words."""
    async with an_io() as io:
        with pytest.raises(NetlayerError, match=text):
            set_up(io, **fields)


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("localhost", "localhost"),
        ("127.0.0.1", "localhost"),
        ("::1", "localhost"),
        ("127.0.0.5", "127.0.0.5"),
        ("example.com", None),
        ("192.0.2.1", None),
    ],
)
def test_loopback_host_is_bound_to_loopback_only(host, bound):
    """What is meant for this machine is not offered to others."""
    assert address_to_bind(host) == bound


async def test_bind_overrides_the_host():
    """For those behind a router, or careful."""
    async with an_io() as io:
        set_up(io, "example.com", bind="127.0.0.1")
        assert [host for host, _, _ in io.listened] == ["127.0.0.1"]


async def test_every_failure_to_connect_breaks_the_promise():
    """None is raised at the caller."""
    async with an_io() as io:
        alice, bob = set_up(io, "localhost"), set_up(io, listen=False)
        here = alice.our_location()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        for locator, error in (
            (PeerLocator("onion", here.designator, None), UnknownTransportError),
            (PeerLocator("tcp-tls", here.designator, None), InvalidHintError),
            (PeerLocator("tcp-tls", "abc", here.hints), InvalidHintError),
            (
                PeerLocator("tcp-tls", here.designator, {"host": "127.0.0.1", "port": port}),
                ConnectFailedError,
            ),
            (PeerLocator("tcp-tls", "a" * 52, here.hints), DesignatorMismatchError),
        ):
            with pytest.raises(error):
                await bob.connect_to(locator).wait()


def test_nothing_can_be_asked_before_setup():
    """But the name."""
    netlayer = TcpTlsNetlayer("localhost")
    assert netlayer.netlayer_name() == "tcp-tls"
    for message in (netlayer.our_location, lambda: netlayer.connect_to(None)):
        with pytest.raises(NetlayerError, match="not set up"):
            message()
    assert dict(netlayer.statistics()) == {}


async def test_key_shows_in_no_repr():
    """Logs and tracebacks print objects."""
    async with an_io() as io:
        netlayer = set_up(io, listen=False)
        for thing in (netlayer, netlayer._identity, netlayer._listener, netlayer.our_location()):
            assert "PRIVATE" not in repr(thing)
