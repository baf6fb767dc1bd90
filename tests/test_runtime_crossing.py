"""Both sides dial at once, or again: one session per peer lives, and whoever waited gets what it wanted."""

from contextlib import asynccontextmanager

import pytest
import trio

from goblins_py import Sturdyref, on_sever, open_vat, spawn, spawn_mycapn
from goblins_py.captp import Session
from netlayers import LoopbackNetwork, TcpTestingOnlyNetlayer, TcpTlsNetlayer
from runtime_kit import Greeter, Person, person

PATIENCE = 20
ROUNDS = 10


class LocalPerson(Person):
    """Somebody with a netlayer over real sockets."""

    async def share(self, cls, *args):
        """See `Person`."""
        ref = await self.vat.run(spawn, cls, *args)
        name = await self.vat.run(lambda: self.netlayer_name)
        return ref, await self.vat.send(self.mycapn).register(ref, name)


def session_of(ref):
    assert isinstance(ref._connector, Session)
    return ref._connector


async def both_enliven(one, other, ones, others):
    """Each enlivens two objects of the other's, all at the same time; the references."""
    found = {}

    async def enliven(who, sturdyref, key):
        found[key] = await who.enliven(sturdyref)

    async with trio.open_nursery() as nursery:
        for number in range(2):
            nursery.start_soon(enliven, one, others[number], ("one", number))
            nursery.start_soon(enliven, other, ones[number], ("other", number))
    return found


async def shared(who):
    return [(await who.share(Greeter, f"{who.name} {number}"))[1] for number in range(2)]


async def they_talk_over_one_session(one, other, found):
    """Both ways, over the two ends of the same session."""
    assert session_of(found["one", 0]) is session_of(found["one", 1])
    assert session_of(found["other", 0]) is session_of(found["other", 1])
    for _ in range(2):
        assert (await one.vat.send(found["one", 1]).greet("x")).startswith("Hello")
        assert (await other.vat.send(found["other", 1]).greet("x")).startswith("Hello")
    assert session_of(found["one", 0]).session_id == session_of(found["other", 0]).session_id


@pytest.mark.parametrize("delay", [0.0, 0.01, 1.0])
async def test_crossed_hellos_over_loopback(delay, autojump_clock):
    """At the same moment, with any delay; all wishes come true over one session."""
    for _ in range(ROUNDS):
        network = LoopbackNetwork()
        with trio.fail_after(60):
            async with person("alice", network) as alice, person("bob", network) as bob:
                alices, bobs = await shared(alice), await shared(bob)
                network.set_delay("alice", "bob", delay)
                found = await both_enliven(alice, bob, alices, bobs)
                await they_talk_over_one_session(alice, bob, found)
