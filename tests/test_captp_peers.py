"""One session per peer: every rule of the table, as decisions on plain values."""

import attrs
import pytest

from goblins_py.captp import Abort, Await, Belief, Fail, GiveUp, HandOver, PeerTable, Use
from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator

ALICE = PeerLocator("t", "alice")


@attrs.define(eq=False)
class Fake:
    """A session as the table sees it."""

    our_side: bytes = b"m"
    their_side: bytes = b"m"
    heard: int = 0
    in_limbo: bool = False


CROSSED = "the peer aborted: Crossed hellos mitigation"


def dialling(our_side=b"m"):
    """A table in which Alice is dialled, and that dial's session."""
    table, session = PeerTable(), Fake(our_side=our_side)
    assert table.dial(ALICE)
    assert table.reached(ALICE)
    table.greeting(ALICE, session)
    return table, session


def living():
    """A table with a live session, which both sides count as such."""
    table, session = dialling()
    session.heard = 1
    assert table.started(ALICE, session, Belief.DIALLED) == [Use(ALICE, session)]
    table.settled(ALICE, session)
    return table, session


def test_a_second_wish_joins_the_first_dial():
    """Whoever wants a peer that is dialled waits with the others."""
    table, _ = dialling()
    assert not table.dial(ALICE)


def test_hints_do_not_make_another_peer():
    """Identity is transport and designator."""
    table, session = living()
    assert table.live(PeerLocator("t", "alice", {"host": "elsewhere"})) is session
    assert not table.dial(PeerLocator("t", "alice", {"host": "elsewhere"}))


def test_a_failed_dial_tells_who_waits_and_can_be_tried_again():
    """With the netlayer's own error."""
    table, error = PeerTable(), ConnectFailedError("no")
    table.dial(ALICE)
    assert table.not_reached(ALICE, error) == [Fail(ALICE, error)]
    assert table.not_reached(ALICE, error) == []
    assert table.dial(ALICE)


def test_a_dialled_session_that_never_started_fails():
    """The reason of its end is told."""
    table, session = dialling()
    (fail,) = table.ended(session, ALICE, "version")
    assert isinstance(fail, Fail)
    assert "version" in str(fail.error)


def test_a_severed_session_leaves_room_for_the_next():
    """Its end fails nobody, and the peer can be dialled again."""
    table, session = living()
    assert table.ended(session, ALICE, "gone") == []
    assert table.live(ALICE) is None
    assert table.dial(ALICE)


def test_the_end_of_an_old_session_does_not_end_a_new_dial():
    """A late clean-up is of the old session only."""
    table, old = living()
    table.ended(old, ALICE, "gone")
    table.dial(ALICE)
    new = Fake()
    table.greeting(ALICE, new)
    assert table.ended(old, ALICE, "gone") == []
    assert table.started(ALICE, new, Belief.DIALLED) == [Use(ALICE, new)]


def test_an_unproved_claim_enters_nothing():
    """Any number of strangers may claim to be Alice; none aborts, shadows or replaces anything."""
    table, session = living()
    for _ in range(3):
        assert table.started(ALICE, Fake(), Belief.NONE) == []
    assert table.live(ALICE) is session
    empty = PeerTable()
    assert empty.started(ALICE, Fake(), Belief.NONE) == []
    assert empty.live(ALICE) is None


def test_a_new_proved_session_replaces_the_live_one():
    """A laptop that changed networks is not locked out."""
    table, old = living()
    new = Fake()
    abort, use = table.started(ALICE, new, Belief.PROVED)
    assert (abort.session, use) == (old, Use(ALICE, new))
    assert "replaced" in abort.reason
    assert table.live(ALICE) is new


def test_a_second_claimed_session_is_aborted():
    """Without identities, the live one stays."""
    table, old = living()
    new = Fake()
    (abort,) = table.started(ALICE, new, Belief.CLAIMED)
    assert abort.session is new
    assert table.live(ALICE) is old


@pytest.mark.parametrize("belief", [Belief.PROVED, Belief.CLAIMED])
def test_crossed_hellos_our_smaller_side_loses(belief):
    """Our dial is aborted, and what waited for it goes over the winner."""
    table, ours = dialling(our_side=b"a")
    theirs = Fake(their_side=b"b")
    actions = table.started(ALICE, theirs, belief)
    assert actions == [Abort(ours, "Crossed hellos mitigation"), Use(ALICE, theirs)]
    assert table.ended(ours, ALICE, "Crossed hellos mitigation") == []
    assert table.live(ALICE) is theirs


@pytest.mark.parametrize("belief", [Belief.PROVED, Belief.CLAIMED])
def test_crossed_hellos_their_smaller_side_loses(belief):
    """Their connection is aborted, our dial goes on."""
    table, ours = dialling(our_side=b"b")
    theirs = Fake(their_side=b"a")
    assert table.started(ALICE, theirs, belief) == [Abort(theirs, "Crossed hellos mitigation")]
    assert table.started(ALICE, ours, Belief.DIALLED) == [Use(ALICE, ours)]


def test_an_unproved_session_takes_no_part_in_crossed_hellos():
    """An impostor cannot kill a dial, whatever key it makes."""
    table, ours = dialling(our_side=b"a")
    assert table.started(ALICE, Fake(their_side=b"z"), Belief.NONE) == []
    assert table.started(ALICE, ours, Belief.DIALLED) == [Use(ALICE, ours)]


def answered(our_side=b"a"):
    """A dial that was just answered: nothing else has come over it yet."""
    table, ours = dialling(our_side=our_side)
    assert table.started(ALICE, ours, Belief.DIALLED) == [Use(ALICE, ours)]
    return table, ours


@pytest.mark.parametrize("belief", [Belief.PROVED, Belief.CLAIMED])
def test_crossed_hellos_are_judged_alike_when_the_answer_comes_first(belief):
    """Our dial is answered, then the hello that crossed it comes: both sides must choose the same one."""
    table, ours = answered(our_side=b"b")
    theirs = Fake(their_side=b"a")
    assert table.started(ALICE, theirs, belief) == [Abort(theirs, "Crossed hellos mitigation")]
    assert table.live(ALICE) is ours


@pytest.mark.parametrize("belief", [Belief.PROVED, Belief.CLAIMED])
def test_an_answered_dial_that_loses_is_handed_over_when_the_peer_says_so(belief):
    """Only its abort tells that nothing of it was read; until then the winner takes what is new."""
    table, ours = answered()
    theirs = Fake(their_side=b"b")
    assert table.started(ALICE, theirs, belief) == [Use(ALICE, theirs)]
    ours.in_limbo = True
    assert table.ended(ours, ALICE, CROSSED) == [HandOver(ours, theirs)]
    assert table.live(ALICE) is theirs


def test_the_abort_of_an_answered_dial_may_come_before_the_winner():
    """Then that is waited for, and nobody dials meanwhile."""
    table, ours = answered()
    ours.in_limbo = True
    assert table.ended(ours, ALICE, CROSSED) == [Await(ALICE)]
    assert table.live(ALICE) is None
    assert not table.dial(ALICE)
    theirs = Fake(their_side=b"b")
    assert table.started(ALICE, theirs, Belief.PROVED) == [Use(ALICE, theirs), HandOver(ours, theirs)]
    assert table.gave_up_waiting(ALICE) == []


def test_what_is_in_limbo_breaks_when_no_winner_comes():
    """After the handshake limit, with those who wished for the peer meanwhile."""
    table, ours = answered()
    ours.in_limbo = True
    table.ended(ours, ALICE, CROSSED)
    fail, give_up = table.gave_up_waiting(ALICE)
    assert isinstance(fail, Fail)
    assert give_up == GiveUp(ours)
    assert table.dial(ALICE)


def test_what_is_in_limbo_goes_over_a_session_that_we_dial_instead():
    """The winner came and went before the loser ended; or breaks with that dial."""
    for succeeds in (True, False):
        table, ours = answered()
        theirs = Fake(their_side=b"b")
        table.started(ALICE, theirs, Belief.PROVED)
        assert table.ended(theirs, ALICE, "gone") == []
        assert table.dial(ALICE)
        ours.in_limbo = True
        assert table.ended(ours, ALICE, CROSSED) == []
        if succeeds:
            new = Fake()
            table.greeting(ALICE, new)
            assert table.started(ALICE, new, Belief.DIALLED) == [Use(ALICE, new), HandOver(ours, new)]
        else:
            error = ConnectFailedError("no")
            assert table.not_reached(ALICE, error) == [Fail(ALICE, error), GiveUp(ours)]


def test_an_answered_dial_that_the_peer_uses_has_lost_nothing():
    """It counts it as alive, whatever the ids say: both go on."""
    table, ours = answered()
    theirs = Fake(their_side=b"b")
    table.started(ALICE, theirs, Belief.PROVED)
    ours.heard = 1
    assert table.settled(ALICE, ours) == []
    assert table.live(ALICE) is theirs


def test_the_memory_of_a_crossing_is_gone_once_established():
    """When the peer has sent an operation, or the time is up, side ids decide nothing."""
    for heard in (1, 0):
        table, ours = dialling(our_side=b"a")
        table.started(ALICE, ours, Belief.DIALLED)
        ours.heard = heard
        if not heard:
            table.settled(ALICE, ours)
        later = Fake(their_side=b"z")
        (abort,) = table.started(ALICE, later, Belief.CLAIMED)
        assert abort.session is later
        assert table.live(ALICE) is ours


def beside():
    """A dial that was answered and used, and a proved session that came within the handshake limit."""
    table, ours = answered()
    ours.heard = 5
    theirs = Fake(their_side=b"z")
    assert table.started(ALICE, theirs, Belief.PROVED) == []
    assert table.live(ALICE) is ours
    return table, ours, theirs


def test_a_proved_session_beside_a_fresh_dial_replaces_it_if_that_is_silent():
    """When the time is up: the peer has come by another network, and forgotten the old connection."""
    table, ours, theirs = beside()
    abort, use = table.settled(ALICE, ours)
    assert (abort.session, use) == (ours, Use(ALICE, theirs))
    assert "replaced" in abort.reason
    assert table.ended(ours, ALICE, "replaced") == []
    assert table.live(ALICE) is theirs


def test_a_proved_session_beside_a_fresh_dial_that_is_used_replaces_nothing():
    """The peer has both; what comes later is a new connection."""
    table, ours, _ = beside()
    ours.heard = 6
    assert table.settled(ALICE, ours) == []
    assert table.live(ALICE) is ours
    new = Fake()
    abort, use = table.started(ALICE, new, Belief.PROVED)
    assert (abort.session, use.session) == (ours, new)


def test_a_proved_session_that_the_peer_gives_up_replaces_nothing():
    """It was the remainder of a crossing."""
    table, ours, theirs = beside()
    assert table.ended(theirs, ALICE, CROSSED) == []
    assert table.settled(ALICE, ours) == []
    assert table.live(ALICE) is ours


def test_a_proved_session_takes_the_place_of_a_fresh_dial_that_ends():
    """The newest of them."""
    table, ours, _ = beside()
    newer = Fake(their_side=b"y")
    assert table.started(ALICE, newer, Belief.PROVED) == []
    assert table.ended(ours, ALICE, "gone") == [Use(ALICE, newer)]
    assert table.live(ALICE) is newer
    assert table._candidates == {}


def test_an_older_dials_time_does_not_end_the_memory_of_a_newer_one():
    """Each has its own."""
    table, old = dialling()
    table.started(ALICE, old, Belief.DIALLED)
    table.ended(old, ALICE, "gone")
    table.dial(ALICE)
    new = Fake(our_side=b"b")
    table.greeting(ALICE, new)
    table.started(ALICE, new, Belief.DIALLED)
    table.settled(ALICE, old)
    theirs = Fake(their_side=b"a")
    assert table.started(ALICE, theirs, Belief.PROVED) == [Abort(theirs, "Crossed hellos mitigation")]


def test_a_peer_that_comes_before_our_dial_has_reached_it_is_used():
    """The dial's connection is closed unused."""
    table = PeerTable()
    table.dial(ALICE)
    theirs = Fake()
    assert table.started(ALICE, theirs, Belief.PROVED) == [Use(ALICE, theirs)]
    assert not table.reached(ALICE)


def test_a_dial_given_up_for_a_crossing_waits_for_the_winner():
    """The peer says that its own connection wins: it is waited for."""
    table, ours = dialling()
    assert table.ended(ours, ALICE, "the peer aborted: Crossed hellos mitigated") == [Await(ALICE)]
    assert not table.dial(ALICE)
    theirs = Fake()
    assert table.started(ALICE, theirs, Belief.PROVED) == [Use(ALICE, theirs)]
    assert table.gave_up_waiting(ALICE) == []


def test_a_winner_that_never_comes_fails_who_waits():
    """After the handshake limit, with a text that says what happened."""
    table, ours = dialling()
    table.ended(ours, ALICE, "the peer aborted: Crossed hellos mitigation")
    (fail,) = table.gave_up_waiting(ALICE)
    assert isinstance(fail.error, ConnectFailedError)
    assert "live one" in str(fail.error)
    assert table.dial(ALICE)


def test_a_dialled_session_that_lost_meanwhile_is_aborted():
    """Its dial is over when it starts."""
    table, ours = dialling(our_side=b"a")
    theirs = Fake(their_side=b"b")
    table.started(ALICE, theirs, Belief.PROVED)
    (abort,) = table.started(ALICE, ours, Belief.DIALLED)
    assert abort.session is ours
    assert table.live(ALICE) is theirs
