"""Distributed garbage: counts that agree, whatever Python collects when and where."""

import gc
import threading
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp_kit import Pair, Playground, Stranger, unlogged
from goblins_py.actors import make_promise, on, send, send_only, spawn
from goblins_py.captp._records import (
    DescExport,
    DescImportObject,
    DescImportPromise,
    OpAbort,
    OpDeliver,
    OpGcAnswers,
    OpGcExports,
    OpListen,
)
from goblins_py.syrup import Symbol

S = Symbol


@pytest.fixture(autouse=True, scope="module")
def fast_collections():
    """What was there before these tests is none of their business."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def garbage_of(stranger):
    """What our session tells of its garbage, as {position: count} and the list of answers."""
    gc.collect()
    stranger.us.session.collect()()
    counts, answers = {}, []
    for operation in stranger.read():
        match operation:
            case OpGcExports(positions=positions, deltas=deltas):
                counts.update(zip(positions, deltas, strict=True))
            case OpGcAnswers(positions=positions):
                answers.extend(positions)
    return counts, answers


def give(*things):
    """A message that gives us things and is forgotten."""
    return OpDeliver(DescExport(0), (S("same"), tuple(things)), False, False)


def test_an_import_is_given_back_as_often_as_it_was_received() -> None:
    """Four times in one message, then in four messages: the count is four each time."""
    stranger = Stranger()
    thing = DescImportObject(5)
    stranger.say(give(thing, thing, (thing, thing)))
    assert ({5: 4}, []) == garbage_of(stranger)
    stranger.say(*[give(thing)] * 4)
    assert ({5: 4}, []) == garbage_of(stranger)
    assert ({}, []) == garbage_of(stranger)


def test_what_is_held_is_not_given_back() -> None:
    """Until it is dropped; then with all counts at once."""
    stranger = Stranger()
    stranger.say(OpDeliver(DescExport(0), (S("same"), DescImportObject(5)), 1, False))
    stranger.say(give(DescImportObject(5)))
    assert ({}, []) == garbage_of(stranger)
    stranger.say(OpGcAnswers((1,)))
    assert ({5: 2}, []) == garbage_of(stranger)


def test_resolvers_are_given_back_after_their_use() -> None:
    """And the bootstrap object never is, whatever a peer uses position 0 for."""
    stranger = Stranger()
    for resolver in (DescImportObject(0), DescImportObject(3), DescImportPromise(4)):
        stranger.say(OpDeliver(DescExport(0), (S("incr"),), False, resolver))
    stranger.say(give(DescImportObject(0)))
    assert ({3: 1, 4: 1}, []) == garbage_of(stranger)


def test_a_question_is_given_back_when_its_promise_is_gone() -> None:
    """One op:gc-answers for all; answered or not."""
    stranger = Stranger()
    promises = [stranger.us.send(stranger.us.remote, "x") for _ in range(3)]
    asked = stranger.read()
    del promises[1:]
    counts, answers = garbage_of(stranger)
    assert ({}, {each.answer_pos for each in asked[1:]}) == (counts, set(answers))
    assert 1 == len(promises)


def test_a_batch_is_one_message_of_each_kind() -> None:
    """However much there is."""
    pair = Pair()
    for _ in range(50):
        pair.result("make")
    gc.collect()
    pair.alice.session.collect()()
    data = pair.alice.say()
    assert (1, 1) == (data.count(b"op:gc-exports"), data.count(b"op:gc-answers"))


def test_a_reference_sent_again_while_its_gc_is_under_way_stays_alive() -> None:
    """The count that crosses is the old one: what was received afterwards counts anew."""
    pair = Pair()
    thing = pair.bob.do(spawn, Playground)
    for _ in range(2):
        pair.bob.do(lambda: send_only(pair.bob.remote).same(thing))
    pair.settle()
    gc.collect()
    pair.alice.session.collect()()
    under_way = pair.alice.say()
    assert b"[1+][2+]" in under_way
    pair.bob.do(lambda: send_only(pair.bob.remote).same(thing))
    again = pair.bob.say()
    pair.bob.hear(under_way)
    held = pair.bob.session.references.exports
    assert thing is held.get(1)
    pair.alice.hear(again)
    pair.collect()
    assert 1 == len(held)


def test_an_import_that_died_and_came_again_before_we_said_so() -> None:
    """The old count is given back, the new one is kept; also if the new thing has the old one's id."""
    stranger = Stranger()
    for _ in range(20):
        stranger.say(give(DescImportObject(5)))  # dies at once
    stranger.say(OpDeliver(DescExport(0), (S("same"), DescImportObject(5)), 1, False))
    assert ({5: 20}, []) == garbage_of(stranger)
    (held,) = [stranger.us.session.references.answers[1]._state.value]
    assert b"desc:export5+" in said_of(stranger, held)


def said_of(stranger, *things):
    """The bytes of a message that passes these things."""
    stranger.us.do(lambda: send_only(stranger.us.remote).take(*things))
    return stranger.us.say()


def test_an_id_used_again_is_not_taken_for_the_old_thing() -> None:
    """An import dies, an object of ours gets its address: it is exported, not sent home."""
    stranger = Stranger()
    references = stranger.us.session.references
    stranger.say(give(DescImportObject(5)))
    dead = references.imports.collected[0]
    for _ in range(10_000):
        ours = stranger.us.do(spawn, Playground)
        if id(ours) == dead.key:
            break
    references.imports._by_id[id(ours)] = dead  # the same, if the allocator did not oblige
    assert b"import-object" in said_of(stranger, ours)
    assert ({5: 1}, []) == garbage_of(stranger)


def test_imports_collected_in_other_threads_are_noted() -> None:
    """Finalizers only note; nothing is lost, whoever runs them."""
    pair = Pair()
    held = [pair.result("make") for _ in range(200)]
    pair.collect()
    piles = [[held.pop() for _ in range(50)] for _ in range(4)]
    threads = [threading.Thread(target=pile.clear) for pile in piles]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        pair.alice.session.collect()()
        pair.settle()
    for thread in threads:
        thread.join()
    pair.collect()
    assert (1, 1, 0) == pair.alice.counts == pair.bob.counts


def test_an_exported_object_is_held_as_long_as_the_peer_holds_it() -> None:
    """And dies when it lets go."""
    pair = Pair()
    ours = pair.alice.do(spawn, Playground)
    weak = weakref.ref(ours)
    (kept,) = [pair.bob.do(make_promise)]
    pair.alice.do(send_only(pair.alice.remote).echo, ours)
    del ours
    gc.collect()
    assert weak() is not None
    pair.settle()
    pair.collect()
    assert weak() is None
    assert kept


def test_a_promise_that_nobody_can_settle_any_more_breaks_at_the_peer() -> None:
    """Its resolver was collected: the peer is told, and the call counts as answered."""
    stranger = Stranger()
    promise, resolver = stranger.us.do(make_promise)
    position = stranger.us.session.references.exports.add(promise)
    stranger.say(OpListen(DescExport(position), DescImportObject(4)), OpGcExports((position,), (1,)))
    del promise
    assert ({}, []) == garbage_of(stranger)
    del resolver
    gc.collect()
    assert stranger.us.session.has_garbage
    stranger.us.session.collect()()
    told, _ = stranger.read()
    assert (DescExport(4), S("break")) == (told.to, told.args[0])
    assert 0 == stranger.us.session._outbound.unanswered


@pytest.mark.parametrize(
    "operation",
    [
        OpGcExports((1,), (2,)),
        OpGcExports((1, 1), (1, 1)),
        OpGcExports((2,), (1,)),
        OpGcExports((0, 9), (1, 1)),
    ],
)
def test_giving_back_more_than_was_given_ends_the_session(operation) -> None:
    """The counts would never agree again."""
    stranger = Stranger()
    stranger.say(OpDeliver(DescExport(0), (S("make"),), False, DescImportObject(1)))
    (abort,) = stranger.say(operation)
    assert isinstance(abort, OpAbort)


def test_the_bootstrap_and_unknown_answers_may_be_given_back_in_peace() -> None:
    """Goblins counts neither."""
    stranger = Stranger()
    assert [] == stranger.say(OpGcExports((0,), (7,)), OpGcAnswers((1, 2, 3)), OpGcExports((), ()))
    assert 1 == len(stranger.us.session.references.exports)


def keep(pair, kept, method, *args):
    """Alice asks Bob, and keeps what she gets, be it what it may."""
    pair.alice.do(lambda: on(send(pair.alice.remote)[S(method)](*args), kept.append, kept.append))


def collect(pair, kept):
    for side in (pair.alice, pair.bob):
        side.session.collect()()


STEPS = {
    "make": lambda pair, kept: pair.alice.send(pair.alice.remote, "make"),
    "keep": lambda pair, kept: keep(pair, kept, "make"),
    "promise": lambda pair, kept: keep(pair, kept, "promise"),
    "give": lambda pair, kept: keep(pair, kept, "echo", *[pair.alice.do(spawn, Playground)] * 2, *kept[-1:]),
    "call back": lambda pair, kept: keep(pair, kept, "call", pair.alice.bootstrap, S("make")),
    "fail": lambda pair, kept: pair.alice.send(pair.alice.remote, "fail"),
    "pipeline": lambda pair, kept: kept.append(
        pair.alice.send(pair.alice.send(pair.alice.remote, "make"), "me")
    ),
    "drop": lambda pair, kept: kept.__delitem__(slice(1)),
    "collect": collect,
    "move": lambda pair, kept: pair.move(pair.alice, pair.bob),
    "settle": lambda pair, kept: pair.settle(),
}


@settings(max_examples=60)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=25))
def test_counts_agree_when_all_is_quiet(steps) -> None:
    """Whatever was passed, kept and dropped: in the end what one exports is what the other imports."""
    pair = Pair()
    kept = []
    with unlogged():
        for step in steps:
            STEPS[step](pair, kept)
        pair.settle()
        pair.collect()
        agree(pair)
        kept.clear()
        pair.collect()
    assert (1, 1, 0) == pair.alice.counts == pair.bob.counts


def agree(pair):
    for exporter, importer in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
        exports = exporter.session.references.exports._entries
        imports = importer.session.references.imports._imports
        assert set(exports) == set(imports)
        for position in set(exports) - {0}:
            assert exports[position].count == imports[position].count
    for asker, answerer in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
        imports = asker.session.references.imports
        questions = [entry.position for entry in imports._by_id.values() if entry.kind.value == "question"]
        assert sorted(questions) == sorted(answerer.session.references.answers)
