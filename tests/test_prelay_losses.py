"""prelay when something goes away: a client, a relay, the way between two relays, or only the answers."""

from itertools import pairwise

import pytest
import trio

from goblins_py import on_sever, spawn
from goblins_py.errors import ConnectFailedError, RemoteError, SessionSeveredError
from netlayers import LoopbackNetwork
from netlayers._prelay_relay import backoff
from persistence import MemoryStore
from prelay_kit import alice_and_bob_behind_a_relay, client, persistent_client, relay
from runtime_kit import Greeter, until


async def watch(person):
    """An object that `person` watches references with: why their sessions have ended; its sturdyref."""
    reasons = []
    watcher = await person.vat.run(spawn, lambda ref: on_sever(ref, reasons.append))
    return reasons, await person.vat.send(person.mycapn).register(watcher, "prelay")


async def reach(person, sturdyref, tries=60):
    """The object, once it can be reached again."""
    for _ in range(tries):
        try:
            return await person.enliven(sturdyref)
        except (ConnectFailedError, SessionSeveredError, RemoteError):
            await trio.sleep(1)
    raise AssertionError("it stayed unreachable")


WAYS = {
    "the dialler loses its relay": ("bob", "other-relay"),
    "the dialled one loses its relay": ("alice", "relay"),
    "the relays lose each other": ("relay", "other-relay"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_both_sides_hear_at_once_why_a_path_was_lost(way, autojump_clock):
    """No waiting for a time-out, and a reason on both sides, whoever has lost what."""
    async with alice_and_bob_behind_a_relay(2) as (alice, bob, _, network):
        of_alice, sturdyref = await watch(alice)
        watcher = await bob.enliven(sturdyref)
        of_bob = []
        friend = await bob.vat.run(spawn, Greeter, "Bob")
        await bob.vat.send(watcher)(friend)
        await bob.vat.run(lambda: on_sever(watcher, of_bob.append))
        begun = trio.current_time()
        network.drop(*way)
        await until(lambda: of_alice and of_bob)
        assert trio.current_time() - begun < 0.1
        assert ["lost" in reason for reason in (*of_alice, *of_bob)] == [True, True]


async def test_calls_under_way_break_and_later_ones_find_the_way_again(autojump_clock):
    """Both clients are registered again by themselves; the URI is the same."""
    async with alice_and_bob_behind_a_relay() as (alice, bob, _, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        network.drop("alice", "relay")
        with pytest.raises(SessionSeveredError, match="lost"):
            await bob.vat.send(greeter).greet("Bob")
        again = await reach(bob, sturdyref)
        assert "number 1" in await bob.vat.send(again).greet("Bob")


async def test_a_relay_that_restarts_finds_its_clients_again(autojump_clock):
    """Accounts, used-flags and designators are in its store; clients come back, varied by chance."""
    network, store = LoopbackNetwork(), MemoryStore()
    async with relay(network, store=store) as there:
        account = await there.account("alice")
    async with client("bob", network) as bob, client("alice", network, account) as alice:
        await trio.sleep(20)  # and redeems the account once there is somebody to ask
        async with relay(network, store=store) as there:
            _, sturdyref = await alice.share(Greeter, "Alice")
            assert "number 1" in await bob.vat.send(await reach(bob, sturdyref)).greet("Bob")
            assert (await there.statistics("alice"))["used"]
        await trio.sleep(20)
        async with relay(network, store=store) as there:
            assert "number 2" in await bob.vat.send(await reach(bob, sturdyref)).greet("Bob")
            assert (await there.statistics("alice"))["used"]
            with pytest.raises(RemoteError, match="Already setup"):
                await bob.vat.send(await bob.enliven(account))()


async def test_a_client_that_restarts_is_reachable_at_the_same_uri(autojump_clock):
    """Endpoint and controller are its state; the account is not needed again."""
    network, store = LoopbackNetwork(), MemoryStore()
    async with relay(network) as there, client("bob", network) as bob:
        account = await there.account("alice")
        async with persistent_client("alice", network, account, store) as (_, sturdyref):
            assert "number 1" in await bob.vat.send(await bob.enliven(sturdyref)).greet("Bob")
        async with persistent_client("alice", network, account, store) as (_, again):
            assert again == sturdyref
            assert again.swiss_num == sturdyref.swiss_num
            assert "number 2" in await bob.vat.send(await reach(bob, sturdyref)).greet("Bob")


async def test_an_account_redeemed_but_never_used_gives_the_same_pair(autojump_clock):
    """A client that crashed before it had saved its pair asks again; once it has listened, nobody can."""
    network = LoopbackNetwork()
    async with relay(network) as there, client("bob", network) as bob:
        account = await there.account("alice")
        pairs = [await bob.vat.send(await bob.enliven(account))() for _ in range(2)]
        assert pairs[0] == pairs[1]
        async with client("alice", network, account) as alice:
            await until_registered(alice)
            with pytest.raises(RemoteError, match="Already setup"):
                await bob.vat.send(await bob.enliven(account))()


async def until_registered(person):
    with trio.fail_after(200):
        while not await person.is_registered():
            await trio.sleep(0.1)


@pytest.mark.parametrize("way", [("alice", "relay"), ("relay", "other-relay")])
async def test_a_half_open_path_is_found_by_asking_for_a_sign_of_life(way, autojump_clock):
    """Nothing arrives any more and nobody says so: the session severs after minutes of silence."""
    async with alice_and_bob_behind_a_relay(2) as (alice, bob, _, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        reasons = []
        await bob.vat.run(lambda: on_sever(greeter, reasons.append))
        begun = trio.current_time()
        network.partition(*way)
        await until(lambda: reasons, seconds=400)
        assert "said nothing for" in reasons[0]
        assert 60 < trio.current_time() - begun <= 361


async def test_an_idle_session_with_a_living_peer_goes_on(autojump_clock):
    """A sign of life is asked for and given, again and again."""
    async with alice_and_bob_behind_a_relay(2) as (alice, bob, _, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        await trio.sleep(600)
        assert "number 1" in await bob.vat.send(greeter).greet("Bob")


async def test_a_client_whose_relay_is_away_says_so_to_who_dials(autojump_clock):
    """A typed error with the reason in a note, after half a minute."""
    network = LoopbackNetwork()
    async with relay(network) as there, client("carol", network, await there.account("carol")) as carol:
        account = await there.account("alice")
        _, sturdyref = await carol.share(Greeter, "Carol")
        async with client("alice", network, account) as alice:
            await until_registered(alice)
            network.drop("alice", "relay")
            network.partition("alice", "relay")
            with pytest.raises(ConnectFailedError) as caught:
                await alice.enliven(sturdyref)
            assert any("relay" in note for note in caught.value.__notes__)


async def test_a_peer_that_is_not_there_is_said_to_be_away(autojump_clock):
    """The relay answers for a client that is offline, instead of letting the dialler wait for ever."""
    network = LoopbackNetwork()
    async with relay(network) as there, client("bob", network) as bob:
        async with client("alice", network, await there.account("alice")) as alice:
            _, sturdyref = await alice.share(Greeter, "Alice")
            await until_registered(alice)
        with pytest.raises(ConnectFailedError) as caught:
            await bob.enliven(sturdyref)
        assert ["the peer does not answer"] == caught.value.__notes__
        desk = next(iter(there.admin._behaviour._accounts.values()))[0]._behaviour
        assert {} == desk._waiting
        assert set() == desk._legs


def test_waits_double_up_to_a_minute_and_are_varied_by_chance():
    """From a quarter of a second; half of each wait is chance, so that not all clients come at once."""
    waits = [backoff(attempt, 1.0) for attempt in range(12)]
    assert [0.5, 1.0, 2.0] == waits[:3]
    assert all(later == min(60, 2 * earlier) for earlier, later in pairwise(waits))
    assert 60 == backoff(10**6, 1.0)
    assert [wait / 2 for wait in waits] == [backoff(attempt, 0.0) for attempt in range(12)]
