"""Whatever a peer says: nothing is raised, the worst is an op:abort, and the work is linear in the bytes."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from captp_kit import BOB_AT, BOB_KEYS, Stranger, to_bytes, unlogged
from goblins_py.captp import SessionLimits, SessionState
from goblins_py.captp._greeting import greeting
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
    OpStartSession,
)
from goblins_py.syrup import Record, Symbol

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


def seconds(work):
    """Of CPU time, the best of three."""
    times = []
    for _ in range(3):
        stranger = Stranger(limits=SessionLimits())
        pieces = work()
        start = time.process_time()
        for piece in pieces:
            stranger.us.session.receive(piece)
        times.append(time.process_time() - start)
    return min(times)


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


def test_the_work_is_linear_in_the_bytes() -> None:
    """Ten times as much takes about ten times as long, never a hundred."""
    for index, (name, _) in enumerate(shapes(60)):
        small = seconds(lambda index=index: list(shapes(600))[index][1])
        large = seconds(lambda index=index: list(shapes(6000))[index][1])
        assert large < 40 * max(small, 0.001), name


def test_a_session_that_never_starts_says_only_its_own_start() -> None:
    """And an abort, if it was made to."""
    stranger = Stranger(start=False)
    said = stranger.say(b"x")
    assert [OpStartSession, OpAbort] == [type(operation) for operation in said]
