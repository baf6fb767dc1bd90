"""A session's start and end: every state and event is in the table, or refused."""

import gc
import itertools
import weakref

import pytest

from captp_kit import (
    ALICE_AT,
    ALICE_KEYS,
    BOB_AT,
    BOB_KEYS,
    Pair,
    Playground,
    Side,
    Stranger,
    do,
    new_vat,
    one_by_one,
    run_vats,
)
from goblins_py.actors import Broken, on, on_sever, send, send_outside, spawn
from goblins_py.captp import TRANSITIONS, Session, SessionEvent, SessionState, Severed
from goblins_py.captp._greeting import greeting
from goblins_py.captp._records import (
    DescExport,
    DescImportObject,
    DescImportPromise,
    OpAbort,
    OpDeliver,
    OpGcAnswers,
    OpListen,
    OpStartSession,
)
from goblins_py.errors import SessionSeveredError
from goblins_py.locators import PeerLocator
from goblins_py.syrup import Record, Symbol

GREETING, ESTABLISHED, SEVERED = SessionState


def in_state(state):
    """A stranger who faces a session of ours in that state."""
    stranger = Stranger(start=state is not GREETING)
    if state is SEVERED:
        stranger.us.lose()
    stranger.read()
    return stranger


SAID = {
    SessionEvent.START: greeting(BOB_KEYS, BOB_AT),
    SessionEvent.OPERATION: OpGcAnswers((1,)),
    SessionEvent.END: OpAbort("bye"),
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(SessionState, SessionEvent)))
def test_every_event_in_every_state_is_listed_or_refused(state, event) -> None:
    """What is listed moves the session there; what is not aborts it; once severed nothing does anything."""
    stranger = in_state(state)
    said = stranger.say(SAID[event])
    session = stranger.us.session
    expected = TRANSITIONS[state].get(event)
    if state is SEVERED:
        assert ([], SEVERED) == (said, session.state)
    elif expected is None:
        assert ([OpAbort], SEVERED) == ([type(operation) for operation in said], session.state)
        assert session.aborted
        assert state.value in said[0].reason
    else:
        assert ([], expected) == (said, session.state)


def test_the_table_names_every_state() -> None:
    """And nothing leads out of the last."""
    assert set(SessionState) == set(TRANSITIONS)
    assert {} == TRANSITIONS[SEVERED]


def test_both_sides_start_at_once_and_know_each_other() -> None:
    """Nobody waits for the other's op:start-session."""
    side = Side("alice", ALICE_AT, ALICE_KEYS)
    assert b"op:start-session" in side.say()
    pair = Pair()
    for us, at, keys in ((pair.alice, BOB_AT, BOB_KEYS), (pair.bob, ALICE_AT, ALICE_KEYS)):
        assert ESTABLISHED is us.session.state
        assert [at] == [event.location for event in us.started]
        assert (at, keys.public) == (us.session.peer, us.session.peer_key)


def test_a_second_start_session_ends_it() -> None:
    """Even the very same."""
    stranger = Stranger()
    (abort,) = stranger.say(greeting(BOB_KEYS, BOB_AT))
    assert "op:start-session" in abort.reason
    assert len(stranger.us.started) == 1


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (OpStartSession("0.9", (), BOB_AT.to_record(), ()), "CapTP version is incompatible"),
        (
            OpStartSession("1.0", greeting(BOB_KEYS, BOB_AT).public_key, ALICE_AT.to_record(), ()),
            "Invalid location signature",
        ),
        (greeting(ALICE_KEYS, ALICE_AT), "both sides have the same key"),
    ],
)
def test_a_bad_start_is_answered_by_an_abort_that_says_why(start, text) -> None:
    """And the session never started."""
    stranger = Stranger(start=False)
    said = stranger.say(start)
    assert [OpStartSession, OpAbort] == [type(operation) for operation in said]
    assert text in said[1].reason
    assert ([], [Severed(said[1].reason)]) == (stranger.us.started, stranger.us.severed_events)


def test_only_the_peer_that_was_dialled_may_answer() -> None:
    """On a connection that we dialled, another designator ends it."""
    stranger = Stranger(start=False, dialled=PeerLocator("fake", "carol"))
    assert "another peer was dialled" in stranger.say(greeting(BOB_KEYS, BOB_AT))[1].reason
    assert [] == Stranger(dialled=BOB_AT).read()


def test_an_abort_before_the_start_is_the_end() -> None:
    """What comes later is not looked at."""
    stranger = Stranger(start=False)
    stranger.say(OpAbort("no"), greeting(BOB_KEYS, BOB_AT))
    assert ([], "the peer aborted: no") == (stranger.us.started, stranger.us.session.reason)


def test_the_peers_reason_is_fit_for_a_log() -> None:
    """Short, in one line."""
    stranger = Stranger()
    stranger.say(OpAbort("a\nb\x1b[31m" + "c" * 10_000))
    assert stranger.us.session.reason.startswith("the peer aborted: a?b?[31mccc")
    assert len(stranger.us.session.reason) < 600


@pytest.mark.parametrize(
    "nonsense",
    [
        Record(Symbol("op:deliver-only"), ()),
        Record(Symbol("desc:export"), (1,)),
        (1, 2),
        1,
        b"x",
        b"garbage",
        b"[1+}",
        b"<10'op:deliver<11'desc:exportf>[]ff>",
        b"5:abc\xff\xff>",
        b"99999999999999999:",
        b"[" * 200,
        b"9" * 5000,
    ],
)
def test_nonsense_ends_the_session_with_a_reason(nonsense) -> None:
    """Nothing is raised, the peer is told, what comes later is not looked at."""
    stranger = Stranger()
    (abort,) = stranger.say(nonsense)
    assert abort.reason == stranger.us.session.reason
    assert [] == stranger.say(b"more garbage", greeting(BOB_KEYS, BOB_AT))
    assert [abort.reason] == [event.reason for event in stranger.us.severed_events]


def test_what_came_before_the_nonsense_still_counts() -> None:
    """Messages are taken in the order of the bytes."""
    stranger = Stranger()
    stranger.say(OpDeliver(DescExport(0), (Symbol("incr"), 5), False, False), b"garbage")
    assert 5 == do(stranger.us.vat, lambda: stranger.us.bootstrap.incr(0))


def test_a_session_goes_through_a_byte_at_a_time() -> None:
    """Any split of the bytes means the same."""
    pair = Pair()
    promise = pair.alice.send(pair.alice.remote, "echo", "hello", 0, False)
    outcomes = pair.alice.heard(promise)
    pair.settle(one_by_one)
    assert [("hello", 0, False)] == [outcome.value for outcome in outcomes]


def test_a_whole_message_is_one_record() -> None:
    """Over a message-oriented connection: neither half a record nor two."""
    for cut in (lambda data: data + data, lambda data: data[:-1]):
        pair = Pair()
        for _ in range(3):
            pair.alice.send(pair.alice.remote, "incr")
        first, second, third = pair.alice.session.messages_to_send()
        for message in (first, second):
            pair.bob.take(pair.bob.session.receive(message, whole=True))
        assert ESTABLISHED is pair.bob.session.state
        pair.bob.take(pair.bob.session.receive(cut(third), whole=True))
        assert "a message that" in pair.bob.session.reason
        assert 3 == pair.bob.do(pair.bob.bootstrap.incr)


# --- severance ---------------------------------------------------------------


def severed_pair():
    """A pair with a bit of everything under way, that is then severed on Alice's side."""
    pair = Pair()
    pending, _ = pair.result("promise")
    asked = pair.alice.send(pair.alice.remote, "wait_for", pending)
    pipelined = pair.alice.send(asked, "echo", 1)
    promises = [pending, asked, pipelined]
    heard = [pair.alice.heard(promise) for promise in promises]
    pair.settle()
    assert [[], [], []] == heard
    return pair, heard


@pytest.mark.parametrize("end", ["lose", "abort", "their abort"])
def test_each_dependent_promise_breaks_exactly_once_and_at_once(end) -> None:
    """Imported promises, questions, and what was pipelined to them."""
    pair, heard = severed_pair()
    match end:
        case "lose":
            pair.alice.lose("gone")
        case "abort":
            pair.alice.session.abort("gone")
            pair.alice.take(pair.alice.session.take_events())
        case _:
            pair.bob.session.abort("gone")
            pair.settle()
    for outcomes in heard:
        (outcome,) = outcomes
        assert isinstance(outcome, Broken)
        assert isinstance(outcome.reason, SessionSeveredError)
        assert "gone" in outcome.reason.reason
    assert 1 == len(pair.alice.watched) == len(pair.alice.severed_events)
    pair.settle()
    pair.alice.lose("again")
    assert [1, 1, 1] == [len(outcomes) for outcomes in heard]
    assert 1 == len(pair.alice.watched) == len(pair.alice.severed_events)


def test_messages_to_a_dead_reference_break() -> None:
    """Those sent afterwards, those pipelined to these, and listens."""
    pair = Pair()
    dead = pair.alice.remote
    promise, _ = pair.result("promise")
    pair.alice.lose("gone")
    asked = pair.alice.send(dead, "echo")
    for each in (asked, pair.alice.send(asked, "echo"), promise, pair.alice.send(promise, "echo")):
        (outcome,) = pair.alice.heard(each)
        assert isinstance(outcome.reason, SessionSeveredError)
    pair.alice.do(lambda: send(dead).echo())  # nobody waits: nothing happens
    assert b"" == pair.alice.say()


def test_who_watches_too_late_is_told_at_once() -> None:
    """`on_sever` of a dead reference runs soon."""
    pair = Pair()
    told = []
    pair.alice.do(on_sever, pair.alice.remote, told.append)
    assert [] == told
    pair.alice.lose("gone")
    assert ["gone"] == told
    pair.alice.do(on_sever, pair.alice.remote, told.append)
    assert ["gone", "gone"] == told


def test_a_promise_of_another_vat_breaks_too() -> None:
    """Somebody in another vat asked over our session, and waits."""
    pair = Pair()
    carol = new_vat("carol")
    outcomes = []

    def ask():
        on(send(pair.alice.remote).wait_for(send(pair.alice.bootstrap).promise()), None, outcomes.append)

    do(carol, ask)
    run_vats(pair.alice.vat, carol)
    pair.settle()
    pair.alice.lose("gone")
    run_vats(pair.alice.vat, carol)
    assert [SessionSeveredError] == [type(outcome) for outcome in outcomes]


def test_nothing_is_pinned_after_severance() -> None:
    """What the peer held of ours may go, also while somebody keeps a dead reference."""
    pair = Pair()
    ours = pair.alice.do(spawn, Playground)
    pair.result("same", ours)
    asked = pair.alice.send(pair.alice.remote, "wait_for", pair.result("promise")[0])
    pair.alice.heard(asked)
    pair.settle()
    gone = [weakref.ref(ours), weakref.ref(asked)]
    pair.alice.lose()
    del ours, asked
    gc.collect()
    assert [None, None] == [ref() for ref in gone]
    assert (0, 0, 0) == pair.alice.counts
    assert not pair.alice.session.has_garbage
    assert isinstance(pair.alice.remote, object)


def test_nothing_waits_at_our_promises_for_a_peer_that_is_gone() -> None:
    """Else each peer that listens and leaves would cost a bit of memory for ever."""
    stranger = Stranger()
    stranger.say(
        OpDeliver(DescExport(0), (Symbol("promise"),), 1, DescImportObject(1)),
    )
    promise = DescExport(1)
    assert [] == stranger.say(OpListen(promise, DescImportPromise(2)))
    ours = stranger.us.session.references.exports.get(1)
    assert 1 == len(ours._state.listeners)
    stranger.us.lose()
    assert 0 == len(ours._state.listeners)


def test_a_listen_that_was_answered_is_forgotten() -> None:
    """While the session lives on, too."""
    stranger = Stranger()
    stranger.say(OpDeliver(DescExport(0), (Symbol("promise"),), 1, DescImportObject(1)))
    stranger.say(*[OpListen(DescExport(1), DescImportObject(2))] * 3)
    waiting = stranger.us.session._outbound.listening
    assert 3 == len(waiting) == stranger.us.session._outbound.unanswered
    assert 3 == len(stranger.say(OpDeliver(DescExport(2), (Symbol("fulfill"), 1), False, False)))
    assert 0 == len(waiting) == stranger.us.session._outbound.unanswered


def test_a_session_that_ended_can_be_collected() -> None:
    """With all that belonged to it."""
    pair = Pair()
    pair.result("echo", 1)
    session = weakref.ref(pair.alice.session)
    pair.alice.lose()
    pair.bob.lose()
    del pair
    gc.collect()
    assert session() is None


def test_what_happens_to_one_session_is_nothing_to_another() -> None:
    """Bob has two peers; one of them talks nonsense."""
    pair = Pair()
    other = Session(pair.bob.vat, location=BOB_AT, keys=BOB_KEYS, bootstrap=pair.bob.bootstrap)
    other.receive(b"garbage")
    assert SEVERED is other.state
    assert (1,) == pair.result("echo", 1)


def test_no_answer_leaves_for_a_peer_that_is_gone() -> None:
    """The method ends after its caller."""
    pair = Pair()
    promise, resolver = pair.bob.do(pair.bob.bootstrap.promise)
    asked = pair.alice.send(pair.alice.remote, "same")
    pair.settle()
    stranger_says = send_outside(pair.bob.vat, pair.bob.bootstrap, (Symbol("wait_for"), promise), {})
    pair.bob.heard(stranger_says)
    pair.bob.lose()
    pair.bob.do(resolver.fulfill, 1)
    assert b"" == pair.bob.say()
    assert [None] == [outcome.value for outcome in pair.alice.heard(asked)]
