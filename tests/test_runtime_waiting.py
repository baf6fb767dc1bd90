"""Waiting for promises outside of vats: who waits in vain, who need not wait, and who else gets a turn."""

import threading

import pytest
import trio

from goblins_py import Refusal, actor, open_vat, spawn


@actor
class Echo:
    """Gives back what it gets, or refuses."""

    def echo(self, value):
        return value

    def refuse(self):
        raise Refusal("no")


async def test_a_settled_promise_is_there_at_once_and_again():
    """Fulfilled or broken, as often as one looks."""
    async with open_vat() as vat:
        echo = await vat.run(spawn, Echo)
        good, bad = vat.send(echo).echo(5), vat.send(echo).refuse()
        for _ in range(3):
            assert 5 == await good
            with pytest.raises(Refusal, match="no"):
                await bad


async def test_others_get_their_turn_from_who_waits_for_nothing():
    """A task that awaits what has settled, for ever, does not keep the others away."""
    async with open_vat() as vat:
        echo = await vat.run(spawn, Echo)
        settled = vat.send(echo).echo(5)
        await settled
        seen = []

        async def greedy():
            while True:
                await settled
                seen.append(1)

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(greedy)
                for _ in range(3):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        assert 1 <= len(seen) <= 1000


async def test_cancellation_is_noticed_where_nothing_is_waited_for():
    """As at any checkpoint."""
    async with open_vat() as vat:
        echo = await vat.run(spawn, Echo)
        settled = vat.send(echo).echo(5)
        await settled
        with trio.CancelScope() as scope:
            scope.cancel()
            await settled
        assert scope.cancelled_caught


async def test_a_task_of_another_thread_and_another_run_waits_as_well():
    """It is woken in its own run, whether the promise settles before or after."""
    async with open_vat() as vat:
        echo = await vat.run(spawn, Echo)
        settled = vat.send(echo).echo(1)
        await settled
        found = []

        async def elsewhere():
            found.append(await settled)
            found.append(await vat.send(echo).echo(2))

        thread = threading.Thread(target=trio.run, args=(elsewhere,))
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        assert [1, 2] == found


async def test_what_was_sent_without_waiting_happens_all_the_same():
    """Nobody waits for a promise: the vat's loop is woken for what was sent."""
    async with open_vat() as vat:
        heard = []

        @actor
        class Ear:
            def hear(self, word):
                heard.append(word)

        ear = await vat.run(spawn, Ear)
        for word in range(3):
            vat.send(ear).hear(word)
            await trio.testing.wait_all_tasks_blocked()
            assert word == heard[-1]
