"""Introductions among still peers, message by message: who holds what, and in which order things happen."""

import gc

import pytest

from captp_kit import do, unlogged
from goblins_py.actors import Broken, Fulfilled, listen_outside, send, send_only
from introducing_peers import IntroducingPeers


@pytest.fixture(autouse=True, scope="module")
def fast_collections():
    """What was there before these tests is none of their business."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Notes:
    """What each peer's front object got, and the function that it is."""

    def __init__(self):
        self.got = {"alice": [], "bob": [], "carol": []}

    def __call__(self, name, *message):
        self.got[name].append(message)


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def peers(notes):
    peers = IntroducingPeers(notes)
    peers.settle()
    return peers


def heard(peers, name, promise):
    """Its outcome, when all has arrived."""
    outcomes = []
    listen_outside(promise, outcomes.append)
    do(peers.vats[name], lambda: None)
    peers.settle()
    (outcome,) = outcomes
    return outcome


def give(peers):
    """Alice gives Bob's front object to Carol's."""
    bobs, carols = (peers.ends["alice", name].remote for name in ("bob", "carol"))
    tell(peers, "alice", carols, bobs)


def tell(peers, name, target, *message):
    """Send without wanting an answer."""
    do(peers.vats[name], lambda: send_only(target)(*message))


def test_what_was_given_on_is_held_by_nobody_but_its_receiver(peers, notes) -> None:
    """Neither the giver's session, which has nothing more to say, nor a desk keeps it."""
    before = peers.sizes()
    give(peers)
    peers.settle()
    ((given,),) = notes.got["carol"]
    kept = heard(peers, "carol", given).value
    tell(peers, "carol", peers.ends["carol", "alice"].remote, kept)
    del given, kept
    notes.got["carol"].clear()
    peers.settle()
    peers.wait()
    assert len(notes.got["alice"]) == 1
    notes.got["alice"].clear()
    peers.collect()
    assert (peers.sizes(), peers.gifts) == (before, 0)


def test_what_was_sent_before_the_introduction_is_complete_arrives_in_order(peers, notes) -> None:
    """Carol has a promise at once."""
    give(peers)
    peers.deliver("alice", "carol")
    ((given,),) = notes.got["carol"]
    for number in range(3):
        tell(peers, "carol", given, number)
    peers.settle()
    tell(peers, "carol", given, 3)
    peers.settle()
    assert notes.got["bob"] == [(0,), (1,), (2,), (3,)]


def test_a_withdrawal_that_comes_before_its_gift_waits(peers, notes) -> None:
    """However slow the way from Alice to Bob is."""
    give(peers)
    peers.pick_up()
    for _ in range(3):
        for ends in (("alice", "carol"), ("carol", "bob"), ("bob", "carol")):
            peers.deliver(*ends)
    assert peers.gifts == 1
    ((given,),) = notes.got["carol"]
    assert isinstance(heard(peers, "carol", given), Fulfilled)
    assert peers.gifts == 0


def test_a_withdrawal_waits_for_its_gift_as_long_as_it_may(peers, notes) -> None:
    """Then it breaks, and what comes late lies there until the session with the gifter ends."""
    with unlogged():
        give(peers)
        peers.pick_up()
        for _ in range(3):
            for ends in (("alice", "carol"), ("carol", "bob"), ("bob", "carol")):
                peers.deliver(*ends)
        peers.wait()
        ((given,),) = notes.got["carol"]
        outcome = heard(peers, "carol", given)
        assert isinstance(outcome, Broken)
        assert outcome.reason.reason == "the gift was not deposited within 60 s"
        assert peers.gifts == 1
        peers.cut("alice", "bob")
        assert peers.gifts == 0


def test_whoever_cannot_reach_the_exporter_waits_for_a_new_session(peers, notes) -> None:
    """The gift is still there: it goes with the session to the gifter, not with the receiver's."""
    peers.cut("bob", "carol")
    give(peers)
    peers.settle()
    assert peers.gifts == 1
    peers.connect("bob", "carol")
    ((given,),) = notes.got["carol"]
    assert isinstance(heard(peers, "carol", given), Fulfilled)
    assert peers.gifts == 0


def test_what_is_given_back_to_its_owner_is_itself(peers, notes) -> None:
    """By two hands: Alice gives Bob's object to Carol, and she to Bob."""
    give(peers)
    peers.settle()
    ((given,),) = notes.got["carol"]
    kept = heard(peers, "carol", given).value
    answer = do(peers.vats["carol"], lambda: [send(peers.ends["carol", "bob"].remote)(kept)])
    peers.settle()
    assert isinstance(heard(peers, "carol", answer[0]), Fulfilled)
    assert notes.got["bob"] == [(peers.ends["bob", "alice"].bootstrap,)]
