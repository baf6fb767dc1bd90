"""Values across a session: every kind, both ways, and what peers write in their own manner."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from captp_kit import Pair, Playground, Stranger, cut_every, run_vat
from goblins_py.actors import Promise, Ref, make_promise, passable, spawn
from goblins_py.captp._marshal import read_value
from goblins_py.captp._reasons import read_reason, write_reason
from goblins_py.captp._records import (
    DescExport,
    DescImportObject,
    DescImportPromise,
    OpAbort,
    OpDeliver,
)
from goblins_py.errors import (
    ConnectFailedError,
    HandoffError,
    LocatorError,
    NoSuchMethodError,
    NotPassableError,
    QueueFullError,
    Refusal,
    RemoteError,
    SessionSeveredError,
    UnknownSwissNumError,
    VatClosedError,
)
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.syrup import Map, Null, Record, Symbol, Tagged, same

S = Symbol
PEER = PeerLocator("tcp-tls", "abc", {"host": "::1", "port": "1"})

VALUES = [
    None,
    Null,
    True,
    False,
    0,
    1,
    -1,
    2**64,
    -(7**500),
    0.0,
    -0.0,
    1.0,
    math.inf,
    -math.inf,
    math.nan,
    "",
    "plain",
    "Grüße 🦝",
    b"",
    bytes(range(256)),
    S("rutabaga"),
    S("größe"),
    S(""),
    (),
    (1, ("two", (S("three"), ()))),
    frozenset(),
    frozenset({1, "1", b"1", S("1"), (1,), frozenset({1})}),
    Map(),
    Map({"a": 1, S("a"): 2, b"a": 3, 4: 5, (1, 2): 3, frozenset({1}): (), None: 1, 1.5: None}),
    Map({Map({1: 2}): Map({3: Map()})}),
    Tagged("colour", "green"),
    Tagged("", (None, Tagged("x", Null))),
    Record(S("pair"), (1, (2, None))),
    Record(S("kw"), (S("flavour"),)),
    Record(S("unheard-of"), ()),
    PEER,
    PeerLocator("onion", "xyz"),
    Sturdyref(PEER, b"\x00swiss"),
    (True, 1, 1.0, "1", S("1"), b"1"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_every_kind_of_value_goes_there_and_back(value) -> None:
    """As an argument and as a result, with its type, alone and inside others."""
    pair = Pair()
    assert same(passable(value), pair.result("same", value))
    for container in ((value,), Map({"k": value}), Tagged("t", value)):
        assert same(passable(container), pair.result("same", container))


def test_hints_of_a_locator_come_along() -> None:
    """They do not count for equality, so this says it."""
    returned = Pair().result("same", Sturdyref(PEER, b"s"))
    assert PEER.hints == returned.peer.hints


def test_containers_of_python_arrive_as_values() -> None:
    """Lists as tuples, dicts as maps, sets as frozensets."""
    assert ((1, 2), Map({"a": (1,)}), frozenset({1})) == Pair().result("echo", [1, 2], {"a": [1]}, {1})


READ = [
    (Record(S("void"), ()), None),
    (Record(S("undefined"), ()), None),
    (Record(S("null"), ()), Null),
    (Record(S("vec"), (1, Record(S("void"), ()))), (1, None)),
    (Record(S("user-record"), (S("t"), 1)), Tagged("t", 1)),
    (Record(S("desc:tagged"), (S("t"), 1)), Tagged("t", 1)),
    (Record(S("desc:tagged"), ("t", 1)), Tagged("t", 1)),
    (Record("label", (Record(S("null"), ()),)), Record("label", (Null,))),
    (Record(5, ()), Record(5, ())),
    (Record(Record(S("void"), ()), ()), Record(None, ())),
    (Map({1: Record(S("vec"), ())}), Map({1: ()})),
]


class NoReferences:
    """For values without any."""

    def recognise(self, dialect):
        """It is read whoever writes it."""

    def describe(self, thing):
        raise NotImplementedError

    def designate(self, descriptor):
        raise NotImplementedError


@pytest.mark.parametrize(("written", "value"), READ, ids=str)
def test_what_peers_write_is_read(written, value) -> None:
    """Goblins' way and Endo's."""
    assert same(value, read_value(written, NoReferences()))


@pytest.mark.parametrize(
    "value",
    [
        Record(S("void"), (1,)),
        Record(S("null"), (1,)),
        Record(S("user-record"), (S("t"),)),
        Record(S("user-record"), (5, 1)),
        Record(S("desc:tagged"), (S("t"), 1, 2)),
        Record(S("ocapn-peer"), (S("tcp"), "x")),
        Record(S("ocapn-peer"), (S("t!"), "x", False)),
        Record(S("ocapn-sturdyref"), (1, b"s")),
        Record(S("ocapn-sturdyref"), (PEER.to_record(), "s")),
        Map({Record(S("void"), ()): 1, Record(S("undefined"), ()): 2}),
        frozenset({Record(S("void"), ()), Record(S("undefined"), ())}),
        Map({(1,): 1, Record(S("vec"), (1,)): 2}),
        Map({Record(S("vec"), (1,)): 1, Record(S("vec"), (Record(S("vec"), ()),)): 2, ((),): 3}),
        OpAbort("x"),
        (OpDeliver(DescExport(0), (), False, False),),
    ],
    ids=str,
)
def test_malformed_values_end_the_session(value) -> None:
    """Never merged, never guessed at."""
    stranger = Stranger()
    (abort,) = stranger.say(OpDeliver(DescExport(0), (S("echo"), value), False, False))
    assert isinstance(abort, OpAbort)
    assert not stranger.alive


@pytest.mark.parametrize(
    ("args", "positional", "named"),
    [
        ((1, Record(S("kw"), (S("a-b"),)), 2), (1,), {"a_b": 2}),
        ((Record(S("kw"), (S("a"),)), 2, 1), (1,), {"a": 2}),
        ((Record(S("kw"), (S("a"),)), Record(S("kw"), (S("b"),))), (), {"a": Record(S("kw"), (S("b"),))}),
        ((1, Record(S("kw"), (S("a"),))), (1, Record(S("kw"), (S("a"),))), {}),
    ],
)
def test_keywords_are_read_wherever_they_stand(args, positional, named) -> None:
    """One without a value is just a value."""
    stranger = Stranger()
    (said,) = stranger.say(OpDeliver(DescExport(0), (S("echo"), *args), False, DescImportObject(1)))
    assert (*positional, *named.items()) == said.args[1]


@pytest.mark.parametrize(
    "args",
    [
        (Record(S("kw"), ()), 1),
        (Record(S("kw"), ("a",)), 1),
        (Record(S("kw"), (S("a"), S("b"))), 1),
        (Record(S("kw"), (S("a-b"),)), 1, Record(S("kw"), (S("a_b"),)), 2),
    ],
)
def test_malformed_keywords_end_the_session(args) -> None:
    """Two of one name, too: neither may win."""
    stranger = Stranger()
    assert isinstance(stranger.say(OpDeliver(DescExport(0), args, False, False))[0], OpAbort)


# --- break reasons -------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the secret"),
        KeyError("the secret"),
        NoSuchMethodError("Secret has no method"),
        NotPassableError("argument 0: a value of type Secret"),
        QueueFullError("secret"),
        SessionSeveredError("secret"),
        VatClosedError("vat 'secret' is closed"),
        ConnectFailedError("secret address"),
        SystemExit("secret"),
    ],
)
def test_reasons_tell_no_internals_unless_verbose(error) -> None:
    """A plain string without names; a verbose vat tells class and text."""
    told = write_reason(error, verbose=False)
    assert type(told) is str
    assert "ecret" not in told
    assert f"{type(error).__name__}: {error}" == write_reason(error, verbose=True)


@pytest.mark.parametrize("error", [UnknownSwissNumError("a"), LocatorError("b"), HandoffError("c")])
def test_reasons_that_are_the_peers_to_know_are_told(error) -> None:
    """Their texts are written for it."""
    assert str(error) == write_reason(error, verbose=False)


@pytest.mark.parametrize("reason", ["text", S("oh-no"), (1, (2,)), Tagged("t", 1), 0, False, None])
def test_reasons_on_purpose_go_as_they_are(reason) -> None:
    """Of a `Refusal`, and one that came from a peer; verbose or not."""
    for error in (Refusal(reason), RemoteError(reason)):
        assert same(reason, write_reason(error, verbose=False))
        assert same(reason, write_reason(error, verbose=True))


def test_a_reason_cannot_smuggle_records_of_captp() -> None:
    """What one peer gave as a reason must not become a gift to another; an odd one is not sent either."""
    for reason in (Record(S("desc:sig-envelope"), (1,)), Record(S("op:abort"), ("x",)), object()):
        assert "failed" in write_reason(RemoteError(reason), verbose=False)


def test_a_reason_with_a_lone_surrogate_is_told_without() -> None:
    """It has no UTF-8 form."""
    assert "ValueError: a?" == write_reason(ValueError("a\ud800"), verbose=True)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("text", "text"),
        (S("oh-no"), S("oh-no")),
        ((1, 2), (1, 2)),
        (Tagged("t", 1), Tagged("t", 1)),
        (Record(S("exn:fail:mystery"), ()), "the remote object failed and gives no reason"),
        (Record(S("desc:error"), ("text",)), "text"),
        (Record(S("desc:error"), ("text", 1, 2)), "text"),
        (Record(S("desc:error"), (5,)), Record(S("desc:error"), (5,))),
        (None, None),
        (False, False),
    ],
    ids=str,
)
def test_all_forms_of_reasons_are_read(written, reason) -> None:
    """Goblins', Endo's, anybody's."""
    assert same(reason, read_reason(written).reason)


@pytest.mark.parametrize(("verbose", "text"), [(False, "own vat's log"), (True, "ValueError: the secret")])
def test_a_failing_object_breaks_the_call(verbose, text) -> None:
    """All the way across."""
    outcome = Pair(bob={"verbose": verbose}).ask("fail")
    assert isinstance(outcome.reason, RemoteError)
    assert text in outcome.reason.reason


# --- anything ----------------------------------------------------------------------------


def tree(leaves):
    hashable = st.deferred(lambda: everything)
    everything = st.one_of(
        leaves,
        st.lists(hashable, max_size=3).map(tuple),
        st.dictionaries(strategies.scalars.filter(lambda key: key == key), hashable, max_size=3),  # noqa: PLR0124
        st.builds(Tagged, st.text(st.characters(exclude_categories=["Cs"]), max_size=3), hashable),
    )
    return everything


def clean(value):
    try:
        return passable(value)
    except NotPassableError:
        return None  # keys that are one to Python


@given(st.data())
def test_random_values_with_references_go_there_and_back(data) -> None:
    """Equal, with their types; references and promises of either side are the same objects again."""
    pair = Pair()
    ours = pair.alice.do(spawn, Playground)
    promise, _ = pair.alice.do(make_promise)
    theirs = pair.result("make")
    their_promise, _ = pair.result("promise")
    special = st.sampled_from([None, Null, ours, promise, theirs, their_promise, PEER])
    value = clean(data.draw(tree(st.one_of(strategies.scalars, special))))
    outcomes = pair.alice.heard(pair.alice.send(pair.alice.remote, "echo", value))
    pair.settle(cut_every(data.draw(st.integers(1, 50))))
    (outcome,) = outcomes
    assert same((value,), outcome.value)


def test_promises_and_objects_are_told_apart_on_arrival() -> None:
    """By their descriptors."""
    stranger = Stranger()
    stranger.say(OpDeliver(DescExport(0), (S("echo"), DescImportObject(1), DescImportPromise(2)), 1, False))
    run_vat(stranger.us.vat)
    first, second = stranger.us.session.references.answers[1]._state.value
    assert isinstance(first, Ref)
    assert isinstance(second, Promise)
