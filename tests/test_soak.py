"""Three peers exchange many messages with references: every table returns to its size, memory stays flat.

20,000 messages; `GOBLINS_SOAK=1000000` for the long run.
"""

import gc
import os
import resource
from itertools import permutations
from pathlib import Path

import pytest

from captp_kit import Playground, do, new_vat
from goblins_py.actors import Fulfilled, listen_outside, make_promise, send, send_only, spawn
from goblins_py.syrup import Symbol
from trio_of_peers import NAMES, Peers

MESSAGES = int(os.environ.get("GOBLINS_SOAK", "20000"))
ROUNDS = 50
"""Rounds of messages between two collections."""
FLAT = 4 * 2**20
"""Bytes by which the process may grow between a tenth of the way and its end."""


class Soak:
    """Each peer asks both others, round after round.

    Attributes:
        sent: messages sent by the peers' own turns; those that follow from them are not counted.
        outcomes: how many answers have come, by whether they are good.
    """

    def __init__(self):
        self.peers = Peers(new_vat)
        self.peers.collect()
        self.sent = self.asked = 0
        self.outcomes = {True: 0, False: 0}

    def run(self, messages):
        """So many messages, and all that follows; then nothing is left of them."""
        until = self.sent + messages
        while self.sent < until:
            for _ in range(ROUNDS):
                for name, peer in permutations(NAMES, 2):
                    self._ask(name, peer)
                self.peers.settle()
            gc.collect()
            self.peers.tell_garbage()
        self.peers.collect()

    def _ask(self, name, peer):
        vat = self.peers.vats[name]
        (third,) = set(NAMES) - {name, peer}
        remote, far = self.peers.ends[name, peer].remote, self.peers.ends[name, third].remote
        for promise in do(vat, speak, remote, far):
            self.asked += 1
            listen_outside(promise, self._note)
        self.sent += 8

    def _note(self, outcome):
        self.outcomes[isinstance(outcome, Fulfilled)] += 1


def speak(remote, far):
    """Eight messages: references of ours and of a third peer there and back, pipelines, promises."""
    thing = spawn(Playground)
    made = send(remote).make()
    promise, resolver = make_promise()
    waited = send(remote).wait_for(promise)
    later = send(promise).incr()
    resolver.fulfill(thing)
    send_only(remote).incr()
    return (
        send(remote).echo(thing, far, (thing, promise)),
        send(made).incr(),
        send(remote).call(far, Symbol("same"), thing),
        waited,
        later,
        send(waited).incr(),
    )


def memory():
    """Bytes that the process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.fixture(autouse=True)
def fast_collections():
    """What was there before is none of our business."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_tables_return_to_their_size_and_memory_stays_flat():
    """Every answer comes, and is good; then there is nothing left of any message."""
    soak = Soak()
    before = soak.peers.sizes()
    soak.run(MESSAGES // 10)
    assert soak.peers.sizes() == before
    early = memory()
    soak.run(MESSAGES - soak.sent)
    assert soak.peers.sizes() == before
    assert soak.outcomes == {True: soak.asked, False: 0}
    assert soak.peers.disagreements() == {}
    grown = memory() - early
    print(f"{soak.sent} messages, {grown} bytes grown")
    assert grown < FLAT
