"""CapTP without a network: still vats, a fake wire, a peer that says what it likes."""

import gc
import logging
from contextlib import contextmanager
from itertools import count

from goblins_py.actors import (
    Broken,
    Effect,
    Fulfilled,
    Severable,
    Vat,
    actor,
    listen_outside,
    make_promise,
    run_outside,
    send,
    send_outside,
    spawn,
)
from goblins_py.captp import Session, SessionKeys, SessionState, Severed, Started
from goblins_py.captp._greeting import greeting
from goblins_py.captp._records import OpStartSession, read_record, to_record
from goblins_py.locators import PeerLocator
from goblins_py.syrup import NEED_DATA, Decoder, Symbol, encode

ALICE_AT = PeerLocator("fake", "alice")
BOB_AT = PeerLocator("fake", "bob")
ALICE_KEYS = SessionKeys.from_seed(b"\x01" * 32)
BOB_KEYS = SessionKeys.from_seed(b"\x02" * 32)


class StillHost:
    """A host that runs nothing by itself and has no clock. Its random bytes are never the same."""

    _numbers = count(1)

    def wake(self):
        pass

    def scope_mark(self):
        return 0

    def random_bytes(self, count):
        return next(self._numbers).to_bytes(count, "big")

    def post_later(self, seconds, home, item):
        raise NotImplementedError

    async def wait(self, promise):
        raise NotImplementedError

    def wait_blocking(self, promise, timeout):
        raise NotImplementedError


@contextmanager
def unlogged():
    """Log no failed turns: what captures logs holds on to the frames of their tracebacks."""
    logger = logging.getLogger("goblins_py.actors")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def run_vat(vat):
    """Run all that there is to run."""
    while vat.busy:
        churn = vat.run(10**6)
        for outgoing in churn.outbox:
            outgoing.release()


def run_vats(*vats):
    while any(vat.busy for vat in vats):
        for vat in vats:
            run_vat(vat)


def new_vat(name="vat", **options):
    return Vat(StillHost(), name, **options)


def do(vat, function, *args):
    """Run a function as a turn, and all that follows in its vat; its result, or raise."""
    outcomes = []
    run_outside(vat, function, args, outcomes.append)
    run_vat(vat)
    (outcome,) = outcomes
    if isinstance(outcome, Broken):
        raise outcome.reason
    return outcome.value


@actor
class Playground:
    """The bootstrap object: gives out objects, echoes, fails, counts."""

    count: int = 0

    def echo(self, *args, **kwargs):
        return (*args, *kwargs.items()) if kwargs else args

    def same(self, value=None):
        return value

    def incr(self, by=1):
        self.count += by
        return self.count

    def make(self):
        return spawn(Playground)

    def me(self):
        return self

    def promise(self):
        promise, resolver = make_promise()
        return (promise, resolver)

    def call(self, target, *args):
        return send(target)(*args)

    async def wait_for(self, promise):
        return await promise

    def repeat(self, text, times):
        return text * times

    def fail(self):
        raise ValueError("the secret of the vat")


class Side(Severable):
    """A vat with a session of its own.

    Attributes:
        started, severed: what the session said of its life.
        watched: reasons that a watcher of the session was told.
    """

    __slots__ = ("bootstrap", "moved", "session", "severed_events", "started", "vat", "watched")

    def __init__(self, name, at, keys, *, vat=None, verbose=False, bootstrap=None, **options):
        self.vat = vat or new_vat(name, verbose=verbose)
        self.bootstrap = bootstrap or do(self.vat, spawn, Playground)
        self.session = Session(self.vat, location=at, keys=keys, bootstrap=self.bootstrap, **options)
        self.session.watch(self)
        self.started = []
        self.severed_events = []
        self.watched = []
        self.moved = 0

    @property
    def remote(self):
        """The other side's bootstrap object."""
        return self.session.references.bootstrap

    def severed(self, reason):
        self.watched.append(reason)

    def do(self, function, *args):
        return do(self.vat, function, *args)

    def send(self, target, method, *args, **kwargs):
        """Send from outside; a promise."""
        head = () if method is None else (Symbol(method),)
        promise = send_outside(self.vat, target, (*head, *args), kwargs)
        run_vat(self.vat)
        return promise

    def heard(self, promise):
        """A list that gets the outcome of a promise."""
        outcomes = []
        listen_outside(promise, outcomes.append)
        run_vat(self.vat)
        return outcomes

    def hear(self, data):
        """Bytes from the peer, and what follows of them here."""
        self.take(self.session.receive(data))

    def take(self, events):
        for event in events:
            match event:
                case Started():
                    self.started.append(event)
                case Severed():
                    self.severed_events.append(event)
                case Effect():
                    self.vat.post(event)
        run_vat(self.vat)

    def lose(self, reason="gone"):
        """The connection is lost."""
        self.session.connection_lost(reason)
        self.take(self.session.take_events())

    def say(self):
        """The bytes that leave now."""
        data = self.session.data_to_send()
        self.session.sent(len(data))
        self.moved += len(data)
        return data

    @property
    def counts(self):
        """How many exports, imports and answers there are."""
        references = self.session.references
        return len(references.exports), len(references.imports), len(references.answers)


class Pair:
    """Alice and Bob, and a wire between them that can cut bytes anywhere."""

    def __init__(self, *, alice=None, bob=None):
        self.alice = Side("alice", ALICE_AT, ALICE_KEYS, **(alice or {}))
        self.bob = Side("bob", BOB_AT, BOB_KEYS, **(bob or {}))
        self.settle()

    def settle(self, cut=None):
        """Move bytes both ways until nothing moves any more.

        Args:
            cut: a function from bytes to the pieces in which they arrive.
        """
        while self.move(self.alice, self.bob, cut) or self.move(self.bob, self.alice, cut):
            pass

    def move(self, sender, receiver, cut=None):
        data = sender.say()
        for piece in cut(data) if cut else [data]:
            receiver.hear(piece)
        return bool(data)

    def collect(self):
        """Drop garbage everywhere and say so, until there is none."""
        while True:
            gc.collect()
            run_vats(self.alice.vat, self.bob.vat)  # reports of unheard failures pin nothing
            sides = [side for side in (self.alice, self.bob) if side.session.has_garbage]
            for side in sides:
                side.session.collect()()
            self.settle()
            if not sides:
                return

    def ask(self, method, *args, **kwargs):
        """Alice asks Bob's bootstrap object; the outcome."""
        return self.outcome(self.alice.send(self.alice.remote, method, *args, **kwargs))

    def outcome(self, promise):
        """What becomes of a promise of Alice's; None if nothing."""
        outcomes = self.alice.heard(promise)
        self.settle()
        return outcomes[0] if outcomes else None

    def result(self, method, *args, **kwargs):
        """Alice asks Bob's bootstrap object; the value, or raise."""
        outcome = self.ask(method, *args, **kwargs)
        if isinstance(outcome, Broken):
            raise outcome.reason
        assert isinstance(outcome, Fulfilled), "no answer"
        return outcome.value


class Stranger:
    """Faces one session of ours with records of its own making."""

    def __init__(self, *, start=True, keys=BOB_KEYS, at=BOB_AT, **options):
        self.us = Side("us", ALICE_AT, ALICE_KEYS, **options)
        self._decoder = Decoder(special=read_record)
        self.keys = keys
        self.at = at
        if start:
            assert [OpStartSession] == [type(operation) for operation in self.read()]
            assert [] == self.say(greeting(keys, at))

    def say(self, *operations):
        """Send operations, records or bytes; what comes back."""
        for operation in operations:
            if isinstance(operation, bytes):
                self.us.hear(operation)
            else:
                self.us.hear(to_bytes(operation))
        return self.read()

    def read(self):
        """All that our session has said since."""
        self._decoder.feed(self.us.say())
        return list(iter(self._decoder.next_value, NEED_DATA))

    @property
    def alive(self):
        return self.us.session.state is SessionState.ESTABLISHED


def to_bytes(operation):
    """An operation of ours, with operations or descriptors anywhere in it, as bytes."""
    return encode(operation, to_record)


def one_by_one(data):
    """Each byte for itself."""
    return [data[index : index + 1] for index in range(len(data))]


def cut_every(size):
    """Pieces of that size."""
    return lambda data: [data[at : at + size] for at in range(0, len(data), size)]
