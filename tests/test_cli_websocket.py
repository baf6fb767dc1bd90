"""`goblins serve --netlayer websocket` and `goblins call`: options, several netlayers, certificates."""

import os
import signal
import time

import pytest
import trustme

from cli_kit import assert_one_line, run, serving
from goblins_py import spawn_vat
from goblins_py.cli._netlayers import NETLAYERS, Reach
from goblins_py.locators import Sturdyref
from websocket_kit import write_pair

STORED = ("things.py:Things", "--store", "things.syrup")
WEBSOCKET = ("things.py:Things", "--netlayer", "websocket")


def call(uri, folder, *args, code=0):
    done = run("call", *args, cwd=folder, stdin=uri)
    assert code == done.code, done.err
    return done.out.strip() or done.err


def url_of(uri):
    return Sturdyref.from_uri(uri).peer.hints["url"]


def test_object_is_served_and_called_over_wss(tmp_path):
    """With a certificate that nobody had to issue; the URI is the same after a restart."""
    options = (*STORED, "--netlayer", "websocket")
    with serving(tmp_path, *options) as server:
        assert url_of(server.uri).startswith("wss://127.0.0.1:")
        assert "websocket at 127.0.0.1" in server.err
        assert "1" == call(server.uri, tmp_path, "-", "up")
    with serving(tmp_path, *options) as again:
        assert again.uri == server.uri
        assert "2" == call(again.uri, tmp_path, "-", "up")


def test_several_netlayers_give_several_uris_for_one_object(tmp_path):
    """One line for each, in their order; `goblins call` knows by the URI what to dial with."""
    options = (*STORED, "--netlayer", "websocket", "--netlayer", "tcp-tls")
    with serving(tmp_path, *options) as server:
        uris = [server.uri, server.process.stdout.readline().decode().strip()]
        assert [".websocket/" in uri for uri in uris] == [True, False]
        assert ["1", "2"] == [call(uri, tmp_path, "-", "up") for uri in uris]


def test_insecure_serves_without_tls_and_calls_anything(tmp_path):
    """On this machine a caller need not say so."""
    with serving(tmp_path, *WEBSOCKET, "--insecure") as server:
        assert url_of(server.uri).startswith("ws://127.0.0.1:")
        assert "1" == call(server.uri, tmp_path, "-", "up")
        elsewhere = server.uri.replace("127.0.0.1", "192.0.2.1")
        assert "--insecure" in call(elsewhere, tmp_path, "-", "up", code=3)
        told = run("call", "--insecure", "--timeout", "1", "-", "up", cwd=tmp_path, stdin=elsewhere)
        assert told.code in {3, 4}  # dialled, and nobody is there
        assert "--insecure" not in told.err


def test_files_are_shown_and_read_again_at_sighup(tmp_path, monkeypatch):
    """A broken one is reported, and the old one kept."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    cert, key = write_pair(tmp_path, "localhost", authority=authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    options = (*WEBSOCKET, "--host", "localhost", "--cert", cert, "--key", key)
    with serving(tmp_path, *options) as server:
        assert "1" == call(server.uri, tmp_path, "-", "up")
        os.kill(server.process.pid, signal.SIGHUP)
        wait_for(server, "the certificate was read again")
        (tmp_path / "key.pem").write_text("no key")
        os.kill(server.process.pid, signal.SIGHUP)
        wait_for(server, "the old certificate is kept")
        assert "2" == call(server.uri, tmp_path, "-", "up")


def test_a_restarted_server_reads_its_files_again_at_sighup(tmp_path):
    """Though this command line names none; and one that has no files goes on."""
    cert, key = write_pair(tmp_path, "localhost")
    options = (*STORED, "--netlayer", "websocket", "--host", "localhost", "--cert", cert, "--key", key)
    with serving(tmp_path, *options) as server:
        pass
    with serving(tmp_path, *STORED) as again:
        assert again.uri == server.uri
        os.kill(again.process.pid, signal.SIGHUP)
        wait_for(again, "the certificate was read again")
        assert (0, "") == again.end(signal.SIGTERM)
    with serving(tmp_path, "things.py:Things") as plain:
        os.kill(plain.process.pid, signal.SIGHUP)
        wait_for(plain, "no certificate to be read again")
        assert "1" == call(plain.uri, tmp_path, "-", "up")


def test_a_restart_uses_all_netlayers_that_the_store_has(tmp_path):
    """Each URI is printed again, and nothing else is opened; `where` is a column."""
    options = ("--netlayer", "websocket", "--netlayer", "tcp-tls")
    with serving(tmp_path, *STORED, *options) as server:
        uris = {server.uri, server.process.stdout.readline().decode().strip()}
    with serving(tmp_path, *STORED) as again:
        assert uris == {again.uri, again.process.stdout.readline().decode().strip()}
        shown = [line for line in again.err.splitlines() if "127.0.0.1, port" in line][-2:]
        assert 1 == len({line.index(line.split()[-5]) for line in shown}), shown
        assert (0, "") == again.end(signal.SIGTERM)


def test_a_restart_says_what_is_otherwise_than_its_options(tmp_path):
    """A listener that none of them names, and that there is no TLS."""
    options = ("--netlayer", "websocket", "--insecure", "--netlayer", "tcp-tls")
    with serving(tmp_path, *STORED, *options):
        pass
    with serving(tmp_path, *STORED, "--netlayer", "websocket") as again:
        assert "reached by tcp-tls, too" in again.err
        assert "without TLS" in again.err


def test_a_restart_changes_certificate_and_url_and_not_who_it_is(tmp_path, monkeypatch):
    """The files that the store names may be gone by then; what is not given again stays."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    options = (*STORED, "--netlayer", "websocket", "--host", "localhost")
    for folder in (tmp_path / "old", tmp_path / "new"):
        folder.mkdir()
        cert, key = write_pair(folder, "localhost", authority=authority)
        with serving(tmp_path, *options, "--cert", cert, "--key", key) as server:
            call(server.uri, tmp_path, "-", "up")
        (folder / "cert.pem").unlink()
    cert, key = write_pair(tmp_path / "new", "localhost", authority=authority)
    with serving(tmp_path, *STORED, "--url", f"{url_of(server.uri)}/") as again:
        assert url_of(server.uri) + "/" == url_of(again.uri)
        assert server.uri.partition("?")[0] == again.uri.partition("?")[0]
        assert "3" == call(again.uri, tmp_path, "-", "up")


@pytest.mark.parametrize(
    ("first", "then", "word"),
    [
        ((), ("--insecure",), "--insecure comes too late"),
        (("--insecure",), ("--cert", "cert.pem", "--key", "key.pem"), "--cert comes too late"),
        ((), ("--allow-origin", "not an origin"), "is no origin"),
        ((), ("--port", "1", "--port", "2"), "1 netlayers, but 2 ports"),
    ],
)
def test_a_restart_that_cannot_change_what_it_should_says_so(tmp_path, first, then, word):
    """In one line, and without it all is as it was."""
    with serving(tmp_path, *STORED, "--netlayer", "websocket", *first) as server:
        pass
    write_pair(tmp_path, "127.0.0.1")
    done = run("serve", *STORED, *then, cwd=tmp_path)
    assert "" == done.out
    assert_one_line(done.err, word)
    with serving(tmp_path, *STORED) as again:
        assert again.uri == server.uri


def wait_for(server, words):
    end = time.monotonic() + 10
    while words not in server.err:
        assert time.monotonic() < end, server.err
        time.sleep(0.02)


def test_url_is_announced_as_given(tmp_path):
    """Behind a reverse proxy that does TLS."""
    with serving(tmp_path, *WEBSOCKET, "--insecure", "--url", "wss://till.example/ocapn") as server:
        assert "wss://till.example/ocapn" == url_of(server.uri)


@pytest.mark.parametrize(("url", "checks"), [(None, False), ("ws://h", False), ("wss://h", True)])
def test_a_proxy_that_does_tls_is_no_reason_to_dial_without_checks(url, checks):
    """`--insecure` then is about listening only."""
    with spawn_vat() as vat:
        reach = Reach("127.0.0.1", None, insecure=True, url=url)
        netlayer = vat.run(NETLAYERS["websocket"].listening, reach)._behaviour
    assert (False, checks) == (netlayer.encrypted, netlayer.verify_certificates)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--netlayer", "carrier-pigeon"), "there is tcp-tls, websocket"),
        (("--netlayer", "websocket", "--netlayer", "websocket"), "twice"),
        (("--netlayer", "websocket", "--port", "1", "--port", "2"), "1 netlayers, but 2 ports"),
        (("--netlayer", "websocket", "--cert", "x"), "go together"),
        (("--netlayer", "websocket", "--cert", "x", "--key", "y", "--insecure"), "no use for --cert"),
        (("--insecure",), "--insecure means nothing to tcp-tls"),
        (("--allow-origin", "https://a"), "--allow-origin means nothing to tcp-tls"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, args, word):
    """Before anything is made."""
    (tmp_path / "things.py").write_text("")
    done = run("serve", "things.py:Things", *args, cwd=tmp_path)
    assert (2, "") == (done.code, done.out)
    assert_one_line(done.err, word)


def test_certificate_that_is_no_good_is_explained(tmp_path):
    """At start, in one line."""
    cert, key = write_pair(tmp_path, "elsewhere.example")
    (tmp_path / "things.py").write_text("from goblins_py import actor\n@actor\nclass Things:\n    pass\n")
    options = ("--netlayer", "websocket", "--host", "localhost", "--cert", cert, "--key", key)
    done = run("serve", "things.py:Things", *options, cwd=tmp_path)
    assert 1 == done.code
    assert "is for elsewhere.example, and not for localhost" in done.err
