"""The foreign peer itself: Guile talks with Guile, and the harness neither hangs nor leaves anything."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from guile_peer import GuilePeer, GuilePeerError

pytestmark = pytest.mark.guile


@pytest.fixture(scope="module")
def server(guile: type[GuilePeer]):
    with guile("server.scm") as peer:
        yield peer.uris()


def test_guile_satisfies_the_checks_that_we_must_satisfy(guile, server: dict[str, str]) -> None:
    """What the client asks of a peer is what Goblins does: a check that fails with us is our fault."""
    with guile("client.scm", server["playground"]) as client:
        passed, failures = client.results()
        assert [] == failures
        assert passed > 50
        assert 0 == client.wait()


def test_single_checks_can_be_chosen(guile, server: dict[str, str]) -> None:
    """One check by name, besides the enlivening that all need."""
    with guile("client.scm", server["playground"], "pipelining") as client:
        assert ["ok enliven", "ok pipelining"] == list(client.lines_until("DONE"))


def test_a_uri_that_names_nothing_is_reported(guile, server: dict[str, str]) -> None:
    """A wrong swiss number on a right host fails, and the script says so and ends."""
    host, _, rest = server["playground"].partition("/s/")
    hints = rest.partition("?")[2]
    with guile("client.scm", f"{host}/s/{'A' * 43}?{hints}") as client:
        assert client.next_line().startswith("FAIL enliven")
        assert 1 == client.wait()


def test_a_killed_peer_is_dead_at_once(guile) -> None:
    """After kill() its output has ended, which is true only once its last process has."""
    with guile("server.scm") as peer:
        peer.uris()
        started = time.monotonic()
        peer.kill()
        assert time.monotonic() - started < 5
        with pytest.raises(GuilePeerError, match="ended"):
            peer.next_line(timeout=1)


def test_a_silent_peer_is_reported_with_what_it_said(guile) -> None:
    """A line that does not come is an error that quotes both of its streams."""
    with guile("server.scm") as peer:
        peer.uris()
        with pytest.raises(GuilePeerError, match="READY"):
            peer.next_line(timeout=0.1)


def test_a_script_that_does_not_load_is_quoted(guile) -> None:
    """What Guile complains about on stderr is in the error."""
    with guile("missing.scm") as peer, pytest.raises(GuilePeerError, match=r"missing\.scm"):
        peer.next_line()


def test_a_frozen_peer_keeps_its_connections_and_says_nothing(guile, server: dict[str, str]) -> None:
    """Frozen in the middle of its checks, it goes on where it was when thawed."""
    with guile("client.scm", server["playground"], "our-garbage") as client:
        assert "ok enliven" == client.next_line()
        client.freeze()
        with pytest.raises(GuilePeerError, match="said nothing"):
            client.next_line(timeout=4)  # thawed, it needs less
        client.thaw()
        assert [] == client.results()[1]


def test_a_folder_can_be_shared(guile, tmp_path: Path) -> None:
    """With the same key and certificate in /share, two servers are one peer: they have one designator."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(private_pem(key))
    (tmp_path / "cert.pem").write_bytes(self_signed_pem(key))
    arguments = ("server.scm", "0", "/share/key.pem", "/share/cert.pem")
    with guile(*arguments, share=tmp_path) as one, guile(*arguments, share=tmp_path) as other:
        hosts = {peer.uris()["echo"].partition("/s/")[0] for peer in (one, other)}
        assert 1 == len(hosts)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def self_signed_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CapTP")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
