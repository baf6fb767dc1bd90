"""A dial that loses a crossing after it was answered: what was sent over it goes over the winner, once."""

import gc

import pytest

from captp_kit import ALICE_AT, BOB_AT, Playground, Side, do, new_vat, run_vats, unlogged
from goblins_py.actors import Broken, on_sever, run_outside, send, send_only, spawn, untag
from goblins_py.captp import SessionKeys, SessionState
from goblins_py.errors import SessionSeveredError
from goblins_py.syrup import Tagged

CROSSED = "Crossed hellos mitigation"


class Crossing:
    """Alice has dialled Bob, and Bob has dialled Alice: two connections, `ours` (Alice's) and `theirs`."""

    def __init__(self):
        self.alice, self.bob = new_vat("alice"), new_vat("bob")
        self.playground = do(self.bob, spawn, Playground)
        self.ours = self._connect(1, dialled_by_alice=True)
        self.theirs = self._connect(3, dialled_by_alice=False)
        self.move(self.ours)

    def _connect(self, seed, *, dialled_by_alice):
        keys = [SessionKeys.from_seed(bytes([number]) * 32) for number in (seed, seed + 1)]
        alice = Side("alice", ALICE_AT, keys[0], vat=self.alice, dialled=BOB_AT if dialled_by_alice else None)
        bob = Side(
            "bob",
            BOB_AT,
            keys[1],
            vat=self.bob,
            bootstrap=self.playground,
            dialled=None if dialled_by_alice else ALICE_AT,
        )
        return alice, bob

    @property
    def remote(self):
        """Bob's bootstrap object, as the lost connection has it."""
        return self.ours[0].remote

    def do(self, function, *args):
        return do(self.alice, function, *args)

    def move(self, ends):
        """Let everything arrive over one connection."""
        one, other = ends
        while (there := one.say()) or (back := other.say()):
            if there:
                other.hear(there)
            else:
                one.hear(back)
            run_vats(self.alice, self.bob)

    def bob_gives_up(self):
        """Bob reads nothing more of Alice's connection, and says so."""
        alice, bob = self.ours
        alice.say()  # on its way, and never read
        bob.session.abort(CROSSED)
        alice.hear(bob.say())
        assert alice.session.state is SessionState.SEVERED

    def hand_over(self):
        self.move(self.theirs)
        self.ours[0].session.hand_over(self.theirs[0].session)
        self.move(self.theirs)

    def give_up(self):
        self.ours[0].take(self.ours[0].session.give_up())

    def heard(self, promise):
        return self.theirs[0].heard(promise)


@pytest.fixture
def crossing():
    return Crossing()


def test_what_was_sent_goes_over_the_winner_in_order(crossing):
    """Calls, calls on their answers, calls without an answer, and parts of answers."""

    def talk():
        made = send(crossing.remote).make()
        send_only(made).incr(10)
        same = send(crossing.remote).same({"a": (1, Tagged("t", 5))})
        return [send(made).incr(), send(made).incr(), same["a"][0], untag(same["a"][1], "t")]

    promises = []
    crossing.do(lambda: promises.extend(talk()))
    outcomes = [crossing.heard(promise) for promise in promises]
    crossing.bob_gives_up()
    assert outcomes == [[], [], [], []]
    crossing.hand_over()
    assert [outcome.value for (outcome,) in outcomes] == [11, 12, 1, 5]


def test_what_is_sent_later_follows(crossing):
    """While the winner is waited for, and when it has come; to the old bootstrap object and old answers."""
    box = []
    crossing.do(lambda: box.append(send(crossing.remote).make()))
    crossing.bob_gives_up()
    crossing.do(lambda: box.append(send(box[0]).incr()))
    crossing.hand_over()
    crossing.do(lambda: box.append(send(box[0]).incr()))
    crossing.do(lambda: box.append(send(crossing.remote).same("late")))
    outcomes = [crossing.heard(promise) for promise in box[1:]]
    crossing.move(crossing.theirs)
    assert [outcome.value for (outcome,) in outcomes] == [1, 2, "late"]


def test_what_was_released_late_follows(crossing):
    """A churn that waited for the disk leaves when the winner is there already."""
    box = []
    run_outside(crossing.alice, lambda: box.append(send(crossing.remote).same("x")), (), lambda outcome: None)
    churns = []
    while crossing.alice.busy:
        churns.append(crossing.alice.run(1000))
    crossing.bob_gives_up()
    crossing.hand_over()
    for churn in churns:
        for outgoing in churn.outbox:
            outgoing.release()
    outcomes = crossing.heard(box[0])
    crossing.move(crossing.theirs)
    assert [outcome.value for outcome in outcomes] == ["x"]


def test_objects_that_were_sent_are_exported_to_the_winner_only(crossing):
    """Callbacks work, and nothing of the lost connection stays."""
    called = []
    callback = crossing.do(spawn, called.append)
    crossing.do(lambda: send_only(crossing.remote).call(callback, "ring"))
    crossing.bob_gives_up()
    crossing.hand_over()
    assert called == ["ring"]
    assert crossing.ours[0].counts == (0, 0, 0)


def test_without_a_winner_all_of_it_breaks_once(crossing):
    """With the reason that the peer gave."""
    box = []
    crossing.do(lambda: box.append(send(crossing.remote).same(1)))
    crossing.do(lambda: box.append(send(box[0])(2)))
    outcomes = [crossing.heard(promise) for promise in box]
    reasons = []
    crossing.do(on_sever, crossing.remote, reasons.append)
    crossing.bob_gives_up()
    assert outcomes == [[], []]
    with unlogged():
        crossing.give_up()
        crossing.give_up()
    for (outcome,) in outcomes:
        assert isinstance(outcome, Broken)
        assert isinstance(outcome.reason, SessionSeveredError)
        assert CROSSED in outcome.reason.reason
    assert len(reasons) == 1
    box.clear()
    late = crossing.ours[0].send(crossing.remote, "same", 3)
    (outcome,) = crossing.heard(late)
    assert isinstance(outcome, Broken)


def test_who_watches_the_lost_connection_watches_the_winner(crossing):
    """The peer is not gone."""
    reasons = []
    crossing.do(on_sever, crossing.remote, reasons.append)
    crossing.bob_gives_up()
    crossing.do(on_sever, crossing.remote, reasons.append)
    crossing.hand_over()
    crossing.do(on_sever, crossing.remote, reasons.append)
    assert reasons == []
    crossing.theirs[0].lose("cable")
    run_vats(crossing.alice)
    assert ["cable"] * 3 == [str(reason) for reason in reasons]


def test_what_could_not_be_sent_is_not_sent_later(crossing):
    """Its promise has broken already."""
    box = []
    with unlogged():
        crossing.do(lambda: box.append(send(crossing.remote).same(10**5000)))
        run_vats(crossing.alice)
    outcomes = crossing.heard(box[0])
    assert len(outcomes) == 1
    moved = crossing.theirs[0].moved
    crossing.bob_gives_up()
    crossing.ours[0].session.hand_over(crossing.theirs[0].session)
    crossing.theirs[0].say()
    assert crossing.theirs[0].moved - moved < 400  # its greeting, and nothing else


def test_a_peer_that_has_said_something_takes_nothing_back(crossing):
    """From then on an abort is the end of all that waits, whatever its reason."""
    outcomes = crossing.heard(crossing.ours[0].send(crossing.remote, "same", 1))
    crossing.move(crossing.ours)
    assert [outcome.value for outcome in outcomes] == [1]
    outcomes = crossing.heard(crossing.ours[0].send(crossing.remote, "same", 2))
    crossing.bob_gives_up()
    assert not crossing.ours[0].session.in_limbo
    assert isinstance(outcomes[0], Broken)


def test_a_confirmed_session_notes_nothing_more(crossing):
    """When the time for crossings is over, an abort breaks what waits."""
    session = crossing.ours[0].session
    session.confirm()
    outcomes = crossing.heard(crossing.ours[0].send(crossing.remote, "same", 2))
    crossing.bob_gives_up()
    assert isinstance(outcomes[0], Broken)


def test_a_lost_connection_is_no_crossing(crossing):
    """Nobody knows what of it was read."""
    outcomes = crossing.heard(crossing.ours[0].send(crossing.remote, "same", 2))
    crossing.ours[0].lose("cable")
    assert isinstance(outcomes[0], Broken)
    assert not crossing.ours[0].session.in_limbo


def test_too_much_to_note_is_not_noted(crossing, monkeypatch):
    """Memory is bounded: who sends that much before the first answer takes the risk."""
    monkeypatch.setattr("goblins_py.captp._probation._MOST", 10)
    promises = [crossing.ours[0].send(crossing.remote, "same", number) for number in range(12)]
    outcomes = [crossing.heard(promise) for promise in promises]
    crossing.bob_gives_up()
    assert not crossing.ours[0].session.in_limbo
    assert all(isinstance(outcome, Broken) for (outcome,) in outcomes)


def test_a_session_on_probation_is_not_given_to_others(crossing):
    """A give would name a session that may be no more."""
    session = crossing.ours[0].session
    session.believe(verified=True)
    session.reachable = True
    assert not session.introducible
    crossing.ours[0].send(crossing.remote, "same", 1)
    crossing.move(crossing.ours)
    assert session.introducible


def test_nothing_is_left_of_a_hand_over(crossing):
    """Answers that nobody holds are released at the winner."""
    crossing.do(lambda: send(crossing.remote).make())
    crossing.bob_gives_up()
    crossing.hand_over()
    for _ in range(3):
        gc.collect()
        for end in crossing.theirs:
            if end.session.has_garbage:
                end.session.collect()()
        crossing.move(crossing.theirs)
    assert crossing.theirs[1].counts == (1, 1, 0)
    outcome = crossing.heard(crossing.ours[0].send(crossing.remote, "same", 4))
    crossing.move(crossing.theirs)
    assert outcome[0].value == 4
