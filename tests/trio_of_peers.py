"""Three still vats with a session between each two of them, and wires that move bytes when told to."""

import gc
from itertools import combinations, permutations

from captp_kit import Side, run_vats
from goblins_py.captp import SessionKeys, SessionState
from goblins_py.captp._tables import HeldKind, Question
from goblins_py.locators import PeerLocator

NAMES = ("alice", "bob", "carol")
PATIENCE = 10
"""Rounds of messages in the time in which a session looks for garbage, and for cycles."""
ENDLESS = 1000
"""Rounds of messages that make it certain that one of them circles."""


class Peers:
    """Alice, Bob and Carol.

    Args:
        bootstrap: a function from a vat to the object that its sessions offer; None: a new `Playground` each.

    Attributes:
        ends: by (name, peer's name): that end of their session.
        wires: by (from, to): the bytes under way.
    """

    def __init__(self, new_vat, bootstrap=None):
        self._bootstrap = bootstrap or (lambda vat: None)
        self.vats = {name: new_vat(name) for name in NAMES}
        self.ends = {}
        self.wires = {}
        self._seed = 0
        for pair in combinations(NAMES, 2):
            self.connect(*pair)

    def connect(self, one, other):
        """A new session between the two."""
        for name, peer in ((one, other), (other, one)):
            self._seed += 1
            keys = SessionKeys.from_seed(self._seed.to_bytes(32, "big"))
            self.ends[name, peer] = self.make_end(name, keys)
            self.wires[name, peer] = bytearray()

    def make_end(self, name, keys):
        """One end of a new session."""
        vat = self.vats[name]
        return Side(name, PeerLocator("fake", name), keys, vat=vat, bootstrap=self._bootstrap(vat))

    def alive(self, one, other):
        """Has neither end of their session ended?"""
        ends = self.ends[one, other], self.ends[other, one]
        return all(end.session.state is not SessionState.SEVERED for end in ends)

    def pick_up(self):
        """Put on the wires what the sessions have to say."""
        for ends, end in self.ends.items():
            self.wires[ends] += end.say()

    def deliver(self, sender, receiver, size=None):
        """Let so many bytes arrive (None: all), and happen what follows. False if there are none."""
        self.pick_up()
        wire = self.wires[sender, receiver]
        data = bytes(wire[:size])
        del wire[:size]
        if data:
            self.ends[receiver, sender].hear(data)
            run_vats(*self.vats.values())
        return bool(data)

    def settle(self):
        """Let everything arrive, until nothing is under way; what goes on and on is looked into."""
        rounds = 0
        while any([self.deliver(*ends) for ends in permutations(NAMES, 2)]):  # noqa: C419 - each, every time
            rounds += 1
            if rounds % PATIENCE == 0:
                self.tell_garbage()
            assert rounds < ENDLESS, "it never becomes quiet"

    def cut(self, one, other):
        """The connection is lost, and what was under way with it."""
        for ends in ((one, other), (other, one)):
            self.ends[ends].say()
            self.wires[ends].clear()
            self.ends[ends].lose()
        run_vats(*self.vats.values())

    def tell_garbage(self):
        """Each session tells what Python has collected. False if there was nothing to tell."""
        told = [end.session for end in self.ends.values() if end.session.has_garbage]
        for session in told:
            session.collect()()
        return bool(told)

    def collect(self, rounds=100):
        """Collect garbage everywhere and say so, until there is none."""
        for _ in range(rounds):
            self.settle()
            gc.collect()
            run_vats(*self.vats.values())
            if not self.tell_garbage():
                return
        raise AssertionError("garbage without end")

    def sizes(self):
        """How much is in each table of each session."""
        return {ends: (*end.counts, *inner_counts(end.session)) for ends, end in self.ends.items()}

    def disagreements(self):
        """What one end counts otherwise than the other; nothing is under way."""
        return {
            (one, other): (given, taken)
            for one, other in permutations(NAMES, 2)
            if self.alive(one, other)
            and (given := given_by(self.ends[one, other])) != (taken := taken_by(self.ends[other, one]))
        }


def inner_counts(session):
    """What is waited for, either way, and bytes that are queued."""
    outbound = session._outbound
    return len(outbound.waiting), outbound.unanswered, len(outbound.listening), session.queued


def given_by(end):
    """Counts of what is exported, and positions of the answers that are kept."""
    references = end.session.references
    entries = references.exports._entries.items()
    counts = {
        position: entry.count for position, entry in entries if position and not isinstance(entry, Question)
    }
    return counts, set(references.answers)


def taken_by(end):
    """Counts of what is imported, and positions of the questions whose answers are held."""
    imports = end.session.references.imports
    entries = [entry for entry in imports._by_id.values() if entry() is not None]
    counts = {
        entry.position: entry.count for entry in entries if entry.kind is HeldKind.IMPORT and entry.position
    }
    return counts, {entry.position for entry in entries if entry.kind is HeldKind.QUESTION}
