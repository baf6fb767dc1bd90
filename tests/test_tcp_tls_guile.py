"""Our tcp-tls against Guile Goblins': preamble, handshake, identities. CapTP is tested elsewhere."""

from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from goblins_py.abc import Proof, ProofKind
from goblins_py.locators import PeerLocator
from netlayers import generate_tls_private_key
from netlayers._certificates import canonical_pair
from netlayers._tls_dialler import dial
from netlayers._tls_identity import make_identity
from tcp_tls_kit import DialOnlyIo, HandOver, alice

pytestmark = pytest.mark.guile

START_SESSION = b"<16'op:start-session"


def locator_in(uri):
    """The peer part of a URI, read independently of our locators."""
    parts = urlsplit(uri)
    designator, transport = parts.netloc.rsplit(".", 1)
    return PeerLocator(transport, designator, {key: value for key, (value,) in parse_qs(parts.query).items()})


async def receive_at_least(connection, size):
    data = b""
    while len(data) < size:
        more = await connection.receive()
        assert more, "the stream ended early"
        data += more
    return data


@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
async def test_our_dialler_reaches_guile_though_it_speaks_first(guile, kind):
    """ClientHello with SNI, then the preamble, then an RSA-4096 certificate; and its start-session."""
    identity = make_identity(*canonical_pair(generate_tls_private_key(kind), None))
    with guile("server.scm") as peer, trio.fail_after(60):
        uris = await trio.to_thread.run_sync(peer.uris)
        locator = locator_in(next(iter(uris.values())))
        connection = await dial(identity, DialOnlyIo(), locator)
        assert connection.proof == Proof.of(locator.designator)
        assert (await receive_at_least(connection, 20)).startswith(START_SESSION)
        await connection.aclose()


@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
async def test_guile_reaches_our_listener_and_proves_who_it_is(guile, kind):
    """It takes each kind of certificate that we make, and shows its own because we ask."""
    identity = make_identity(*canonical_pair(generate_tls_private_key(kind), None))
    establisher = HandOver()
    async with alice(establisher, identity=identity) as server:
        hints = "&".join(f"{key}={value}" for key, value in server.locator.hints.items())
        uri = f"ocapn://{identity.designator}.tcp-tls/s/{'A' * 43}?{hints}"
        with guile("client.scm", uri):
            connection = await establisher.outlet.receive()
            assert connection.proof.kind is ProofKind.PROVED
            data = await receive_at_least(connection, 330)
            assert data.startswith(START_SESSION)
            assert connection.proof.designator.encode() in data
