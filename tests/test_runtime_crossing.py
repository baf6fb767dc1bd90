"""Both sides dial at once, or again: one session per peer lives, and whoever waited gets what it wanted."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from goblins_py import on_sever, open_vat, spawn, spawn_mycapn
from goblins_py.captp import Session
from netlayers import LoopbackNetwork, TcpTestingOnlyNetlayer, TcpTlsNetlayer
from runtime_kit import Greeter, Person, person

PATIENCE = 20
ROUNDS = 10


NETLAYERS = {
    "tcp-testing-only": lambda name: (TcpTestingOnlyNetlayer, name),
    "tcp-tls": lambda _: (TcpTlsNetlayer, "127.0.0.1"),
}


@attrs.define
class LocalPerson(Person):
    """Somebody with a netlayer over real sockets."""

    transport: str

    async def share(self, cls, *args):
        """See `Person`."""
        ref = await self.vat.run(spawn, cls, *args)
        return ref, await self.vat.send(self.mycapn).register(ref, self.transport)


@asynccontextmanager
async def local(name, transport):
    """Open somebody's vat, with real sockets."""
    async with open_vat(name) as vat:
        kind, *args = NETLAYERS[transport](name)
        yield LocalPerson(vat, await vat.run(lambda: spawn_mycapn(spawn(kind, *args))), name, transport)


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


@pytest.mark.parametrize("transport", NETLAYERS)
async def test_crossed_hellos_over_real_sockets(transport):
    """As they come: whoever wins, all wishes come true."""
    for _ in range(ROUNDS):
        with trio.fail_after(PATIENCE):
            async with local("alice", transport) as alice, local("bob", transport) as bob:
                alices, bobs = await shared(alice), await shared(bob)
                found = await both_enliven(alice, bob, alices, bobs)
                await they_talk_over_one_session(alice, bob, found)


async def test_one_dials_while_the_others_dial_is_on_its_way(autojump_clock):
    """At every moment of the other's dial and greeting."""
    for tenth in range(0, 50):
        network = LoopbackNetwork()
        with trio.fail_after(60):
            async with person("alice", network) as alice, person("bob", network) as bob:
                alices, bobs = await shared(alice), await shared(bob)
                network.set_delay("alice", "bob", 1.0)
                found = {}

                async def enliven(who, sturdyref, after, found=found):
                    await trio.sleep(after)
                    found[who.name] = await who.enliven(sturdyref)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(enliven, alice, bobs[0], 0)
                    nursery.start_soon(enliven, bob, alices[0], tenth / 10)
                assert (await alice.vat.send(found["alice"]).greet("x")).startswith("Hello")
                assert (await bob.vat.send(found["bob"]).greet("x")).startswith("Hello")
                sessions = {session_of(each).session_id for each in found.values()}
                assert len(sessions) == 1, tenth
