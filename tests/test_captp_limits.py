"""Limits of a session: each enforced, each named, and none of them kills what is innocent."""

import pytest

from captp_kit import BOB_AT, BOB_KEYS, Pair, Playground, Stranger, to_bytes
from goblins_py.actors import Fulfilled, on, send, spawn
from goblins_py.captp import SessionLimits
from goblins_py.captp._greeting import greeting
from goblins_py.captp._records import (
    DescExport,
    DescImportObject,
    OpAbort,
    OpDeliver,
    OpGcAnswers,
)
from goblins_py.errors import NotPassableError, QueueFullError
from goblins_py.syrup import Symbol

S = Symbol
ME = DescImportObject


def limited(**limits):
    return Stranger(limits=SessionLimits(**limits))


def call(*args, answer=False, resolver=False):
    return OpDeliver(DescExport(0), args, answer, resolver)


@pytest.mark.parametrize(
    ("limits", "messages", "name"),
    [
        ({"message_size": 1000}, [call("x" * 1000)], "value_size limit"),
        ({"message_size": 1000}, [b"<10'op:deliver1000000000:"], "value_size limit"),
        ({"depth": 10}, [b"[" * 11], "depth limit"),
        ({}, [b"1" * 5000 + b"+"], "digits limit"),
        ({"answers": 3}, [call(S("me"), answer=number) for number in range(4)], "answers limit"),
        (
            {"answers": 3},
            [call(S("wait-for"), ME(1), resolver=ME(2)), call(S("promise"), answer=1)]
            + [call(S("incr"), resolver=ME(2)) for _ in range(10)]
            + [call(S("echo"), answer=number) for number in range(2, 5)],
            "answers limit",
        ),
    ],
)
def test_a_peer_that_passes_a_limit_is_told_which(limits, messages, name) -> None:
    """The session ends."""
    stranger = limited(**limits)
    said = stranger.say(*messages)
    assert isinstance(said[-1], OpAbort)
    assert name in said[-1].reason
    assert not stranger.alive


def test_calls_that_wait_for_an_answer_are_limited_too() -> None:
    """Also those without an answer position: each is a promise and more."""
    stranger = limited(answers=3)
    stranger.say(call(S("promise"), answer=0))
    (promise, _) = stranger.us.session.references.answers[0]._state.value
    stranger.us.session.references.exports.add(promise)
    waiting = call(S("wait-for"), DescExport(1), resolver=ME(2))
    assert [] == stranger.say(waiting, waiting, waiting)
    assert "answers limit" in stranger.say(waiting)[0].reason


def test_answers_that_were_given_count_no_more() -> None:
    """A thousand calls, one after the other."""
    stranger = limited(answers=3)
    for number in range(1000):
        stranger.say(call(S("incr"), answer=number, resolver=ME(2)), OpGcAnswers((number,)))
    assert stranger.alive


def test_nobody_may_talk_for_ever_before_the_start() -> None:
    """What is not op:start-session is limited in bytes; one that comes in small pieces is not hurt."""
    stranger = Stranger(start=False, limits=SessionLimits(greeting_size=500))
    start = to_bytes(greeting(BOB_KEYS, BOB_AT))
    for index in range(0, len(start), 10):
        stranger.say(start[index : index + 10])
    assert stranger.alive
    stranger = Stranger(start=False, limits=SessionLimits(greeting_size=500))
    said = stranger.say(b"<16'op:start-session1000\"" + b"x" * 475, b"y")
    assert "greeting_size limit" in said[-1].reason


def test_beyond_the_exports_limit_nothing_new_is_sent() -> None:
    """A message with a new object, and a call, break at the sender; what is known already can be sent."""
    pair = Pair(alice={"limits": SessionLimits(exports=4)})
    known = pair.alice.do(spawn, Playground)
    keep = pair.result("same", known)
    pair.alice.do(lambda: send(pair.alice.remote).wait_for(send(pair.alice.remote).same(known)))
    errors = []

    def too_many():
        for _ in range(4):
            on(send(pair.alice.remote).same(spawn(Playground)), None, errors.append)

    pair.alice.do(too_many)
    assert errors
    assert {NotPassableError, QueueFullError} >= {type(error) for error in errors}
    assert all("exports limit" in str(error) for error in errors)
    pair.settle()
    pair.collect()
    assert keep is known
    assert known is pair.result("same", known)


def test_a_message_too_large_breaks_at_the_sender() -> None:
    """The session, which the peer would have ended, goes on."""
    pair = Pair(alice={"limits": SessionLimits(message_size=1000)})
    outcome = pair.ask("echo", pair.alice.do(spawn, Playground), "x" * 1000)
    assert isinstance(outcome.reason, NotPassableError)
    assert "message_size limit" in str(outcome.reason)
    assert (1, 1, 0) == pair.alice.counts
    assert isinstance(pair.ask("echo", "x" * 700), Fulfilled)


# --- backpressure ----------------------------------------------------------------


def test_beyond_the_hard_limit_messages_break_and_then_go_again() -> None:
    """`QueueFullError`, which names the limit; when the queue is shorter all is as before."""
    pair = Pair(alice={"limits": SessionLimits(queue_soft=500, queue_hard=2000)})
    assert not pair.alice.session.congested
    promises = [pair.alice.send(pair.alice.remote, "echo", "x" * 300) for _ in range(20)]
    assert pair.alice.session.congested
    assert 2000 < pair.alice.session.queued < 3000
    outcomes = [pair.outcome(promise) for promise in promises]
    broken = [outcome.reason for outcome in outcomes if not isinstance(outcome, Fulfilled)]
    assert 10 < len(broken) < 20
    assert all(isinstance(error, QueueFullError) and "queue_hard limit" in str(error) for error in broken)
    assert not pair.alice.session.congested
    assert (1,) == pair.result("echo", 1)


def test_answers_to_a_peer_that_does_not_read_stay_small() -> None:
    """It asks for a lot and takes nothing: beyond the hard limit it is told that it is too much."""
    stranger = limited(queue_soft=500, queue_hard=10_000)
    calls = b"".join(
        [to_bytes(call(S("repeat"), "x", 5000, resolver=ME(number))) for number in range(1, 500)]
    )
    said = stranger.say(calls)
    values = [each.args for each in said]
    assert 499 == len(values)
    assert 3 >= sum(verdict == S("fulfill") for verdict, _ in values)
    assert {"too much waits to be sent already"} == {
        reason for verdict, reason in values if verdict == S("break")
    }


def test_bytes_count_until_they_have_left() -> None:
    """Taken by the carrier is not yet gone."""
    pair = Pair()
    pair.alice.send(pair.alice.remote, "echo")
    data = pair.alice.session.data_to_send()
    assert len(data) == pair.alice.session.queued > 0
    pair.alice.session.sent(10)
    assert len(data) - 10 == pair.alice.session.queued
    pair.alice.lose()
    pair.alice.session.sent(len(data))
    assert 0 == pair.alice.session.queued


def test_output_is_announced_once_per_batch() -> None:
    """When there is something where there was nothing."""
    pair = Pair()
    announced = []
    pair.alice.session.on_output = lambda: announced.append(1)
    for _ in range(5):
        pair.alice.send(pair.alice.remote, "echo")
    assert [1] == announced
    pair.settle()
    pair.alice.send(pair.alice.remote, "echo")
    assert [1, 1] == announced
    assert pair.alice.session.on_output


def test_after_an_abort_of_the_peers_nothing_is_sent() -> None:
    """It does not read any more."""
    pair = Pair()
    pair.alice.send(pair.alice.remote, "echo")
    pair.alice.hear(to_bytes(OpAbort("bye")))
    assert b"" == pair.alice.say()
    assert not pair.alice.session.aborted
