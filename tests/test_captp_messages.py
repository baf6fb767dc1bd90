"""Messages between two peers: answers, pipelining, listening, promises both ways, identity."""

import pytest

from captp_kit import Pair, Playground, Stranger, cut_every, do, new_vat, one_by_one, run_vats
from goblins_py.actors import Broken, Fulfilled, Promise, Ref, actor, make_promise, on, send, send_only, spawn
from goblins_py.captp import SessionLimits
from goblins_py.captp._records import (
    DescAnswer,
    DescExport,
    DescImportObject,
    DescImportPromise,
    OpAbort,
    OpDeliver,
    OpGcAnswers,
    OpGcExports,
    OpListen,
)
from goblins_py.errors import ActorError, NotPassableError, RemoteError
from goblins_py.syrup import Record, Symbol

S = Symbol
ME = DescImportObject


def test_a_call_is_answered() -> None:
    """There and back."""
    assert (1, "two") == Pair().result("echo", 1, "two")


@pytest.mark.parametrize("cut", [None, one_by_one, cut_every(7)])
def test_messages_arrive_in_order_and_once(cut) -> None:
    """Whatever the split."""
    pair = Pair()
    answers = [pair.alice.heard(pair.alice.send(pair.alice.remote, "incr")) for _ in range(20)]
    pair.settle(cut)
    assert list(range(1, 21)) == [outcome.value for (outcome,) in answers]


def test_what_is_only_sent_has_no_answer() -> None:
    """op:deliver with f and f, and nothing comes back."""
    pair = Pair()
    pair.alice.do(lambda: send_only(pair.alice.remote).incr())
    data = pair.alice.say()
    assert data == b"<10'op:deliver<11'desc:export0+>[4'incr]ff>"
    pair.bob.hear(data)
    assert b"" == pair.bob.say()
    assert 2 == pair.result("incr")


def test_messages_to_a_question_cross_at_once() -> None:
    """Three messages, each to the answer of the one before, in one flight."""
    pair = Pair()
    made = pair.alice.send(pair.alice.remote, "make")
    same = pair.alice.send(made, "me")
    heard = pair.alice.heard(pair.alice.send(same, "incr", 7))
    data = pair.alice.say()
    assert 3 == data.count(b"op:deliver")
    pair.bob.hear(data)
    pair.alice.hear(pair.bob.say())
    assert [7] == [outcome.value for outcome in heard]


def test_pipelining_to_what_breaks_breaks() -> None:
    """With the same reason, however long the chain; also to data, which is no object."""
    pair = Pair()
    broken = pair.alice.send(pair.alice.remote, "fail")
    data = pair.alice.send(pair.alice.remote, "same", 5)
    for promise in (broken, pair.alice.send(broken, "a"), pair.alice.send(pair.alice.send(broken, "a"), "b")):
        outcome = pair.outcome(promise)
        assert isinstance(outcome.reason, RemoteError)
        assert "secret" not in str(outcome.reason)
    assert isinstance(pair.outcome(pair.alice.send(data, "a")).reason, ActorError | RemoteError)


def test_keyword_arguments_arrive() -> None:
    """As Goblins writes them: a keyword, then its value; hyphens and underscores each at home."""
    pair = Pair()
    assert {1, ("big_one", 2), ("c", 3)} == set(pair.result("echo", 1, big_one=2, c=3))
    pair.alice.do(lambda: send_only(pair.alice.remote).echo(1, big_one=2))
    assert b"[4'echo1+<2'kw7'big-one>2+]" in pair.alice.say()


# --- promises ----------------------------------------------------------------


def test_a_promise_as_argument_settles_over_there() -> None:
    """Bob listens to Alice's promise, and is told once."""
    pair = Pair()
    promise, resolver = pair.alice.do(make_promise)
    heard = pair.alice.heard(pair.alice.send(pair.alice.remote, "wait_for", promise))
    pair.settle()
    assert [] == heard
    pair.alice.do(resolver.fulfill, "at last")
    pair.settle()
    assert ["at last"] == [outcome.value for outcome in heard]


def test_a_broken_promise_as_argument_breaks_over_there() -> None:
    """Its reason goes there and back again."""
    pair = Pair()
    promise, resolver = pair.alice.do(make_promise)
    heard = pair.alice.heard(pair.alice.send(pair.alice.remote, "wait_for", promise))
    pair.settle()
    pair.alice.do(resolver.break_, S("oh-no"))
    pair.settle()
    assert [S("oh-no")] == [outcome.reason.reason for outcome in heard]


def test_promise_and_resolver_as_results_work() -> None:
    """A promise imported in a list, messages to it, and its resolver, itself a reference."""
    pair = Pair()
    promise, resolver = pair.result("promise")
    assert isinstance(promise, Promise)
    early = pair.alice.heard(pair.alice.send(promise, "incr", 3))
    heard = pair.alice.heard(promise)
    pair.settle()
    assert ([], []) == (early, heard)
    assert isinstance(pair.outcome(pair.alice.send(resolver, "fulfill", pair.alice.bootstrap)), Fulfilled)
    pair.settle()
    assert [pair.alice.bootstrap] == [outcome.value for outcome in heard]
    assert [3] == [outcome.value for outcome in early]


def test_a_promise_that_comes_home_is_the_same_promise() -> None:
    """Before and after it settles."""
    pair = Pair()
    promise, resolver = pair.alice.do(make_promise)
    (returned,) = pair.result("echo", promise)
    assert returned is promise
    pair.alice.do(resolver.fulfill, 1)
    assert promise is pair.result("echo", promise)[0]


def test_a_question_as_argument_is_a_promise_over_there() -> None:
    """And its answer is found through us."""
    pair = Pair()
    made = pair.alice.send(pair.alice.remote, "make")
    heard = pair.alice.heard(pair.alice.send(pair.alice.remote, "wait_for", made))
    pair.settle()
    (value,) = [outcome.value for outcome in heard]
    assert value is pair.outcome(made).value


def test_an_answer_as_argument_is_read() -> None:
    """<desc:answer n> among the arguments; Endo writes it."""
    stranger = Stranger()
    said = stranger.say(
        OpDeliver(DescExport(0), (S("same"), 5), 1, False),
        OpDeliver(DescExport(0), (S("wait-for"), DescAnswer(1)), False, ME(9)),
    )
    assert [OpDeliver(DescExport(9), (S("fulfill"), 5), False, False)] == said


def test_a_promise_of_itself_is_a_cycle_and_breaks() -> None:
    """A peer that fulfils a question with that very question."""
    stranger = Stranger()
    asked = stranger.us.send(stranger.us.remote, "anything")
    heard = stranger.us.heard(asked)
    stranger.us.send(stranger.us.remote, "take", asked)
    first, second = stranger.read()
    exported = second.args[1]
    assert isinstance(exported, DescImportPromise)
    stranger.say(
        OpDeliver(
            DescExport(first.resolve_me.position), (S("fulfill"), DescExport(exported.position)), False, False
        )
    )
    assert [Broken] == [type(outcome) for outcome in heard]


# --- identity ------------------------------------------------------------------


def test_a_reference_that_comes_home_is_the_original_object() -> None:
    """In arguments, results, containers."""
    pair = Pair()
    ours = pair.alice.do(spawn, Playground)
    assert ours is pair.result("same", ours)
    assert ours is pair.result("same", (1, (ours,)))[1][0]
    assert ours is pair.result("same", {"k": ours})["k"]
    assert {ours} == pair.result("same", frozenset({ours}))


def test_an_import_is_one_reference_object_while_it_lives() -> None:
    """The same position, the same object, the bootstrap too."""
    pair = Pair()
    made = pair.result("make")
    assert isinstance(made, Ref)
    assert pair.result("same", made) is made
    assert all(each is made for each in pair.result("echo", made, made))
    assert pair.alice.remote is pair.result("me")


def test_an_object_gets_called_back() -> None:
    """Alice passes an object, Bob calls it, and she answers."""
    pair = Pair()
    ours = pair.alice.do(spawn, Playground)
    assert 4 == pair.outcome(pair.alice.send(pair.alice.remote, "call", ours, S("incr"), 4)).value


def test_a_reference_of_another_session_goes_through_us() -> None:
    """Until there are handoffs, Bob reaches Carol's object by way of Alice."""
    pair = Pair()
    carol = Pair(alice={"vat": pair.alice.vat})
    hers = carol.result("make")
    heard = pair.alice.heard(pair.alice.send(pair.alice.remote, "call", hers, S("incr"), 6))
    for _ in range(3):
        pair.settle()
        carol.settle()
    assert [6] == [outcome.value for outcome in heard]
    assert hers is pair.result("same", hers)


@actor
class Far:
    """Lives in another vat of the same process."""

    def greet(self, name):
        return f"Hello {name}"


def test_an_object_of_another_vat_is_passed_and_called() -> None:
    """A peer reaches it through the session's vat, and its answer comes back."""
    pair = Pair()
    carol = new_vat("carol")
    far = do(carol, spawn, Far)
    heard = pair.alice.heard(pair.alice.send(pair.alice.remote, "call", far, S("greet"), "Bob"))
    for _ in range(3):
        pair.settle()
        run_vats(pair.alice.vat, carol)
    assert ["Hello Bob"] == [outcome.value for outcome in heard]


# --- listening ---------------------------------------------------------------------


@pytest.mark.parametrize("fields", [2, 3])
def test_op_listen_tells_what_becomes_of_a_promise(fields) -> None:
    """Before or after it settled, with two fields or three, through any kind of resolver."""
    stranger = Stranger()

    def listen(to, resolver):
        return Record(S("op:listen"), (to, resolver, True)[:fields])

    stranger.say(OpDeliver(DescExport(0), (S("promise"),), 0, ME(1)))
    promise, resolver = DescExport(1), DescExport(2)
    assert [] == stranger.say(listen(promise, DescImportPromise(7)))
    said = stranger.say(OpDeliver(resolver, (S("fulfill"), S("ok")), False, False))
    assert [OpDeliver(DescExport(7), (S("fulfill"), S("ok")), False, False)] == said
    said = stranger.say(listen(promise, ME(8)))
    assert [OpDeliver(DescExport(8), (S("fulfill"), S("ok")), False, False)] == said


def test_op_listen_to_an_object_is_answered_by_the_object() -> None:
    """It has been settled for as long as it exists."""
    stranger = Stranger()
    (said,) = stranger.say(OpListen(DescExport(0), ME(8)))
    assert (DescExport(8), S("fulfill")) == (said.to, said.args[0])
    assert DescImportObject(0) == said.args[1]


def test_op_listen_to_an_answer() -> None:
    """Which is a promise like any other."""
    stranger = Stranger()
    (first,) = stranger.say(
        OpDeliver(DescExport(0), (S("fail"),), 3, False), OpListen(DescAnswer(3), ME(8), wants_partial=True)
    )
    assert (DescExport(8), S("break")) == (first.to, first.args[0])


def test_a_promise_import_is_listened_to_only_if_somebody_waits() -> None:
    """With three fields, once."""
    stranger = Stranger()
    assert [] == stranger.say(OpDeliver(DescExport(0), (S("same"), DescImportPromise(4)), 1, False))
    (listen,) = stranger.say(OpDeliver(DescExport(0), (S("wait-for"), DescImportPromise(5)), False, ME(6)))
    assert (OpListen, DescExport(5), False) == (type(listen), listen.to, listen.wants_partial)
    said = stranger.say(OpDeliver(DescExport(listen.resolver.position), (S("fulfill"), 3), False, False))
    assert OpDeliver(DescExport(6), (S("fulfill"), 3), False, False) in said


# --- answers -----------------------------------------------------------------------


@pytest.mark.parametrize(("answer_pos", "resolver"), [(0, False), (0, ME(0)), (False, ME(0)), (False, False)])
def test_answer_position_and_resolver_go_with_or_without_each_other(answer_pos, resolver) -> None:
    """And 0 is a position, not false."""
    stranger = Stranger()
    said = stranger.say(OpDeliver(DescExport(0), (S("incr"),), answer_pos, resolver))
    assert (1 if resolver is not False else 0) == len(said)
    assert (1 if answer_pos is not False else 0) == len(stranger.us.session.references.answers)


def test_a_resolver_is_deaf_to_nonsense_and_to_all_but_the_first() -> None:
    """The first settles, a second is ignored; what is neither fulfil nor break ends the session."""
    stranger = Stranger()
    heard = stranger.us.heard(stranger.us.send(stranger.us.remote, "x"))
    (asked,) = stranger.read()
    to = DescExport(asked.resolve_me.position)
    stranger.say(*[OpDeliver(to, (S("fulfill"), number), False, False) for number in (1, 2)])
    assert [1] == [outcome.value for outcome in heard]
    (abort,) = stranger.say(OpDeliver(to, (S("smash"), 1), False, False))
    assert isinstance(abort, OpAbort)


def test_a_resolver_called_with_an_answer_position_gives_that_answer() -> None:
    """Its answer is void; it can be listened to like any other."""
    stranger = Stranger()
    stranger.us.send(stranger.us.remote, "x")
    (asked,) = stranger.read()
    to = DescExport(asked.resolve_me.position)
    (said,) = stranger.say(OpDeliver(to, (S("fulfill"), 1), 4, ME(5)))
    assert (DescExport(5), S("fulfill")) == (said.to, said.args[0])
    assert 4 in stranger.us.session.references.answers


def test_a_call_that_the_peer_lets_go_of_breaks() -> None:
    """It dropped the resolver, so nobody can ever answer."""
    stranger = Stranger()
    heard = stranger.us.heard(stranger.us.send(stranger.us.remote, "x"))
    (asked,) = stranger.read()
    stranger.say(OpGcExports((asked.resolve_me.position,), (1,)))
    (outcome,) = heard
    assert "without an answer" in str(outcome.reason)
    answered = stranger.us.heard(stranger.us.send(stranger.us.remote, "x"))
    (asked,) = stranger.read()
    stranger.say(
        OpDeliver(DescExport(asked.resolve_me.position), (S("fulfill"), 1), False, False),
        OpGcExports((asked.resolve_me.position,), (1,)),
    )
    assert [1] == [outcome.value for outcome in answered]


@pytest.mark.parametrize(
    "operation",
    [
        OpDeliver(DescExport(77), (), False, False),
        OpDeliver(DescAnswer(77), (), False, False),
        OpDeliver(DescExport(0), (DescExport(77),), False, False),
        OpDeliver(DescExport(0), ((DescAnswer(77),),), False, False),
        OpListen(DescExport(77), ME(1)),
        OpListen(DescAnswer(77), ME(1)),
        OpGcExports((77,), (1,)),
        OpGcExports((1,), (1, 1)),
        OpDeliver(DescExport(0), (OpGcExports((), ()),), False, False),
    ],
)
def test_a_position_that_nobody_gave_out_ends_the_session(operation) -> None:
    """With a reason, and nothing else happens."""
    stranger = Stranger()
    (abort,) = stranger.say(operation)
    assert isinstance(abort, OpAbort)
    assert abort.reason
    assert not stranger.alive


def test_an_answer_position_in_use_is_not_given_away() -> None:
    """A second question at a living position ends the session; after gc-answers it is free again."""
    stranger = Stranger()
    ask = OpDeliver(DescExport(0), (S("me"),), 1, False)
    assert [] == stranger.say(ask, OpGcAnswers((1, 99)), ask)
    (abort,) = stranger.say(ask)
    assert "in use" in abort.reason


# --- what cannot be sent -------------------------------------------------------------


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb"])
def test_what_cannot_be_written_breaks_and_exports_nothing(name) -> None:
    """A keyword that is no text; the reference beside it was not sent."""
    pair = Pair()
    ours = pair.alice.do(spawn, Playground)
    before = pair.alice.counts
    outcome = pair.ask("echo", ours, **{name: 1})
    assert isinstance(outcome.reason, NotPassableError)
    assert before == pair.alice.counts
    assert (1,) == pair.result("echo", 1)


def test_what_is_pipelined_to_a_call_that_could_not_be_sent_breaks_like_it() -> None:
    """Not with a reason of its own; also when somebody waits."""
    pair = Pair()
    outcomes = []

    def story():
        lost = send(pair.alice.remote).echo(**{"\ud800": 1})
        on(send(send(lost).a()).b(), None, outcomes.append)
        on(lost, None, outcomes.append)

    pair.alice.do(story)
    pair.settle()
    assert [NotPassableError, NotPassableError] == [type(error) for error in outcomes]


def test_an_answer_that_cannot_be_written_breaks_the_call() -> None:
    """It is larger than a message may be: the peer is told, and the session goes on."""
    pair = Pair(bob={"limits": SessionLimits(message_size=2000)})
    assert "x" * 1500 == pair.result("repeat", "x", 1500)
    for size in (1790, 1810, 1990, 2010, 100_000):
        assert "cannot be passed" in str(pair.ask("repeat", "x", size).reason)
    assert 1 == pair.result("incr")
