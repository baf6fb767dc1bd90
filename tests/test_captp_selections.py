"""Data pipelining: fields, items and tags of promises, near, far, and across a session both ways."""

import pytest

from captp_kit import Pair, Playground, Stranger, do, new_vat, run_vat, run_vats
from goblins_py.actors import (
    Broken,
    Fulfilled,
    Promise,
    Resolve,
    actor,
    make_promise,
    on,
    send,
    send_outside,
    spawn,
    untag,
)
from goblins_py.captp import SessionLimits
from goblins_py.captp._records import (
    DescAnswer,
    DescExport,
    DescImportObject,
    OpAbort,
    OpDeliver,
    OpGcAnswers,
    OpGet,
    OpIndex,
    OpListen,
    OpUntag,
)
from goblins_py.errors import (
    NotPassableError,
    QueueFullError,
    Refusal,
    RemoteError,
    SessionSeveredError,
    VatClosedError,
)
from goblins_py.syrup import Null, Record, Symbol, Tagged

S = Symbol
ME = DescImportObject
DATA = {"list": [1, {"deep": Tagged("colour", ("green", None))}], "a": 1}


def outcome_of(vat, promise):
    """What a promise of a vat became."""
    heard = []
    do(vat, lambda: on(promise, heard.append, heard.append))
    (outcome,) = heard
    return outcome


def deep(promise):
    """Three steps into `DATA`."""
    return untag(promise["list"][1]["deep"], "colour")[0]


MISSING = [
    (lambda promise: promise["b"], "the struct has no such field"),
    (lambda promise: promise["list"][2], "the list has no item of this index"),
    (lambda promise: promise["list"]["0"], "is not a struct"),
    (lambda promise: promise[0], "is not a list"),
    (lambda promise: promise["a"][0], "is not a list"),
    (lambda promise: untag(promise, "t"), "is not a tagged value"),
    (lambda promise: untag(promise["list"][1]["deep"], "color"), "another tag"),
    (lambda promise: untag(promise["list"][1]["deep"], "colour")[1][0], "is not a list"),
]


# --- in one process -----------------------------------------------------------------------


def test_a_part_of_a_promise_is_known_when_the_promise_is() -> None:
    """Of a pending one, and of one that has settled; in a turn and outside."""
    vat = new_vat()
    promise, resolver = do(vat, make_promise)
    early = [deep(promise), do(vat, deep, promise)]
    do(vat, lambda: resolver.fulfill(DATA))
    late = [deep(promise), do(vat, deep, promise)]
    run_vat(vat)
    assert ["green"] * 4 == [outcome_of(vat, part) for part in early + late]


@pytest.mark.parametrize(("select", "reason"), MISSING)
def test_a_part_that_is_not_there_breaks_with_a_reason(select, reason) -> None:
    """Which says what is wrong and nothing of the value."""
    vat = new_vat()
    promise = do(vat, lambda: on(DATA))
    broken = outcome_of(vat, do(vat, select, promise))
    assert isinstance(broken, Refusal)
    assert reason in str(broken)


def test_a_part_of_a_broken_promise_breaks_as_it_does() -> None:
    """With the same exception; an object has no parts."""
    vat = new_vat()
    promise, resolver = do(vat, make_promise)
    error = KeyError("mine")
    part = do(vat, lambda: promise["x"][0])
    do(vat, lambda: resolver.break_(error))
    assert error is outcome_of(vat, part)
    reference = do(vat, lambda: on(spawn(Playground)))
    assert isinstance(outcome_of(vat, do(vat, lambda: reference["x"])), Refusal)


def test_messages_go_to_parts_and_promises_in_parts_are_followed() -> None:
    """A part that is an object gets what was sent to the part; one that is a promise is waited for."""
    vat = new_vat()
    promise, resolver = do(vat, make_promise)
    inner, inner_resolver = do(vat, make_promise)
    counted = do(vat, lambda: send(promise["object"]).incr(5))
    part = do(vat, lambda: promise["promise"]["x"])
    do(vat, lambda: resolver.fulfill({"object": spawn(Playground), "promise": inner}))
    do(vat, lambda: inner_resolver.fulfill({"x": Null}))
    assert 5 == outcome_of(vat, counted)
    assert Null is outcome_of(vat, part)


def test_parts_of_far_promises_of_the_process() -> None:
    """Their vat selects, and answers ours; closed, it breaks them."""
    here, there = new_vat("here"), new_vat("there")
    promise, resolver = do(there, make_promise)
    part, missing = do(here, lambda: (deep(promise), promise[0]))
    run_vats(here, there)
    do(there, lambda: resolver.fulfill(DATA))
    run_vats(here, there)
    assert "green" == outcome_of(here, part)
    assert isinstance(outcome_of(here, missing), Refusal)
    never, _ = do(there, make_promise)
    lost = do(here, lambda: never["x"])
    run_vats(here, there)
    for outgoing in there.close():
        outgoing.release()
    late = do(here, lambda: never["y"])
    run_vats(here)
    assert isinstance(outcome_of(here, late), VatClosedError)
    assert isinstance(outcome_of(here, lost), VatClosedError)


def test_a_failing_turn_selects_nothing() -> None:
    """It is an effect like any other."""
    pair = Pair()
    promise = pair.alice.send(pair.alice.remote, "same", DATA)
    pair.alice.say()

    def fail():
        promise["a"]
        raise Refusal("x")

    with pytest.raises(Refusal):
        pair.alice.do(fail)
    assert b"" == pair.alice.say()


@pytest.mark.parametrize(
    ("select", "error"),
    [
        (lambda promise: promise[-1], ValueError),
        (lambda promise: promise[True], TypeError),
        (lambda promise: promise[1.0], TypeError),
        (lambda promise: promise[S("x")], TypeError),
        (lambda promise: promise[0:1], TypeError),
        (lambda promise: promise["\ud800"], NotPassableError),
        (lambda promise: untag(promise, "\ud800"), NotPassableError),
        (lambda promise: untag(promise, S("x")), TypeError),
        (lambda promise: untag({"x": 1}, "x"), TypeError),
        (list, TypeError),
        (lambda promise: 0 in promise, TypeError),
    ],
)
def test_what_selects_nothing_is_refused_at_once(select, error) -> None:
    """Indices from the end, booleans, symbols, slices; and a promise stays no sequence."""
    with pytest.raises(error):
        select(Promise(new_vat()))


# --- we ask -----------------------------------------------------------------------------------


def test_parts_of_a_question_are_asked_for_at_once() -> None:
    """All in one flight with the call; the listen only for what somebody waits for."""
    pair = Pair()
    promise = pair.alice.send(pair.alice.remote, "same", DATA)
    heard = pair.alice.heard(pair.alice.do(deep, promise))
    data = pair.alice.say()
    assert (
        b"<6'op:get<11'desc:answer1+>4\"list2+>"
        b"<8'op:index<11'desc:answer2+>1+3+>"
        b"<6'op:get<11'desc:answer3+>4\"deep4+>"
        b"<8'op:untag<11'desc:answer4+>6\"colour5+>"
        b"<8'op:index<11'desc:answer5+>0+6+>"
        b"<9'op:listen<11'desc:answer6+><18'desc:import-object2+>f>"
    ) == data[data.index(b"<6'op:get") :]
    pair.bob.hear(data)
    pair.alice.hear(pair.bob.say())
    assert ["green"] == [outcome.value for outcome in heard]


@pytest.mark.parametrize(("select", "reason"), MISSING)
def test_a_peers_parts_that_are_not_there_break(select, reason) -> None:
    """The reason comes across."""
    pair = Pair()
    promise = pair.alice.send(pair.alice.remote, "same", DATA)
    outcome = pair.outcome(pair.alice.do(select, promise))
    assert isinstance(outcome.reason, RemoteError)
    assert reason in outcome.reason.reason


def test_parts_outside_of_turns_are_asked_for_as_well() -> None:
    """`await vat.send(ref).get()["x"]`, in a trio task."""
    pair = Pair()
    promise = pair.alice.send(pair.alice.remote, "same", DATA)
    part = promise["list"][0]
    assert 1 == pair.outcome(part).value


def test_messages_to_parts_cross_at_once() -> None:
    """And so do parts of promises that the peer sent, and of answers to messages to parts."""
    pair = Pair()
    vow, resolver = pair.result("promise")
    counted = pair.alice.send(pair.alice.do(lambda: vow["x"]), "incr", 7)
    echoed = pair.alice.send(vow["x"], "echo", 1, 2)[1]
    heard = [pair.alice.heard(counted), pair.alice.heard(echoed)]
    data = pair.alice.say()
    assert 2 == data.count(b"op:deliver")
    assert data.startswith(b"<6'op:get<11'desc:export")
    pair.bob.hear(data)
    pair.settle()
    pair.alice.send(resolver, "fulfill", {"x": pair.result("make")})
    pair.settle()
    assert [[7], [2]] == [[outcome.value for outcome in each] for each in heard]


def test_a_selection_keeps_its_place_among_the_messages() -> None:
    """In the order in which they were asked for."""
    pair = Pair()
    promise = pair.alice.send(pair.alice.remote, "make")
    pair.alice.say()

    def ask():
        return send(promise).incr(), promise["x"], send(promise).incr()

    pair.alice.do(ask)
    data = pair.alice.say()
    assert [b"deliver", b"get<11'", b"deliver"] == [part[:7] for part in data.split(b"'op:")[1:]]


def test_a_part_can_be_an_argument() -> None:
    """It is exported as a promise, and listened to."""
    pair = Pair()
    part = pair.alice.send(pair.alice.remote, "same", DATA)["a"]
    waited = pair.alice.send(pair.alice.remote, "wait_for", part)
    assert 1 == pair.outcome(waited).value


def test_every_table_is_as_before_when_the_parts_are_gone() -> None:
    """Answers are released, also of parts that nobody listened to, and resolvers let go of."""
    pair = Pair()
    pair.collect()
    before = pair.alice.counts, pair.bob.counts
    promise = pair.alice.send(pair.alice.remote, "echo", pair.alice.bootstrap, DATA)
    part, unheard, missing = promise[1]["a"], promise[1]["list"], promise[5]
    assert 1 == pair.outcome(part).value
    assert isinstance(pair.outcome(missing), Broken)
    assert 1 + 5 == pair.bob.counts[2]  # two of the parts are of parts that nobody holds
    del promise, part, unheard, missing
    pair.collect()
    assert before == (pair.alice.counts, pair.bob.counts)


def test_a_severed_session_breaks_the_parts() -> None:
    """Heard of or not; and later ones at once."""
    pair = Pair()
    vow, _ = pair.result("promise")
    part = pair.alice.do(lambda: vow["x"])
    pair.settle()
    again = pair.alice.do(lambda: part["y"])
    pair.alice.lose()
    for promise in (part, again, pair.alice.do(lambda: vow["z"]), pair.alice.do(lambda: part["z"])):
        assert isinstance(pair.outcome(promise).reason, SessionSeveredError)


def test_a_part_of_a_call_that_was_not_sent_breaks_as_the_call() -> None:
    """It does not reach the peer either."""
    pair = Pair(alice={"limits": SessionLimits(queue_hard=1000, queue_soft=10)})
    call = pair.alice.send(pair.alice.remote, "same", "x" * 2000)
    full = pair.alice.send(pair.alice.remote, "same", 1)
    parts = [pair.alice.do(lambda: call["x"]), pair.alice.do(lambda: full["x"])]
    assert isinstance(pair.alice.heard(parts[0])[0].reason, QueueFullError)
    assert isinstance(pair.alice.heard(parts[1])[0].reason, QueueFullError)


def test_another_vats_part_is_listened_to() -> None:
    """Its listeners are not of the session's vat."""
    pair = Pair()
    other = new_vat("other")
    promise = pair.alice.send(pair.alice.remote, "same", DATA)
    part = do(other, lambda: promise["list"][0])
    heard = []
    do(other, lambda: on(part, heard.append))
    for _ in range(3):
        run_vats(other, pair.alice.vat)
        pair.settle()
    assert [1] == heard


# --- we are asked ---------------------------------------------------------------------------------


def ask_of(stranger, operation):
    """Let our playground return a struct as answer 0, select, listen; what the resolver was told."""
    said = stranger.say(
        OpDeliver(DescExport(0), (S("same"), {"a": 1}), 0, False), operation, OpListen(DescAnswer(9), ME(7))
    )
    (told,) = said
    assert DescExport(7) == told.to
    return told.args


@pytest.mark.parametrize(
    ("operation", "verdict"),
    [
        (OpGet(DescAnswer(0), "a", 9), (S("fulfill"), 1)),
        (OpGet(DescAnswer(0), "b", 9), (S("break"), "the struct has no such field")),
        (OpIndex(DescAnswer(0), 0, 9), (S("break"), "what the promise became is not a list")),
        (OpUntag(DescAnswer(0), "a", 9), (S("break"), "what the promise became is not a tagged value")),
        (OpGet(DescExport(0), "a", 9), (S("break"), "what the promise became is not a struct")),
    ],
)
def test_a_part_is_told_to_whoever_listens(operation, verdict) -> None:
    """A missing field breaks, as the drafts have it."""
    assert verdict == ask_of(Stranger(), operation)


@pytest.mark.parametrize("tag", ["t", S("t")])
def test_a_tag_is_read_as_text_or_symbol(tag) -> None:
    """Text in op:untag, a symbol in Tagged: both are written somewhere."""
    stranger = Stranger()
    told = stranger.say(
        OpDeliver(DescExport(0), (S("same"), to_tagged("t", 5)), 0, False),
        OpUntag(DescAnswer(0), tag, 1),
        OpListen(DescAnswer(1), ME(7)),
    )
    assert [(S("fulfill"), 5)] == [each.args for each in told]


def to_tagged(tag, value):
    return Record(S("user-record"), (S(tag), value))


def test_nothing_is_said_of_a_part_that_nobody_listens_to() -> None:
    """It is kept until the peer lets go of it, and messages to it arrive."""
    stranger = Stranger()
    assert [] == stranger.say(
        OpDeliver(DescExport(0), (S("echo"), DescExport(0)), 0, False), OpIndex(DescAnswer(0), 0, 1)
    )
    (told,) = stranger.say(OpDeliver(DescAnswer(1), (S("incr"),), False, ME(3)))
    assert (S("fulfill"), 1) == told.args
    assert {0, 1} == set(stranger.us.session.references.answers)
    stranger.say(OpGcAnswers((0, 1)))
    assert {} == stranger.us.session.references.answers
    assert stranger.alive


@pytest.mark.parametrize(
    "operation",
    [
        OpGet(DescExport(77), "a", 9),
        OpGet(DescAnswer(77), "a", 9),
        OpIndex(DescAnswer(0), 0, 0),
    ],
    ids=["unknown export", "unknown answer", "answer in use"],
)
def test_what_asks_for_a_part_of_nothing_ends_the_session(operation) -> None:
    """As with op:deliver."""
    stranger = Stranger()
    said = stranger.say(OpDeliver(DescExport(0), (S("echo"),), 0, False), operation)
    assert isinstance(said[-1], OpAbort)


def test_a_resolver_has_no_parts() -> None:
    """The peer mixes up its positions."""
    stranger = Stranger()
    stranger.us.send(stranger.us.remote, "echo")
    (call,) = stranger.read()
    assert isinstance(stranger.say(OpGet(DescExport(call.resolve_me.position), "a", 9))[0], OpAbort)


def test_kept_parts_are_limited_as_answers_are() -> None:
    """They are answers."""
    stranger = Stranger(limits=SessionLimits(answers=2))
    said = stranger.say(*(OpIndex(DescExport(0), 0, position) for position in range(3)))
    assert isinstance(said[0], OpAbort)


@actor
class Teller:
    """Reads a part of what another object tells it."""

    async def tell(self, other):
        promise = send(other).echo({"x": [5]})
        return await promise[0]["x"][0], await untag(send(other).same(Tagged("t", 1)), "t")


def test_parts_can_be_awaited_in_methods() -> None:
    """Of a near object and of a remote one."""
    vat = new_vat()
    told = do(vat, lambda: send(spawn(Teller)).tell(spawn(Playground)))
    assert (5, 1) == outcome_of(vat, told)
    pair = Pair()
    teller = pair.alice.do(spawn, Teller)
    promise = send_outside(pair.alice.vat, teller, (S("tell"), pair.alice.remote), {})
    outcomes = pair.alice.heard(promise)
    for _ in range(5):
        pair.settle()
    assert [(5, 1)] == [outcome.value for outcome in outcomes]
    pair.alice.vat.post(Resolve(promise, Fulfilled(None)))
