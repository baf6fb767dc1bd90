"""Promises that were held unsettled: what becomes of them, and of their resolvers, after a restart."""

import gc

import attrs
import pytest

from goblins_py.actors import (
    Fulfilled,
    PersistenceEnv,
    Portrait,
    Ref,
    Resolve,
    actor,
    make_promise,
    on,
    persistent_name,
    send,
    spawn,
)
from goblins_py.errors import ActorError, NotPortrayableError, RemoteError, StoreCorruptError
from goblins_py.syrup import Map, Record, Symbol
from goblins_py.testing import SyncVats
from test_actors_promises import Peer
from vat_kit import Disk, Log, Persistent


@actor
class Box:
    inside: object = None

    def get(self):
        return self.inside

    def put(self, what) -> None:
        self.inside = what

    def pair(self):
        """A promise and what settles it, both held here."""
        self.inside = make_promise()
        return self.inside

    async def wait_for(self, promise):
        return await promise


@actor
class Unlisted:
    pass


ENV = PersistenceEnv(Box)


def opened(disk=None) -> Persistent:
    return Persistent(ENV, disk or Disk(), lambda: (spawn(Box), spawn(Box)))


def restarted(before: Persistent) -> Persistent:
    return Persistent(ENV, before.disk)


def outcome(vat: Persistent, promise) -> object:
    return vat.vat.take(promise)


def test_a_promise_whose_resolver_is_held_stays_resolvable_over_restarts() -> None:
    """Any number of them; whoever listens after the restart hears of it."""
    vat = opened()
    vat.run(vat.roots[0].pair)
    for _ in range(2):
        vat = restarted(vat)
    promise, resolver = vat.run(vat.roots[0].get)
    vat.run(vat.roots[1].put, promise)
    heard = vat.run(lambda: on(promise, lambda value: ("heard", value)))
    vat.run(resolver.fulfill, 5)
    assert ("heard", 5) == outcome(vat, heard)
    again = restarted(vat)
    assert 5 == outcome(again, again.run(again.roots[1].get))


def test_promise_and_resolver_are_the_same_wherever_they_are_held() -> None:
    """Held twice they come back as one; and in a set they stay two."""
    vat = opened()
    first, second = vat.roots
    pair = vat.run(first.pair)
    other = vat.run(make_promise)[0]
    vat.run(second.put, (*pair, frozenset({pair[0], other})))
    again = restarted(vat)
    promise, resolver = again.run(again.roots[0].get)
    held_promise, held_resolver, both = again.run(again.roots[1].get)
    assert (promise, resolver) == (held_promise, held_resolver)
    assert promise in both
    assert 2 == len(both)


def test_settling_saves_one_small_portrait_and_not_the_holders() -> None:
    """Whoever holds it, and however many hold it."""
    vat = opened()
    promise, resolver = vat.run(vat.roots[0].pair)
    vat.run(vat.roots[1].put, tuple(spawn_holder(vat, promise) for _ in range(20)))
    vat.vat.run(resolver.fulfill, "done")
    (delta,) = vat.save()
    ((name, state),) = [(each.name, dict(each.state)) for each in delta.portraits.values()]
    assert "<promise>" == name
    assert {"is": Record(Symbol("encase"), ("done",))} == state
    assert not delta.removed


def spawn_holder(vat: Persistent, promise) -> Ref:
    return vat.run(spawn, Box, promise)


def test_the_cost_of_settling_does_not_grow_with_the_promises_that_wait() -> None:
    """Each settled one is looked at, and no other."""
    vat = opened()
    pairs = vat.run(lambda: tuple(make_promise() for _ in range(300)))
    vat.run(vat.roots[0].put, pairs)
    for number in (0, 150, 299):
        vat.vat.run(pairs[number][1].fulfill, number)
        (delta,) = vat.save()
        assert 1 == len(delta.portraits)


def test_a_promise_that_nobody_can_settle_any_more_comes_back_broken() -> None:
    """Its resolver was not saved: nobody in the store held it."""
    vat = opened()
    promise, _resolver = vat.run(make_promise)
    vat.run(vat.roots[0].put, promise)
    for _ in range(2):  # and it stays so
        vat = restarted(vat)
        with pytest.raises(ActorError, match="nothing that was saved can settle it"):
            outcome(vat, vat.run(vat.roots[0].get))


def test_the_answer_of_a_suspended_method_comes_back_broken() -> None:
    """The method is gone, the promise says so; also when what it waited for is still there."""
    vat = opened()
    first, second = vat.roots
    promise, resolver = vat.run(first.pair)
    answer = vat.run(lambda: send(second).wait_for(promise))
    vat.run(second.put, answer)
    again = restarted(vat)
    promise, resolver = again.run(again.roots[0].get)
    again.run(resolver.fulfill, 5)
    with pytest.raises(ActorError, match="did not survive the restart"):
        outcome(again, again.run(again.roots[1].get))


def test_what_a_handler_was_to_return_comes_back_broken() -> None:
    """Handlers are not saved; the promise that they listened to is."""
    vat = opened()
    promise, _ = vat.run(vat.roots[0].pair)
    ran = []
    vat.run(lambda: vat.roots[1].put(on(promise, ran.append)))
    again = restarted(vat)
    promise, resolver = again.run(again.roots[0].get)
    again.run(resolver.fulfill, 5)
    assert [] == ran
    with pytest.raises(ActorError, match="did not survive the restart"):
        outcome(again, again.run(again.roots[1].get))


def test_a_message_that_waits_at_a_durable_promise_is_gone_and_its_answer_broken() -> None:
    """The promise survives, what waited for it does not."""
    vat = opened()
    first, second = vat.roots
    promise, _ = vat.run(first.pair)
    vat.run(lambda: second.put(send(promise).put("lost")))
    again = restarted(vat)
    _, resolver = again.run(again.roots[0].get)
    box = again.run(spawn, Box)
    again.run(resolver.fulfill, box)
    assert again.run(box.get) is None
    with pytest.raises(ActorError, match="did not survive the restart"):
        outcome(again, again.run(again.roots[1].get))


def test_the_answer_of_a_peer_comes_back_broken_until_it_has_come() -> None:
    """Held before it had settled, saved again when it has."""
    vat = opened()
    peer = Peer()
    remote = Ref(vat.vat.vat, None, peer)
    vat.run(lambda: vat.roots[0].put(send(remote).ask()))
    answer = vat.run(vat.roots[0].get)
    assert [answer] == peer.listened
    with pytest.raises(ActorError, match="a peer was to settle it"):
        early = Persistent(ENV, copied(vat.disk))
        outcome(early, early.run(early.roots[0].get))
    vat.vat.vat.post(Resolve(answer, Fulfilled("it came")))
    vat.save()
    again = restarted(vat)
    assert "it came" == outcome(again, again.run(again.roots[0].get))


def copied(disk: Disk) -> Disk:
    copy = Disk()
    copy.snapshot = disk.snapshot
    return copy


def test_a_promise_of_another_vat_is_saved_when_it_has_settled() -> None:
    """Until then it would come back broken."""
    vat = opened()
    other = vat.vats.open("other")
    promise, resolver = other.run(make_promise)
    vat.run(vat.roots[0].put, promise)
    early = Persistent(ENV, copied(vat.disk))
    with pytest.raises(ActorError, match="another vat was to settle it"):
        outcome(early, early.run(early.roots[0].get))
    other.run(resolver.fulfill, "far away")
    vat.save()
    again = restarted(vat)
    assert "far away" == outcome(again, again.run(again.roots[0].get))


def test_a_promise_that_follows_another_follows_it_after_the_restart() -> None:
    """Its own resolver settles nothing any more, the other's does."""
    vat = opened()
    first, second = vat.roots
    promise, resolver = vat.run(first.pair)
    leader, leading = vat.run(make_promise)
    vat.run(second.put, leading)
    vat.run(resolver.fulfill, leader)
    again = restarted(vat)
    promise, resolver = again.run(again.roots[0].get)
    again.run(resolver.fulfill, "too late")
    leading = again.run(again.roots[1].get)
    again.run(leading.fulfill, "led")
    assert "led" == outcome(again, promise)
    third = restarted(again)
    assert "led" == outcome(third, third.run(third.roots[0].get)[0])


def test_a_break_is_saved_and_is_heard_by_nobody_for_it() -> None:
    """That it is saved does not count as somebody having been told."""
    vat = opened()
    _promise, resolver = vat.run(vat.roots[0].pair)
    with Log() as log:
        vat.run(resolver.break_, "no")
        del _promise, resolver
        again = restarted(vat)
        with pytest.raises(ActorError, match="before the restart: Refusal"):
            outcome(again, again.run(again.roots[0].get)[0])
        assert [] == log.texts
        vat.run(vat.roots[0].put, None)
        gc.collect()
        vat.run(lambda: None)
    assert ["unheard" in text or "nobody" in text for text in log.texts] == [True]


def test_a_promise_that_settles_with_what_cannot_be_saved_comes_back_broken() -> None:
    """No turn fails for it, nor the vat; slots that were tried are given again."""
    vat = opened()
    promise, resolver = vat.run(vat.roots[0].pair)
    unlisted = vat.run(spawn, Unlisted)
    vat.run(resolver.fulfill, (unlisted,))
    assert outcome(vat, promise) == (unlisted,)
    vat.run(lambda: vat.roots[1].put(spawn(Box, "next")))
    again = restarted(vat)
    assert "next" == again.run(lambda: again.roots[1].get().get())
    with pytest.raises(ActorError, match="Unlisted cannot be saved"):
        outcome(again, again.run(again.roots[0].get)[0])


def test_a_promise_that_nobody_holds_leaves_the_store() -> None:
    """With its resolver; and a turn that fails leaves nothing of one that it had given a slot."""
    vat = opened()
    vat.run(vat.roots[0].pair)
    slots = set(vat.disk.states)
    with pytest.raises(LookupError):
        vat.run(fail_with, vat.roots[1])
    vat.run(vat.roots[0].put, None)
    gc.collect()
    vat.save()
    assert {0, 1} == set(vat.disk.states) < slots


def fail_with(box) -> None:
    box.pair()
    raise LookupError


def test_a_turn_that_fails_after_its_portraits_gives_the_slots_to_others() -> None:
    """A promise that was to be saved, and was not, is no trouble when it settles."""
    vat = opened()
    promise, resolver = vat.run(make_promise)
    with pytest.raises(NotPortrayableError, match="cannot be saved"):
        vat.run(lambda: vat.roots[0]._behaviour.put((promise, spawn(Unlisted))))
    pair = vat.run(vat.roots[1].pair)
    vat.run(resolver.fulfill, "of no account")
    vat.run(pair[1].fulfill, "counts")
    again = restarted(vat)
    assert "counts" == outcome(again, again.run(again.roots[1].get)[0])
    assert "of no account" not in repr(vat.disk.states)


def test_a_resolver_whose_promise_nobody_holds_is_saved_with_it() -> None:
    """What it settles may be listened to again by way of nobody, but it is no error."""
    vat = opened()
    resolver = vat.run(lambda: make_promise()[1])
    vat.run(vat.roots[0].put, resolver)
    again = restarted(vat)
    again.run(again.run(again.roots[0].get).fulfill, Map({"a": 1}))
    assert 4 == len(again.disk.states)


def test_far_promises_that_break_are_saved_as_broken() -> None:
    """With the kind of what broke them."""
    vat = opened()
    other = SyncVats().open("other")
    promise, resolver = other.run(make_promise)
    vat.run(vat.roots[0].put, promise)
    other.run(lambda: resolver.break_(RemoteError("x")))
    vat.save()
    other.run(lambda: None)
    vat.save()
    again = restarted(vat)
    with pytest.raises(ActorError, match="before the restart: RemoteError"):
        outcome(again, again.run(again.roots[0].get))


@actor
class Subscriber:
    """Waits for a promise, again after each restart."""

    promise: object = None
    heard: tuple = ()

    def on_start(self, restored) -> None:
        if restored and self.promise is not None:
            on(self.promise, self.hear)

    def wait_for(self, promise) -> None:
        self.promise = promise
        on(promise, self.hear)

    def hear(self, what) -> None:
        self.heard = (*self.heard, what)

    def what(self):
        return self.heard


def test_who_subscribes_again_when_it_starts_hears_of_it_once() -> None:
    """The handler that was there before the restart is gone."""
    env = PersistenceEnv(Box, Subscriber)
    vat = Persistent(env, Disk(), lambda: (spawn(Box), spawn(Subscriber)))
    promise, _ = vat.run(vat.roots[0].pair)
    vat.run(vat.roots[1].wait_for, promise)
    for _ in range(2):
        vat = Persistent(env, vat.disk)
    _, resolver = vat.run(vat.roots[0].get)
    vat.run(resolver.fulfill, "now")
    assert ("now",) == vat.run(vat.roots[1].what)


def follows(slot: int) -> dict[str, object]:
    return {"is": Record(Symbol("promise"), (slot,))}


@pytest.mark.parametrize(
    ("portraits", "message"),
    [
        ({1: ("<promise>", follows(2)), 2: ("<promise>", follows(1))}, "circle"),
        ({1: ("<promise>", follows(1))}, "circle"),
        ({1: ("<promise>", follows(0))}, "holds no promise"),
        ({1: ("<promise>", {})}, "unknown kind"),
        ({1: ("<promise>", {"is": 5})}, "promise that is none"),
        ({1: ("<resolver>", {"is": 5})}, "holds no promise"),
        ({1: ("<promise>", {"is": Record(Symbol("near"), (1,))})}, "holds no object"),
        ({2: ("<resolver>", {"is": 5})}, "holds nothing"),
        ({1: ("<promise>", {"is": 5}), 2: ("<pin>", {"to": 5, "vats": frozenset()})}, "pin of what is no"),
        ({1: ("<promise>", {"is": 5}), 2: ("<loan>", {"of": 5, "to": b""})}, "loan of what is no"),
    ],
)
def test_a_store_that_says_what_cannot_be_is_corrupt(portraits, message) -> None:
    """It is an error that says so, and no endless loop."""
    vat = opened()
    saved = {slot: Portrait(name, 0, Map(state)) for slot, (name, state) in portraits.items()}
    holder = Portrait(persistent_name(Box), 0, Map({"inside": Record(Symbol("promise"), (1,))}))
    vat.disk.snapshot = attrs.evolve(vat.disk.snapshot, roots=(0,), portraits={0: holder, **saved})
    with pytest.raises(StoreCorruptError, match=message):
        restarted(vat)
