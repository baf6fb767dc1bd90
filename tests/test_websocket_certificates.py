"""Where a listener's certificate comes from: made, or in files that are watched."""

import datetime as dt
import shutil

import attrs
import pytest
import trio
import trio.testing
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from goblins_py.errors import NetlayerError
from netlayers import PemFiles, SelfSigned, generate_tls_private_key
from netlayers._certificate_sources import names_of, valid_for
from netlayers._websocket_auth import DesignatorKey
from websocket_kit import alice, set_up, until, write_pair

ALICE = DesignatorKey.from_seed(b"\1" * 32)
BOB = DesignatorKey.from_seed(b"\2" * 32)
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.mark.parametrize("host", ["alice.example", "127.0.0.1", "::1", "[::1]"])
def test_self_signed_certificate_is_for_the_designator_key(host):
    """Made once, then kept; it names the host, for those who look."""
    source = SelfSigned().prepared(ALICE, host)
    assert source.prepared(ALICE, host) is source
    made = source.load(ALICE, host)
    key = made.chain[0].public_key()
    assert isinstance(key, ed25519.Ed25519PublicKey)
    assert key.public_bytes_raw() == ALICE.public
    assert names_of(made.chain[0]) == [host.strip("[]")]


def test_self_signed_certificate_of_another_key_is_refused():
    """A portrait that somebody has put together."""
    source = SelfSigned().prepared(ALICE, "h")
    with pytest.raises(NetlayerError, match="not for the designator key"):
        source.load(BOB, "h")


def test_files_are_loaded_with_their_chain(tmp_path, monkeypatch):
    """And their paths made absolute, so that a restart elsewhere finds them."""
    authority = trustme.CA().create_child_ca()
    source = PemFiles(*write_pair(tmp_path, "*.example.com", authority=authority))
    monkeypatch.chdir(tmp_path)
    relative = attrs.evolve(source, cert="cert.pem")
    assert relative.prepared(ALICE, "www.example.com") == source
    assert len(source.load(ALICE, "www.example.com").chain) == 2


def damage(what, folder, source):
    if what == "no cert":
        (folder / "cert.pem").unlink()
    elif what == "no key":
        (folder / "key.pem").unlink()
    elif what == "empty":
        (folder / "cert.pem").write_text("")
    elif what == "other key":
        (folder / "key.pem").write_text(generate_tls_private_key())
    elif what == "no key in it":
        shutil.copy(source.cert, source.key)
    elif what == "huge":
        (folder / "cert.pem").write_bytes(b"x" * (2**20 + 1))
    elif what == "folder":
        (folder / "key.pem").unlink()
        (folder / "key.pem").mkdir()


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("no cert", "cert.pem cannot be read: No such file"),
        ("no key", "key.pem cannot be read: No such file"),
        ("empty", "cert.pem holds no certificate"),
        ("other key", "key.pem does not belong to the certificate in .*cert.pem"),
        ("no key in it", "key.pem: the private key is no PEM"),
        ("huge", "too large"),
        ("folder", "key.pem cannot be read: Is a directory"),
    ],
)
def test_files_that_are_no_good_are_refused_in_words(tmp_path, what, text):
    """Which file, and what is wrong with it."""
    source = PemFiles(*write_pair(tmp_path, "h.example"))
    damage(what, tmp_path, source)
    with pytest.raises(NetlayerError, match=text):
        source.prepared(ALICE, "h.example")


@pytest.mark.parametrize(
    ("options", "host", "text"),
    [
        ({"not_before": NOW - 9 * DAY, "not_after": NOW - DAY}, "h.example", "expired on"),
        ({"not_before": NOW + DAY, "not_after": NOW + 9 * DAY}, "h.example", "not valid before"),
        ({}, "other.example", "is for h.example, and not for other.example"),
        ({}, "127.0.0.1", "and not for 127.0.0.1"),
    ],
)
def test_dates_and_names_are_checked(tmp_path, options, host, text):
    """At start, not by the first peer that is turned away."""
    source = PemFiles(*write_pair(tmp_path, "h.example", **options))
    with pytest.raises(NetlayerError, match=text):
        source.prepared(ALICE, host)


@pytest.mark.parametrize(
    ("name", "host", "expected"),
    [
        ("example.com", "EXAMPLE.com.", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "[0:0:0:0:0:0:0:1]", True),
        ("127.0.0.1", "127.0.0.2", False),
    ],
)
def test_names_are_compared_as_rfc_6125_says(tmp_path, name, host, expected):
    """A star stands for one label, the first and whole."""
    certificate = trustme.CA().issue_cert(name).cert_chain_pems[0].bytes()
    assert valid_for(x509.load_pem_x509_certificate(certificate), host) is expected


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr("netlayers._certificate_sources._LOOK_EVERY", 0.02)


def serial(connection):
    return connection._stream._tls.get_peer_certificate(as_cryptography=True).serial_number


async def test_new_files_are_shown_and_sessions_go_on(tmp_path, quickly):
    """Who was connected stays so; who comes next sees the new certificate."""
    source = PemFiles(*write_pair(tmp_path, "127.0.0.1"))
    async with alice(certificate=source) as server:
        bob = set_up(server.io, listen=False, verify_certificates=False)
        before = await bob.connect_to(server.location).wait()
        context = server.netlayer._listener.context
        await trio.testing.wait_all_tasks_blocked()
        write_pair(tmp_path, "127.0.0.1")
        await until(lambda: server.netlayer._listener.context is not context)
        after = await bob.connect_to(server.location).wait()
        assert serial(before) != serial(after)
        await before.send(b"still here")
        assert await before.receive() == b"still here"
        await before.aclose()
        await after.aclose()


async def test_broken_new_file_is_reported_and_the_old_one_kept(tmp_path, quickly, caplog):
    """Once for each change; when it is repaired, it is shown."""
    source = PemFiles(*write_pair(tmp_path, "127.0.0.1"))
    async with alice(certificate=source) as server:
        context = server.netlayer._listener.context
        await trio.testing.wait_all_tasks_blocked()
        (tmp_path / "key.pem").write_text("half a")
        await until(lambda: "the old one is kept" in caplog.text)
        assert "key.pem: the private key is no PEM" in caplog.text
        assert "half a" not in caplog.text
        assert server.netlayer._listener.context is context
        await trio.sleep(0.1)
        assert caplog.text.count("the old one is kept") == 1
        write_pair(tmp_path, "127.0.0.1")
        await until(lambda: server.netlayer._listener.context is not context)
        assert await server.is_serving()


async def test_certificate_is_reloaded_when_asked_for(tmp_path):
    """What SIGHUP does; whoever asks is told what is wrong."""
    source = PemFiles(*write_pair(tmp_path, "127.0.0.1"))
    async with alice(certificate=source) as server:
        context = server.netlayer._listener.context
        server.netlayer.reload_certificate()
        assert server.netlayer._listener.context is not context
        (tmp_path / "key.pem").unlink()
        with pytest.raises(NetlayerError, match="cannot be read"):
            server.netlayer.reload_certificate()
        assert await server.is_serving()
