"""The `url` hint of a websocket locator."""

import pytest

from goblins_py.errors import InvalidHintError, UnknownTransportError
from goblins_py.locators import PeerLocator
from netlayers._websocket_url import Target, is_loopback, origin_of, read_target, read_url

DESIGNATOR = "rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ws://127.0.0.1:22342", Target(secure=False, host="127.0.0.1", port=22342, path="/")),
        ("wss://Example.COM", Target(secure=True, host="example.com", port=443, path="/")),
        ("ws://example.com/a/b?c=d", Target(secure=False, host="example.com", port=80, path="/a/b?c=d")),
        ("wss://[::1]:8443/ocapn", Target(secure=True, host="::1", port=8443, path="/ocapn")),
        ("wss://münchen.example/", Target(secure=True, host="xn--mnchen-3ya.example", port=443, path="/")),
        ("WSS://h?q", Target(secure=True, host="h", port=443, path="/?q")),
    ],
)
def test_urls_are_read(url, target):
    """Scheme, host, port and path, with what is usual where they say nothing."""
    assert read_url(url) == target


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "neither"),
        ("https://example.com", "neither"),
        ("ws:example.com", "host"),
        ("ws://", "host"),
        ("ws://a b/", "blanks"),
        ("ws://-a/", "host"),
        ("ws://user@example.com", "user name"),
        ("ws://:pw@example.com", "user name"),
        ("ws://example.com/#x", "fragment"),
        ("ws://example.com:0", "port"),
        ("ws://example.com:65536", "none"),
        ("ws://example.com:x", "none"),
        ("ws://[::1", "none"),
        ("ws://example.com/a b", "blanks"),
        ("ws://example.com/a\r\nX-Evil: 1", "blanks"),
        ("ws://example.com/a\tb", "blanks"),
        ("ws://example.com/é", "path"),
        ("ws://" + "a" * 64, "host"),
    ],
)
def test_urls_that_cannot_be_dialled_are_refused(url, word):
    """With what is wrong, and nothing of the URL that somebody else chose."""
    with pytest.raises(InvalidHintError, match=word):
        read_url(url)


def test_locators_that_cannot_be_dialled_are_refused():
    """Another transport, no hint, no key."""
    with pytest.raises(UnknownTransportError):
        read_target(PeerLocator("onion", DESIGNATOR, {"url": "ws://h"}))
    for designator, hints in ((DESIGNATOR, None), (DESIGNATOR, {"host": "h"}), ("abc", {"url": "ws://h"})):
        with pytest.raises(InvalidHintError):
            read_target(PeerLocator("websocket", designator, hints))


def test_error_texts_show_neither_path_nor_query():
    """They may be secrets."""
    assert str(read_url("wss://[::1]:8443/secret?token=1")) == "wss://[::1]:8443"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("wss://example.com/x", "https://example.com"),
        ("wss://example.com:8443", "https://example.com:8443"),
        ("ws://example.com:80", "http://example.com"),
        ("ws://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_origins_are_written_as_browsers_do(url, origin):
    """Without the port that goes without saying."""
    assert origin_of(read_url(url)) == origin


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("192.168.1.1", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_else(host, expected):
    """What may be dialled without TLS."""
    assert is_loopback(host) is expected
