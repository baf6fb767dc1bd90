"""References to a peer's objects over a restart: dormant until the first message, or broken with a reason."""

from itertools import pairwise

import pytest

from goblins_py.actors import (
    PersistenceEnv,
    Ref,
    Severable,
    Source,
    actor,
    dormant_ref,
    is_remote,
    is_verified,
    live,
    on_sever,
    send,
    send_only,
    spawn,
)
from goblins_py.errors import ActorError, ConnectFailedError, NotNearError, NotPortrayableError
from goblins_py.locators import PeerLocator
from goblins_py.syrup import Map, Record, Symbol
from test_actors_promises import Peer
from vat_kit import Disk, Persistent


@actor
class Box:
    inside: object = None

    def get(self):
        return self.inside

    def put(self, what) -> None:
        self.inside = what

    def note(self, what) -> int:
        self.inside = (*(self.inside or ()), what)
        return len(self.inside)


@actor
class Enlivener:
    """Stands for a mycapn: gives out what it holds, or fails."""

    found: object = None
    _asked: int = live(0)

    def find(self, what) -> None:
        self.found = what

    def enliven(self, leaf):
        self._asked += 1  # a live field: a failing turn does not undo it
        if self.found is None:
            raise ConnectFailedError(f"nobody at {leaf.designator}")
        return self.found

    def times(self) -> int:
        return self._asked


class Sourced(Peer):
    """A session that knows how its references were had."""

    def __init__(self, source) -> None:
        super().__init__()
        self.source = source

    def saved_as(self, ref):
        return self.source


ENV = PersistenceEnv(Box, Enlivener, leaves={"ocapn-peer": PeerLocator})
LEAF = PeerLocator("fake", "bob", {"host": "here"})
HINTED = PeerLocator("fake", "bob", {"host": "there"})
OTHER = PeerLocator("fake", "carol")


def opened() -> Persistent:
    return Persistent(ENV, Disk(), lambda: (spawn(Box), spawn(Enlivener)))


def restarted(before: Persistent) -> Persistent:
    return Persistent(ENV, before.disk)


def sourced(vat: Persistent, leaf=LEAF) -> Ref:
    return Ref(vat.vat.vat, None, Sourced(Source(vat.roots[1], leaf)))


def held(vat: Persistent):
    return vat.run(vat.roots[0].get)


def dormant() -> tuple[Persistent, Ref]:
    vat = opened()
    vat.run(vat.roots[0].put, sourced(vat))
    again = restarted(vat)
    return again, held(again)


def test_it_is_saved_as_what_it_was_enlivened_by() -> None:
    """Who does that, and with what; also when it is saved again without ever having been woken."""
    vat = opened()
    vat.run(vat.roots[0].put, sourced(vat))
    written = Record(Symbol("remote"), (Record(Symbol("near"), (1,)), LEAF.to_record()))
    assert {"inside": written} == vat.disk.states[0]
    again = restarted(vat)
    again.run(again.roots[0].put, (held(again), 1))
    assert {"inside": (written, 1)} == again.disk.states[0]


def test_it_is_enlivened_by_its_first_message_and_messages_arrive_in_order() -> None:
    """Nobody is asked before; all that is sent at once waits, and goes the same way."""
    vat, ref = dormant()
    box = vat.run(spawn, Box)
    vat.run(vat.roots[1].find, box)
    assert is_remote(ref)
    assert not is_verified(ref)
    answers = vat.run(lambda: tuple(send(ref).note(number) for number in range(5)))
    assert [1, 2, 3, 4, 5] == [vat.vat.take(answer) for answer in answers]
    assert (0, 1, 2, 3, 4) == vat.run(box.get)
    vat.run(lambda: send(ref).note(5))
    assert 6 == len(vat.run(box.get))


def test_answers_are_pipelined_to() -> None:
    """A message to the answer of a message to it goes where that leads."""
    vat, ref = dormant()
    peer = Peer()
    vat.run(vat.roots[1].find, Ref(vat.vat.vat, None, peer))
    vat.run(lambda: send(send(ref).first()).second())
    assert ["first", "second"] == [message.args[0].name for _, message in peer.delivered]
    assert peer.delivered[1][0] is peer.delivered[0][1].answer


def test_it_is_remote_and_cannot_be_called() -> None:
    """As before the restart."""
    vat, ref = dormant()
    with pytest.raises(NotNearError):
        vat.run(ref.get)


def attempts(vat: Persistent, ref: Ref) -> int:
    """How often a message, which breaks, has the peer looked for."""
    before = vat.run(vat.roots[1].times)
    with pytest.raises(ConnectFailedError, match="nobody at bob"):
        vat.vat.take(vat.vat.send(ref).get())
    return vat.run(vat.roots[1].times) - before


def test_while_the_peer_is_unreachable_each_message_breaks_and_the_next_tries_again_after_a_pause() -> None:
    """Within the pause they break at once, by the same error; the pauses grow, with jitter, to a minute."""
    vat, ref = dormant()
    pauses = []
    for _ in range(12):
        assert 1 == attempts(vat, ref)
        assert 0 == attempts(vat, ref)
        waited = 0.0
        while vat.vats._timers:
            vat.vats.advance(0.25)
            waited += 0.25
        pauses.append(waited)
    assert pauses[0] <= 0.5
    assert all(earlier <= later for earlier, later in pairwise(pauses))
    assert 30 <= pauses[-1] <= 60.25
    vat.run(vat.roots[1].find, vat.run(spawn, Box, "back"))
    assert "back" == vat.vat.take(vat.vat.send(ref).get())


def test_once_it_has_succeeded_the_pauses_start_small_again() -> None:
    """A healing one, that is: it falls asleep when its session ends."""
    vat = opened()
    ref = dormant_ref(vat.vat.vat, Source(vat.roots[1], LEAF), heals=True)
    for _ in range(6):
        assert 1 == attempts(vat, ref)
        vat.vats.advance(61)
    peer = Peer()
    vat.run(vat.roots[1].find, Ref(vat.vat.vat, None, peer))
    vat.run(lambda: send_only(ref).hello())
    assert 1 == len(peer.delivered)
    vat.run(vat.roots[1].find, None)
    (watcher,) = peer.watchers
    watcher.severed("gone")
    vat.run(lambda: None)
    assert 1 == attempts(vat, ref)
    assert 1 == len(vat.vats._timers)
    vat.vats.advance(0.5)
    assert not vat.vats._timers


def test_equal_sturdyrefs_restore_to_one_reference() -> None:
    """Whoever held them, and by whatever hints; unequal ones to several."""
    vat = opened()
    others = (sourced(vat), sourced(vat, HINTED), sourced(vat, OTHER))
    vat.run(vat.roots[0].put, others)
    again = restarted(vat)
    one, same, other = held(again)
    assert one is same
    assert other is not one


@pytest.mark.parametrize("wrap", [lambda ref: frozenset({ref}), lambda ref: Map({(1, ref): 2})])
def test_as_keys_and_members_they_are_refused(wrap) -> None:
    """They might become one; also a dormant one."""
    vat, ref = dormant()
    with pytest.raises(NotPortrayableError, match="no key of a map"):
        vat.run(vat.roots[0].put, wrap(ref))
    vat.run(vat.roots[0].put, Map({"value": ref}))


def test_one_without_a_sturdyref_comes_back_broken() -> None:
    """Every message to it breaks, and says why; it is saved so again."""
    vat = opened()
    vat.run(vat.roots[0].put, Ref(vat.vat.vat, None, Peer()))
    for _ in range(2):
        vat = restarted(vat)
        with pytest.raises(ActorError, match="no sturdyref was known"):
            vat.vat.take(vat.vat.send(held(vat)).hello())
        vat.run(vat.roots[0].put, (held(vat),))
        vat.run(lambda vat=vat: vat.roots[0].put(vat.roots[0].get()[0]))


def test_on_sever_hears_of_a_session_that_it_was_woken_in() -> None:
    """Whether it was asked for before that or after; a broken one is severed already."""
    vat, ref = dormant()
    peer = Peer()
    vat.run(vat.roots[1].find, Ref(vat.vat.vat, None, peer))
    heard = []
    vat.run(on_sever, ref, heard.append)
    vat.run(lambda: send_only(ref).hello())
    vat.run(on_sever, ref, heard.append)
    for watcher in peer.watchers:
        watcher.severed("cut")
    vat.run(lambda: None)
    assert ["cut", "cut"] == heard
    vat.run(vat.roots[0].put, Ref(vat.vat.vat, None, Peer()))
    again = restarted(vat)
    again.run(on_sever, held(again), heard.append)
    again.run(lambda: None)
    assert "did not survive" in heard[2]


def test_one_that_leads_to_an_object_of_our_own_leads_there() -> None:
    """Or to a value, which is no object: its messages break."""
    vat, ref = dormant()
    vat.run(vat.roots[1].find, "no object")
    with pytest.raises(ActorError, match="no object"):
        vat.vat.take(vat.vat.send(ref).get())


class Watcher(Severable):
    def severed(self, reason: str) -> None:
        raise AssertionError(reason)


def test_nobody_is_told_of_a_severance_that_was_none() -> None:
    """It sleeps, or it could not be woken: neither is the end of a session."""
    vat, ref = dormant()
    ref._connector.watch(Watcher())
    attempts(vat, ref)
    vat.vats.advance(100)
