"""prelay: two people who only dial out talk through relays. Over the network in memory."""

from contextlib import AsyncExitStack

import pytest
import trio

from goblins_py import PeerLocator, Sturdyref, actor, open_vat, parse_uri, send, spawn, spawn_mycapn
from goblins_py.abc import Asker
from goblins_py.errors import ConnectFailedError
from goblins_py.relay import RELAY_LIMITS, spawn_relay
from goblins_py.testing import check_netlayer
from netlayers import (
    LoopbackNetwork,
    PrelayNetlayer,
    TcpTlsNetlayer,
    fetch_and_spawn_prelay_netlayer,
    prelay_endpoint,
    prelay_locator,
)
from prelay_kit import alice_and_bob_behind_a_relay, client, loopback, relay
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


@pytest.mark.parametrize("relays", [1, 2])
async def test_introductions_work_between_prelay_and_other_netlayers(relays, autojump_clock):
    """Bob introduces a peer of each transport to one of the other; the two go on when he has left."""
    async with alice_and_bob_behind_a_relay(relays) as (alice, bob, _, network):
        async with client("carol", network) as carol:
            ours, of_alice = await alice.share(Holder)
            theirs = await carol.vat.run(spawn, Holder)
            of_carol = await carol.vat.send(carol.mycapn).register(theirs, "loopback")
            by_bob = await bob.enliven(of_alice), await bob.enliven(of_carol)
            await bob.vat.send(by_bob[0]).hold(by_bob[1])
            await bob.vat.send(by_bob[1]).hold(by_bob[0])
            for who, holder in ((alice, ours), (carol, theirs)):
                assert "here" == await who.vat.send(holder).poke()
            network.drop("bob", "relay")
            network.drop("bob", "other-relay")
            network.drop("bob", "carol")
            network.drop("bob", "alice")
            for who, holder in ((alice, ours), (carol, theirs)):
                assert "here" == await who.vat.send(holder).poke()


@actor
class Holder:
    """Holds a reference, and says where it is."""

    held: object = None

    def hold(self, ref):
        """Keep it."""
        self.held = ref

    def poke(self):
        """What the held one says."""
        return send(self.held).where()

    def where(self):
        """Here."""
        return "here"


def test_a_designator_is_what_goblins_writes():
    """Vectors of Guile Goblins: short and as long as over tcp-tls; and back."""
    base = parse_uri("ocapn://abc.tcp-tls/s/AQEB?host=h&port=1")
    assert "ocapn://lmzseylcmm3so5ddoawxi3dtgm5acaiblu.prelay?host=h&port=1" == prelay_locator(base).uri
    assert prelay_endpoint(prelay_locator(base)) == base
    long = Sturdyref(
        PeerLocator("tcp-tls", "ssrmwc3afq3gujbsm3olvdi6jkvbfnazqhrpukl4yxfiiyrsh6nq"), bytes(32)
    )
    designator = prelay_locator(long).designator
    assert 162 == len(designator)
    assert designator.endswith("dtgmzdu" + 51 * "a" + "lu")
    assert prelay_endpoint(prelay_locator(long)) == long


@pytest.mark.parametrize("designator", ["a" * 52, "lm", "no base32!", "lu", "A" * 16])
def test_a_designator_that_is_none_is_refused(designator):
    """In words, without repeating it."""
    with pytest.raises(ConnectFailedError) as caught:
        prelay_endpoint(PeerLocator("prelay", designator))
    assert designator not in str(caught.value)


async def test_introductions_work_between_prelay_and_tcp_tls():
    """A client of a relay gets an object of a tcp-tls peer's, and the reverse.

    Nobody knows where a peer over prelay is, so it may not make us dial loopback unless we say so.
    """
    async with AsyncExitStack() as stack:
        vats = {
            name: await stack.enter_async_context(open_vat(name))
            for name in ("relay", "alice", "bob", "carol")
        }
        admin = await vats["relay"].run(
            lambda: spawn_relay(spawn_mycapn(tcp_tls(), limits=RELAY_LIMITS), "tcp-tls")
        )
        account = await vats["relay"].send(admin).add_account("alice")

        def behind_the_relay():
            mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, listen=False), may_dial=lambda *_: True)
            mycapn.install_netlayer(fetch_and_spawn_prelay_netlayer(account, mycapn=mycapn))
            return mycapn

        def dialling_prelay_too():
            mycapn = spawn_mycapn(tcp_tls())
            mycapn.install_netlayer(spawn(PrelayNetlayer, mycapn))
            return mycapn

        capns = {"alice": await vats["alice"].run(behind_the_relay)}
        for name in ("bob", "carol"):
            capns[name] = await vats[name].run(dialling_prelay_too)
        ours, theirs = await vats["alice"].run(spawn, Holder), await vats["carol"].run(spawn, Holder)
        of_alice = await vats["alice"].send(capns["alice"]).register(ours, "prelay")
        of_carol = await vats["carol"].send(capns["carol"]).register(theirs, "tcp-tls")
        with trio.fail_after(30):
            by_bob = [await vats["bob"].send(capns["bob"]).enliven(each) for each in (of_alice, of_carol)]
            await vats["bob"].send(by_bob[0]).hold(by_bob[1])
            await vats["bob"].send(by_bob[1]).hold(by_bob[0])
            assert "here" == await vats["alice"].send(ours).poke()
            assert "here" == await vats["carol"].send(theirs).poke()


def tcp_tls():
    """A listener on loopback; in a turn."""
    return spawn(TcpTlsNetlayer, "127.0.0.1")


async def test_a_peer_cannot_make_a_dialler_without_an_account_dial_anywhere():
    """The relay that it is to knock at is judged as what any peer asks us to dial."""
    async with open_vat() as vat:
        base = Sturdyref(PeerLocator("tcp-tls", "a" * 52, {"host": "127.0.0.1", "port": "1"}), bytes(32))
        mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))

        def dial(*asked_by):
            netlayer = spawn(PrelayNetlayer, mycapn)
            mycapn.install_netlayer(netlayer)
            return netlayer.connect_to(prelay_locator(base), *asked_by)

        with trio.fail_after(10), pytest.raises(ConnectFailedError) as caught:
            await (await vat.run(dial, Asker("session", None, "93.184.215.14")))
        assert any("loopback" in note for note in caught.value.__notes__)
