"""Locators and sturdyrefs: as values, records and URIs."""

import copy
import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goblins_py.errors import LocatorError
from goblins_py.locators import PeerLocator, Sturdyref, base32_decode, base32_encode, parse_uri
from goblins_py.syrup import Leaf, Map, Record, Symbol, decode, encode, freeze
from strategies import texts
from vectors_syrup import DES, LOC

SWISS_TEXT = "Sq6I4tNyXDWZi6gcUho0t2sye1N0PffwrL1NI0s_M6I"
SWISS = bytes.fromhex("4aae88e2d3725c35998ba81c521a34b76b327b53743df7f0acbd4d234b3f33a2")
PEER = PeerLocator("tcp-tls", DES, {"port": "22100", "host": "127.0.0.1"})
STURDYREF = Sturdyref(PEER, SWISS)
QUERY = "?host=127.0.0.1&port=22100"

designators = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)
peers = st.builds(
    PeerLocator,
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,10}", fullmatch=True),
    designators,
    st.none() | st.dictionaries(texts.filter(bool), texts, min_size=1, max_size=3),
)
sturdyrefs = st.builds(Sturdyref, peers, st.binary(max_size=40))


# --- values -----------------------------------------------------------------------


def test_peers_are_equal_whatever_their_hints():
    """Transport and designator say who it is; hints only where."""
    assert PeerLocator("tcp-tls", "abc", {"host": "a"}) == PeerLocator("tcp-tls", "abc")
    assert hash(PeerLocator("tcp-tls", "abc", {"host": "a"})) == hash(PeerLocator("tcp-tls", "abc"))
    assert PeerLocator("tcp-tls", "abc") != PeerLocator("tcp-tls", "ABC")
    assert PeerLocator("onion", "abc") != PeerLocator("tcp-tls", "abc")


def test_sturdyrefs_are_equal_by_peer_and_swiss_number():
    """Hints do not count here either."""
    assert STURDYREF == Sturdyref(PeerLocator("tcp-tls", DES), SWISS)
    assert STURDYREF != Sturdyref(PEER, b"other")
    assert STURDYREF != PEER
    assert len({STURDYREF, Sturdyref(PeerLocator("tcp-tls", DES), SWISS)}) == 1


@pytest.mark.parametrize("located", [PEER, STURDYREF])
def test_locators_are_leaves_that_copy_to_themselves(located):
    """They may sit in any value."""
    assert isinstance(located, Leaf)
    assert freeze([located])[0] is located
    assert copy.copy(located) is located
    assert copy.deepcopy([located])[0] is located
    with pytest.raises(AttributeError):
        located.peer = None


def test_sturdyref_is_not_pickled():
    """A secret does not slip into a file; a peer may."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="secret"):
            pickle.dumps(STURDYREF, protocol)
    again = pickle.loads(pickle.dumps(PEER))
    assert (again, again.hints) == (PEER, PEER.hints)


@pytest.mark.parametrize("located", [PEER, STURDYREF, Sturdyref(PeerLocator("fake", "ab"), SWISS)])
@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format])
def test_printed_forms_are_redacted(located, show):
    """Transport and the start of the designator: no swiss number, no hints."""
    text = show(located)
    for secret in (SWISS_TEXT, repr(SWISS), SWISS.hex(), DES, "22100", "127.0.0.1"):
        assert secret not in text
    assert ("tcp-tls ssrmwc…" in text) or ("fake ab" in text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PeerLocator("", "abc"),
        lambda: PeerLocator("tcp.tls", "abc"),
        lambda: PeerLocator("tcp_tls\n", "abc"),
        lambda: PeerLocator("x" * 65, "abc"),
        lambda: PeerLocator(Symbol("tcp-tls"), "abc"),
        lambda: PeerLocator("tcp-tls", ""),
        lambda: PeerLocator("tcp-tls", "a\nb"),
        lambda: PeerLocator("tcp-tls", "a\ud800"),
        lambda: PeerLocator("tcp-tls", "a" * 4097),
        lambda: PeerLocator("tcp-tls", b"abc"),
        lambda: PeerLocator("tcp-tls", "abc", {"port": 1}),
        lambda: PeerLocator("tcp-tls", "abc", {Symbol("port"): "1"}),
        lambda: PeerLocator("tcp-tls", "abc", {"port": object()}),
        lambda: PeerLocator("tcp-tls", "abc", {"port": "\ud800"}),
        lambda: Sturdyref("ocapn://a.b", b""),
        lambda: Sturdyref(PEER, SWISS_TEXT),
    ],
)
def test_malformed_parts_are_refused_on_creation(make):
    """No half-valid locator exists."""
    with pytest.raises(LocatorError) as caught:
        make()
    assert SWISS_TEXT not in str(caught.value)


# --- records ------------------------------------------------------------------------


def test_records_are_those_of_goblins():
    """The vector of the wire reference."""
    assert PEER.to_record() == LOC
    assert PeerLocator.from_record(LOC).hints == {"host": "127.0.0.1", "port": "22100"}
    assert STURDYREF.to_record() == Record(Symbol("ocapn-sturdyref"), (LOC, SWISS))
    assert encode(PeerLocator("fake", "abc").to_record()) == b"<10'ocapn-peer4'fake3\"abcf>"


@given(sturdyrefs)
def test_record_round_trip_keeps_every_byte(sturdyref):
    """A signed locator must be written again as it was."""
    data = encode(sturdyref.to_record())
    again = Sturdyref.from_record(decode(data))
    assert again == sturdyref
    assert encode(again.to_record()) == data
    assert (
        Sturdyref.from_record(Record(Symbol("ocapn-sturdyref"), (sturdyref.peer, b"x"))).peer
        is sturdyref.peer
    )


def test_no_hints_and_empty_hints_are_two_records():
    """False and an empty dictionary stay apart on the wire."""
    for hints, data in ((None, b"<10'ocapn-peer4'fake3\"abcf>"), ({}, b"<10'ocapn-peer4'fake3\"abc{}>")):
        assert encode(PeerLocator("fake", "abc", hints).to_record()) == data
        assert PeerLocator.from_record(decode(data)).hints == hints


@pytest.mark.parametrize(
    "record",
    [
        None,
        LOC.fields,
        Record(Symbol("ocapn-peer"), ()),
        Record("ocapn-peer", LOC.fields),
        Record(Symbol("ocapn-node"), LOC.fields),
        Record(Symbol("ocapn-peer"), ("tcp-tls", DES, False)),
        Record(Symbol("ocapn-peer"), (Symbol("tcp-tls"), Symbol(DES), False)),
        Record(Symbol("ocapn-peer"), (Symbol("tcp-tls"), DES, 0)),
        Record(Symbol("ocapn-peer"), (Symbol("tcp-tls"), DES, True)),
        Record(Symbol("ocapn-peer"), (Symbol("tcp-tls"), DES, Map({"port": 1}))),
        Record(Symbol("ocapn-peer"), (*LOC.fields, False)),
        Record(Symbol("ocapn-sturdyref"), (LOC, SWISS_TEXT)),
        Record(Symbol("ocapn-sturdyref"), (LOC,)),
        Record(Symbol("ocapn-sturdyref"), (SWISS, SWISS)),
    ],
)
def test_malformed_records_are_refused(record):
    """Also by the other class."""
    for kind in (PeerLocator, Sturdyref):
        with pytest.raises(LocatorError):
            kind.from_record(record)


# --- URIs -----------------------------------------------------------------------------


def test_uris_are_those_of_goblins():
    """Hints in the order of their keys."""
    assert PEER.uri == f"ocapn://{DES}.tcp-tls{QUERY}"
    assert STURDYREF.uri == f"ocapn://{DES}.tcp-tls/s/{SWISS_TEXT}{QUERY}"
    assert parse_uri(PEER.uri) == PEER
    assert parse_uri(STURDYREF.uri) == STURDYREF
    assert parse_uri(STURDYREF.uri).peer.hints == PEER.hints


@given(peers | sturdyrefs)
def test_uri_round_trip(located):
    """Whatever is in designator, hints and swiss number."""
    again = parse_uri(located.uri)
    assert type(again) is type(located)
    assert again == located
    assert again.uri == located.uri
    assert getattr(again, "peer", again).hints == getattr(located, "peer", located).hints


def test_each_class_reads_its_own_uris_only():
    """A peer is no object, and the text of the error repeats neither."""
    assert PeerLocator.from_uri(PEER.uri) == PEER
    assert Sturdyref.from_uri(STURDYREF.uri) == STURDYREF
    with pytest.raises(LocatorError, match="of an object"):
        PeerLocator.from_uri(STURDYREF.uri)
    with pytest.raises(LocatorError, match="of a peer"):
        Sturdyref.from_uri(PEER.uri)


@pytest.mark.parametrize(
    ("text", "peer", "hints"),
    [
        ("ocapn://abc.tcp-tls", PeerLocator("tcp-tls", "abc"), None),
        ("ocapn://abc.tcp-tls/", PeerLocator("tcp-tls", "abc"), None),
        ("OcapN://AbC.tcp-tls", PeerLocator("tcp-tls", "AbC"), None),
        ("ocapn://a.b.c.onion", PeerLocator("onion", "a.b.c"), None),
        ("ocapn://a_b.fake", PeerLocator("fake", "a_b"), None),
        ("ocapn://a%20b.fake", PeerLocator("fake", "a b"), None),
        (f"ocapn://{'x' * 200}.fake", PeerLocator("fake", "x" * 200), None),
        ("ocapn://abc.fake?", PeerLocator("fake", "abc"), {}),
        ("ocapn://abc.fake?a=", PeerLocator("fake", "abc"), {"a": ""}),
        ("ocapn://abc.fake/?a=b+c%2B", PeerLocator("fake", "abc"), {"a": "b c+"}),
        ("ocapn://abc.fake?port=1&host=h", PeerLocator("fake", "abc"), {"host": "h", "port": "1"}),
        ("ocapn://abc.fake?host=a&other=x&host=b", PeerLocator("fake", "abc"), {"host": "a", "other": "x"}),
        ("ocapn://abc.fake?%61=1", PeerLocator("fake", "abc"), {"a": "1"}),
        (
            "ocapn://abc.websocket?url=wss%3A%2F%2Fexample.com%3A443%2Fx",
            PeerLocator("websocket", "abc"),
            {"url": "wss://example.com:443/x"},
        ),
    ],
)
def test_uris_in_other_forms_are_read(text, peer, hints):
    """What Goblins and others write, and what people paste."""
    found = PeerLocator.from_uri(text)
    assert found == peer
    assert found.designator == peer.designator
    assert found.hints == hints


def test_hints_are_written_with_all_but_the_safe_characters_encoded():
    """Letters, digits, `-._~` stay; a blank is %20, which everybody reads."""
    peer = PeerLocator("fake", "a/b", {"k&y": "a b+c=é~._-", "z": ""})
    assert peer.uri == "ocapn://a%2Fb.fake?k%26y=a%20b%2Bc%3D%C3%A9~._-&z="
    assert parse_uri(peer.uri).hints == peer.hints


def test_empty_hints_are_written_without_a_question_mark():
    """Goblins cannot read its own bare one; the hints then read as None."""
    assert PeerLocator("fake", "abc", {}).uri == "ocapn://abc.fake"


def test_empty_swiss_number_is_one():
    """As in Goblins."""
    assert parse_uri("ocapn://abc.fake/s/") == Sturdyref(PeerLocator("fake", "abc"), b"")
    assert Sturdyref(PeerLocator("fake", "abc"), b"").uri == "ocapn://abc.fake/s/"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ocapn:",
        "ocapn://",
        "ocapn://abc",
        "ocapn://abc.",
        "ocapn://.fake",
        "ocapn://abc.fa_ke",
        "http://abc.fake",
        "xocapn://abc.fake",
        " ocapn://abc.fake",
        "ocapn://abc.fake\n",
        "ocapn://abc.fake:22",
        "ocapn://me@abc.fake",
        "ocapn://abc.fake#x",
        "ocapn://äbc.fake",
        "ocapn://a%.fake",
        "ocapn://a%FF.fake",
        "ocapn://a%0A.fake",
        "ocapn://abc.fake/x",
        "ocapn://abc.fake/s",
        "ocapn://abc.fake//",
        "ocapn://abc.fake?a",
        "ocapn://abc.fake?a=1=2",
        "ocapn://abc.fake?=1",
        "ocapn://abc.fake?a=1&",
        "ocapn://abc.fake?a=%zz",
        "ocapn://abc.fake?a=%ff",
        f"ocapn://abc.fake/s/{SWISS_TEXT}=",
        f"ocapn://abc.fake/s/{SWISS_TEXT}/",
        f"ocapn://abc.fake/s/{SWISS_TEXT}x!",
        f"ocapn://abc.fake/s/{SWISS_TEXT[:-1]}J",  # stray bits
        f"ocapn://abc.fake/s/{SWISS_TEXT}xx",  # an impossible length
        f"ocapn://abc.fake/s/{SWISS_TEXT.replace('_', '/')}",
        f"ocapn://abc.fake/s/{SWISS_TEXT}?a",
        f"ocapn://abc.fake:1/s/{SWISS_TEXT}",
        f"ocapn://abc.fake/s/{SWISS_TEXT}?a=" + "x" * 17000,
    ],
)
def test_malformed_uris_are_refused_without_repeating_them(text):
    """One clear line that gives nothing away, chained errors included."""
    with pytest.raises(LocatorError) as caught:
        parse_uri(text)
    said = str(caught.value)
    assert "\n" not in said
    assert SWISS_TEXT[:12] not in said
    assert len(text) < 10 or text not in said
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_uri_that_nobody_would_read_is_not_written():
    """Hints may be long in a record, but not in a URI."""
    with pytest.raises(LocatorError, match="hints"):
        _ = PeerLocator("fake", "abc", {"a": "x" * 17000}).uri


# --- base32 ---------------------------------------------------------------------------------


def test_base32_is_that_of_designators():
    """The vector of the wire reference."""
    digest = hashlib.sha256(hashlib.sha256(b"This is a random test string!").digest()).digest()
    assert base32_encode(digest) == DES
    assert base32_decode(DES) == digest


@given(st.binary(max_size=70))
def test_base32_round_trip(data):
    """Lower case, no padding."""
    text = base32_encode(data)
    assert base32_decode(text) == data
    assert text == text.lower().rstrip("=")


@pytest.mark.parametrize("text", ["A", "a", "abc", "MZ", "mz==", "m-z", "m1", "mzx", "mz", "é", "mx\n"])
def test_malformed_base32_is_refused(text):
    """Upper case, padding, other characters, impossible lengths, stray bits."""
    with pytest.raises(LocatorError):
        base32_decode(text)
