"""Promises: what they become, what follows them, and that nobody who waits is forgotten."""

import copy
import gc
import pickle
from collections import Counter

import pytest

from goblins_py.actors import (
    Connector,
    Promise,
    Ref,
    RemotePending,
    Resolve,
    actor,
    all_of,
    any_of,
    is_remote,
    make_promise,
    on,
    on_sever,
    race,
    ref_to,
    send,
    send_only,
    spawn,
    timeout,
)
from goblins_py.actors._promise import Broken, Fulfilled
from goblins_py.errors import ActorError, NotPassableError, Refusal, RemoteError, VatClosedError
from goblins_py.syrup import Symbol
from goblins_py.testing import SyncVats
from vat_kit import Log


@actor
class Echo:
    heard: tuple = ()

    def echo(self, value):
        self.heard = (*self.heard, value)
        return value

    def all_heard(self):
        return self.heard

    def me(self):
        return self

    def fail(self):
        raise ValueError("on purpose")

    def loop(self, times: int):
        return send(self).loop(times - 1) if times else "done"


@pytest.fixture
def vats():
    return SyncVats()


@pytest.fixture
def vat(vats):
    return vats.open("home")


@pytest.fixture
def away(vats):
    return vats.open("away")


def test_a_message_to_a_promise_waits_for_what_it_becomes(vat) -> None:
    """Pipelining to an object that is not there yet."""
    echo = vat.run(spawn, Echo)
    promise = vat.run(lambda: send(send(send(echo).me()).me()).echo(5))
    assert 5 == vat.take(promise)


def test_messages_keep_their_order_per_reference(vat) -> None:
    """Those that waited at the promise go before those sent after it settled."""
    echo = vat.run(spawn, Echo)
    promise, resolver = vat.run(make_promise)
    vat.run(lambda: [send_only(promise).echo(i) for i in range(3)])
    vat.run(lambda: (resolver.fulfill(echo), send_only(promise).echo(3)))
    vat.run(lambda: send_only(promise).echo(4))
    assert (0, 1, 2, 3, 4) == vat.run(echo.all_heard)


def test_messages_that_waited_follow_a_promise_to_another_vat(vat, away) -> None:
    """In order, and their answers come back."""
    echo = away.run(spawn, Echo)
    promise, resolver = vat.run(make_promise)
    answers = vat.run(lambda: [send(promise).echo(i) for i in range(3)])
    vat.run(lambda: resolver.fulfill(echo))
    assert [0, 1, 2] == [vat.take(answer) for answer in answers]
    assert (0, 1, 2) == away.run(echo.all_heard)


def test_a_message_to_a_far_promise_waits_there(vat, away) -> None:
    """And a far promise can be listened to, and resolved, by send."""
    promise, resolver = away.run(make_promise)
    answer = vat.run(lambda: send(promise).echo("x"))
    heard = vat.run(lambda: on(promise, lambda ref: ref is echo))
    echo = vat.run(spawn, Echo)
    vat.run(lambda: send(resolver).fulfill(echo))
    assert "x" == vat.take(answer)
    assert vat.take(heard) is True
    assert vat.take(promise) is echo


def test_a_message_to_data_breaks(vat) -> None:
    """Values are no objects, None included; without an answer the loss is logged."""
    for value in (5, None, "text"):
        with pytest.raises(ActorError, match="no object"):
            vat.take(vat.run(lambda value=value: send(on(value)).anything()))
    with Log() as log:
        vat.run(lambda: send_only(on(5)).anything())
        vat.run(lambda: None)
    assert "no object" in log.texts[0]


def test_a_message_to_a_broken_promise_breaks_likewise(vat) -> None:
    """With the same reason, whether it waited or came later."""
    promise, resolver = vat.run(make_promise)
    early = vat.run(lambda: send(promise).echo(1))
    error = ValueError("why")
    vat.run(lambda: resolver.break_(error))
    late = vat.run(lambda: send(promise).echo(2))
    for answer in (early, late, promise):
        with pytest.raises(ValueError, match="why") as caught:
            vat.take(answer)
        assert caught.value is error


def test_the_first_resolution_counts(vat) -> None:
    """Later ones are ignored, of either kind."""
    promise, resolver = vat.run(make_promise)
    vat.run(lambda: (resolver.fulfill(1), resolver.fulfill(2), resolver.break_("no")))
    vat.run(lambda: resolver.break_("no"))
    assert 1 == vat.take(promise)


def test_a_resolver_is_a_reference(vat, away) -> None:
    """Passed on, called near, sent to from afar; a reason that was sent is a RemoteError, data only."""
    promise, resolver = vat.run(make_promise)
    away.run(lambda: send(resolver).break_("reason"))
    with pytest.raises(RemoteError) as caught:
        vat.take(promise)
    assert "reason" == caught.value.reason
    other, its_resolver = vat.run(make_promise)
    vat.run(lambda: its_resolver.break_(("any", "value")))
    with pytest.raises(Refusal) as refused:
        vat.take(other)
    assert ("any", "value") == refused.value.value
    with pytest.raises(ActorError, match="same vat"):
        away.run(lambda: its_resolver.break_("x"))


@pytest.mark.parametrize("same_turn", [True, False])
def test_a_cycle_of_promises_breaks(vat, same_turn) -> None:
    """Of one, of two, of three; in one turn or over several."""
    for length in (1, 2, 3):
        pairs = vat.run(lambda length=length: [make_promise() for _ in range(length)])

        def tie(i: int, pairs=pairs) -> None:
            pairs[i][1].fulfill(pairs[(i + 1) % len(pairs)][0])

        if same_turn:
            vat.run(list, map(tie, range(length)))
        else:
            for i in range(length):
                vat.run(tie, i)
        for promise, _ in pairs:
            with pytest.raises(ActorError, match="cycle"):
                vat.take(promise)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_cycle_through_several_vats_breaks(vats, length) -> None:
    """No vat sees the whole of it; the promises break all the same, and the vats come to rest."""
    homes = [vats.open(f"vat {i}") for i in range(length)]
    pairs = [home.run(make_promise) for home in homes]
    waiting = [homes[0].run(lambda promise=promise: on(promise)) for promise, _ in pairs]
    for i, home in enumerate(homes):
        home.run(lambda i=i: pairs[i][1].fulfill(pairs[(i + 1) % length][0]))
    for promise in [*(promise for promise, _ in pairs), *waiting]:
        with pytest.raises(ActorError, match="cycle"):
            homes[0].take(promise)


def test_a_promise_may_follow_one_that_follows_a_cycle(vat, away) -> None:
    """A tail on a cycle breaks with it, and does not run around in it."""
    mine, my_resolver = vat.run(make_promise)
    theirs, their_resolver = away.run(make_promise)
    tail, tail_resolver = vat.run(make_promise)
    vat.run(lambda: tail_resolver.fulfill(theirs))
    away.run(lambda: their_resolver.fulfill(mine))
    vat.run(lambda: my_resolver.fulfill(theirs))
    with pytest.raises(ActorError, match="cycle"):
        vat.take(tail)


def test_a_chain_over_vats_is_no_cycle(vats) -> None:
    """Back and forth between two vats, to a value at its end."""
    homes = [vats.open("a"), vats.open("b")]
    pairs = [homes[i % 2].run(make_promise) for i in range(7)]
    for i in range(6):
        homes[i % 2].run(lambda i=i: pairs[i][1].fulfill(pairs[i + 1][0]))
    homes[0].run(lambda: pairs[6][1].fulfill("end"))
    assert "end" == homes[0].take(pairs[0][0])
    assert "end" == homes[1].take(pairs[0][0])


def test_a_long_chain_of_answers_settles(vat) -> None:
    """A loop by sends: each answer follows the next."""
    echo = vat.run(spawn, Echo)
    answer = vat.send(echo).loop(20_000)
    assert "done" == vat.take(answer)
    assert "done" == vat.take(answer)


def test_on_runs_the_handler_that_fits(vat) -> None:
    """And `finally_` after either; the returned promise is of what the handler returns."""
    calls = []

    def watch(promise):
        return on(
            promise,
            lambda value: calls.append(("ok", value)) or "fulfilled",
            lambda error: calls.append(("broken", type(error))) or "mended",
            lambda: calls.append("finally"),
        )

    assert "fulfilled" == vat.take(vat.run(watch, 5))
    echo = vat.run(spawn, Echo)
    with Log():
        assert "mended" == vat.take(vat.run(lambda: watch(send(echo).fail())))
    assert [("ok", 5), "finally", ("broken", ValueError), "finally"] == calls


def test_on_without_a_handler_for_the_case_passes_the_outcome_on(vat) -> None:
    """As in Goblins."""
    echo = vat.run(spawn, Echo)
    assert 5 == vat.take(vat.run(lambda: on(send(echo).echo(5), broken=lambda error: 0)))
    with Log(), pytest.raises(ValueError, match="on purpose"):
        vat.take(vat.run(lambda: on(send(echo).fail(), lambda value: 0)))


def test_a_handler_that_fails_breaks_its_promise_and_is_undone(vat) -> None:
    """Also an async one; also `finally_`, which nobody waits for: it is only logged."""
    echo = vat.run(spawn, Echo)

    def fails(value) -> None:
        echo.echo(value)
        raise KeyError("handler")

    async def fails_later(value) -> None:
        await on(value)
        fails(value)

    for handler in (fails, fails_later):
        with Log() as log, pytest.raises(KeyError):
            vat.take(vat.run(lambda handler=handler: on(1, handler)))
        assert f"handler {handler.__qualname__}" in log.texts[0]
    with Log() as log:
        assert 1 == vat.take(vat.run(lambda: on(1, finally_=lambda: fails(2))))
    assert 1 == len(log.texts)
    assert () == vat.run(echo.all_heard)


def test_a_handler_may_raise_what_it_was_told(vat) -> None:
    """Passing a failure on is not another failure: the log has it once."""
    echo = vat.run(spawn, Echo)

    def reraise(error):
        raise error

    with Log() as log, pytest.raises(ValueError, match="on purpose"):
        vat.take(vat.run(lambda: on(send(echo).fail(), broken=reraise)))
    assert 1 == len(log.texts)


def test_a_local_failure_nobody_waits_for_is_logged_once(vat) -> None:
    """By the turn that failed; its promise, and those behind it, add nothing."""
    echo = vat.run(spawn, Echo)
    with Log() as log:
        vat.run(lambda: on(all_of(timeout(send(echo).fail(), 5), 1), lambda value: None) and None)
        gc.collect()
        vat.run(lambda: None)
    assert 1 == len(log.texts)


@pytest.mark.parametrize(
    "use",
    [
        lambda promise: None,
        lambda promise: on(promise, lambda value: None) and None,
        lambda promise: all_of(promise, 1) and None,
        lambda promise: any_of(promise, promise) and None,
        lambda promise: race(promise) and None,
        lambda promise: send(promise).anything() and None,
        lambda promise: send_only(promise).anything(),
        lambda promise: spawn(lambda: forward(promise))() and None,
        lambda promise: send_only(spawn(lambda: forward(promise)))(),
    ],
    ids="nothing on all_of any_of race send send_only await await-unasked".split(),
)
def test_a_break_that_nobody_hears_of_is_logged_once(vat, use) -> None:
    """Whatever stands between the promise and the nobody; and no word of its reason, which is a secret."""
    promise, resolver = vat.run(make_promise)
    with Log() as log:
        vat.run(use, promise)
        vat.run(lambda: resolver.break_("a secret reason"))
        promise = resolver = None
        gc.collect()
        vat.run(lambda: None)
    (text,) = log.texts
    assert text.startswith("WARNING a promise of vat 'home' broke and nobody heard of it: ")
    assert "secret" not in text


async def forward(promise):
    return await promise


def test_a_break_that_somebody_hears_of_is_not_logged(vat) -> None:
    """One listener is enough."""
    promise, resolver = vat.run(make_promise)
    with Log() as log:
        vat.run(lambda: on(promise, broken=lambda error: None) and None)
        vat.run(lambda: resolver.break_("reason"))
        promise = resolver = None
        gc.collect()
        vat.run(lambda: None)
    assert [] == log.texts


def test_what_nobody_heard_of_is_logged_when_the_vat_closes(vat) -> None:
    """At the latest."""
    made = [vat.run(make_promise)]
    vat.run(lambda: made[0][1].break_(ActorError("told")))
    made.clear()
    with Log() as log:
        vat.close()
    assert "ActorError: told" in log.texts[0]


def test_joiners_join(vat) -> None:
    """All in order, the first result, the first to settle; values count as fulfilled."""
    pairs = vat.run(lambda: [make_promise() for _ in range(3)])
    promises = [promise for promise, _ in pairs]
    everything = vat.run(lambda: all_of(*promises, "value"))
    anything = vat.run(lambda: any_of(*promises))
    first = vat.run(lambda: race(*promises))
    vat.run(lambda: pairs[2][1].break_("broken"))
    vat.run(lambda: pairs[1][1].fulfill("one"))
    vat.run(lambda: pairs[0][1].fulfill("zero"))
    with pytest.raises(Refusal):
        vat.take(everything)
    assert "one" == vat.take(anything)
    with pytest.raises(Refusal):
        vat.take(first)
    assert (1, 2) == vat.take(vat.run(lambda: all_of(1, on(2))))
    assert () == vat.take(vat.run(all_of))


def test_any_of_breaks_with_all_reasons(vat) -> None:
    """As a group, in the order of the promises."""
    pairs = vat.run(lambda: [make_promise() for _ in range(2)])
    anything = vat.run(lambda: any_of(*[promise for promise, _ in pairs]))
    vat.run(lambda: pairs[1][1].break_(KeyError("second")))
    vat.run(lambda: pairs[0][1].break_(ValueError("first")))
    with pytest.raises(ExceptionGroup) as caught:
        vat.take(anything)
    assert [ValueError, KeyError] == [type(each) for each in caught.value.exceptions]


@pytest.mark.parametrize("joiner", [any_of, race])
def test_nothing_is_no_choice(vat, joiner) -> None:
    """It would never settle."""
    with pytest.raises(ValueError, match="at least one"):
        vat.run(joiner)


def test_a_timeout_breaks_what_takes_too_long(vats, vat) -> None:
    """And changes nothing about what is in time."""
    promise, resolver = vat.run(make_promise)
    slow = vat.run(timeout, promise, 5)
    vats.advance(4.9)
    assert 7 == vat.take(vat.run(lambda: timeout(on(7), 1)))
    vats.advance(0.2)
    with pytest.raises(TimeoutError, match="within 5 s"):
        vat.take(slow)
    vat.run(lambda: resolver.fulfill("late"))
    assert "late" == vat.take(promise)


def test_promises_and_references_stay_what_they_are() -> None:
    """Copies are the same one; pickling and iterating are refused; reprs tell nothing."""
    vat = SyncVats().open()
    echo = vat.run(spawn, Echo)
    promise, resolver = vat.run(make_promise)
    for thing in (echo, promise, resolver):
        assert copy.copy(thing) is thing
        assert copy.deepcopy([thing])[0] is thing
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(thing)
        with pytest.raises(TypeError):
            iter(thing)
    assert "<Promise of vat 'vat'>" == repr(promise)
    assert "<Ref to Echo in vat 'vat'>" == repr(echo)
    assert "<send to <Ref to Echo in vat 'vat'>>" == vat.run(lambda: repr(send(echo)))
    assert "<near method echo>" == repr(echo.echo)
    assert "<Ref to nothing yet in vat 'vat'>" == repr(Ref(vat.vat))
    assert "<Ref to f in vat 'vat'>" == repr(vat.run(lambda: spawn(f)))


def f() -> None: ...


def test_blocking_in_a_turn_is_refused(vat) -> None:
    """It would wait for itself."""
    promise, resolver = vat.run(make_promise)
    with pytest.raises(ActorError, match="cannot block"):
        vat.run(promise.wait)
    with pytest.raises(TimeoutError):
        promise.wait(0)
    vat.run(lambda: resolver.fulfill(1))
    assert 1 == promise.wait(0)


# --- towards peers ---------------------------------------------------------------------


class Peer(Connector):
    """A session that only takes notes."""

    def __init__(self) -> None:
        self.delivered = []
        self.selected = []
        self.listened = []
        self.watchers = []

    def deliver(self, target, message) -> None:
        self.delivered.append((target, message))

    def select(self, target, request) -> None:
        self.selected.append((target, request))

    def listen(self, promise) -> None:
        self.listened.append(promise)

    def watch(self, listener) -> None:
        self.watchers.append(listener)


def test_messages_cross_at_once_also_to_answers(vat) -> None:
    """Pipelining: the answer of a message to a peer is the peer's promise, and so is the answer's answer."""
    peer = Peer()
    remote = Ref(vat.vat, None, peer)
    answer = vat.run(lambda: send(send(remote).first()).second())
    assert is_remote(remote)
    assert not is_remote(answer)
    assert ["first", "second"] == [message.args[0].name for _, message in peer.delivered]
    assert peer.delivered[1][0] is peer.delivered[0][1].answer
    assert [] == peer.listened
    vat.run(lambda: (on(answer), on(answer)))
    assert [answer] == peer.listened
    vat.vat.post(Resolve(answer, Fulfilled(5)))
    assert 5 == vat.take(answer)
    assert "<Ref to a remote object>" == repr(remote)


def test_what_waited_at_a_promise_crosses_when_that_turns_out_remote(vat) -> None:
    """Messages and listeners of the answer go with it."""
    peer = Peer()
    promise, resolver = vat.run(make_promise)

    def turn():
        answer = send(promise).first()
        return answer, on(answer), send(answer).second()

    answer, heard, second = vat.run(turn)
    vat.run(lambda: resolver.fulfill(Ref(vat.vat, None, peer)))
    assert ["first", "second"] == [message.args[0].name for _, message in peer.delivered]
    assert [answer] == peer.listened
    vat.vat.post(Resolve(answer, Broken(RemoteError("no"))))
    with pytest.raises(RemoteError):
        vat.take(heard)
    vat.vat.post(Resolve(second, Fulfilled(2)))
    assert 2 == vat.take(second)


def test_an_answer_of_another_vat_is_settled_through_ours(vats, vat, away) -> None:
    """A message from another vat to a peer of ours: the peer's answer goes home."""
    peer = Peer()
    remote = Ref(vat.vat, None, peer)
    answer = away.run(lambda: send(remote).ask())
    assert answer is peer.delivered[0][1].answer
    vat.vat.post(Resolve(answer, Fulfilled("told")))
    assert "told" == away.take(answer)


def test_an_answer_of_another_vat_is_settled_though_ours_is_closed(vat, away) -> None:
    """The session's last word may come late."""
    peer = Peer()
    remote = Ref(vat.vat, None, peer)
    answer = away.run(lambda: send(remote).ask())
    vat.close()
    with pytest.raises(VatClosedError):
        away.take(answer)
    other, _ = away.run(make_promise)
    vat.vat.post(Resolve(other, Fulfilled("late")))
    assert "late" == away.take(other)
    vat.vat.post(Resolve(Promise(vat.vat), Fulfilled("nobody")))


def test_on_sever_hears_of_the_end_of_a_session(vats, vat, away) -> None:
    """For references, for promises that a peer will settle or has; in the listener's own vat."""
    peer = Peer()
    remote = Ref(vat.vat, None, peer)
    heard = []
    vat.run(on_sever, remote, heard.append)
    vat.run(on_sever, Promise(vat.vat, RemotePending(peer)), heard.append)
    vat.run(on_sever, Promise(vat.vat, Fulfilled(remote)), heard.append)
    away.run(on_sever, remote, lambda reason: heard.append(("away", reason)))
    for watcher in peer.watchers:
        watcher.severed("cut")
    vats.settle()
    assert {"cut": 3, ("away", "cut"): 1} == Counter(heard)


def test_on_sever_has_nothing_to_say_of_local_things(vat, away) -> None:
    """They have no session; what is no reference at all is refused."""
    heard = []
    vat.run(lambda: on_sever(spawn(Echo), heard.append))
    vat.run(lambda: on_sever(make_promise()[0], heard.append))
    vat.run(lambda: on_sever(on(5), heard.append))
    vat.run(lambda: on_sever(Promise(vat.vat, Fulfilled(5)), heard.append))
    away.run(lambda: on_sever(Promise(vat.vat, Fulfilled(5)), heard.append))
    with pytest.raises(TypeError, match="on_sever takes"):
        vat.run(on_sever, 5, heard.append)
    assert [] == heard


def test_a_failed_turn_watches_nothing(vat) -> None:
    """`on_sever` is part of the transaction."""
    peer = Peer()
    remote = Ref(vat.vat, None, peer)

    def turn() -> None:
        on_sever(remote, print)
        raise LookupError

    with pytest.raises(LookupError):
        vat.run(turn)
    assert [] == peer.watchers


def test_a_symbol_sends_a_name_as_it_stands(vat) -> None:
    """Neither hyphens nor trailing underscores are touched; what is no symbol is refused."""
    thing = vat.run(spawn, lambda name, *args: (name.name, *args))
    assert ("exactName_", 1) == vat.take(vat.run(lambda: send(thing)[Symbol("exactName_")](1)))
    assert ("two-words", 1) == vat.take(vat.run(lambda: send(thing).two_words(1)))
    assert ("break",) == vat.take(vat.run(lambda: send(thing).break_()))
    with pytest.raises(TypeError, match="is a Symbol"):
        vat.run(lambda: send(thing)["name"])


def test_private_names_never_become_messages(vat) -> None:
    """Not by attribute, not by the typed twin."""
    echo = vat.run(spawn, Echo)
    with pytest.raises(AttributeError):
        vat.run(lambda: send(echo)._private())
    with pytest.raises(AttributeError):
        vat.run(echo._private)
    with pytest.raises(TypeError, match="public method"):
        vat.run(lambda: send(echo, _private))
    with pytest.raises(TypeError, match="public method"):
        vat.run(lambda: send(echo, 5))


def _private(self) -> None: ...


def test_messages_go_to_references_and_promises_only(vat) -> None:
    """`self` counts as its reference."""
    with pytest.raises(TypeError, match="not to a int"):
        vat.run(lambda: send(5).x())

    @actor
    class SelfSender:
        def go(self):
            return send(self).there()

        def there(self):
            return ref_to(self)

    ref = vat.run(spawn, SelfSender)
    assert vat.take(vat.send(ref).go()) is ref


def test_near_only_things_do_not_leave_the_vat(vat, away) -> None:
    """A message with one breaks when it turns out to go elsewhere, to a vat or a peer."""
    from goblins_py.actors import NearOnly

    class Tool(NearOnly):
        pass

    tool = Tool()
    near = vat.run(spawn, lambda *args, **kwargs: len(args) + len(kwargs))
    assert 2 == vat.take(vat.run(lambda: send(near)(tool, named=tool)))
    assert 2 == vat.run(lambda: near(tool, named=tool))
    far = away.run(spawn, Echo)
    remote = Ref(vat.vat, None, Peer())
    for target in (far, remote):
        with pytest.raises(NotPassableError, match="same vat"):
            vat.take(vat.run(lambda target=target: send(target).echo(tool)))
        with pytest.raises(NotPassableError, match="same vat"):
            vat.take(vat.run(lambda target=target: send(on(target)).echo(named=tool)))
    with pytest.raises(NotPassableError, match="near only"):
        vat.run(lambda: send(near)([tool]))
    with Log() as log:
        vat.run(lambda: send_only(far).echo(tool))
        vat.run(lambda: None)
    assert 1 == len(log.texts)
