"""The core operations, and a fixed piece of work to measure them by: see `check.py`.

Each `*_op` function prepares what it needs and returns what does the operation so many times. No clock, no
sockets, no trio, no randomness: the same instructions in every run. Only what other tests use is used.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from captp_kit import Pair, do, new_vat, unlogged
from faulty_files import FaultyFiles
from goblins_py.actors import (
    GraphKeeper,
    PersistenceEnv,
    RootsPlan,
    actor,
    listen_outside,
    run_outside,
    send,
    send_only,
    spawn,
)
from goblins_py.syrup import Record, Symbol, decode, encode
from journal_kit import PATH
from persistence._opening import open_journal

WARM, STORED = 8, 200
Repeat = Callable[[int], object]
DELIVER = Record(
    Symbol("op:deliver"),
    (
        Record(Symbol("desc:export"), (5,)),
        (Symbol("greet"), "Bob", 42, (True, 1.5)),
        7,
        Record(Symbol("desc:import-object"), (8,)),
    ),
)


@actor
class Counter:
    """Counts, calls a near object, fails; holds others."""

    value: int = 0
    held: tuple = ()

    def add(self, amount):
        self.value += amount
        return self.value

    def add_near(self, other, times):
        for _ in range(times):
            other.add(1)

    def fail(self):
        self.value += 1
        raise ValueError("on purpose")


def again(function, *args) -> Repeat:
    def run(times):
        for _ in range(times):
            function(*args)

    return run


# --- the unit ------------------------------------------------------------------------------


class Plain:
    def __init__(self, number):
        self.number = number

    def next(self, table, *args):
        table[self.number % 10] = (self.number, args)
        return isinstance(table.get(3), tuple) and len([*args, self.number])


def fixed_work(numbers, table) -> None:
    """What any Python program does: objects, calls, containers, text. Never to be changed."""
    number = next(numbers) % 20
    Plain(number).next(table, "one", number)
    b"".join([b"%d" % number, str(number).encode(), b"<", b"+"])


def unit_op() -> Repeat:
    return again(fixed_work, count(), {})


# --- Syrup ---------------------------------------------------------------------------------


def encode_op() -> Repeat:
    return again(encode, DELIVER)


def decode_op() -> Repeat:
    return again(decode, encode(DELIVER))


# --- one vat -------------------------------------------------------------------------------


def send_op() -> Repeat:
    """Messages with promises, sent in one turn; each is a turn of its own."""
    vat = new_vat()
    counter = do(vat, spawn, Counter)
    return lambda times: do(vat, again(lambda: send(counter).add(1)), times)


def near_call_op() -> Repeat:
    """From a method."""
    vat = new_vat()
    one, other = do(vat, lambda: (spawn(Counter), spawn(Counter)))
    return lambda times: do(vat, one.add_near, other, times)


def failing_turn_op() -> Repeat:
    """Rolled back, and somebody hears of it. What would be logged is text, and not counted."""
    vat = new_vat()
    counter = do(vat, spawn, Counter)
    outcomes = []

    def run(times):
        with unlogged():
            for promise in do(vat, lambda: [send(counter).fail() for _ in range(times)]):
                listen_outside(promise, outcomes.append)
            do(vat, int)

    return run


# --- two peers -------------------------------------------------------------------------------


def settle(pair: Pair) -> None:
    """Until nothing moves, and what is not needed any more was let go of."""
    pair.settle()
    while sides := [side for side in (pair.alice, pair.bob) if side.session.has_garbage]:
        for side in sides:
            side.session.collect()()
        pair.settle()


def round_trip_op() -> Repeat:
    """Each is answered before the next."""
    pair = Pair()

    def once():
        pair.result("incr")
        settle(pair)

    return again(once)


def pipelined_op() -> Repeat:
    """All in flight at once."""
    pair = Pair()
    outcomes = []

    def run(times):
        remote = pair.alice.remote
        for answer in pair.alice.do(lambda: [send(remote).incr() for _ in range(times)]):
            listen_outside(answer, outcomes.append)
        settle(pair)

    return run


def one_way_op() -> Repeat:
    """All in one turn."""
    pair = Pair()
    remote = pair.alice.remote

    def run(times):
        pair.alice.do(again(lambda: send_only(remote).incr()), times)
        settle(pair)

    return run


# --- a disk ------------------------------------------------------------------------------------


class Files(FaultyFiles):
    """A disk in memory whose syncs take nothing."""

    def sync(self, handle):
        pass


ENV = PersistenceEnv(Counter)


class Kept:
    """A persistent vat whose root holds so many objects, on a disk of its own."""

    def __init__(self, objects):
        self.files = Files()
        self.vat = new_vat()
        self.journal, _ = open_journal(PATH, self.files)
        self.keeper = GraphKeeper(ENV, self.vat)
        self.run(self.start, objects)

    def start(self, objects):
        root = spawn(Counter, 0, tuple(spawn(Counter, number) for number in range(objects)))
        self.keeper.adopt(root, bytes(32))
        self.vat.keeper = self.keeper

    def run(self, function, *args):
        """A message from outside, all that it leads to, and a commit."""
        run_outside(self.vat, function, args, lambda outcome: None)
        churn = self.vat.run(10**6)
        self.journal.append([churn.delta])
        for outgoing in churn.outbox:
            outgoing.release()


def churn_op() -> Repeat:
    """Message, turn, portrait, commit, answer; each for itself."""
    kept = Kept(1)
    return again(kept.run, kept.keeper.roots[0].add, 1)


def restore_op() -> Repeat:
    """A store's bytes become the objects of a vat."""
    disks = {objects: Kept(objects).files.names for objects in (WARM, STORED)}

    def run(times):
        vat = new_vat()
        _, snapshot = open_journal(PATH, Files(disks[times]))
        do(vat, GraphKeeper(ENV, vat).restore, snapshot, RootsPlan(int))

    return run


OPERATIONS: dict[str, tuple[Callable[[], Repeat], int]] = {
    "unit": (unit_op, 1000),
    "syrup encode": (encode_op, 200),
    "syrup decode": (decode_op, 200),
    "local send": (send_op, 200),
    "near call": (near_call_op, 200),
    "failing turn": (failing_turn_op, 100),
    "far round trip": (round_trip_op, 50),
    "pipelined call": (pipelined_op, 1000),
    "one-way send": (one_way_op, 500),
    "durable churn": (churn_op, 100),
    "restored object": (restore_op, STORED),
}
"""Name to how it is prepared, and how often it is done."""
