"""prelay: two people who only dial out talk through relays. Over the network in memory."""

import pytest

from goblins_py import spawn, spawn_mycapn
from goblins_py.testing import check_netlayer
from netlayers import LoopbackNetwork, PrelayNetlayer, fetch_and_spawn_prelay_netlayer
from prelay_kit import alice_and_bob_behind_a_relay, loopback, relay
from runtime_kit import Greeter


@pytest.mark.parametrize("relays", [1, 2])
async def test_two_clients_call_each_other(relays, autojump_clock):
    """Both ways, on one relay and on two."""
    async with alice_and_bob_behind_a_relay(relays) as (alice, bob, _, _):
        _, of_alice = await alice.share(Greeter, "Alice")
        _, of_bob = await bob.share(Greeter, "Bob")
        assert "prelay" == of_alice.peer.transport
        greeter = await bob.enliven(of_alice)
        assert (await bob.vat.send(greeter).greet("Bob")).startswith("Hello Bob, I am Alice")
        greeter = await alice.enliven(of_bob)
        assert (await alice.vat.send(greeter).greet("Alice")).startswith("Hello Alice, I am Bob")


async def test_the_netlayer_keeps_the_contract_of_netlayers(autojump_clock):
    """The conformance suite: a listener behind a relay, and a dialler behind another one."""
    network = LoopbackNetwork()
    async with relay(network) as ours, relay(network, "other-relay") as theirs:
        accounts = [await ours.account("alice"), await theirs.account("bob")]

        def make_netlayer():
            mycapn = spawn_mycapn(loopback(f"peer-{len(accounts)}", network))
            return fetch_and_spawn_prelay_netlayer(accounts.pop(), mycapn=mycapn)

        await check_netlayer(make_netlayer)


async def test_a_dialler_without_an_account_keeps_the_contract(autojump_clock):
    """It knocks at the endpoint itself."""
    network = LoopbackNetwork()
    async with relay(network) as there:
        account = await there.account("alice")

        def make_netlayer():
            mycapn = spawn_mycapn(loopback("listener", network))
            return fetch_and_spawn_prelay_netlayer(account, mycapn=mycapn)

        def make_dialler():
            return spawn(PrelayNetlayer, spawn_mycapn(loopback("dialler", network)))

        await check_netlayer(make_netlayer, make_dialler=make_dialler)
