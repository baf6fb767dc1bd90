"""Promises that wait for each other over several peers break; long chains that are no cycle settle."""

import gc
from contextlib import AsyncExitStack
from itertools import pairwise, permutations

import pytest
import trio

from captp_kit import Pair, do, run_vats, unlogged
from goblins_py import actor
from goblins_py.actors import Broken, listen_outside, make_promise, send, send_only
from goblins_py.captp import SessionState
from goblins_py.captp._chases import CYCLE
from goblins_py.captp._dialects import ENDO, GOBLINS
from goblins_py.errors import Refusal, RemoteError
from introducing_peers import IntroducingPeers
from netlayers import LoopbackNetwork
from runtime_kit import person
from trio_of_peers import NAMES


@pytest.fixture(autouse=True)
def quiet():
    """Nobody holds on to tracebacks, and what was there before is none of our business."""
    gc.collect()
    gc.freeze()
    with unlogged():
        yield
    gc.unfreeze()


ROUND = list(pairwise((*NAMES, NAMES[0])))
"""Each one, and who comes after it."""


class Circle:
    """Each of the peers has a promise, and the next one's.

    Attributes:
        own: each one's promise.
        theirs: the next one's, as it came over the session.
    """

    def __init__(self):
        self.own, self.theirs, self._resolvers = {}, {}, {}
        self.peers = IntroducingPeers(self._act)
        self.peers.settle()
        self.start()

    def start(self):
        """New promises, and each one tells who comes before it."""
        for name in NAMES:
            self.own[name], self._resolvers[name] = do(self.peers.vats[name], lambda: [*make_promise()])
        for peer, name in ROUND:
            self.tell(name, peer, self.own[name])
        self.peers.settle()

    def forget(self):
        """Nobody holds any of them."""
        for promises in (self.own, self.theirs, self._resolvers):
            promises.clear()
        self.peers.collect()

    def _act(self, name, *things):
        if not things:
            return self.theirs[name]
        (self.theirs[name],) = things
        return None

    def tell(self, name, peer, *things):
        """Have the peer get this, or say what it has got. A promise of what it says."""
        remote = self.peers.ends[name, peer].remote
        return do(self.peers.vats[name], lambda: [send(remote)(*things)])[0]

    def follow(self, name):
        """This one's promise becomes the next one's."""
        self.resolve(name, self.theirs[name])

    def resolve(self, name, value):
        do(self.peers.vats[name], self._resolvers[name].fulfill, value)

    def hear(self, name, promise=None):
        """A list that gets the outcome of this one's promise, or of another one of its."""
        outcomes = []
        listen_outside(self.own[name] if promise is None else promise, outcomes.append)
        run_vats(*self.peers.vats.values())
        return outcomes


@pytest.fixture
def circle():
    return Circle()


def reason(outcome):
    """What it broke with, here or at a peer."""
    assert isinstance(outcome, Broken)
    assert isinstance(outcome.reason, Refusal | RemoteError)
    return outcome.reason.value if isinstance(outcome.reason, Refusal) else outcome.reason.reason


@pytest.mark.parametrize("order", list(permutations(NAMES)))
@pytest.mark.parametrize("when", range(4))
def test_a_cycle_over_three_peers_breaks_on_all_of_them_once(circle, order, when) -> None:
    """Whoever closes it, and whether somebody waits before or after that."""
    heard = []
    for step, name in enumerate((*order, None)):
        if step == when:
            heard = [circle.hear(name) for name in NAMES]
            circle.peers.settle()
        if name is not None:
            circle.follow(name)
            circle.peers.settle()
    assert heard == [[], [], []]
    circle.peers.collect()
    assert [reason(outcome) for (outcome,) in heard] == [CYCLE] * 3


@pytest.mark.parametrize("waiting", NAMES)
def test_one_who_waits_is_enough(circle, waiting) -> None:
    """The others hear of it as well, later."""
    for name in NAMES:
        circle.follow(name)
    heard = circle.hear(waiting)
    circle.peers.collect()
    assert [reason(outcome) for outcome in heard] == [CYCLE]
    for name in NAMES:
        heard = circle.hear(name)
        circle.peers.collect()
        assert [reason(outcome) for outcome in heard] == [CYCLE]


def test_a_message_does_not_circle_for_ever(circle) -> None:
    """Nobody waits but who sent it, and it went round a few times before."""
    for name in NAMES:
        circle.follow(name)
    circle.peers.settle()
    answer = do(circle.peers.vats["alice"], lambda: [send(circle.own["alice"])("hello")])[0]
    circle.peers.settle()
    circle.peers.collect()
    (outcome,) = circle.hear("alice", answer)
    assert reason(outcome) == CYCLE


def test_nothing_is_left_of_a_cycle(circle) -> None:
    """Tables are as they were."""
    circle.forget()
    before = circle.peers.sizes()
    for _ in range(2):
        circle.start()
        for name in NAMES:
            circle.follow(name)
        heard = circle.hear("alice")
        circle.peers.collect()
        assert [reason(outcome) for outcome in heard] == [CYCLE]
        heard.clear()
        circle.forget()
        assert circle.peers.sizes() == before


def test_a_chain_over_three_peers_settles(circle) -> None:
    """However long it takes, and whoever asks after it in the meantime."""
    circle.follow("alice")
    circle.follow("bob")
    heard = [circle.hear(name) for name in NAMES]
    for _ in range(3):
        circle.peers.collect()
    assert heard == [[], [], []]
    circle.resolve("carol", 7)
    circle.peers.settle()
    assert [[outcome.value for outcome in outcomes] for outcomes in heard] == [[7]] * 3


def test_a_way_into_a_cycle_breaks_as_the_cycle_does(circle) -> None:
    """Alice waits for Bob's promise; his and Carol's wait for each other by way of a fourth one of hers."""
    mine, resolver = do(circle.peers.vats["alice"], lambda: [*make_promise()])
    circle.tell("alice", "carol", mine)
    circle.peers.settle()
    circle.follow("alice")
    circle.follow("bob")
    circle.resolve("carol", circle.theirs["carol"])
    do(circle.peers.vats["alice"], resolver.fulfill, circle.theirs["alice"])
    heard = circle.hear("alice")
    circle.peers.collect()
    assert [reason(outcome) for outcome in heard] == [CYCLE]


def test_answers_that_wait_for_each_other_break(circle) -> None:
    """No promise is passed to anybody: each peer's answer is what the next one's will be."""
    for name, peer in ROUND:
        circle.theirs[name] = circle.tell(name, peer)
    heard = [circle.hear(name, circle.theirs[name]) for name in NAMES]
    circle.peers.collect()
    assert [reason(outcome) for (outcome,) in heard] == [CYCLE] * 3


def test_nothing_is_left_of_a_cycle_over_two_peers() -> None:
    """They find it without a chase, and hold each other all the same."""
    pair = Pair()
    pair.result("same", 1)
    pair.collect()
    before = pair.alice.counts, pair.bob.counts
    mine, resolver = pair.alice.do(make_promise)
    theirs, their_resolver = pair.result("promise")
    pair.alice.send(their_resolver, "fulfill", mine)
    pair.alice.do(resolver.fulfill, theirs)
    assert isinstance(pair.outcome(mine), Broken)
    del mine, resolver, theirs, their_resolver
    pair.collect()
    assert (pair.alice.counts, pair.bob.counts) == before


def test_what_was_let_go_of_early_is_given_back_once() -> None:
    """Whatever holds it until later; a peer would abort if we gave back more than we hold."""
    pair = Pair()
    theirs, resolver = pair.result("promise")
    session = pair.alice.session
    entry = session.references.imports.find(theirs)
    session.forget(theirs)
    session.collect()()
    pair.settle()
    assert session.references.imports.find(theirs) is None
    del theirs
    pair.collect()
    assert entry() is None
    assert pair.alice.session.state is SessionState.ESTABLISHED
    assert resolver is not None


# --- what chases may not do ---------------------------------------------------------------


def said(circle, way):
    """What is under way there, in bytes."""
    circle.peers.pick_up()
    return bytes(circle.peers.wires[way])


def waiting(circle):
    """Carol waits for Alice's promise, which follows Bob's; what Alice tells Bob when time has passed."""
    circle.follow("carol")
    circle.follow("alice")
    circle.hear("carol")
    circle.peers.settle()
    end = circle.peers.ends["alice", "bob"]
    end.session.collect()()
    assert said(circle, ("alice", "bob")).count(b"5'chase") == 0
    end.session.collect()()
    return said(circle, ("alice", "bob"))


def test_a_promise_that_somebody_waits_for_is_asked_after_once(circle) -> None:
    """Not at once, and not again."""
    assert waiting(circle).count(b"5'chase") == 1
    circle.peers.settle()
    for _ in range(3):
        circle.peers.ends["alice", "bob"].session.collect()()
        assert b"5'chase" not in said(circle, ("alice", "bob"))


def test_a_promise_that_settles_soon_is_not_asked_after(circle) -> None:
    """As most do."""
    circle.follow("carol")
    circle.follow("alice")
    circle.hear("carol")
    circle.resolve("bob", 7)
    circle.peers.settle()
    for _ in range(3):
        circle.peers.ends["alice", "bob"].session.collect()()
    assert b"5'chase" not in said(circle, ("alice", "bob"))


@pytest.mark.parametrize("dialect", [GOBLINS, ENDO])
def test_others_are_not_asked(circle, dialect) -> None:
    """They have no such method."""
    circle.peers.ends["alice", "bob"].session.references.recognise(dialect)
    assert b"5'chase" not in waiting(circle)


def test_a_chase_ends_after_so_many_steps(circle) -> None:
    """And what is too long, or no list of tokens, is refused without a harm."""
    circle.follow("alice")
    circle.hear("alice")
    circle.peers.collect()
    for tokens, count in ((1, 1), (63, 1), (64, 0), (65, 0)):
        ask(circle, tuple(bytes([number]) for number in range(tokens)))
        assert said(circle, ("alice", "bob")).count(b"5'chase") == count
        circle.peers.settle()
    for path in ((), (b"x" * 65,), ("text",), b"bytes", 7):
        ask(circle, path)
        assert said(circle, ("alice", "bob")) == b""
    circle.resolve("bob", 7)
    circle.peers.settle()
    assert [outcome.value for outcome in circle.hear("alice")] == [7]


def ask(circle, path):
    """Carol chases Alice's promise."""
    remote = circle.peers.ends["carol", "alice"].remote
    promise = circle.theirs["carol"]
    do(circle.peers.vats["carol"], lambda: send_only(remote).chase(promise, path))
    circle.peers.deliver("carol", "alice")


def test_nobody_can_break_a_promise_that_does_not_depend_on_him(circle) -> None:
    """Carol may say what she likes, and as often as she likes: she does not know the token."""
    circle.follow("alice")
    heard = circle.hear("alice")
    circle.peers.collect()
    for _ in range(2):
        for number in range(100):
            ask(circle, (number.to_bytes(16, "big"), b"\xff" * 64))
            circle.peers.settle()
    assert heard == []
    circle.resolve("bob", 7)
    circle.peers.settle()
    assert [outcome.value for outcome in heard] == [7]


async def test_a_cycle_over_a_network_breaks_soon(autojump_clock) -> None:
    """Whole programs: three people, one of whom waits."""
    network = LoopbackNetwork()
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(person(name, network)) for name in NAMES]
        desks = [await one.share(Desk) for one in people]
        for one, (_, following) in zip(people, [*desks[1:], desks[0]], strict=True):
            other = await one.enliven(following)
            desk = desks[people.index(one)][0]
            await one.vat.send(desk).follow(other)
        with trio.fail_after(5), pytest.raises((Refusal, RemoteError), match="a cycle"):
            await people[0].vat.send(desks[0][0]).wait()


@actor
class Desk:
    """Has a promise; what it is settled with is somebody else's."""

    promise: object = None
    resolver: object = None

    def on_start(self, restored):
        """Make it."""
        self.promise, self.resolver = make_promise()

    def what(self):
        """The promise, in a list, so that it is not waited for."""
        return (self.promise,)

    def wait(self):
        """What it becomes."""
        return self.promise

    async def follow(self, other):
        """It becomes the other one's."""
        (theirs,) = await send(other).what()
        self.resolver.fulfill(theirs)
