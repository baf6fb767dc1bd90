"""One suite of vats over all stores: what is saved, when it may be seen, and what a restart brings back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from goblins_py import (
    Map,
    PersistenceEnv,
    Sturdyref,
    actor,
    mycapn_env,
    open_persistent_vat,
    open_vat,
    send,
    spawn,
    spawn_mycapn,
    spawn_persistent_vat,
)
from goblins_py.abc import Store
from goblins_py.errors import NotPortrayableError, StoreLockedError
from netlayers import TcpTlsNetlayer, tcp_tls_env
from runtime_kit import Greeter
from store_kit import STORES


@actor
class Purse:
    """Coins, and the purses that it knows."""

    coins: int = 0
    others: tuple = ()
    where: Sturdyref | None = None

    def put(self, amount):
        """More coins; how many."""
        self.coins += amount
        return self.coins

    def know(self, other):
        """Hold another purse, or anything."""
        self.others = (*self.others, other)

    def forget(self):
        """Hold no other."""
        self.others = ()

    def give(self, amount, other):
        """Coins from here to another one of this vat, both or none."""
        if amount > self.coins:
            raise ValueError("too poor")
        self.coins -= amount
        other.put(amount)

    def give_later(self, amount, other):
        """The same by a message."""
        self.coins -= amount
        send(other).put(amount)

    def look(self):
        """All that it holds."""
        return self.coins, self.others


env = PersistenceEnv(Purse, Greeter, extends=[mycapn_env, tcp_tls_env])


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Makes stores on the same storage."""
    return STORES[request.param](tmp_path)


def purses(count: int = 2):
    return lambda: tuple(spawn(Purse, 10) for _ in range(count))


async def test_every_answer_that_was_given_is_true_after_a_restart(make_store) -> None:
    """State, over several lives."""
    total = 20
    for _ in range(4):
        async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, yours)):
            assert (await vat.send(mine).look())[0] + (await vat.send(yours).look())[0] == total
            await vat.send(mine).put(3)
            await vat.send(mine).give(2, yours)
            await vat.send(mine).give_later(1, yours)
            total += 3


async def test_any_value_and_the_graph_of_objects_come_back(make_store) -> None:
    """Maps, sets, bytes, sturdyrefs; objects that others hold; cycles."""
    sturdyref = Sturdyref.from_uri("ocapn://abc.tcp-tls/s/AQID?host=h&port=1")
    value = (b"\x00\xff", Map({"a": frozenset({1, "1"})}), 1.5, None, 10**40, sturdyref)
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, yours)):
        third = await vat.run(spawn, Purse, 3)
        for held in (value, mine, third, yours):
            await vat.send(mine).know(held)
        await vat.send(third).know(yours)
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, yours)):
        _, (found, itself, third, other) = await vat.send(mine).look()
        assert found == value
        assert (itself, other) == (mine, yours)
        assert await vat.send(third).look() == (3, (yours,))


async def test_what_no_root_reaches_is_gone(make_store) -> None:
    """An object that was let go of is not in the store."""
    store = make_store()
    async with open_persistent_vat(env, purses(), store) as (vat, (mine, _)):
        for _ in range(20):
            await vat.send(mine).know(await vat.run(spawn, Purse, 1))
        await vat.send(mine).forget()
    async with open_persistent_vat(env, purses(), store) as (vat, (mine, _)):
        assert await vat.send(mine).look() == (10, ())
    snapshot = await store.open()
    await store.aclose()
    assert len(snapshot.portraits) == 2


async def test_a_failed_turn_is_not_saved_and_nothing_is_half_done(make_store) -> None:
    """Neither a change before an error, nor a state that cannot be saved."""
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, yours)):
        with pytest.raises(ValueError, match="too poor"):
            await vat.send(mine).give(11, yours)
        with pytest.raises(NotPortrayableError):
            await vat.send(mine).know(await vat.run(spawn, print))
        await vat.send(mine).put(1)
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, yours)):
        assert await vat.send(mine).look() == (11, ())
        assert await vat.send(yours).look() == (10, ())


async def test_many_clients_at_once_are_all_kept(make_store) -> None:
    """Churns that share a commit: each counts once."""

    async def client(vat, purse) -> None:
        for _ in range(20):
            await vat.send(purse).put(1)

    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, yours)):
        async with trio.open_nursery() as nursery:
            for purse in (mine, yours) * 8:
                nursery.start_soon(client, vat, purse)
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, yours)):
        assert [(await vat.send(each).look())[0] for each in (mine, yours)] == [170, 170]


async def test_a_cancelled_vat_keeps_what_it_had_said(make_store) -> None:
    """Cancellation in the middle of the work closes the store soundly."""
    said = 0
    with trio.move_on_after(0.15):
        async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, _)):
            while True:
                said = await vat.send(mine).put(1)
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, _)):
        assert (await vat.send(mine).look())[0] >= said


async def test_a_settled_promise_is_kept(make_store) -> None:
    """With its value."""
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, _)):
        promise = vat.send(mine).look()
        await promise
        await vat.send(mine).know((promise,))
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, _)):
        _, ((kept,),) = await vat.send(mine).look()
        assert await kept == (10, ())


async def test_a_uri_works_after_a_restart(make_store) -> None:
    """Certificate, port and swiss number are state like any other."""

    def roots():
        return spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1")), spawn(Greeter, "Alice")

    uris = set()
    async with open_vat("bob") as bob:
        capn = await bob.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
        for number in (1, 2):
            async with open_persistent_vat(env, roots, make_store()) as (vat, (mycapn, greeter)):
                uris.add((await vat.send(mycapn).register(greeter, "tcp-tls")).uri)
                remote = await bob.send(capn).enliven(next(iter(uris)))
                assert (await bob.send(remote).greet("Bob")).endswith(f"number {number}.")
    assert len(uris) == 1


async def test_a_second_vat_is_refused(make_store) -> None:
    """One vat per store; the first goes on."""
    async with open_persistent_vat(env, purses(), make_store()) as (vat, (mine, _)):
        with pytest.raises(StoreLockedError):
            async with open_persistent_vat(env, purses(), make_store()):
                pass
        assert await vat.send(mine).put(1) == 11


def test_a_vat_in_the_background(make_store) -> None:
    """For plain programs: the store lives in another thread."""
    for expected in (11, 12):
        vat, (mine, _) = spawn_persistent_vat(env, purses(), make_store())
        with vat:
            assert vat.send(mine).put(1).wait(20) == expected
