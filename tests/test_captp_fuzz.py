"""Whatever a peer says: nothing is raised, the worst is an op:abort, and the work is linear in the bytes."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from captp_kit import BOB_AT, BOB_KEYS, Pair, Playground, Side, Stranger, one_by_one, to_bytes, unlogged
from goblins_py.actors import make_promise, spawn
from goblins_py.captp import SessionLimits, SessionState
from goblins_py.captp._greeting import greeting
from goblins_py.captp._records import (
    TABLE,
    DescAnswer,
    DescExport,
    DescHandoffGive,
    DescHandoffReceive,
    DescImportObject,
    DescImportPromise,
    DescSigEnvelope,
    OpAbort,
    OpDeliver,
    OpGcAnswers,
    OpGcExports,
    OpGet,
    OpIndex,
    OpListen,
    OpStartSession,
    OpUntag,
    read_record,
    to_record,
)
from goblins_py.errors import Refusal
from goblins_py.locators import PeerLocator
from goblins_py.syrup import NEED_DATA, Decoder, Record, Symbol, encode

S = Symbol
TOKENS = [b"f", b"0+", b"<", b">", b"[", b"]"]
METHODS = [
    "echo",
    "same",
    "incr",
    "make",
    "me",
    "promise",
    "call",
    "wait-for",
    "fail",
    "fulfill",
    "break",
    "x",
]


def tuples(items):
    return st.lists(items, max_size=3).map(tuple)


positions = st.integers(0, 6)
targets = st.one_of(positions.map(DescExport), positions.map(DescAnswer))
imports = st.one_of(positions.map(DescImportObject), positions.map(DescImportPromise))
odd = st.sampled_from([
    Record(S("void"), ()),
    Record(S("kw"), (S("by"),)),
    Record(S("user-record"), (S("t"), 1)),
    Record(S("desc:error"), ("no",)),
    Record(S("exn:fail:mystery"), ()),
    Record(S("desc:sig-envelope"), (1, 2)),
    BOB_AT.to_record(),
])  # fmt: skip
leaves = st.one_of(strategies.scalars, targets, imports, odd)
arguments = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
calls = st.builds(
    OpDeliver,
    targets,
    st.tuples(st.sampled_from(METHODS).map(S)).flatmap(
        lambda head: st.lists(arguments, max_size=3).map(lambda rest: (*head, *rest))
    ),
    st.one_of(st.just(False), positions),
    st.one_of(st.just(False), imports),
)
operations = st.one_of(
    calls,
    calls,
    calls,
    st.builds(OpListen, targets, imports),
    st.builds(OpGcExports, tuples(positions), tuples(st.integers(1, 2))),
    st.builds(OpGcAnswers, tuples(positions)),
    st.builds(OpAbort, st.just("bye")),
    strategies.values,
)


def is_in_order(stranger):
    """Our session has ended once or not at all, and said why."""
    us = stranger.us
    severed = us.session.state is SessionState.SEVERED
    assert [us.session.reason] * severed == [event.reason for event in us.severed_events]
    assert us.watched == [event.reason for event in us.severed_events]
    return True


@given(st.lists(operations, max_size=12))
def test_no_stream_of_operations_raises_anything(stream) -> None:
    """Well-formed records that mean what they like; what we say stays readable."""
    stranger = Stranger()
    with unlogged():
        for operation in stream:
            stranger.say(operation)
        stranger.us.lose()
    assert is_in_order(stranger)
    assert (0, 0, 0) == stranger.us.counts


@given(st.data())
def test_no_mutated_bytes_raise_anything(data) -> None:
    """Start and operations with bytes changed, cut out and put in, in any split."""
    stranger = Stranger(start=False)
    stream = [greeting(BOB_KEYS, BOB_AT), *data.draw(st.lists(operations, max_size=6))]
    raw = bytearray(b"".join(map(to_bytes, stream)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw)))
        end = at + data.draw(st.integers(0, 3))
        raw[at:end] = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(TOKENS)))
    with unlogged():
        for piece in data.draw(strategies.splits(bytes(raw))):
            stranger.us.hear(piece)
    assert is_in_order(stranger)


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_garbage_raises_anything(pieces) -> None:
    """Before the start, and after it."""
    for start in (False, True):
        stranger = Stranger(start=start)
        for piece in pieces:
            stranger.us.hear(piece)
        assert is_in_order(stranger)


# --- real streams --------------------------------------------------------------


class Recorded(Pair):
    """Keeps what Alice says."""

    said = b""

    def move(self, sender, receiver, cut=None):
        data = sender.say()
        if sender is self.alice:
            self.said += data
        receiver.hear(data)
        return bool(data)


def conversation():
    """What Alice says in a talk with Bob that has every operation and descriptor in it."""
    pair = Recorded()
    alice = pair.alice
    thing = alice.do(spawn, Playground)
    mine, settle = alice.do(make_promise)
    pair.result("echo", thing, mine, None, by=(thing, pair.alice.remote))
    pair.result("call", thing, S("same"), thing)  # Bob asks, Alice answers
    waiting = alice.heard(alice.send(pair.alice.remote, "wait-for", mine))
    made = alice.send(pair.alice.remote, "make")
    pair.outcome(alice.send(alice.send(made, "me"), "incr"))
    promised, resolver = pair.result("promise")
    listening = alice.heard(promised)
    alice.send(resolver, "fulfill", thing)
    alice.do(settle.break_, Refusal("enough"))
    pair.settle()
    assert (len(listening), len(waiting)) == (1, 1)
    del made, promised, resolver, waiting, listening, mine
    pair.collect()
    alice.session.abort("bye")
    pair.settle()
    return pair.said


def records_of(stream):
    """The bytes of each record."""
    decoder, records, start = Decoder(special=read_record), [], 0
    for end, byte in enumerate(one_by_one(stream), 1):
        decoder.feed(byte)
        if decoder.next_value() is not NEED_DATA:
            records.append(stream[start:end])
            start = end
    assert start == len(stream)
    return records


def rare():
    """What that talk has no occasion for: parts of answers, and introductions."""
    to = DescExport(1)
    give = DescSigEnvelope(
        DescHandoffGive((S("key"),), PeerLocator("t", "d").to_record(), b"s", b"g", b"id"), (S("sig"),)
    )
    receive = DescSigEnvelope(DescHandoffReceive(b"s", b"r", 0, give), (S("sig"),))
    operations = (
        OpGet(to, "field", 90),
        OpIndex(to, 0, 91),
        OpUntag(to, "tag", 92),
        OpDeliver(DescExport(0), (S("withdraw-gift"), receive, give), 93, False),
    )
    return [encode(to_record(operation), to_record) for operation in operations]


with unlogged():
    REAL = records_of(conversation())
    REAL[-1:-1] = rare()


def test_the_real_stream_has_everything_in_it():
    """Each operation and each descriptor."""
    stream = b"".join(REAL)
    assert [label for label in TABLE if b"'" + label.encode() not in stream] == []


def mutated(data, stream):
    """A few bytes changed, cut out, put in, doubled; numbers changed."""
    raw = bytearray(stream)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw)))
        end = at + data.draw(st.integers(0, 6))
        raw[at:end] = data.draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([*TOKENS, bytes(raw[at:end]) * 2]))
        )
    return bytes(raw)


@settings(max_examples=150)
@given(st.data())
def test_no_mutation_of_a_real_stream_raises_anything(data) -> None:
    """Records left out, doubled, in another order, with other bytes; then the connection is lost."""
    changes = st.lists(st.integers(0, len(REAL) - 1), max_size=len(REAL))
    kept = data.draw(
        st.one_of(st.just(range(len(REAL))), changes.map(sorted), changes.map(lambda at: [0, *at]))
    )
    raw = mutated(data, b"".join([REAL[index] for index in kept]))
    bob = Side("bob", BOB_AT, BOB_KEYS)
    with unlogged():
        for piece in data.draw(strategies.splits(raw)):
            bob.hear(piece)
        bob.lose()
    assert bob.watched == [bob.session.reason] == [event.reason for event in bob.severed_events]
    assert bob.counts == (0, 0, 0)


# --- work -----------------------------------------------------------------------


def lines_run(pieces):
    """How many lines of Python a session takes for these bytes: its work, whatever else the machine does."""
    stranger = Stranger(limits=SessionLimits())
    lines = 0

    def count(frame, event, arg):
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        for piece in pieces:
            stranger.us.session.receive(piece)
    finally:
        sys.settrace(before)
    return lines


HEAD = b"<10'op:deliver<11'desc:export0+>"


def shapes(size):
    """Streams of about so many units, each cheap to send."""
    yield "calls", [b"".join(HEAD + b"[4'incr1+]%d+f>" % number for number in range(size))]
    yield "listens", [b"<9'op:listen<11'desc:export0+><18'desc:import-object1+>f>" * size]
    yield "gc of answers", [b"<13'op:gc-answers[" + b"7+" * size + b"]>"]
    yield "one list", [HEAD + b"[" + b"1+" * size + b"]ff>"]
    imported = b"".join(b"<18'desc:import-object%d+>" % number for number in range(1, size))
    yield "imports", [HEAD + b"[" + imported + b"]ff>"]
    yield "voids", [HEAD + b"[" + b"<4'void>" * size + b"]ff>"]
    yield "keywords", [HEAD + b"[" + b"".join(b"<2'kw8'%08d>f" % n for n in range(size)) + b"]ff>"]
    yield "dictionary", [HEAD + b"[{" + b"".join(b"8\"%08d<4'void>" % n for n in range(size)) + b"}]ff>"]
    yield "deep", [HEAD + b"[" + (b"[" * 60 + b"1+" + b"]" * 60) * (size // 60) + b"]ff>"]
    yield "bytes one by one", [bytes([byte]) for byte in HEAD + b"[" + b"1+" * (size // 2) + b"]ff>"]


@pytest.mark.parametrize("index", range(len(list(shapes(60)))), ids=[name for name, _ in shapes(60)])
def test_the_work_is_linear_in_the_bytes(index) -> None:
    """Ten times as much takes ten times as many lines, and a little more at the most."""
    small, large = (lines_run(list(shapes(size))[index][1]) for size in (300, 3000))
    assert large < 11 * small


def test_a_session_that_never_starts_says_only_its_own_start() -> None:
    """And an abort, if it was made to."""
    stranger = Stranger(start=False)
    said = stranger.say(b"x")
    assert [OpStartSession, OpAbort] == [type(operation) for operation in said]
