"""Vats: churns, far references, threads, ends; and that a message leaves nothing behind."""

import gc
import threading
import time
import tracemalloc

import pytest

from goblins_py.actors import (
    Fulfilled,
    Message,
    Promise,
    Vat,
    actor,
    listen_outside,
    make_promise,
    on,
    run_outside,
    send,
    send_only,
    spawn,
)
from goblins_py.actors._portrait import Delta
from goblins_py.actors._vat import Keeper
from goblins_py.errors import ActorError, VatClosedError
from goblins_py.testing import SyncVats
from vat_kit import Log


@actor
class Counter:
    count: int = 0

    def add(self) -> int:
        self.count += 1
        return self.count

    def get(self) -> int:
        return self.count

    def ping(self, other, times: int):
        self.count += 1
        if times:
            send_only(other).ping(self, times - 1)


@pytest.fixture
def vats():
    return SyncVats()


def test_nothing_leaves_the_vat_before_the_churn_has_ended(vats) -> None:
    """Near messages come first, however many."""
    home, away = vats.open("home"), vats.open("away")
    order = []
    far = away.run(spawn, order.append)

    def count_down(times: int) -> None:
        order.append(times)
        if times:
            send_only(near)(times - 1)

    near = home.run(spawn, count_down)
    home.run(lambda: (send_only(far)("far"), send_only(near)(2)))
    assert [2, 1, 0, "far"] == order


def test_a_long_churn_is_cut_so_that_others_can_run(vats) -> None:
    """What it has done so far may leave; the rest goes on from there."""
    home, away = vats.open("home"), vats.open("away")
    counter, far = home.run(spawn, Counter), away.run(spawn, Counter)
    outcomes = []
    run_outside(
        home.vat,
        lambda: [send(counter).add() for _ in range(5)] and send_only(far).add(),
        (),
        outcomes.append,
    )
    churn = home.vat.run(3)
    assert 2 == counter._behaviour.count
    for outgoing in churn.outbox:
        outgoing.release()
    assert [Fulfilled] == [type(outcome) for outcome in outcomes]
    assert home.vat.busy
    vats.settle()
    assert (5, 1) == (home.run(counter.get), away.run(far.get))


class Recorder(Keeper):
    def __init__(self) -> None:
        self.taken = 0

    def check(self, turn) -> None: ...

    def take_delta(self):
        self.taken += 1
        return Delta()


def test_a_churn_of_a_persistent_vat_is_saved_whole(vats) -> None:
    """Cut in the middle, nothing of it is given out."""
    home = vats.open("home")
    home.keep(Recorder())
    counter = home.run(spawn, Counter)
    home.vat.keeper.taken = 0
    run_outside(home.vat, lambda: [send(counter).add() for _ in range(5)] and None, (), lambda outcome: None)
    assert home.vat.run(3) is None
    assert 0 == home.vat.keeper.taken
    assert home.vat.run(100) is not None
    assert 1 == home.vat.keeper.taken


def test_a_closing_vat_answers_what_others_sent_it(vats) -> None:
    """Messages in its inbox, at its promises, in its methods, on to its own objects: all are told."""
    home, away = vats.open("home"), vats.open("away")
    never, _ = away.run(make_promise)

    async def waits():
        await never

    slow, counter = away.run(lambda: (spawn(waits), spawn(Counter)))
    at_promise = home.run(lambda: send(never).anything())
    in_method = home.run(send(slow))
    listening = home.run(lambda: on(never))
    giver = away.run(spawn, lambda: never)
    follows = home.run(send(giver))
    queued = home.run(lambda: send(counter).get())
    in_inbox = Promise(home.vat)
    away.vat.post(Message(counter, (), None, in_inbox))
    away.close()
    for answer in (at_promise, in_method, listening, follows, in_inbox):
        with pytest.raises(VatClosedError):
            home.take(answer)
    assert 0 == home.take(queued)
    assert set() == away.vat.owed
    for late in (lambda: send(counter).get(), lambda: on(never), lambda: send(never).x()):
        with pytest.raises(VatClosedError):
            home.take(home.run(late))
    with pytest.raises(VatClosedError):
        away.take(never)
    away.close()


def test_a_closing_vat_answers_what_stood_in_its_queue(vats) -> None:
    """A churn that was cut, and never went on."""
    home, away = vats.open("home"), vats.open("away")
    counter = away.run(spawn, Counter)
    outcomes = []
    answer = Promise(home.vat)
    away.vat._begin_churn(Message(counter, (), None, answer))
    run_outside(away.vat, counter.get, (), outcomes.append)
    away.vat._begin_churn(away.vat._inbox.popleft())
    away.close()
    with pytest.raises(VatClosedError):
        home.take(answer)
    assert isinstance(outcomes[0].reason, VatClosedError)


def test_what_is_answered_is_owed_no_more(vats) -> None:
    """Answered here, or sent on to where it will be."""
    home, away, third = vats.open("home"), vats.open("away"), vats.open("third")
    counter = third.run(spawn, Counter)
    promise, resolver = away.run(make_promise)
    answers = [home.run(lambda: send(promise).add()) for _ in range(3)]
    assert 3 == len(away.vat.owed)
    away.run(lambda: resolver.fulfill(counter))
    assert [1, 2, 3] == [home.take(answer) for answer in answers]
    assert set() == away.vat.owed == third.vat.owed


def test_who_stops_waiting_is_forgotten(vats) -> None:
    """A waiter that left is not told, and nothing of it is kept."""
    vat = vats.open()
    promise, resolver = vat.run(make_promise)
    told = []
    leave = listen_outside(promise, told.append)
    vats.settle()
    assert 1 == len(vat.vat.outsiders)
    leave()
    vat.run(lambda: resolver.fulfill(1))
    leave()
    vats.settle()
    assert [] == told
    assert set() == vat.vat.outsiders


def test_a_vat_cannot_be_run_from_a_turn(vats) -> None:
    """It would not be one turn at a time."""
    vat = vats.open()
    with pytest.raises(ActorError, match="in a turn"):
        vat.run(lambda: vat.run(lambda: None))


class QuietHost:
    def wake(self) -> None: ...

    def scope_mark(self) -> None: ...


def test_other_threads_post_to_the_inbox() -> None:
    """Two vats on two threads, each running its own churns, and neither loses anything."""
    left, right = Vat(QuietHost(), "left"), Vat(QuietHost(), "right")
    stop = threading.Event()

    def loop(vat: Vat) -> None:
        while not stop.is_set():
            if not vat.busy:
                time.sleep(0.0005)
                continue
            for outgoing in vat.run(100).outbox:
                outgoing.release()

    threads = [threading.Thread(target=loop, args=(vat,)) for vat in (left, right)]
    for thread in threads:
        thread.start()
    try:
        a, b = Box(), Box()
        run_outside(left, spawn, (Counter,), a)
        run_outside(right, spawn, (Counter,), b)
        counter, other = a.get(), b.get()
        both = Box(), Box()
        run_outside(left, lambda: on(send(other).ping(counter, 500), lambda none: None), (), both[0])
        run_outside(right, lambda: [send(counter).add() for _ in range(100)][-1], (), both[1])
        last = Box()
        listen_outside(both[1].get(), last)
        last.get()
        until = time.monotonic() + 10
        while counter._behaviour.count + other._behaviour.count < 601 and time.monotonic() < until:
            time.sleep(0.001)
        assert 601 == counter._behaviour.count + other._behaviour.count
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class Box:
    """Gets an outcome, in whatever thread."""

    def __init__(self) -> None:
        self._done = threading.Event()

    def __call__(self, outcome) -> None:
        self._outcome = outcome
        self._done.set()

    def get(self):
        assert self._done.wait(10)
        return self._outcome.value


def test_what_is_posted_while_the_vat_closes_is_refused() -> None:
    """The poster had seen it open, and the vat had emptied its inbox already."""
    told = []

    class ClosingHost(QuietHost):
        def wake(self) -> None:
            inbox, vat._inbox = vat._inbox, type(vat._inbox)()
            vat.close()
            vat._inbox = inbox

    vat = Vat(ClosingHost(), "closing")
    run_outside(vat, spawn, (Counter,), told.append)
    assert isinstance(told[0].reason, VatClosedError)


def test_ten_thousand_messages_leave_nothing(vats) -> None:
    """No objects and no memory, whatever they did: answer, fail, await, follow, cross vats."""
    home, away = vats.open("home"), vats.open("away")

    async def waits(promise):
        return await promise

    def fails() -> None:
        raise ValueError("fail")

    counter, far, waiter, failing = home.run(lambda: (spawn(Counter), None, spawn(waits), spawn(fails)))
    far = away.run(spawn, Counter)

    def turn() -> None:
        answer = send(counter).add()
        send(answer).nothing()
        on(answer, lambda value: send(far).add(), finally_=lambda: None)
        send(waiter)(answer)
        waiter(send(far).get())
        send_only(failing)()
        send(spawn(Counter)).ping(counter, 1)

    with Log() as log:
        home.run(turn)
        gc.collect()
        before = len(gc.get_objects())
        tracemalloc.start()
        for _ in range(400):
            home.run(turn)
        log.records.clear()
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        after = len(gc.get_objects())
    assert after - before < 50
    assert grown < 100_000
    for vat in (home.vat, away.vat):
        assert (set(), set(), set(), []) == (vat.suspended, vat.outsiders, vat.owed, vat.outbox)
