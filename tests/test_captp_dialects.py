"""Dialects: what is written to whom, what is refused, and by what a peer is known."""

import pytest

from captp_kit import Pair, Stranger, to_bytes
from goblins_py.actors import Broken, send
from goblins_py.captp._dialects import ENDO, GOBLINS, OURS, TELLTALES, check, disordered, encode_ordered
from goblins_py.captp._marshal import writer
from goblins_py.captp._records import DescExport, DescImportObject, OpAbort, OpDeliver
from goblins_py.errors import NotPassableError
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.syrup import Map, Null, Record, Symbol, Tagged, decode, encode, same

S = Symbol
VOID = Record(S("void"), ())
TALES = {
    "desc:tagged": Record(S("desc:tagged"), (S("t"), 1)),
    "desc:error": Record(S("desc:error"), ("text",)),
    "exn:fail:mystery": Record(S("exn:fail:mystery"), ()),
    "vec": Record(S("vec"), (1,)),
}


def known_as(dialect, **options):
    """A stranger that has shown its dialect."""
    stranger = Stranger(**options)
    stranger.us.session.references.recognise(dialect)
    return stranger


def sent(stranger, *args, **kwargs):
    """Bytes of the message that we send it, and what its promise broke with."""
    promise = stranger.us.send(stranger.us.remote, "m", *args, **kwargs)
    heard = stranger.us.heard(promise)
    return stranger.us.say(), heard[0].reason if heard else None


def test_a_peer_is_one_of_ours_until_it_shows_something_else() -> None:
    """Its op:start-session tells nothing."""
    pair = Pair()
    pair.result("same", (Tagged("t", Null), frozenset({-0.0}), {1: "🦝"}, Record(S("odd"), ())))
    assert OURS is pair.alice.session.references.dialect
    assert OURS is pair.bob.session.references.dialect


@pytest.mark.parametrize("label", TELLTALES)
def test_what_only_some_write_tells_who_they_are(label) -> None:
    """As an argument; what comes first counts."""
    stranger = Stranger()
    references = stranger.us.session.references
    stranger.say(OpDeliver(DescExport(0), (S("echo"), (TALES[label],)), False, False))
    assert TELLTALES[label] is references.dialect
    for other in TALES.values():
        stranger.say(OpDeliver(DescExport(0), (S("echo"), (other,)), False, False))
    assert TELLTALES[label] is references.dialect
    assert stranger.alive


@pytest.mark.parametrize("label", ["desc:error", "exn:fail:mystery"])
def test_a_break_reason_tells_it_as_well(label) -> None:
    """It is what peers write most."""
    stranger = Stranger()
    stranger.us.send(stranger.us.remote, "m")
    (call,) = stranger.read()
    stranger.say(OpDeliver(DescExport(call.resolve_me.position), (S("break"), TALES[label]), False, False))
    assert TELLTALES[label] is stranger.us.session.references.dialect


@pytest.mark.parametrize(
    ("dialect", "form"),
    [
        (OURS, b"<11'user-record1't1+>"),
        (GOBLINS, b"<11'user-record1't1+>"),
        (ENDO, b"<11'desc:tagged1't1+>"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_tagged_value_is_written_as_the_peer_reads_it(dialect, form) -> None:
    """As an argument, as a result, within others."""
    stranger = known_as(dialect)
    data, reason = sent(stranger, Tagged("t", 1), ({"k": Tagged("t", 1)},))
    assert reason is None
    assert 2 == data.count(form)
    stranger.us.hear(
        to_bytes(OpDeliver(DescExport(0), (S("same"), decode(form)), False, DescImportObject(3)))
    )
    assert form in stranger.us.say()


REFUSED = {
    ENDO: [
        (-0.0, "negative zero"),
        ((1, {"a": (-0.0,)}), "negative zero"),
        (frozenset({1}), "sets"),
        ({1: 2}, "keys that are no text"),
        ({S("a"): 2}, "keys that are no text"),
        ("a🦝", "beyond U\\+FFFF"),
        ({"🦝": 1}, "beyond U\\+FFFF"),
        (Tagged("t", "🦝"), "beyond U\\+FFFF"),
        (S("@@iterator"), "@@"),
        (Tagged("@@t", 1), "@@"),
        (Record(S("pair"), (1, 2)), "such records"),
    ],
    GOBLINS: [
        (Null, "null"),
        (frozenset({Null}), "null"),
        (Tagged("t", Null), "null"),
        (Record(S("odd"), (1, 2)), "such records"),
    ],
}
TAKEN = {
    ENDO: [0.0, 1.5, "größe \uffff", S("🦝"), {"a": None}, Null, Tagged("t", (1,)), b"\xff", 2**70],
    GOBLINS: [-0.0, frozenset({1}), {1: 2}, "🦝", None, Tagged("t", 1), Record(S("pair"), (1, 2)), {"a": 1}],
}


@pytest.mark.parametrize(
    ("dialect", "value", "why"),
    [(dialect, value, why) for dialect, cases in REFUSED.items() for value, why in cases],
    ids=str,
)
def test_what_the_peer_lacks_is_refused_at_the_sender(dialect, value, why) -> None:
    """The promise breaks, nothing is sent, and nothing was counted; messages behind it break as well."""
    stranger = known_as(dialect)
    before = stranger.us.counts
    promise = stranger.us.send(stranger.us.remote, "m", stranger.us.bootstrap, value)
    behind = stranger.us.heard(stranger.us.send(promise, "n"))
    (outcome,) = stranger.us.heard(promise)
    assert isinstance(outcome.reason, NotPassableError)
    with pytest.raises(NotPassableError, match=why):
        raise outcome.reason
    assert isinstance(behind[0].reason, NotPassableError)
    assert b"" == stranger.us.say()
    assert before == stranger.us.counts


@pytest.mark.parametrize(
    ("dialect", "value"), [(dialect, value) for dialect, cases in TAKEN.items() for value in cases], ids=str
)
def test_what_the_peer_has_is_sent(dialect, value) -> None:
    """All else."""
    data, reason = sent(known_as(dialect), value)
    assert reason is None
    assert data


def test_keyword_arguments_are_refused_where_there_are_none() -> None:
    """By that name; Goblins has them."""
    data, reason = sent(known_as(ENDO), 1, a=2)
    assert b"" == data
    assert "keyword arguments" in str(reason)
    assert b"<2'kw1'a>2+" in sent(known_as(GOBLINS), 1, a=2)[0]


@pytest.mark.parametrize("dialect", [ENDO, GOBLINS], ids=lambda dialect: dialect.name)
def test_an_answer_that_the_peer_cannot_take_breaks(dialect) -> None:
    """With a plain text, so that its promise does not hang."""
    stranger = known_as(dialect)
    number = {ENDO: -0.0, GOBLINS: Record(S("null"), ())}[dialect]
    (told,) = stranger.say(OpDeliver(DescExport(0), (S("same"), number), False, DescImportObject(1)))
    assert S("break") == told.args[0]
    assert "cannot be passed" in told.args[1]
    assert stranger.alive


ORDERS = [
    (Map({"b": 1, "aa": 2}), b'{2"aa2+1"b1+}'),
    (Map({"ab": 1, "aa": 2}), b'{2"aa2+2"ab1+}'),
    (Map({"b" * 10: 1, "c": 2, "a": 0}), b'{1"a0+10"bbbbbbbbbb1+1"c2+}'),
    (Map({"ö": 1, "zz": 2, "a": 3}), b'{1"a3+2"zz2+2"\xc3\xb61+}'),
    (Map({"\uffff": 1, "\U0001f99d": 2}), b'{4"\xf0\x9f\xa6\x9d2+3"\xef\xbf\xbf1+}'),
    (Map(), b"{}"),
]
"""By UTF-16, so that the last one begins with its surrogates."""


@pytest.mark.parametrize(("value", "data"), ORDERS, ids=str)
def test_the_keys_of_structs_are_in_the_order_of_their_text(value, data) -> None:
    """At any depth."""
    special = writer(Pair().alice.session.references)
    assert data == encode_ordered(value, special)
    around = Record(S("pair"), ((value,), Map({1: value})))
    assert b"<4'pair[" + data + b"]" in encode_ordered(around, special)
    assert disordered(value) == (encode(value) != data)
    for dialect in (OURS, ENDO):
        assert b"[1'm[" + data + b"]]" in sent(known_as(dialect), (value,))[0] or "🦝" in value
    assert b"[1'm[" + encode(value) + b"]]" in sent(known_as(GOBLINS), (value,))[0]


def test_hints_of_locators_and_tagged_structs_are_ordered_too() -> None:
    """Whatever holds a struct."""
    struct = {"b": "1", "aa": "2"}
    ordered = b'{2"aa1"21"b1"1}'
    peer = PeerLocator("tcp", "x", struct)
    data, _ = sent(Stranger(), Tagged("t", struct), peer, Sturdyref(peer, b"s"))
    assert 3 == data.count(ordered)


def test_keys_that_are_no_text_stay_in_the_order_of_syrup() -> None:
    """There is no other."""
    value = Map({"b": 1, "aa": 2, 5: 3})
    assert encode(value) in sent(Stranger(), value)[0]


def test_references_in_ordered_structs_are_counted_once() -> None:
    """The message is encoded a second time, what it exports is not."""
    pair = Pair()
    pair.collect()
    before = pair.alice.counts, pair.bob.counts
    mine = pair.alice.bootstrap
    made = pair.alice.do(lambda: send(mine).make())
    value = {"b": made, "aa": made}
    assert not isinstance(pair.ask("same", value), Broken)
    del value, made
    pair.collect()
    assert before == (pair.alice.counts, pair.bob.counts)


def test_our_own_peers_take_all() -> None:
    """Nothing is checked for them."""
    assert OURS.takes_all
    assert not ENDO.takes_all
    assert not GOBLINS.takes_all
    check(Record(S("odd"), (Null, -0.0, frozenset())), OURS)


def test_a_dialect_is_not_an_abort() -> None:
    """Malformed forms still end the session, whoever writes them."""
    stranger = Stranger()
    (abort,) = stranger.say(
        OpDeliver(DescExport(0), (S("echo"), Record(S("desc:tagged"), (5, 1))), False, False)
    )
    assert isinstance(abort, OpAbort)
    assert same(VOID, Record(S("void"), ()))


def test_a_gift_in_an_ordered_struct_is_deposited_once() -> None:
    """Encoding the message a second time makes no second introduction."""
    exporter = Stranger(at=PeerLocator("fake", "carol"))
    receiver = Stranger(vat=exporter.us.vat)
    for stranger in (exporter, receiver):
        stranger.us.session.believe(verified=True)
        stranger.us.session.reachable = True
    gift = exporter.us.session.references.bootstrap
    receiver.us.send(receiver.us.remote, "m", {"b": gift, "aa": 1})
    assert 1 == receiver.us.say().count(b"desc:handoff-give")
    assert 1 == exporter.us.say().count(b"deposit-gift")
