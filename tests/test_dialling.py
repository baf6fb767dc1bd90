"""What a peer can make us dial: how often and where to, decided on plain values."""

import pytest

from goblins_py.abc import Asker
from goblins_py.captp import SessionLimits
from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator
from goblins_py.runtime._dialling import DialGuard, Reach, address_refusal, reach_of, where_refused

PUBLIC, PRIVATE, HERE = "93.184.215.14", "192.168.1.9", "127.0.0.1"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def at(host, **hints):
    return PeerLocator("tcp-tls", "carol", {"host": host, "port": "40123", **hints})


def asker(address=PUBLIC, session="session"):
    return Asker(session, PeerLocator("tcp-tls", "bob", {"host": HERE}), address)


EXAMPLE = at("example.com")


def guard_of(clock=None, may_dial=None, **limits):
    return DialGuard(clock or Clock(), SessionLimits(**limits), may_dial)


def decide(guard, locator, asked_by):
    """As the switchboard does: where to, then how often."""
    guard.judge(locator, asked_by)
    guard.begin(asked_by)


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("169.254.169.254", Reach.LINK_LOCAL),
        ("fe80::1", Reach.LINK_LOCAL),
        ("fe80::1%eth0", Reach.LINK_LOCAL),
        ("::ffff:169.254.169.254", Reach.LINK_LOCAL),
        ("64:ff9b::a9fe:a9fe", Reach.LINK_LOCAL),
        ("2002:a9fe:a9fe::1", Reach.LINK_LOCAL),
        ("::169.254.169.254", Reach.LINK_LOCAL),
        ("2852039166", Reach.LINK_LOCAL),
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.8.8.8", Reach.LOOPBACK),
        ("127.1", Reach.LOOPBACK),
        ("0x7f.1", Reach.LOOPBACK),
        ("0177.0.0.1", Reach.LOOPBACK),
        ("2130706433", Reach.LOOPBACK),
        ("0.0.0.0", Reach.LOOPBACK),
        ("::", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("[::1]", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("localhost", Reach.LOOPBACK),
        ("LocalHost.", Reach.LOOPBACK),
        ("evil.localhost", Reach.LOOPBACK),
        ("10.0.0.1", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.0.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fc00::1", Reach.PRIVATE),
        ("224.0.0.1", Reach.PRIVATE),
        ("93.184.215.14", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
        ("::ffff:93.184.215.14", Reach.PUBLIC),
        ("example.com", None),
        ("localhost.example.com", None),
        ("", None),
        ("no\0name", None),
    ],
)
def test_an_address_is_known_in_any_notation(host, reach):
    """As resolvers take them, and as IPv6 wraps them."""
    assert reach_of(host) is reach


@pytest.mark.parametrize("address", [PUBLIC, PRIVATE, HERE, "169.254.7.7", None])
def test_link_local_is_always_refused(address):
    """Whoever asks: there are routers and the metadata services of clouds."""
    assert "link-local" in address_refusal("169.254.169.254", asker(address))


@pytest.mark.parametrize("host", [HERE, PRIVATE, "localhost", "::1", "100.64.0.1"])
def test_what_is_near_us_is_refused_to_who_is_far(host):
    """And to who does not say where it is; its claimed hints (here: loopback) do not count."""
    assert where_refused(at(host), asker(PUBLIC)) is not None
    assert where_refused(at(host), asker(None)) is not None
    assert where_refused(at(host), asker(PRIVATE)) is None
    assert where_refused(at(host), asker("::ffff:127.0.0.1")) is None


def test_a_public_address_or_a_name_may_be_dialled_for_anybody():
    """What the name leads to is asked again, as an address."""
    for address in (PUBLIC, PRIVATE, HERE, None):
        assert where_refused(at(PUBLIC), asker(address)) is None
        assert where_refused(EXAMPLE, asker(address)) is None


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:80/x", "wss://[::1]/", "http://u:p@localhost/", "ws://127.1"]
)
def test_a_host_within_a_url_counts(url):
    """Whatever the hint is called."""
    assert where_refused(PeerLocator("websocket", "carol", {"url": url}), asker()) is not None


def test_hints_without_a_host_refuse_nothing():
    """None, none at all, a port alone, nonsense."""
    for hints in (None, {}, {"port": "80"}, {"url": "ws://[nonsense"}, {"v": "2"}):
        assert where_refused(PeerLocator("t", "carol", hints), asker()) is None


def test_eight_dials_at_once():
    """The ninth has to wait until one has ended; other sessions are not concerned."""
    guard = guard_of()
    for _ in range(8):
        decide(guard, EXAMPLE, asker())
    with pytest.raises(ConnectFailedError, match="8 dials"):
        decide(guard, EXAMPLE, asker())
    decide(guard, EXAMPLE, asker(session="other"))
    guard.done(asker())
    decide(guard, EXAMPLE, asker())
    with pytest.raises(ConnectFailedError):
        decide(guard, EXAMPLE, asker())


def test_a_hundred_dials_a_minute():
    """In any sixty seconds, not in each minute of the clock."""
    clock = Clock()
    guard = guard_of(clock)
    for number in range(100):
        clock.now = 1000.0 + number / 2
        decide(guard, EXAMPLE, asker())
        guard.done(asker())
    with pytest.raises(ConnectFailedError, match="100 dials"):
        decide(guard, EXAMPLE, asker())
    clock.now = 1060.0
    decide(guard, EXAMPLE, asker())
    with pytest.raises(ConnectFailedError):
        decide(guard, EXAMPLE, asker())


def test_what_is_refused_does_not_count():
    """Neither as under way nor as begun."""
    guard = guard_of(dials_at_once=1, dials_per_minute=1)
    for _ in range(5):
        with pytest.raises(ConnectFailedError, match="link-local"):
            decide(guard, at("169.254.169.254"), asker())
    decide(guard, EXAMPLE, asker())


def test_our_own_program_dials_what_it_likes():
    """As often as it likes."""
    guard = guard_of(may_dial=lambda locator, asked_by: False)
    for _ in range(1000):
        decide(guard, at("169.254.169.254"), None)
    guard.done(None)


def test_a_hook_decides_in_the_place_of_the_default():
    """It sees the locator and who asks; the limits stay."""
    seen = []

    def may_dial(locator, asked_by):
        seen.append((locator, asked_by))
        return locator.hints["host"] == HERE

    guard = guard_of(may_dial=may_dial, dials_at_once=1)
    with pytest.raises(ConnectFailedError, match="may_dial"):
        decide(guard, EXAMPLE, asker())
    decide(guard, at(HERE), asker())
    assert seen == [(EXAMPLE, asker()), (at(HERE), asker())]
    with pytest.raises(ConnectFailedError, match="1 dials"):
        decide(guard, at(HERE), asker())


def test_an_ended_session_is_forgotten():
    """Nothing is kept of it, also when a dial of its ends later."""
    guard = guard_of()
    for _ in range(8):
        decide(guard, EXAMPLE, asker())
    guard.forget("session")
    guard.done(asker())
    guard.forget("session")
    assert guard._under_way == guard._begun == {}
