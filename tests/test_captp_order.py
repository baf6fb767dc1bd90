"""FIFO per reference: what a promise became is reached only when all that was sent before is there."""

import gc

import pytest
import trio

from captp_kit import Pair, do, new_vat, run_vat, run_vats, unlogged
from goblins_py import actor, spawn
from goblins_py.actors import Broken, Fulfilled, make_promise, on_sever, send_outside
from goblins_py.errors import ActorError, RemoteError, SessionSeveredError
from goblins_py.syrup import Symbol
from netlayers import LoopbackNetwork
from runtime_kit import alice_and_bob, person


@pytest.fixture(autouse=True, scope="module")
def fast_collections():
    """What was there before these tests is none of their business."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@actor
class Log:
    """Notes what it is told."""

    seen: tuple = ()

    def note(self, *things):
        """One more."""
        self.seen = (*self.seen, *things)
        return len(self.seen)

    def all(self):
        """All so far."""
        return self.seen


@actor
class Mirror:
    """Gives back what it gets."""

    def same(self, thing):
        """That very thing."""
        return thing


def seen(side, log):
    return side.do(log.all)


def limited(pair, rounds=50):
    """Settle, but not for ever; how many rounds that took."""
    for count in range(rounds):
        if not (pair.move(pair.alice, pair.bob) | pair.move(pair.bob, pair.alice)):
            return count
    raise AssertionError("it never becomes quiet")


def detoured(pair, log):
    """A promise that has become `log` while a message to it is still on the way to Bob.

    Returns:
        The promise, and the bytes of that message.
    """
    promise = pair.alice.send(pair.alice.remote, "same", log)
    asked = pair.alice.say()
    pair.alice.send(promise, "note", 1)
    under_way = pair.alice.say()
    pair.bob.hear(asked)
    pair.move(pair.bob, pair.alice)
    return promise, under_way


# --- to an object of ours ------------------------------------------------------


def test_later_messages_do_not_overtake_those_that_go_round() -> None:
    """The promise is ours by now, and the first message still at the peer."""
    pair = Pair()
    log = pair.alice.do(spawn, Log)
    promise, under_way = detoured(pair, log)
    pair.alice.send(promise, "note", 2)
    assert () == seen(pair.alice, log)
    pair.bob.hear(under_way)
    pair.alice.send(promise, "note", 3)
    pair.settle()
    assert (1, 2, 3) == seen(pair.alice, log)
    pair.alice.send(promise, "note", 4)
    assert (1, 2, 3, 4) == seen(pair.alice, log)
    assert b"" == pair.alice.say()


def test_a_flush_covers_what_was_sent_before_it() -> None:
    """One for the first message; a second one, for whatever was sent meanwhile; and no third."""
    pair = Pair()
    log = pair.alice.do(spawn, Log)
    promise, under_way = detoured(pair, log)
    for number in (2, 3, 4):
        pair.alice.send(promise, "note", number)
    said = pair.alice.say()
    assert (1, 3) == (said.count(b"op:listen"), said.count(b"note"))
    pair.bob.hear(under_way + said)
    pair.move(pair.bob, pair.alice)
    said = pair.alice.say()
    assert (1, 0) == (said.count(b"op:listen"), said.count(b"4'note"))
    pair.bob.hear(said)
    pair.settle()
    assert (1, 2, 3, 4) == seen(pair.alice, log)
    pair.alice.send(promise, "note", 5)
    assert b"" == pair.alice.say()


def test_a_promise_to_which_nothing_was_sent_is_the_object_at_once() -> None:
    """No flush, no detour."""
    pair = Pair()
    log = pair.alice.do(spawn, Log)
    promise = pair.alice.send(pair.alice.remote, "same", log)
    pair.move(pair.alice, pair.bob)
    pair.move(pair.bob, pair.alice)
    pair.alice.send(promise, "note", 1)
    assert (1,) == seen(pair.alice, log)
    assert b"" == pair.alice.say()


def test_who_waits_gets_the_object_at_once_with_an_order_of_its_own() -> None:
    """What is sent to the value overtakes what was sent to the promise."""
    pair = Pair()
    log = pair.alice.do(spawn, Log)
    promise, under_way = detoured(pair, log)
    (outcome,) = pair.alice.heard(promise)
    assert log is outcome.value
    pair.alice.send(outcome.value, "note", "first")
    pair.bob.hear(under_way)
    pair.settle()
    assert ("first", 1) == seen(pair.alice, log)


def test_an_object_of_another_vat_is_no_exception() -> None:
    """The messages arrive at its vat in the order in which they were sent to the promise."""
    pair = Pair()
    carol = new_vat("carol")
    log = do(carol, spawn, Log)
    promise, under_way = detoured(pair, log)
    pair.alice.send(promise, "note", 2)
    pair.bob.hear(under_way)
    for number in range(3, 6):
        pair.alice.send(promise, "note", number)
        pair.settle()
        run_vats(pair.alice.vat, carol)
    assert (1, 2, 3, 4, 5) == do(carol, log.all)
    assert b"" == pair.alice.say()


def test_a_promise_on_a_detour_is_the_object_for_all_but_messages() -> None:
    """`on_sever` is not told of the session; a promise that becomes this one shares its way."""
    pair = Pair()
    log = pair.alice.do(spawn, Log)
    promise, under_way = detoured(pair, log)
    told = []
    pair.alice.do(on_sever, promise, told.append)
    other, resolver = pair.alice.do(make_promise)
    pair.alice.do(resolver.fulfill, promise)
    pair.alice.send(other, "note", 2)
    assert [log] == [outcome.value for outcome in pair.alice.heard(other)]
    pair.bob.hear(under_way)
    pair.settle()
    assert (1, 2) == seen(pair.alice, log)
    pair.alice.lose()
    assert [] == told


def test_messages_from_another_vat_go_the_same_way() -> None:
    """They follow the promise home and wait for nothing."""
    pair = Pair()
    carol = new_vat("carol")
    log = pair.alice.do(spawn, Log)
    promise, under_way = detoured(pair, log)
    send_outside(carol, promise, (Symbol("note"), 2), {})
    run_vats(carol, pair.alice.vat)
    assert () == seen(pair.alice, log)
    pair.bob.hear(under_way)
    pair.settle()
    assert (1, 2) == seen(pair.alice, log)


def test_a_promise_of_ours_that_comes_home_keeps_the_order_too() -> None:
    """It comes home as itself, and settles whenever it likes."""
    pair = Pair()
    log = pair.alice.do(spawn, Log)
    mine, resolver = pair.alice.do(make_promise)
    promise, under_way = detoured(pair, mine)
    pair.alice.send(promise, "note", 2)
    pair.alice.do(lambda: resolver.fulfill(log))
    assert () == seen(pair.alice, log)
    pair.bob.hear(under_way)
    pair.settle()
    assert (1, 2) == seen(pair.alice, log)
    pair.alice.send(promise, "note", 3)
    assert (1, 2, 3) == seen(pair.alice, log)
    assert b"" == pair.alice.say()


# --- to an object of the peer's --------------------------------------------------------


def test_the_shortcut_within_a_peer_is_asked_for_when_it_is_used() -> None:
    """Both ways are equally long, so the first later message is early enough; one flush a quiet period."""
    pair = Pair()
    promise = pair.alice.send(pair.alice.remote, "make")
    pair.alice.send(promise, "incr")
    pair.settle()
    for _ in range(2):
        pair.alice.send(promise, "incr")
    said = pair.alice.say()
    assert (1, 2) == (said.count(b"op:listen"), said.count(b"op:deliver<11'desc:answer"))
    pair.bob.hear(said)
    pair.settle()
    count = pair.alice.send(promise, "incr")
    said = pair.alice.say()
    assert (0, 1) == (said.count(b"op:listen"), said.count(b"op:deliver<11'desc:export"))
    pair.bob.hear(said)
    assert 4 == pair.outcome(count).value


def test_an_answer_is_kept_while_it_is_the_way() -> None:
    """And given back once the promise is gone; all tables are as at the start."""
    with unlogged():
        pair = Pair()
        pair.result("same", 1)
        pair.collect()
        before = pair.alice.counts, pair.bob.counts
        log = pair.alice.do(spawn, Log)
        promises = []
        for target in (log, None):
            if target is None:
                promise = pair.alice.send(pair.alice.remote, "make")
                pair.alice.send(promise, "incr")
                pair.settle()
                pair.alice.send(promise, "incr")
            else:
                promise, under_way = detoured(pair, target)
                pair.alice.send(promise, "note", 2)
                gc.collect()
                pair.alice.session.collect()()
                assert 1 == pair.bob.counts[2]
                pair.bob.hear(under_way)
            promises.append(promise)
            pair.settle()
        assert (1, 2) == seen(pair.alice, log)
        del promise, promises, target, log
        pair.collect()
        assert before == (pair.alice.counts, pair.bob.counts)


def test_a_peer_in_the_middle_says_so_only_when_its_own_way_is_clear() -> None:
    """What Alice sends goes by Bob to Carol and back to Bob: it is not there when Carol has answered Bob."""
    pair = Pair()
    right = Pair(alice={"vat": pair.bob.vat})  # its Alice is Bob again, its Bob is Carol
    bob, carol = right.alice, right.bob
    log = bob.do(spawn, Log)
    relayed = bob.send(bob.remote, "same", log)
    asked = bob.say()
    given = bob.send(pair.bob.remote, "same", relayed)
    pair.settle()
    (promise,) = pair.alice.session.references.answers.values()
    pair.alice.send(promise, "note", 1)
    pair.settle()
    under_way = bob.say()
    carol.hear(asked)
    right.move(carol, bob)
    pair.settle()
    for number in range(2, 5):
        pair.alice.send(promise, "note", number)
        pair.settle()
    assert () == seen(bob, log)
    carol.hear(under_way)
    for number in range(5, 8):
        right.settle()
        pair.alice.send(promise, "note", number)
        pair.settle()
    right.settle()
    pair.settle()
    assert (1, 2, 3, 4, 5, 6, 7) == seen(bob, log)
    pair.alice.send(promise, "note", 8)
    pair.settle()
    assert 8 == seen(bob, log)[-1]
    assert b"" == bob.say()
    assert given is not relayed


# --- to an object of somebody else's -----------------------------------------------------


def test_a_third_partys_object_is_reached_through_the_peer_as_long_as_that_is_there() -> None:
    """Nobody but the peer knows what is there; who waits gets the object; afterwards the way is straight."""
    pair = Pair()
    carol = Pair(alice={"vat": pair.alice.vat})
    hers = carol.result("make")
    promise = pair.alice.send(pair.alice.remote, "same", hers)
    first = pair.alice.send(promise, "incr")
    pair.settle()
    for _ in range(3):
        pair.alice.send(promise, "incr")
        said = pair.alice.say()
        assert (0, 1) == (said.count(b"op:listen"), said.count(b"op:deliver<11'desc:answer"))
        pair.bob.hear(said)
        pair.settle()
        carol.settle()
        pair.settle()
    assert 1 == pair.outcome(first).value
    assert hers is pair.outcome(promise).value
    pair.alice.lose()
    (outcome,) = carol.alice.heard(promise)
    assert hers is outcome.value
    assert 5 == carol.outcome(carol.alice.send(promise, "incr")).value


async def test_an_introduction_does_not_change_the_order(autojump_clock):
    """Carol pipelines to what turns out to be Alice's; the straight way is fast, Bob's is slow."""
    network = LoopbackNetwork()
    async with (
        person("alice", network) as alice,
        person("bob", network) as bob,
        person("carol", network) as carol,
    ):
        log, log_ref = await alice.share(Log)
        bobs_log = await bob.enliven(log_ref)
        getter = await share(bob, carol, await bob.vat.run(spawn, lambda: bobs_log))
        network.set_delay("bob", "carol", 1.0)
        promise = carol.vat.send(getter)()
        await trio.sleep(0.5)
        noted = [carol.vat.send(promise).note(number) for number in range(3)]
        await trio.sleep(0.7)  # the introduction is with Alice, the messages are not
        network.set_delay("alice", "bob", 5.0)
        value = await promise
        await trio.sleep(2.5)  # time enough for Bob to answer anything
        await carol.vat.send(promise).note("last")
        assert [await each for each in noted] == [1, 2, 3]
        await carol.vat.send(value).note("straight")
        assert await alice.vat.send(log).all() == (0, 1, 2, "last", "straight")


async def share(owner, other, ref):
    """A reference of the owner's, enlivened by the other."""
    return await other.enliven(await owner.vat.send(owner.mycapn).register(ref, "loopback"))


async def test_messages_to_what_comes_home_stay_in_order_over_a_slow_network(autojump_clock):
    """Ten messages at ten times, before and after the promise is known to be ours."""
    async with alice_and_bob() as (alice, bob, network):
        _, mirror_ref = await bob.share(Mirror)
        mirror = await alice.enliven(mirror_ref)
        log = await alice.vat.run(spawn, Log)
        network.set_delay("alice", "bob", 0.25)
        promise = alice.vat.send(mirror).same(log)
        for number in range(10):
            noted = alice.vat.send(promise).note(number)
            await trio.sleep(0.1)
        await noted
        assert await alice.vat.send(log).all() == tuple(range(10))
        await trio.sleep(2)
        started = trio.current_time()
        assert await alice.vat.send(promise).note("last") == 11
        assert trio.current_time() - started < 0.1


# --- chains and cycles --------------------------------------------------------------------


def crossed(pair):
    """A promise of Alice's that follows Bob's, which follows hers."""
    mine, resolver = pair.alice.do(make_promise)
    theirs, their_resolver = pair.result("promise")
    pair.alice.send(their_resolver, "fulfill", mine)
    pair.alice.do(lambda: resolver.fulfill(theirs))
    return mine, theirs


@pytest.mark.parametrize("listened", ["mine", "theirs"])
def test_two_promises_that_wait_for_each_other_over_a_peer_break(listened) -> None:
    """Whoever waits hears of it."""
    with unlogged():
        pair = Pair()
        mine, theirs = crossed(pair)
        outcomes = pair.alice.heard(mine if listened == "mine" else theirs)
        limited(pair)
        (outcome,) = outcomes
        assert isinstance(outcome, Broken)
        assert isinstance(outcome.reason, ActorError | RemoteError)


def test_a_message_does_not_circle_for_ever() -> None:
    """Nobody but the message asks."""
    with unlogged():
        pair = Pair()
        mine, _ = crossed(pair)
        limited(pair)
        answer = pair.alice.send(mine, "hello")
        limited(pair)
        (outcome,) = pair.alice.heard(answer)
        assert isinstance(outcome, Broken)


def test_a_question_that_is_answered_by_what_follows_it_breaks() -> None:
    """Bob answers with Alice's promise, which waits for that answer."""
    with unlogged():
        pair = Pair()
        mine, resolver = pair.alice.do(make_promise)
        asked = pair.alice.send(pair.alice.remote, "same", mine)
        pair.alice.do(lambda: resolver.fulfill(asked))
        answer = pair.alice.send(mine, "hello")
        heard = pair.alice.heard(asked), pair.alice.heard(answer)
        limited(pair)
        assert [Broken, Broken] == [type(outcome) for (outcome,) in heard]


def test_a_chain_to_and_fro_settles() -> None:
    """Alice's promise of Bob's of Alice's: the value, and the message at its end."""
    pair = Pair()
    log = pair.alice.do(spawn, Log)
    last, last_resolver = pair.alice.do(make_promise)
    first, first_resolver = pair.alice.do(make_promise)
    middle, middle_resolver = pair.result("promise")
    pair.alice.do(lambda: first_resolver.fulfill(middle))
    noted = pair.alice.send(first, "note", 1)
    heard = pair.alice.heard(first)
    pair.alice.send(middle_resolver, "fulfill", last)
    limited(pair)
    pair.alice.send(first, "note", 2)
    pair.alice.do(lambda: last_resolver.fulfill(log))
    limited(pair)
    assert [log] == [outcome.value for outcome in heard]
    assert 1 == pair.outcome(noted).value
    assert (1, 2) == seen(pair.alice, log)


# --- the end of a session ------------------------------------------------------------------


@pytest.mark.parametrize("moves", range(8))
@pytest.mark.parametrize("ours", [True, False])
def test_a_session_that_ends_settles_all_once(moves, ours) -> None:
    """In whatever state: each answer once, in order, and the promise is what it became, or broken."""
    pair = Pair()
    log = pair.alice.do(spawn, Log)
    if ours:
        promise = pair.alice.send(pair.alice.remote, "same", log)
    else:
        promise = pair.alice.send(pair.alice.send(pair.alice.remote, "make"), "me")
    method = "note" if ours else "incr"
    heard = [pair.alice.heard(pair.alice.send(promise, method, 1))]
    settled = pair.alice.heard(promise)
    for move in range(moves):
        there = (pair.alice, pair.bob) if move % 2 == 0 else (pair.bob, pair.alice)
        pair.move(*there)
        heard.append(pair.alice.heard(pair.alice.send(promise, method, 1)))
    pair.alice.lose()
    run_vat(pair.alice.vat)
    assert {1} == {len(outcomes) for outcomes in (settled, *heard)}
    answers = [outcome.value for (outcome,) in heard if isinstance(outcome, Fulfilled)]
    assert sorted(answers) == answers
    later = pair.alice.heard(pair.alice.send(promise, method, 1))
    if ours and isinstance(settled[0], Fulfilled):
        assert isinstance(later[0], Fulfilled)
    else:
        assert isinstance(later[0].reason, SessionSeveredError)
