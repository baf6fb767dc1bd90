"""The registry against a list: what is given out, taken back and expires, over failing turns and restarts."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from captp_kit import unlogged
from goblins_py import PersistenceEnv, mycapn_env, spawn
from goblins_py.errors import UnknownSwissNumError
from goblins_py.runtime import Registry
from goblins_py.testing import SyncVats
from runtime_kit import Greeter
from vat_kit import Disk, Persistent

ENV = PersistenceEnv(Greeter, extends=[mycapn_env])
WHICH = st.integers(0, 1)
LABELS = st.sampled_from([None, "Bob", "Carol"])
TIMES = st.sampled_from([None, 3, 10])


def roots():
    return spawn(Registry), spawn(Greeter, "Alice"), spawn(Greeter, "Ann")


class Comparison(RuleBasedStateMachine):
    """What was given out, as a list of (number, object, label, expires), and the registry itself."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.given = []
        self.disk = Disk()
        self.count = 0
        self.kept = Persistent(ENV, self.disk, roots)

    @property
    def good(self):
        return [each for each in self.given if each[3] > self.now]

    def attempt(self, function, *, fails):
        """In a turn; whether it has succeeded, and its result."""

        def turn():
            result = function(*self.kept.roots)
            if fails:
                raise ZeroDivisionError
            return result

        if not fails:
            return self.kept.run(turn)
        with unlogged(), pytest.raises(ZeroDivisionError):
            self.kept.run(turn)
        return None

    def forget(self, meant):
        self.given = [each for each in self.given if not meant(each)]

    def known(self, which, label, valid_for):
        """The entry that must be found, if it shall not be a new one."""
        found = [each for each in self.good if each[1:3] == (which, label)]
        if label is None:
            found = [each for each in found if each[3] == math.inf and valid_for is None]
        return found[0] if found else None

    @rule(which=WHICH, label=LABELS, valid_for=TIMES, fails=st.booleans())
    def register(self, which, label, valid_for, *, fails):
        """The old number, or the new one that we give."""
        self.count += 1
        new = str(self.count).encode()
        number = self.attempt(
            lambda registry, *refs: registry.register(refs[which], new, label=label, valid_for=valid_for),
            fails=fails,
        )
        if fails:
            return
        known = self.known(which, label, valid_for) or (new, which, label, math.inf)
        assert number == known[0]
        self.forget(lambda each: each[0] == number)
        self.given.append((*known[:3], known[3] if valid_for is None else self.now + valid_for))

    @rule(which=WHICH, label=LABELS, fails=st.booleans())
    def unregister(self, which, label, *, fails):
        """All of an object, or one label of it."""

        def meant(each):
            return each[1] == which and label in {None, each[2]}

        told = self.attempt(
            lambda registry, *refs: registry.unregister(refs[which], label=label), fails=fails
        )
        if not fails:
            assert told is any(map(meant, self.good))
            self.forget(meant)

    @rule(position=st.integers(0, 30), fails=st.booleans())
    def take_back(self, position, *, fails):
        """By number; also one that has expired, or was taken back."""
        number = str(position).encode()
        told = self.attempt(lambda registry, *refs: registry.unregister(number), fails=fails)
        if not fails:
            assert told is (number in {each[0] for each in self.good})
            self.forget(lambda each: each[0] == number)

    @rule(which=WHICH)
    def change_ones_mind(self, which):
        """Taken back and given out again in one turn that fails: all is as it was."""

        def both(registry, *refs):
            registry.unregister(refs[which])
            registry.register(refs[which], b"other", label="Bob", valid_for=1)
            registry.register(refs[which], b"plain")

        self.attempt(both, fails=True)

    @rule(seconds=st.sampled_from([1, 4]))
    def let_time_pass(self, seconds):
        """And alarms ring."""
        self.kept.vats.advance(seconds)
        self.now += seconds
        self.kept.save()

    @rule()
    def restart(self):
        """From what was saved."""
        vats = SyncVats()
        vats.advance(self.now)
        self.kept = Persistent(ENV, self.disk, vats=vats)

    @invariant()
    def they_agree(self):
        """On all numbers there ever were, and on the size of the table."""
        registry, *refs = self.kept.roots

        def look(number):
            try:
                return registry.fetch(number)
            except UnknownSwissNumError:
                return None

        good = {each[0]: refs[each[1]] for each in self.good}
        for number in [*(str(each).encode() for each in range(1, self.count + 1)), b"other", b"plain"]:
            assert self.kept.vat.run(look, number) is good.get(number)
        index = registry._behaviour._live
        saved = [each for shelf in registry._behaviour._shelves.values() for each in shelf._behaviour._grants]
        assert set(index.grants) == set(good) == set(saved)
        assert len(index.due) == sum(each[3] < math.inf for each in self.good)


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
