"""`goblins relay`, `goblins serve --prelay`, `goblins call` over prelay: real processes, killed at will."""

import json
import signal
import time

import pytest
import trustme

from cli_kit import PATIENCE, assert_one_line, relaying, run, serving
from goblins_py.locators import Sturdyref
from websocket_kit import write_pair

STORED = ("things.py:Things", "--store", "things.syrup", "--prelay", "@account")


def goblins(cwd, *args, code=0, stdin=""):
    done = run(*args, cwd=cwd, stdin=stdin)
    assert code == done.code, done.err
    return done


def make_account(cwd, admin, name="things", *quota):
    """Into the file `account`."""
    done = goblins(cwd, "relay", "add-account", "-", name, *quota, stdin=admin)
    (cwd / "account").write_text(done.out)
    assert 1 == done.out.count("\n")
    return done.out.strip()


def call(cwd, uri, *args, tries=1):
    """The answer; a client that has lost its relay may need a moment to find it again."""
    for attempt in range(tries):
        done = run("call", "-", "--timeout", "10", *args, cwd=cwd, stdin=uri)
        if done.code == 0 or attempt == tries - 1:
            break
        time.sleep(0.3)
    assert 0 == done.code, done.err
    return done.out.strip()


def test_accounts_are_made_listed_and_removed(tmp_path):
    """The admin's URI is all that is on stdout; each name exists once."""
    with relaying(tmp_path) as relay:
        make_account(tmp_path, relay.uri, "alice", "--sessions", "3")
        make_account(tmp_path, relay.uri, "bob")
        assert "alice\nbob\n" == goblins(tmp_path, "relay", "list-accounts", "-", stdin=relay.uri).out
        again = goblins(tmp_path, "relay", "add-account", "-", "bob", code=1, stdin=relay.uri)
        assert_one_line(again.err, "already")
        goblins(tmp_path, "relay", "remove-account", "-", "alice", stdin=relay.uri)
        listed = goblins(tmp_path, "relay", "list-accounts", "-", "--json", stdin=relay.uri)
        assert ["bob"] == json.loads(listed.out)
        assert "bob" in goblins(tmp_path, "relay", "stats", "-", stdin=relay.uri).out
        code, rest = relay.end(signal.SIGTERM)
        assert (0, "") == (code, rest)


def test_a_used_up_account_is_refused_and_so_is_one_that_is_none(tmp_path):
    """In one line, and a lost race for an account is noticed."""
    with relaying(tmp_path) as relay:
        make_account(tmp_path, relay.uri)
        with serving(tmp_path, "things.py:Things", "--prelay", "@account") as server:
            assert "1" == call(tmp_path, server.uri, "up")
            done = run("serve", "things.py:Things", "--prelay", "@account", cwd=tmp_path)
            assert 1 == done.code
            assert_one_line(done.err, "Already setup")
        (tmp_path / "account").write_text("ocapn://x.smoke-signals/s/AAAA")
        done = run("serve", "things.py:Things", "--prelay", "@account", cwd=tmp_path)
        assert 3 == done.code
        assert_one_line(done.err, "smoke-signals")


@pytest.mark.parametrize("killed", ["client", "relay", "both"])
def test_a_uri_works_after_kills_and_restarts(tmp_path, killed):
    """SIGKILL, no goodbye: the same URI, and the state with it. The second start needs no account."""
    with relaying(tmp_path, "--store", "relay.syrup") as relay:
        make_account(tmp_path, relay.uri)
        with serving(tmp_path, *STORED) as server:
            uri = server.uri
            assert "prelay" == Sturdyref.from_uri(uri).peer.transport
            assert "1" == call(tmp_path, uri, "up")
            if killed != "client":
                relay.end(signal.SIGKILL)
            if killed == "relay":
                with relaying(tmp_path, "--store", "relay.syrup") as again:
                    assert again.uri == relay.uri
                    assert "2" == call(tmp_path, uri, "up", tries=20)
                    goblins(tmp_path, "relay", "list-accounts", "-", stdin=again.uri)
                return
            server.end(signal.SIGKILL)
        if killed == "both":
            with relaying(tmp_path, "--store", "relay.syrup"):
                _serve_again(tmp_path, uri)
        else:
            _serve_again(tmp_path, uri)


def _serve_again(cwd, uri):
    with serving(cwd, "things.py:Things", "--store", "things.syrup") as again:
        assert uri == again.uri
        assert "2" == call(cwd, uri, "up", tries=20)


def test_somebody_who_waits_hears_at_once_that_the_relay_was_killed(tmp_path):
    """The caller's session severs with its path, long before any time-out."""
    with relaying(tmp_path) as relay:
        make_account(tmp_path, relay.uri)
        with serving(tmp_path, "things.py:Things", "--prelay", "@account") as server:
            server.when_waited_for(relay.process.kill)
            begun = time.monotonic()
            done = run("call", "-", "never", cwd=tmp_path, stdin=server.uri)
            assert time.monotonic() - begun < PATIENCE / 2
            assert 1 == done.code
            assert_one_line(done.err, "relay", "lost")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_whose_relay_is_away_can_be_stopped(tmp_path, number):
    """What can be reached is printed at once, that the relay is waited for is said, and its URI follows."""
    options = (*STORED, "--netlayer", "tcp-tls")
    with relaying(tmp_path, "--store", "relay.syrup") as relay:
        make_account(tmp_path, relay.uri)
    with serving(tmp_path, *options) as server:
        assert "1" == call(tmp_path, server.uri, "up")
        wait_for(server, "waiting for the relay at 127.0.0.1")
        assert (0, "") == server.end(number)
    with serving(tmp_path, *options) as again:
        assert again.uri == server.uri
        with relaying(tmp_path, "--store", "relay.syrup"):
            uri = again.process.stdout.readline().decode().strip()
            assert "prelay" == Sturdyref.from_uri(uri).peer.transport
            assert "2" == call(tmp_path, uri, "up", tries=20)


def wait_for(server, words):
    end = time.monotonic() + PATIENCE
    while words not in server.err:
        assert time.monotonic() < end, server.err
        time.sleep(0.02)


def test_a_store_whose_account_was_no_good_takes_another(tmp_path):
    """One that was good is kept, and that another one is ignored is said."""
    with relaying(tmp_path) as relay:
        make_account(tmp_path, relay.uri)
        with serving(tmp_path, "things.py:Things", "--prelay", "@account"):
            done = run("serve", *STORED, cwd=tmp_path)
            assert_one_line(done.err, "Already setup")
        make_account(tmp_path, relay.uri, "second")
        with serving(tmp_path, *STORED) as server:
            assert "1" == call(tmp_path, server.uri, "up")
        make_account(tmp_path, relay.uri, "third")
        with serving(tmp_path, *STORED) as again:
            assert again.uri == server.uri
            assert "--prelay is ignored" in again.err
            assert "2" == call(tmp_path, again.uri, "up", tries=20)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--host", "0.0.0.0"), "the name that others reach you by"),
        (("--host", "[::]"), "the name that others reach you by"),
        (("--netlayer", "pigeon"), "there is tcp-tls"),
        (("--insecure",), "--insecure means nothing to tcp-tls"),
        (("--netlayer", "websocket", "--cert", "x"), "go together"),
    ],
)
def test_a_relay_that_nobody_could_reach_is_not_made(tmp_path, args, word):
    """A usage error in one line, before there is a store."""
    done = run("relay", "serve", "--store", "relay.syrup", *args, cwd=tmp_path)
    assert (2, "") == (done.code, done.out)
    assert_one_line(done.err, word)
    assert [] == list(tmp_path.iterdir())


def test_a_relay_without_tls_is_used_with_insecure_and_not_without(tmp_path):
    """By its operator and by those who serve through it. On this machine nobody need say so."""
    options = ("--netlayer", "websocket", "--insecure")
    with relaying(tmp_path, *options) as relay:
        url = Sturdyref.from_uri(relay.uri).peer.hints["url"]
        assert url.startswith("ws://127.0.0.1:")
        admin = relay.uri.replace("127.0.0.1", "127.0.0.1.example")
        refused = goblins(tmp_path, "relay", "list-accounts", "-", code=3, stdin=admin)
        assert_one_line(refused.err, "--insecure")
        dialled = run("relay", "list-accounts", "-", "--insecure", cwd=tmp_path, stdin=admin)
        assert "--insecure" not in dialled.err
        make_account(tmp_path, relay.uri, "things", "--insecure")
        with serving(tmp_path, *STORED, "--insecure") as server:
            assert "1" == call(tmp_path, server.uri, "up")
        assert "things" in goblins(tmp_path, "relay", "stats", "-", "--insecure", stdin=relay.uri).out
        goblins(tmp_path, "relay", "remove-account", "-", "things", "--insecure", stdin=relay.uri)


def test_a_relay_shows_the_certificate_that_it_is_given(tmp_path, monkeypatch):
    """And says the URL that it is reached by."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    cert, key = write_pair(tmp_path, "localhost", authority=authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    options = ("--netlayer", "websocket", "--host", "localhost", "--cert", cert, "--key", key)
    with relaying(tmp_path, *options) as relay:
        goblins(tmp_path, "relay", "list-accounts", "-", stdin=relay.uri)
    with relaying(
        tmp_path, "--netlayer", "websocket", "--insecure", "--url", "wss://relay.example/"
    ) as relay:
        assert "wss://relay.example/" == Sturdyref.from_uri(relay.uri).peer.hints["url"]
