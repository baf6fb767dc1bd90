"""The websocket netlayer as an actor: configuration, identity, messages, and what is in its portrait."""

import logging

import pytest
import trio
import trustme

from goblins_py import open_persistent_vat, open_vat, spawn, spawn_mycapn
from goblins_py.abc import Proof, ProofKind
from goblins_py.actors import PersistenceEnv
from goblins_py.errors import (
    ConnectFailedError,
    DesignatorMismatchError,
    InvalidHintError,
    NetlayerError,
    UnknownTransportError,
)
from goblins_py.locators import PeerLocator
from goblins_py.runtime import mycapn_env
from guile_playground import Adder
from netlayer_kit import RunInTest
from netlayers import PemFiles, SelfSigned, WebsocketNetlayer, websocket_env
from persistence import SyrupStore
from websocket_kit import an_io, locator_at, set_up, write_pair

SEED = b"\1" * 32
DESIGNATOR = "rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa"


@pytest.mark.parametrize("encrypted", [True, False])
async def test_both_ends_are_proved(encrypted):
    """The dialler signs the acceptor's challenge; it need not listen for that."""
    accepted = RunInTest()
    async with an_io() as io:
        alice = set_up(io, "127.0.0.1", establisher=accepted, encrypted=encrypted)
        bob = set_up(io, listen=False)
        connection = await bob.connect_to(alice.our_location()).wait()
        assert connection.proof == Proof.of(alice.our_location().designator)
        await connection.send(b"hello")
        theirs = await accepted.connection()
        assert theirs.proof == Proof.of(bob.our_location().designator)
        assert theirs.remote_address in {"127.0.0.1", "::ffff:127.0.0.1"}
        assert await theirs.receive() == b"hello"
        assert alice.statistics()["established"] == 1
        await connection.aclose()


async def test_location_is_the_designator_key_and_one_url():
    """As Goblins writes it; nothing of it depends on the certificate."""
    async with an_io() as io:
        alice = set_up(io, "127.0.0.1", designator_key=SEED)
        assert alice.our_location().designator == DESIGNATOR
        assert dict(alice.our_location().hints) == {"url": f"wss://127.0.0.1:{alice.port}"}


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"encrypted": False}, "ws://127.0.0.1:PORT"),
        ({"path": "/ocapn"}, "wss://127.0.0.1:PORT/ocapn"),
        ({"url": "wss://ocapn.example/peer"}, "wss://ocapn.example/peer"),
        ({"url": "wss://ocapn.example", "path": "/inside"}, "wss://ocapn.example"),
    ],
)
async def test_url_is_announced_as_given_or_as_it_is(fields, url):
    """Behind a reverse proxy others know us by another one."""
    async with an_io() as io:
        alice = set_up(io, "127.0.0.1", **fields)
        assert alice.our_location().hints["url"] == url.replace("PORT", str(alice.port))


async def test_names_beyond_ascii_are_certified_as_dns_has_them():
    """And a name that DNS cannot have is refused."""
    async with an_io() as io:
        alice = set_up(io, "münchen.example", bind="127.0.0.1")
        assert alice._certified_host() == "xn--mnchen-3ya.example"
        with pytest.raises(NetlayerError, match="no name"):
            set_up(io, "-a.example", bind="127.0.0.1")


async def test_ipv6_addresses_are_dialled_in_brackets():
    """Both loopback addresses are listened on."""
    async with an_io() as io:
        alice = set_up(io, "::1")
        assert alice.our_location().hints["url"] == f"wss://[::1]:{alice.port}"
        await (await set_up(io, listen=False).connect_to(alice.our_location()).wait()).aclose()


async def test_dialler_only_peer_has_a_designator_and_no_hints():
    """It can prove who it is, and cannot be dialled."""
    async with an_io() as io:
        location = set_up(io, listen=False).our_location()
        assert len(location.designator) == 52
        assert not location.hints
        assert io.sockets == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "needs the host"),
        ({"host": "0.0.0.0"}, "no name or address"),
        ({"host": "h", "port": 0}, "no port number"),
        ({"host": "h", "port": 65536}, "no port number"),
        ({"host": "h", "max_connections": 0}, "at least 1"),
        ({"host": "h", "path": "x"}, "begins with a slash"),
        ({"host": "h", "url": "https://h"}, "url: .*neither"),
        ({"host": "h", "allow_origins": ("not an origin",)}, "is no origin"),
        ({"host": "h", "allow_origins": ("example.com",)}, "is no origin"),
        ({"host": "h", "allow_origins": ("https://example.com/page",)}, "is no origin"),
        ({"host": "h", "allow_origins": ("https://example.com:66000",)}, "is no origin"),
        ({"host": "h", "designator_key": b"x"}, "32 random bytes"),
        ({"host": "h", "bind": "example.com"}, "IP address"),
        ({"host": "h", "site": "/nowhere/at/all"}, "no index.html"),
        (
            {"host": "h", "certificate": PemFiles("/nowhere/cert", "/nowhere/key")},
            "/nowhere/cert cannot be read",
        ),
    ],
)
async def test_configuration_that_makes_no_sense_is_refused(fields, text):
    """By setup, in words, before anything is bound."""
    async with an_io() as io:
        with pytest.raises(NetlayerError, match=text):
            set_up(io, **fields)
        assert io.sockets == []


async def test_another_peer_at_the_address_is_found_out(monkeypatch):
    """By its certificate if it shows its own; by its signature if an authority vouches for the host."""
    async with an_io() as io:
        alice = set_up(io, "127.0.0.1", designator_key=SEED)
        bob = set_up(io, listen=False)
        mallory = set_up(io, "127.0.0.1")
        lured = locator_at(alice.our_location(), mallory.our_location().hints["url"])
        with pytest.raises(ConnectFailedError) as caught:
            await bob.connect_to(lured).wait()
        assert "not the designator's own" in caught.value.__notes__[0]
        careless = set_up(io, listen=False, verify_certificates=False)
        with pytest.raises(ConnectFailedError) as caught:
            await careless.connect_to(lured).wait()
        assert "instead of proving" in caught.value.__notes__[0]
        monkeypatch.setattr("netlayers._websocket_listener.proved_dialler", lambda *_: None)
        with pytest.raises(DesignatorMismatchError):
            await careless.connect_to(lured).wait()


async def test_certificate_of_an_authority_is_taken_for_its_host_only(tmp_path, monkeypatch):
    """Of one that the system trusts: the file that OpenSSL is told of."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    source = PemFiles(*write_pair(tmp_path, "localhost", authority=authority))
    async with an_io() as io:
        alice = set_up(io, "localhost", certificate=source)
        with pytest.raises(ConnectFailedError) as caught:
            await set_up(io, listen=False).connect_to(alice.our_location()).wait()
        assert "issuer is unknown" in caught.value.__notes__[0]
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        bob = set_up(io, listen=False)
        await (await bob.connect_to(alice.our_location()).wait()).aclose()
        elsewhere = locator_at(alice.our_location(), f"wss://127.0.0.1:{alice.port}")
        with pytest.raises(ConnectFailedError) as caught:
            await bob.connect_to(elsewhere).wait()
        assert "is for localhost, and not for 127.0.0.1" in caught.value.__notes__[0]


async def test_unencrypted_beyond_this_machine_needs_to_be_asked_for():
    """init:peer-auth does not stop a man in the middle: it signs neither channel nor session."""
    async with an_io() as io:
        locator = PeerLocator("websocket", DESIGNATOR, {"url": "ws://192.0.2.1:9"})
        with pytest.raises(ConnectFailedError) as caught:
            await set_up(io, listen=False).connect_to(locator).wait()
        assert "--insecure" in caught.value.__notes__[0]


async def test_every_failure_to_connect_breaks_the_promise():
    """None is raised at the caller."""
    async with an_io() as io:
        alice, bob = set_up(io, "localhost"), set_up(io, listen=False)
        here = alice.our_location()
        for locator, error in (
            (PeerLocator("onion", here.designator, None), UnknownTransportError),
            (PeerLocator("websocket", here.designator, None), InvalidHintError),
            (PeerLocator("websocket", "abc", here.hints), InvalidHintError),
            (PeerLocator("websocket", "a" * 52, here.hints), ConnectFailedError),
            (locator_at(here, here.hints["url"] + "/elsewhere"), ConnectFailedError),
            (locator_at(here, here.hints["url"].replace("wss", "ws")), ConnectFailedError),
        ):
            with pytest.raises(error):
                await bob.connect_to(locator).wait()


def test_nothing_can_be_asked_before_setup():
    """But the name."""
    netlayer = WebsocketNetlayer("localhost")
    assert netlayer.netlayer_name() == "websocket"
    for message in (netlayer.our_location, lambda: netlayer.connect_to(None)):
        with pytest.raises(NetlayerError, match="not set up"):
            message()
    assert dict(netlayer.statistics()) == {}
    netlayer.reload_certificate()


@pytest.mark.parametrize("files", [False, True])
async def test_restored_vat_has_the_same_uri_and_certificate(tmp_path, files):
    """Key, port and certificate, or the names of its files, are in the portrait."""
    source = PemFiles(*write_pair(tmp_path, "127.0.0.1")) if files else SelfSigned()
    env = PersistenceEnv(Adder, extends=[mycapn_env, websocket_env])
    store = str(tmp_path / "store.syrup")

    def roots():
        netlayer = spawn(WebsocketNetlayer, "127.0.0.1", certificate=source)
        return spawn_mycapn(netlayer), spawn(Adder, 1), netlayer

    async def life():
        async with open_persistent_vat(env, roots, SyrupStore(store)) as (vat, (mycapn, adder, netlayer)):
            sturdyref = await vat.send(mycapn).register(adder, "websocket")
            saved = await vat.run(lambda: netlayer._behaviour.certificate)
            async with open_vat() as other:
                make = lambda: spawn(WebsocketNetlayer, listen=False, verify_certificates=not files)  # noqa: E731
                theirs = await other.run(lambda: spawn_mycapn(make()))
                assert 3 == await other.send(await other.send(theirs).enliven(sturdyref.uri))(2)
            return sturdyref.uri, saved

    with trio.fail_after(30):
        uri, saved = await life()
        assert (uri, saved) == await life()
    assert isinstance(saved, PemFiles if files else SelfSigned)


async def test_claims_are_believed_only_if_asked_to():
    """As Guile Goblins does; a proof to the contrary counts all the same."""
    async with an_io() as io:
        for trust_claims, kind in ((False, ProofKind.UNPROVED), (True, ProofKind.WITHOUT_IDENTITIES)):
            alice = set_up(io, "127.0.0.1", trust_claims=trust_claims)
            assert alice._listener._terms.unproved.kind is kind


async def test_secrets_are_in_no_repr_and_no_log(caplog):
    """Whatever is logged, and whoever prints an object: no key, and no message."""
    caplog.set_level(logging.DEBUG)
    accepted = RunInTest()
    async with an_io() as io:
        alice = set_up(
            io, "127.0.0.1", establisher=accepted, designator_key=b"a secret of thirty-two bytes, ha"
        )
        bob = set_up(io, listen=False)
        connection = await bob.connect_to(alice.our_location()).wait()
        await connection.send(b"swiss number")
        assert await (await accepted.connection()).receive() == b"swiss number"
        for thing in (alice, alice._dialler, alice._listener, connection):
            assert "secret" not in repr(thing)
        await connection.aclose()
    assert "swiss" not in caplog.text
    assert "73 77 69 73 73" not in caplog.text


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("https://Shop.example:443/", "https://shop.example"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
async def test_origins_are_known_as_browsers_write_them(given, known):
    """In lower case, without a port that goes without saying."""
    async with an_io() as io:
        assert known in set_up(io, "127.0.0.1", allow_origins=(given,))._origins()


async def test_certificate_origins_and_url_can_be_changed_while_it_listens(tmp_path):
    """All or nothing; who it is stays."""
    async with an_io() as io:
        alice = set_up(io, "localhost")
        designator, context = alice.our_location().designator, alice._listener.context
        cert, key = write_pair(tmp_path, "localhost")
        with pytest.raises(NetlayerError, match="not for other"):
            alice.reconfigure(url="wss://other.example", pem_files=(cert, key))
        with pytest.raises(NetlayerError, match="is no origin"):
            alice.reconfigure(url="wss://other.example", allow_origins=("*",))
        assert (context, None) == (alice._listener.context, alice.url)
        url = f"wss://localhost:{alice.port}/there"
        alice.reconfigure(url=url, pem_files=(cert, key), allow_origins=("https://a.example",))
        assert alice.certificate == PemFiles(cert, key)
        assert (designator, url) == (alice.our_location().designator, alice.our_location().hints["url"])
        assert "https://a.example" in alice._listener._terms.door.origins
        bob = set_up(io, listen=False, verify_certificates=False)
        await (await bob.connect_to(alice.our_location()).wait()).aclose()
