"""Vats in trio programs and in threads: run, send, wait, close."""

import threading

import pytest
import trio
import trio.testing

from goblins_py import (
    actor,
    make_promise,
    on,
    open_vat,
    send,
    spawn,
    spawn_vat,
    timeout,
)
from goblins_py.errors import ActorError, NoCurrentTurnError, VatClosedError
from runtime_kit import Greeter


async def test_run_returns_what_the_function_returns():
    """`run` is a turn, and gives back its result as it is."""
    async with open_vat() as vat:
        assert await vat.run(lambda: [1, 2]) == [1, 2]


async def test_run_raises_what_the_function_raises_and_undoes_it():
    """A failing turn leaves nothing behind."""
    async with open_vat() as vat:
        greeter = await vat.run(spawn, Greeter, "Alice")

        def greet_and_fail():
            greeter.greet("Bob")
            raise KeyError("no")

        with pytest.raises(KeyError):
            await vat.run(greet_and_fail)
        assert await vat.send(greeter).count() == 0


async def test_run_of_a_coroutine_function_waits_for_its_end():
    """Each stretch between awaits is a turn."""
    async with open_vat() as vat:
        greeter = await vat.run(spawn, Greeter, "Alice")

        async def twice():
            await send(greeter).greet("Bob")
            return await send(greeter).greet("Carol")

        assert (await vat.run(twice)).endswith("number 2.")


async def test_run_inside_a_turn_is_refused():
    """A turn cannot wait for another one."""
    async with open_vat() as vat:

        def nested():
            vat.run(lambda: None).send(None)

        with pytest.raises(ActorError, match="in a turn"):
            await vat.run(nested)


async def test_the_bodys_exception_leaves_the_vat_unwrapped():
    """No exception group comes between a program and its own error."""
    with pytest.raises(ZeroDivisionError):
        async with open_vat():
            raise ZeroDivisionError


async def test_the_bodys_exception_group_leaves_the_vat_as_it_is():
    """Only our own nurseries' groups are opened."""
    with pytest.raises(ExceptionGroup) as caught:
        async with open_vat():
            raise ExceptionGroup("mine", [ValueError("a")])
    assert caught.value.message == "mine"


async def test_cancelling_the_program_closes_the_vat():
    """Cancellation passes through the context manager, and the vat is closed after it."""
    with trio.CancelScope() as scope:
        async with open_vat() as vat:
            greeter = await vat.run(spawn, Greeter, "Alice")
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(VatClosedError):
        await vat.send(greeter).count()


async def test_a_promise_can_be_awaited_by_many_tasks():
    """Each gets the value."""
    results = []

    async def wait(promise):
        results.append(await promise)

    async with open_vat() as vat, trio.open_nursery() as nursery:
        promise, resolver = await vat.run(make_promise)
        for _ in range(3):
            nursery.start_soon(wait, promise)
        await trio.testing.wait_all_tasks_blocked()
        vat.send(resolver).fulfill("news")
    assert results == ["news"] * 3


async def test_cancelling_a_wait_leaves_the_message_alone():
    """The waiter goes, the promise goes on."""
    async with open_vat() as vat:
        promise, resolver = await vat.run(make_promise)
        with trio.move_on_after(0.01) as scope:
            await promise
        assert scope.cancelled_caught
        vat.send(resolver).fulfill(7)
        assert await promise == 7


async def test_a_settled_promise_is_still_a_checkpoint():
    """Awaiting never starves other tasks, and a cancelled scope is noticed."""
    async with open_vat() as vat:
        promise = await vat.run(lambda: on(5))
        await promise
        with trio.CancelScope() as scope:
            scope.cancel()
            await promise
        assert scope.cancelled_caught


async def test_closing_a_vat_breaks_what_others_wait_for():
    """A promise of a closed vat is broken for whoever waits outside."""
    errors = []

    async def wait(promise):
        try:
            await promise
        except VatClosedError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        async with open_vat() as vat:
            promise, _resolver = await vat.run(make_promise)
            nursery.start_soon(wait, promise)
            await trio.testing.wait_all_tasks_blocked()
    assert len(errors) == 1


async def test_far_references_between_two_vats_need_no_captp():
    """Two vats of one process send to each other's objects, and answers come back."""
    async with open_vat("a") as here, open_vat("b") as there:
        greeter = await there.run(spawn, Greeter, "Alice")
        assert (await (await here.run(lambda: send(greeter).greet("Bob")))).startswith("Hello Bob")

        async def in_a_method():
            return await send(greeter).call_twice(spawn(lambda number: number * 10))

        assert await here.run(in_a_method) == (10, 20)


async def test_a_timeout_breaks_with_timeout_error(autojump_clock):
    """`timeout` uses the vat's clock."""
    async with open_vat() as vat:
        promise, _resolver = await vat.run(make_promise)
        late = await vat.run(lambda: timeout(promise, 60))
        with pytest.raises(TimeoutError, match="60 s"):
            await late


async def test_a_method_may_not_await_trio():
    """What only trio can wait for is thrown back, and the vat goes on."""

    @actor
    class Sleeper:
        async def sleep(self):
            await trio.sleep(1)

    async with open_vat() as vat:
        sleeper = await vat.run(spawn, Sleeper)
        with pytest.raises(ActorError, match="only promises"):
            await vat.send(sleeper).sleep()
        assert await vat.run(lambda: 1) == 1


async def test_a_scope_left_open_across_an_await_is_thrown_back():
    """A cancel scope must not leak into the vat's own task."""

    @actor
    class Scoper:
        async def scope(self, promise):
            with trio.CancelScope():
                await promise

    async with open_vat() as vat:
        scoper = await vat.run(spawn, Scoper)
        promise, _resolver = await vat.run(make_promise)
        with pytest.raises(ActorError, match="scope"):
            await vat.send(scoper).scope(promise)
        assert await vat.run(lambda: 1) == 1


async def test_io_start_runs_trio_code_and_promises_its_result():
    """I/O is a capability; its tasks come back by promise."""
    async with open_vat() as vat:

        async def work(factor):
            await trio.sleep(0.001)
            return factor * 2

        assert await (await vat.run(vat.io.start, work, 21)) == 42


async def test_io_tasks_end_with_the_vat():
    """No task outlives the vat that started it."""
    ended = []

    async def work():
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    async with open_vat() as vat:
        await vat.run(vat.io.start, work)
        await trio.testing.wait_all_tasks_blocked()
    assert ended == [True]


def test_a_vat_in_the_background_serves_plain_code():
    """run, send and wait work without an event loop of one's own."""
    with spawn_vat("thread") as vat:
        greeter = vat.run(spawn, Greeter, "Alice")
        assert vat.send(greeter).greet("Bob").wait(5).startswith("Hello Bob")
        with pytest.raises(ValueError, match="internal"):
            vat.send(greeter).fail().wait(5)


def test_a_blocking_wait_times_out():
    """The promise goes on all the same."""
    with spawn_vat() as vat:
        promise, resolver = vat.run(make_promise)
        with pytest.raises(TimeoutError):
            promise.wait(0.01)
        vat.send(resolver).fulfill(1)
        assert promise.wait(5) == 1


def test_blocking_inside_a_turn_is_refused():
    """It would wait for itself."""
    with spawn_vat() as vat:
        promise, _resolver = vat.run(make_promise)
        with pytest.raises(ActorError):
            vat.run(promise.wait, 1)
        with pytest.raises(ActorError):
            vat.run(vat.run, lambda: None)


def test_a_closed_vat_refuses_work():
    """And closing twice is fine."""
    vat = spawn_vat()
    greeter = vat.run(spawn, Greeter, "Alice")
    vat.close()
    vat.close()
    with pytest.raises(VatClosedError):
        vat.run(lambda: 1)
    with pytest.raises(VatClosedError):
        vat.send(greeter).count().wait(5)


def test_many_threads_may_send_to_one_vat():
    """Other threads post to the inbox; turns stay one after the other."""
    with spawn_vat() as vat:
        greeter = vat.run(spawn, Greeter, "Alice")

        def blast():
            for _ in range(100):
                vat.send(greeter).greet("Bob").wait(10)

        threads = [threading.Thread(target=blast) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert vat.send(greeter).count().wait(5) == 400


def test_two_background_vats_talk():
    """Far references work between them, whichever thread they are in."""
    with spawn_vat("a") as here, spawn_vat("b") as there:
        greeter = there.run(spawn, Greeter, "Alice")
        promise = here.run(lambda: send(greeter).greet("Bob"))
        assert promise.wait(5).startswith("Hello Bob")


def test_spawn_outside_of_a_turn_is_refused():
    """Objects are made in turns."""
    with pytest.raises(NoCurrentTurnError):
        spawn(Greeter, "Alice")
