"""Two vats over a netlayer in memory: register, enliven, call, sever, reconnect."""

import logging

import pytest
import trio
import trio.testing

from goblins_py import Map, PeerLocator, Sturdyref, on_sever, open_vat, send, spawn, spawn_mycapn
from goblins_py.errors import (
    ConnectFailedError,
    LocatorError,
    NetlayerError,
    RemoteError,
    SessionSeveredError,
    UnknownSwissNumError,
    UnknownTransportError,
)
from netlayers import LoopbackNetlayer, LoopbackNetwork
from runtime_kit import Greeter, alice_and_bob, person, until


async def test_an_enlivened_object_answers():
    """The whole way: spawn, register, enliven, call."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        assert await bob.vat.send(greeter).greet("Bob") == "Hello Bob, I am Alice. You are number 1."


async def test_bytes_may_arrive_one_by_one():
    """Nothing depends on how the stream is cut."""
    async with alice_and_bob(chunk=1) as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref.uri)
        assert (await bob.vat.send(greeter).greet("Bob")).startswith("Hello Bob")


async def test_values_of_every_kind_cross_unchanged():
    """Types and all."""
    values = (None, True, 0, -5, 10**40, 1.5, -0.0, "é", b"\0", (1, (2,)), Map({"a": 1}), frozenset({1, 2}))
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        echoed = await bob.vat.send(greeter).echo(*values)
        assert repr(echoed) == repr(values)


async def test_a_reference_comes_home_as_itself():
    """What we export and get back is the original object."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        mine = await bob.vat.run(spawn, lambda text: text.upper())
        assert await bob.vat.send(greeter).echo(mine) == (mine,)
        assert await bob.vat.send(greeter).call_back(mine) == "FROM THE GREETER"


async def test_the_same_import_is_the_same_reference():
    """Enlivened twice, an object is one reference as long as it is held."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        assert await bob.enliven(sturdyref) is await bob.enliven(sturdyref)


async def test_messages_pipeline_over_a_slow_network(autojump_clock):
    """A chain of sends takes one round trip, not three."""
    async with alice_and_bob() as (alice, bob, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        await bob.enliven(sturdyref)
        network.set_delay("alice", "bob", 1.0)
        started = trio.current_time()

        def chain():
            found = send(bob.mycapn).enliven(sturdyref)
            return send(send(found).echo(1)).count, send(found).greet("Bob")

        _, answer = await bob.vat.run(chain)
        await answer
        assert trio.current_time() - started < 3


async def test_an_objects_failure_breaks_the_promise_without_internals(caplog):
    """The caller learns that it failed, not how; the object's own log tells."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        with pytest.raises(RemoteError) as caught:
            await bob.vat.send(greeter).fail()
        assert "internal" not in str(caught.value)
        assert await bob.vat.send(greeter).count() == 0
    reports = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(reports) == 1
    assert "Greeter.fail" in reports[0].getMessage()


async def test_an_unknown_swiss_number_breaks_and_is_not_told_in_the_text():
    """Guessing leads nowhere, and nothing secret is in the error."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        wrong = Sturdyref(sturdyref.peer, b"secretguess")
        with pytest.raises(RemoteError) as caught:
            await bob.enliven(wrong)
        assert "secretguess" not in str(caught.value)
        with pytest.raises(UnknownSwissNumError):
            await alice.enliven(wrong)


async def test_enlivening_ones_own_sturdyref_is_the_local_object():
    """No connection is made to oneself."""
    async with alice_and_bob() as (alice, _bob, _network):
        greeter, sturdyref = await alice.share(Greeter, "Alice")
        assert await alice.enliven(sturdyref) is greeter


async def test_registering_twice_gives_the_same_sturdyref():
    """An object has one swiss number."""
    async with alice_and_bob() as (alice, _bob, _network):
        greeter, sturdyref = await alice.share(Greeter, "Alice")
        again = await alice.vat.send(alice.mycapn).register(greeter, "loopback")
        assert again == sturdyref


async def test_two_enlivens_share_one_session():
    """One session per peer, also when both are asked for at once."""
    async with alice_and_bob() as (alice, bob, _network):
        _, first = await alice.share(Greeter, "Alice")
        _, second = await alice.share(Greeter, "Anna")
        promises = [bob.vat.send(bob.mycapn).enliven(each) for each in (first, second, first)]
        refs = [await promise for promise in promises]
        assert refs[0] is refs[2]
        assert refs[0]._connector is refs[1]._connector


async def test_after_severance_calls_break_and_the_next_enliven_reconnects():
    """A dead reference says so; the sturdyref still works."""
    async with alice_and_bob() as (alice, bob, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        reasons = []
        await bob.vat.run(on_sever, greeter, reasons.append)
        network.drop("alice", "bob")
        await until(lambda: reasons)
        with pytest.raises(SessionSeveredError):
            await bob.vat.send(greeter).greet("Bob")
        again = await bob.enliven(sturdyref)
        assert again is not greeter
        assert (await bob.vat.send(again).greet("Bob")).endswith("number 1.")


async def test_a_call_in_flight_breaks_when_the_session_severs():
    """At once, not when somebody looks."""
    async with alice_and_bob() as (alice, bob, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        network.partition("alice", "bob")
        promise = bob.vat.send(greeter).greet("Bob")
        await trio.testing.wait_all_tasks_blocked()
        network.drop("alice", "bob")
        with trio.fail_after(5), pytest.raises(SessionSeveredError):
            await promise


async def test_closing_a_vat_tells_its_peers_why():
    """The peer's promises break with the reason that was sent."""
    network = LoopbackNetwork()
    async with person("bob", network) as bob:
        async with person("alice", network) as alice:
            _, sturdyref = await alice.share(Greeter, "Alice")
            greeter = await bob.enliven(sturdyref)
        with pytest.raises(SessionSeveredError, match="the vat is closing"):
            await bob.vat.send(greeter).greet("Bob")


async def test_a_peer_that_is_not_there_is_a_connect_failure():
    """Nobody of that designator is in the network."""
    async with alice_and_bob() as (_alice, bob, _network):
        with pytest.raises(ConnectFailedError):
            await bob.enliven("ocapn://carol.loopback/s/AAAA")


async def test_an_unknown_transport_is_named():
    """And nothing is dialled."""
    async with alice_and_bob() as (alice, bob, _network):
        with pytest.raises(UnknownTransportError, match="carrier-pigeon"):
            await bob.enliven("ocapn://carol.carrier-pigeon/s/AAAA")
        with pytest.raises(UnknownTransportError):
            await alice.vat.send(alice.mycapn).register(alice.mycapn, "carrier-pigeon")


@pytest.mark.parametrize("bad", ["", "nonsense", "ocapn://alice.loopback", "http://x.y/s/AA"])
async def test_what_is_no_sturdyref_cannot_be_enlivened(bad):
    """Malformed URIs break with `LocatorError`."""
    async with alice_and_bob() as (_alice, bob, _network):
        with pytest.raises(LocatorError):
            await bob.enliven(bad)


async def test_connect_to_peer_yields_a_bootstrap_object():
    """The lower layer of enliven, for those who want it."""
    async with alice_and_bob() as (alice, bob, _network):
        greeter, sturdyref = await alice.share(Greeter, "Alice")
        del greeter
        bootstrap = await bob.vat.send(bob.mycapn).connect_to_peer(sturdyref.peer)
        assert (await bob.vat.send(bootstrap).fetch(sturdyref.swiss_num)) is await bob.enliven(sturdyref)


async def test_an_unregistered_object_is_as_if_it_never_was():
    """Existing sessions keep what they hold; the sturdyref is worth nothing."""
    async with alice_and_bob() as (alice, bob, _network):
        greeter, sturdyref = await alice.share(Greeter, "Alice")
        held = await bob.enliven(sturdyref)
        registry = await alice.vat.send(alice.mycapn).get_registry()
        assert await alice.vat.send(registry).unregister(greeter) is True
        assert await alice.vat.send(registry).unregister(greeter) is False
        with pytest.raises(RemoteError):
            await bob.enliven(sturdyref)
        assert await bob.vat.send(held).count() == 0


async def test_a_netlayer_can_be_installed_later():
    """And two of one name cannot."""
    network = LoopbackNetwork()
    async with open_vat() as vat:
        mycapn = await vat.run(spawn_mycapn)

        def install():
            netlayer = spawn(LoopbackNetlayer, "late")
            netlayer.attach(network)
            mycapn.install_netlayer(netlayer)

        await vat.run(install)
        assert (await vat.send(mycapn).self_location("loopback")) == PeerLocator("loopback", "late")
        with pytest.raises(NetlayerError, match="already"):
            await vat.run(install)


async def test_garbage_is_collected_across_the_wire():
    """What Bob drops, Alice forgets; all tables return to their size."""
    async with alice_and_bob() as (alice, bob, _network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        references = greeter._connector.references
        await trio.sleep(0.25)
        before = len(references.exports), len(references.imports)
        for _ in range(50):
            await bob.vat.send(greeter).echo(await bob.vat.run(spawn, lambda: None))
        await until(lambda: (len(references.exports), len(references.imports)) == before)


async def test_a_silent_connection_is_aborted(autojump_clock):
    """A peer that never starts a session does not hold anything for ever."""
    network = LoopbackNetwork()
    async with person("alice", network) as alice:
        _, sturdyref = await alice.share(Greeter, "Alice")
        async with open_vat() as other:

            def bare():
                netlayer = spawn(LoopbackNetlayer, "silent")
                netlayer.attach(network)
                netlayer.setup(other.io, None)
                return netlayer.connect_to(sturdyref.peer)

            connection = await (await other.run(bare))
            received = bytearray()
            with trio.fail_after(60):
                while data := await connection.receive():
                    received += data
            assert b"op:abort" in received
            await connection.aclose()
