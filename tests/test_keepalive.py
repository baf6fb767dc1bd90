"""An idle peer is asked for a sign of life where the connection would not notice its loss."""

import pytest
import trio

from captp_kit import Stranger
from goblins_py import on_sever, open_vat, spawn, spawn_mycapn
from goblins_py.captp import SessionLimits
from goblins_py.captp._dialects import ENDO, GOBLINS, OURS
from goblins_py.captp._records import DescExport, OpDeliver, OpListen
from goblins_py.errors import SessionSeveredError
from goblins_py.syrup import Symbol
from netlayers import LoopbackNetlayer, LoopbackNetwork
from runtime_kit import Greeter, Person, alice_and_bob, person

IDLE = SessionLimits().idle


async def watch(who, ref):
    """A list that gets the time at which it is severed, and why."""
    severed = []
    await who.vat.run(on_sever, ref, lambda reason: severed.append((trio.current_time(), str(reason))))
    return severed


async def test_a_peer_that_fell_silent_is_severed(autojump_clock):
    """By both sides, after two to three times the limit, with a reason."""
    async with alice_and_bob() as (alice, bob, network):
        greeter, sturdyref = await alice.share(Greeter, "Alice")
        remote = await bob.enliven(sturdyref)
        severed = await watch(bob, remote)
        network.partition("alice", "bob")
        start = trio.current_time()
        promise = bob.vat.send(remote).greet("anybody")
        with pytest.raises(SessionSeveredError, match="said nothing"):
            await promise
        ((when, reason),) = severed
        assert 2 * IDLE <= when - start <= 3 * IDLE
        assert "said nothing for" in reason
        assert await alice.vat.send(greeter).count() == 0


async def test_a_peer_that_has_nothing_to_say_stays(autojump_clock):
    """It answers when it is asked, for as long as it likes."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        remote = await bob.enliven(sturdyref)
        severed = await watch(bob, remote)
        await trio.sleep(5 * IDLE)
        assert severed == []
        assert (await bob.vat.send(remote).greet("Bob")).endswith("number 1.")


async def test_the_limit_can_be_set_and_switched_off(autojump_clock):
    """0 is never."""
    for idle, expected in ((10.0, 1), (0.0, 0)):
        network = LoopbackNetwork()
        async with open_vat("bob") as vat, person("alice", network) as alice:

            def up(idle=idle, network=network):
                netlayer = spawn(LoopbackNetlayer, "bob")
                netlayer.attach(network)
                return spawn_mycapn(netlayer, limits=SessionLimits(idle=idle))

            bob = Person(vat, await vat.run(up), "bob")
            _, sturdyref = await alice.share(Greeter, "Alice")
            severed = await watch(bob, await bob.enliven(sturdyref))
            network.partition("alice", "bob")
            await trio.sleep(IDLE)
            assert len(severed) == expected


@pytest.mark.parametrize("dialect", [OURS, ENDO])
def test_the_question_is_for_an_object_that_nobody_has(dialect):
    """Any answer will do."""
    stranger = Stranger()
    stranger.us.session.references.recognise(dialect)
    stranger.us.session.ask_for_life()
    (operation,) = stranger.read()
    assert isinstance(operation, OpDeliver)
    assert operation.to == DescExport(0)
    verb, number = operation.args
    assert verb == Symbol("fetch")
    assert len(number) == 32


def test_goblins_is_asked_for_what_does_not_alarm_it():
    """It would print a backtrace; it listens to any object."""
    stranger = Stranger()
    stranger.us.session.references.recognise(GOBLINS)
    stranger.us.session.ask_for_life()
    (operation,) = stranger.read()
    assert isinstance(operation, OpListen)
    assert operation.to == DescExport(0)


@pytest.mark.parametrize("answer", ["fulfill", "break"])
def test_nothing_is_left_of_question_and_answer(answer):
    """Whatever it is."""
    stranger = Stranger()
    session = stranger.us.session
    before = stranger.us.counts
    session.ask_for_life()
    (operation,) = stranger.read()
    position = operation.resolve_me.position
    stranger.say(OpDeliver(DescExport(position), (Symbol(answer), "x"), False, False))
    stranger.say(b"<13'op:gc-exports[%d+][1+]>" % position)
    assert stranger.alive
    assert stranger.us.counts == before
