"""prelay: what is over is gone, at both clients and at the relay, though the base sessions live on."""

import gc

import pytest
import trio

from goblins_py import on
from goblins_py.relay._leg import Leg
from netlayers import LoopbackNetwork
from netlayers._prelay_connection import PrelayConnection
from prelay_kit import client, relay
from runtime_kit import Greeter


def alive():
    """All connections and legs that there are, of this test or not."""
    return {each for each in gc.get_objects() if isinstance(each, PrelayConnection | Leg)}


async def dial(person, peer):
    """A connection to a peer, with no session on it."""
    got = []

    def ask():
        on(person.netlayer._behaviour.connect_to(peer), got.append, got.append)

    await person.vat.run(ask)
    while not got:
        await trio.sleep(0.01)
    return got.pop()


@pytest.mark.parametrize("has_account", [True, False])
@pytest.mark.parametrize("hangs_up", ["the dialler", "the one dialled"])
async def test_a_session_that_is_over_leaves_nothing_behind(has_account, hangs_up, autojump_clock):
    """Neither a connection nor a leg, and no watch of the base session for each, once timers have run out."""
    network = LoopbackNetwork()
    before = alive()
    async with relay(network) as there:
        accounts = [await there.account("alice"), await there.account("bob") if has_account else None]
        async with client("alice", network, accounts[0]) as alice, client("bob", network, accounts[1]) as bob:
            _, sturdyref = await alice.share(Greeter, "Alice")
            for _ in range(10):
                connection = await dial(bob, sturdyref.peer)
                if hangs_up == "the one dialled":
                    alice.netlayer._behaviour._connections.copy().pop().close()
                    await trio.sleep(1)
                connection.close()
            del connection
            for _ in range(6):
                await trio.sleep(20)
                gc.collect()
            assert set() == alive() - before
            for each in (alice, bob):
                assert set() == each.netlayer._behaviour._connections
            watches = bob.netlayer._behaviour._watches
            assert watches is None if has_account else [0] == [len(each) for each in watches._over.values()]
