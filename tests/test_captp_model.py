"""A model of sessions: three peers do what they like, over wires that deliver when they like.

Hypothesis plays the peers and the wires. The model knows what was sent over which reference and what has
arrived; it knows nothing of tables.

- A *stream* is one reference or promise at one peer. What arrives of it arrives in order, once, without
  gaps; all of it, or if the promise broke or a session did, perhaps only the beginning.
- Each answer settles at most once; once all is delivered and resolved, each has.
- When nothing is under way and nothing uncollected, what one end holds is what the other counts, and no
  gift lies on any desk.

100 runs; `GOBLINS_MODEL=10000` for many.
"""

import gc
import os
from functools import partial
from itertools import combinations, pairwise, permutations
from weakref import WeakSet

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from captp_kit import do, new_vat, run_vats, unlogged
from goblins_py.actors import Fulfilled, Promise, Ref, listen_outside, make_promise, send, send_only, spawn
from goblins_py.errors import Refusal
from introducing_peers import IntroducingPeers
from trio_of_peers import NAMES, Peers

RUNS = int(os.environ.get("GOBLINS_MODEL", "100"))
MOST_HELD = 8
"""References that a peer keeps; for one more, it lets go of the oldest."""

names = st.sampled_from(NAMES)
indices = st.sampled_from([-1, -2, 0, 1, 2, 3, 4, 5])
"""Of what a peer holds; the newest first, which are promises more often than not."""
ways = st.sampled_from(list(permutations(NAMES, 2)))
orders = st.sampled_from(list(permutations(NAMES)))
verbs = st.sampled_from(["hold", "hold", "first", "relay", "new", "new", "fail"])
hows = st.sampled_from(["keep", "keep", "heard", "unheard", "only"])


class Stream:
    """What one peer sends over one reference.

    Attributes:
        number: its name in messages.
        thing: the reference or promise; None if the peer has let go of it.
        sent: how many messages.
        arrived: numbers of messages, as they arrived.
    """

    def __init__(self, number, thing):
        self.number = number
        self.thing = thing
        self.sent = 0
        self.arrived = []


class Everything(RuleBasedStateMachine):
    """The peers, what each of them holds, and all that was ever sent."""

    def __init__(self):
        super().__init__()
        gc.collect()
        gc.freeze()  # collections look at this run only
        self.peers = IntroducingPeers(self._receive)
        self.held = {name: [] for name in NAMES}
        self.streams = []
        self.answers = []  # a list of outcomes for each: never holds the promise
        self.resolvers = []
        self.made = WeakSet()  # an answer may depend on what would follow it
        self.severed = False
        self.peers.settle()
        self.sizes = self.peers.sizes()
        for name, vat in self.peers.vats.items():
            self._hold(name, do(vat, self._new_object, name))
        for name, peer in permutations(NAMES, 2):
            self._hold(name, self.peers.ends[name, peer].remote)

    # --- what objects do ---------------------------------------------------------

    def _new_object(self, name):
        return spawn(partial(self._receive, name))

    def _receive(self, name, stream, number, verb, *things):
        """An object of this peer's has got a message."""
        if stream is not None:
            self.streams[stream].arrived.append(number)
        match verb:
            case "hold":
                for thing in things:
                    self._hold(name, thing)
            case "first" if things:
                return things[0]
            case "relay" if things:
                return send(things[0])(None, 0, "hold", *things[1:])
            case "new":
                return self._new_object(name)
            case "follow" if things:
                self._follow(name, things[0])
            case "fail":
                raise Refusal("as it was told")
        return number

    def _follow(self, name, thing):
        """The newest promise of this peer's becomes this, whatever it is."""
        for index in reversed(range(len(self.resolvers))):
            if self.resolvers[index][0] == name:
                self.resolvers.pop(index)[1].fulfill(thing)
                return

    def _hold(self, name, thing):
        held = self.held[name]
        known = any(stream.thing is thing for stream in held)
        if isinstance(thing, Ref | Promise) and not known:
            stream = Stream(len(self.streams), thing)
            self.streams.append(stream)
            held.append(stream)
        if len(held) > MOST_HELD:
            held.pop(0).thing = None

    # --- what the peers do -----------------------------------------------------------

    @rule(name=names, to=indices, what=st.tuples(verbs, st.lists(indices, max_size=3)), how=hows)
    def send(self, name, to, what, how):
        """A message about things that the peer holds; its answer is kept, heard, or not asked for."""
        verb, about = what
        stream = self._pick(name, to)
        if stream is not None:
            self._tell(name, stream, how, (verb, *[self._pick(name, index).thing for index in about]))

    @rule(ends=ways, verb=st.sampled_from(["hold", "first", "relay"]), index=indices, how=hows)
    def introduce(self, ends, verb, index, how):
        """A message to a peer about an object of a third one's."""
        name, peer = ends
        (third,) = set(NAMES) - set(ends)
        receivers, gifts = (self._references(name, other) for other in (peer, third))
        if receivers and gifts:
            self._tell(name, receivers[0], how, (verb, gifts[index % len(gifts)].thing))

    def _references(self, name, peer):
        """The references to this peer's objects that somebody holds."""
        session = self.peers.ends[name, peer].session
        return [
            stream
            for stream in self.held[name]
            if isinstance(stream.thing, Ref) and stream.thing._connector is session
        ]

    def _tell(self, name, stream, how, message):
        message = (stream.number, stream.sent, *message)
        stream.sent += 1
        do(self.peers.vats[name], self._send, name, how, stream.thing, message)

    def _send(self, name, how, target, message):
        if how == "only":
            send_only(target)(*message)
            return
        promise = send(target)(*message)
        if how != "unheard":
            self._listen(promise)
        if how == "keep":
            self._hold(name, promise)

    def _listen(self, promise):
        outcomes = []
        self.answers.append(outcomes)
        listen_outside(promise, outcomes.append)

    @rule(name=names, index=indices)
    def listen(self, name, index):
        """To a promise that the peer holds."""
        stream = self._pick(name, index)
        if stream is not None and isinstance(stream.thing, Promise):
            self._listen(stream.thing)
            run_vats(*self.peers.vats.values())

    @rule(name=names)
    def promise(self, name):
        """The peer makes a promise."""
        box = []
        do(self.peers.vats[name], lambda: box.extend(make_promise()))
        self._hold(name, box[0])
        self.made.add(box[0])
        self._listen(box[0])
        self.resolvers.append((name, box[1]))

    @rule(order=orders, length=st.integers(2, 3))
    def circle(self, order, length):
        """New promises, one each, and who comes before shall follow it: three of them are a cycle."""
        for name in order:
            self.promise(name)
        for name, peer in list(pairwise((*order, order[0])))[:length]:
            (receiver, *_) = self._references(name, peer) or [None]
            if receiver is not None:
                newest = self.held[name][-1].thing
                self._tell(name, receiver, "only", ("follow", newest))

    @precondition(lambda self: self.resolvers)
    @rule(which=indices, index=indices, how=st.sampled_from(["thing", "thing", "number", "break"]))
    def resolve(self, which, index, how):
        """With a reference or another promise that somebody made, with a number, or break it."""
        name, resolver = self.resolvers.pop(which % len(self.resolvers))
        stream = self._pick(name, index)
        fits = stream is not None and (isinstance(stream.thing, Ref) or stream.thing in self.made)
        value = stream.thing if fits else 7
        match how:
            case "break":
                do(self.peers.vats[name], resolver.break_, Refusal("broken on purpose"))
            case "number":
                do(self.peers.vats[name], resolver.fulfill, 7)
            case _:
                do(self.peers.vats[name], resolver.fulfill, value)

    def _pick(self, name, index):
        held = self.held[name]
        return held[index % len(held)] if held else None

    @rule(name=names, index=indices)
    def drop(self, name, index):
        """The peer lets go of something."""
        stream = self._pick(name, index)
        if stream is not None:
            stream.thing = None
            self.held[name].remove(stream)

    # --- what happens to them ---------------------------------------------------------

    @rule(ends=ways, size=st.none() | st.integers(1, 300))
    def deliver(self, ends, size):
        """Some bytes arrive."""
        self.peers.deliver(*ends, size)

    @rule()
    def collect(self):
        """Python collects garbage; telling it is under way together with all else."""
        gc.collect()
        run_vats(*self.peers.vats.values())
        self.peers.tell_garbage()

    @rule()
    def rest(self):
        """Everything arrives, and is counted."""
        self.peers.collect()
        assert self.peers.disagreements() == {}
        assert self.severed or self.peers.gifts == 0

    # --- what holds -------------------------------------------------------------------

    @invariant()
    def messages_arrive_in_order_and_once(self):
        """Over each reference, what has arrived is the beginning of what was sent."""
        for stream in self.streams:
            assert stream.arrived == list(range(len(stream.arrived)))
            assert len(set(stream.arrived)) == len(stream.arrived) <= stream.sent

    @invariant()
    def promises_settle_at_most_once(self):
        """Whoever listens is told once."""
        assert all(len(outcomes) <= 1 for outcomes in self.answers)

    def teardown(self):
        """All that was promised is resolved: nothing hangs, nothing is lost, nothing is left."""
        while self.resolvers:
            name, resolver = self.resolvers.pop()
            do(self.peers.vats[name], resolver.fulfill, 7)
        self.peers.settle()
        self.peers.give_up()
        self.peers.settle()
        self.peers.wait()
        self.rest()
        self.messages_arrive_in_order_and_once()
        assert all(len(outcomes) == 1 for outcomes in self.answers)
        if not self.severed:
            self._check_that_nothing_is_lost()
            self._check_that_nothing_is_left()

    def _check_that_nothing_is_lost(self):
        for name, streams in self.held.items():
            for stream in streams:
                outcomes = [Fulfilled(stream.thing)]
                if isinstance(stream.thing, Promise):
                    listen_outside(stream.thing, outcomes.append)
                    run_vats(self.peers.vats[name])
                    self.peers.settle()
                last = outcomes[-1]
                if isinstance(last, Fulfilled) and isinstance(last.value, Ref):
                    assert len(stream.arrived) == stream.sent
                del outcomes, last

    def _check_that_nothing_is_left(self):
        for streams in self.held.values():
            for stream in streams:
                stream.thing = None
            streams.clear()
        self.answers.clear()
        self.peers.collect()
        assert self.peers.sizes() == self.sizes


class WithSeverances(Everything):
    """And connections break."""

    @rule(ends=ways, how=st.sampled_from(["cut", "abort"]))
    def sever(self, ends, how):
        """The connection breaks, or one end wants no more."""
        if not self.peers.alive(*ends):
            return
        self.severed = True
        if how == "cut":
            self.peers.cut(*ends)
        else:
            end = self.peers.ends[ends]
            end.session.abort("enough")
            end.take(end.session.take_events())
            run_vats(*self.peers.vats.values())

    def _dead(self):
        return [ends for ends in combinations(NAMES, 2) if not self.peers.alive(*ends)]

    @precondition(_dead)
    @rule(which=indices)
    def reconnect(self, which):
        """A new session where there is none."""
        dead = self._dead()
        ends = dead[which % len(dead)]
        self.peers.cut(*ends)
        self.peers.connect(*ends)
        for one, other in (ends, ends[::-1]):
            self._hold(one, self.peers.ends[one, other].remote)

    @rule()
    def give_up(self):
        """Nobody dials again."""
        self.peers.give_up()

    @rule()
    def wait(self):
        """The time is over that a withdrawal waits for its gift."""
        self.severed = True  # what was under way is lost
        self.peers.wait()


@pytest.fixture(autouse=True)
def collections_when_asked():
    """The same run is the same run: Python collects when the model says so, and only what is the model's."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.parametrize("machine", [Everything, WithSeverances])
def test_sessions_behave_as_the_model_says(machine):
    """See the head of this file."""
    effort = settings(
        max_examples=RUNS,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with unlogged():
        run_state_machine_as_test(machine, settings=effort)


def test_a_message_to_a_promise_overtakes_none():
    """What goes the long way round arrives before what could take the short one."""
    arrived = []
    peers = Peers(new_vat)
    alice, remote = peers.vats["alice"], peers.ends["alice", "bob"].remote
    thing = do(alice, spawn, arrived.append)
    promises = []
    do(alice, lambda: promises.append(send(remote).same(thing)))
    peers.deliver("alice", "bob")
    do(alice, lambda: send_only(promises[0])(1))
    peers.pick_up()  # it is under way to Bob, and will come back
    peers.deliver("bob", "alice")  # the promise is known to be the thing
    do(alice, lambda: send_only(promises[0])(2))
    peers.settle()
    assert arrived == [1, 2]
