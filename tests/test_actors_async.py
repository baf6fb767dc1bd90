"""`async def` methods: each stretch between two awaits is a turn of its own."""

import gc

import pytest

from goblins_py.actors import (
    Fulfilled,
    Resolve,
    actor,
    become,
    make_promise,
    on,
    ref_to,
    send,
    send_only,
    spawn,
    timeout,
)
from goblins_py.errors import ActorError, NotPassableError, VatClosedError
from goblins_py.testing import SyncVats
from vat_kit import Log


@actor
class Other:
    def get(self) -> str:
        return "other"


@actor
class Waiter:
    log: tuple = ()
    _become_first: bool = False

    def note(self, what) -> None:
        self.log = (*self.log, what)

    def get(self):
        return self.log

    async def wait(self, promise):
        self.note("before")
        try:
            value = await promise
        finally:
            self.note("finally")
        self.note(value)
        return value

    async def wait_and_fail(self, promise) -> None:
        self.note("kept")
        await promise
        self.note("lost")
        raise ValueError("after the await")

    async def fail_at_once(self) -> None:
        self.note("lost")
        raise ValueError("at once")

    async def no_wait(self):
        self.note("ran")
        return "at once"

    async def unpassable(self, promise):
        await promise
        return object()

    async def shift(self, promise) -> None:
        become(self, Other())
        await promise
        self.note("still this")

    async def await_anything(self, what) -> str:
        try:
            await {"int": Awkward(5), "none": Awkward(None)}[what]
        except ActorError as error:
            return str(error)

    async def stubborn(self, promise) -> None:
        try:
            await promise
        except GeneratorExit:
            await promise

    async def catches(self, promise):
        try:
            await promise
        except Exception as error:  # noqa: BLE001 - any
            self.note(type(error).__name__)
            return await on("caught")

    def call_and_fail(self, promise) -> None:
        ref_to(self).wait(promise)
        raise LookupError("the turn fails")

    async def become_in_finally(self, promise) -> None:
        try:
            await promise
        finally:
            become(self, Other())

    async def finally_sends(self, promise, target) -> None:
        try:
            await promise
        finally:
            send_only(target).note("sent while closing")
            self.note("changed while closing")
            send(self).wait(promise)


class Awkward:
    def __init__(self, yielded) -> None:
        self.yielded = yielded

    def __await__(self):
        yield self.yielded


@pytest.fixture
def vat():
    return SyncVats().open()


@pytest.fixture
def waiter(vat):
    return vat.run(spawn, Waiter)


@pytest.fixture
def pair(vat):
    return vat.run(make_promise)


def test_a_near_call_runs_the_first_stretch_and_returns_a_promise(vat, waiter, pair) -> None:
    """The rest runs when the promise has settled, in a later turn."""
    promise, resolver = pair
    answer = vat.run(lambda: waiter.wait(promise))
    assert ("before",) == vat.run(waiter.get)
    vat.run(lambda: resolver.fulfill(5))
    assert 5 == vat.take(answer)
    assert ("before", "finally", 5) == vat.run(waiter.get)


def test_a_method_that_never_waits_answers_all_the_same(vat, waiter) -> None:
    """Near and by send."""
    assert "at once" == vat.take(vat.run(waiter.no_wait))
    assert "at once" == vat.take(vat.send(waiter).no_wait())


def test_each_stretch_has_its_own_rollback(vat, waiter, pair) -> None:
    """What came before the await stays, what came after it is undone."""
    promise, resolver = pair
    answer = vat.send(waiter).wait_and_fail(promise)
    with Log() as log, pytest.raises(ValueError, match="after the await"):
        vat.run(lambda: resolver.fulfill(5))
        vat.take(answer)
    assert "Waiter.wait-and-fail" in log.texts[0]
    assert ("kept",) == vat.run(waiter.get)


def test_a_first_stretch_that_fails_is_undone(vat, waiter) -> None:
    """Called near it breaks its promise, and the caller goes on; the log has it once."""
    with Log() as log:
        answer = vat.run(waiter.fail_at_once)
        with pytest.raises(ValueError, match="at once"):
            vat.take(answer)
    assert 1 == len(log.texts)
    assert () == vat.run(waiter.get)


def test_a_promise_that_breaks_raises_at_the_await(vat, waiter, pair) -> None:
    """What is not caught breaks the answer, with the same reason, and is no failure of this method's."""
    promise, resolver = pair
    answer, caught = vat.run(lambda: (waiter.wait(promise), waiter.catches(promise)))
    error = ValueError("why")
    with Log() as log:
        vat.run(lambda: resolver.break_(error))
        with pytest.raises(ValueError, match="why") as raised:
            vat.take(answer)
        assert raised.value is error
        assert "caught" == vat.take(caught)
    assert [] == log.texts
    assert ("before", "ValueError") == vat.run(waiter.get)


def test_only_promises_can_be_awaited(vat, waiter) -> None:
    """Anything else is thrown back, and the method may go on."""
    for what in ("int", "none"):
        assert "only promises" in vat.take(vat.send(waiter).await_anything(what))


def test_an_open_scope_is_thrown_back(vat, waiter, pair, monkeypatch) -> None:
    """The host sees that one was opened and not closed before the await."""
    marks = iter([0, 1, 1, 1])
    monkeypatch.setattr(vat.vat.host, "scope_mark", lambda: next(marks, 0), raising=False)
    with Log(), pytest.raises(ActorError, match="scope or nursery"):
        vat.take(vat.send(waiter).wait(pair[0]))


def test_what_an_async_method_returns_crosses_the_border(vat, waiter) -> None:
    """What is no value breaks the answer."""
    with Log(), pytest.raises(NotPassableError):
        vat.take(vat.run(lambda: waiter.unpassable(on(1))))


def test_become_across_an_await_counts_when_the_method_returns(vat, waiter, pair) -> None:
    """Until then the object is what it was, to everybody."""
    promise, resolver = pair
    vat.run(lambda: waiter.shift(promise))
    assert () == vat.run(waiter.get)
    vat.run(lambda: resolver.fulfill(None))
    assert "other" == vat.run(waiter.get)


def test_a_method_whose_object_became_something_else_is_told(vat, waiter, pair) -> None:
    """It would change what is no state any more."""
    promise, resolver = pair
    answer = vat.run(lambda: waiter.wait(promise))
    first, its_resolver = vat.run(make_promise)
    vat.run(lambda: waiter.shift(first))
    vat.run(lambda: its_resolver.fulfill(None))
    vat.run(lambda: resolver.fulfill(5))
    with Log(), pytest.raises(ActorError, match="something else"):
        vat.take(answer)


def test_a_turn_that_fails_closes_the_methods_that_it_began(vat, waiter, pair) -> None:
    """Their `finally` blocks run, and what they do is undone with the rest."""
    promise, resolver = pair
    for method in (waiter.call_and_fail, lambda p: (waiter.finally_sends(p, waiter), 1 / 0)):
        with Log() as log, pytest.raises((LookupError, ZeroDivisionError)):
            vat.run(method, promise)
        assert [] == log.texts
    vat.run(lambda: resolver.fulfill(1))
    assert () == vat.run(waiter.get)
    assert set() == vat.vat.suspended


def test_a_closed_method_cannot_become(vat, waiter, pair) -> None:
    """Neither itself, nor, by mistake, the method that caught the failure."""
    promise, _ = pair

    @actor
    class Careful:
        def go(self, target) -> None:
            def inner() -> None:
                target.become_in_finally(promise)
                raise LookupError

            try:
                spawn(inner)()
            except LookupError:
                pass

    with Log() as log:
        vat.run(lambda: spawn(Careful).go(waiter))
    assert "only on self" in log.texts[0]
    assert () == vat.run(waiter.get)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_method_that_will_not_close_is_logged(vat, waiter, pair) -> None:
    """It is given up all the same."""
    promise, _ = pair

    def turn() -> None:
        waiter.stubborn(promise)
        raise LookupError

    with Log() as log, pytest.raises(LookupError):
        vat.run(turn)
    assert "stubborn failed while it was being closed" in log.texts[0]
    gc.collect()


def test_closing_the_vat_tells_suspended_methods(vat, waiter, pair) -> None:
    """In a last turn whose effects are dropped; they may not go on waiting."""
    promise, _ = pair
    answers = [vat.send(waiter).wait(promise), vat.send(waiter).catches(promise)]
    vat.run(lambda: None)
    behaviour = waiter._behaviour
    with Log() as log:
        vat.close()
        for answer in answers:
            with pytest.raises(VatClosedError):
                vat.take(answer)
    assert [] == log.texts
    assert ("before",) == behaviour.log
    assert set() == vat.vat.suspended


def test_a_method_that_fails_when_the_vat_closes_is_logged(vat, pair) -> None:
    """And the other ones get their last turn."""
    promise, _ = pair
    ended = []

    async def fails() -> None:
        try:
            await promise
        finally:
            ended.append(1)
            raise KeyError("in the end")

    vat.run(lambda: [spawn(fails)() for _ in range(2)])
    with Log() as log:
        vat.close()
    assert [1, 1] == ended
    assert 2 == len(log.texts)


def test_closing_the_vat_tells_methods_that_were_about_to_go_on(vat, pair) -> None:
    """Their promise had settled, and their turn had not come."""
    promise, _ = pair
    heard = []

    async def waits() -> None:
        try:
            await promise
        except VatClosedError:
            heard.append("closed")

    vat.run(lambda: spawn(waits)() and None)
    vat.vat._begin_churn(Resolve(promise, Fulfilled(1)))
    vat.close()
    assert ["closed"] == heard


def test_a_function_run_from_outside_may_await(vat, pair) -> None:
    """Its promise is the result, as it is; without an await the result itself."""
    promise, resolver = pair

    async def waits():
        await promise
        return ["a list, for code outside"]

    async def at_once():
        return ["a list"]

    answer = vat.run(waits)
    vat.run(lambda: resolver.fulfill(1))
    assert ["a list, for code outside"] == vat.take(answer)
    assert ["a list"] == vat.run(at_once)


def test_a_timeout_can_be_awaited(vat, pair) -> None:
    """Instead of a cancel scope."""

    async def waits() -> str:
        try:
            return await timeout(pair[0], 5)
        except TimeoutError:
            return "too long"

    answer = vat.run(waits)
    vat._vats.advance(6)
    assert "too long" == vat.take(answer)


def test_an_async_handler_may_await(vat, pair) -> None:
    """Its promise is that of its end."""
    promise, resolver = pair

    async def handler(value):
        return value + await promise

    answer = vat.run(lambda: on(1, handler))
    vat.run(lambda: resolver.fulfill(2))
    assert 3 == vat.take(answer)


def test_a_method_may_await_a_promise_of_another_vat() -> None:
    """It is resumed at home; if that vat closes, with VatClosedError."""
    vats = SyncVats()
    home, away = vats.open("home"), vats.open("away")
    promise, resolver = away.run(make_promise)
    never, _ = away.run(make_promise)
    waiter = home.run(spawn, Waiter)
    answer, other = home.send(waiter).wait(promise), home.send(waiter).wait(never)
    vats.settle()
    away.run(lambda: resolver.fulfill(5))
    assert 5 == home.take(answer)
    away.close()
    with pytest.raises(VatClosedError):
        home.take(other)
