"""prelay under load and misuse: windows, quotas, floods, garbage. Others are served meanwhile."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from goblins_py import Map, PeerLocator, RemoteError, Sturdyref, Symbol, on_sever, send_only, spawn
from goblins_py.errors import ConnectFailedError, SessionSeveredError
from goblins_py.relay import Quota
from goblins_py.relay._quota import Meter
from netlayers import LoopbackNetwork, prelay_endpoint, prelay_locator
from netlayers._prelay_budget import Budget
from persistence import MemoryStore
from prelay_kit import alice_and_bob_behind_a_relay, client, relay
from runtime_kit import Greeter, until

MIB = 2**20
DELIVER = Symbol("deliver")


@asynccontextmanager
async def two_on_a_relay(**quota):
    """Alice and Bob on one relay with these quotas; and the relay."""
    network = LoopbackNetwork()
    async with relay(network, **quota) as there:
        accounts = [await there.account(name) for name in ("alice", "bob")]
        async with client("alice", network, accounts[0]) as alice, client("bob", network, accounts[1]) as bob:
            yield alice, bob, there, network


async def knock(person, sturdyref, deliver_in):
    """As a client of no netlayer's: the session-in that the endpoint behind a prelay sturdyref gives."""
    endpoint = await person.enliven(prelay_endpoint(sturdyref.peer))
    return await person.vat.send(endpoint)(await person.vat.run(spawn, deliver_in))


# --- windows ---------------------------------------------------------------------------


async def test_a_large_transfer_goes_through_in_order(autojump_clock):
    """Many windows' worth, both ways at once, over two relays."""
    async with alice_and_bob_behind_a_relay(2) as (alice, bob, there, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        parts = [bytes([number]) * 100_000 for number in range(50)]
        promises = [bob.vat.send(greeter).echo(part) for part in parts]
        assert [(part,) for part in parts] == [await promise for promise in promises]
        assert (await there[0].statistics("alice"))["queued_bytes"] < 64 * 1024


async def test_what_lies_at_the_relay_is_bounded_by_the_window(autojump_clock):
    """A receiver that cannot be reached for a while: the sender waits, the relay holds little."""
    async with two_on_a_relay() as (alice, bob, there, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        await bob.vat.send(greeter).echo(b"")
        network.partition("alice", "relay")
        promises = [bob.vat.send(greeter).echo(bytes(50_000)) for _ in range(100)]
        await trio.sleep(5)
        assert 0 < (await there.statistics("alice"))["queued_bytes"] < MIB // 2
        network.heal("alice", "relay")
        assert [50_000] * 100 == [len((await promise)[0]) for promise in promises]


async def test_a_message_larger_than_the_window_goes_through(autojump_clock):
    """Alone on its way."""
    async with two_on_a_relay() as (alice, bob, _, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        (back,) = await bob.vat.send(await bob.enliven(sturdyref)).echo(bytes(3 * MIB))
        assert 3 * MIB == len(back)


# --- quotas ------------------------------------------------------------------------------


async def test_a_client_over_its_rate_is_slowed_down_and_not_cut_off(autojump_clock):
    """Ours waits for answers, so a megabyte at 100 kB a second takes its time, and arrives."""
    async with two_on_a_relay(bytes_per_second=100_000) as (alice, bob, there, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        begun = trio.current_time()
        for _ in range(20):
            await bob.vat.send(greeter).echo(bytes(50_000))
        assert 6 < trio.current_time() - begun < 20
        assert 0 == (await there.statistics("bob"))["aborted"]


async def test_a_message_over_the_size_ends_its_session_with_that_reason(autojump_clock):
    """On both sides; the same two can begin another one."""
    async with two_on_a_relay(message_size=10_000) as (alice, bob, there, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        with pytest.raises(SessionSeveredError, match="a message of more than 10000 bytes"):
            await bob.vat.send(greeter).echo(bytes(20_000))
        assert 1 == (await there.statistics("bob"))["aborted"]
        assert "number 1" in await bob.vat.send(await bob.enliven(sturdyref)).greet("Bob")


async def test_sessions_are_counted_each_way(autojump_clock):
    """One more than allowed is refused, to whoever dials; one that ends makes room."""
    async with two_on_a_relay(sessions=1) as (alice, bob, there, network):
        _, of_alice = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(of_alice)
        assert "number 1" in await bob.vat.send(greeter).greet("Bob")
        async with client("carol", network, await there.account("carol")) as carol:
            with pytest.raises(ConnectFailedError) as caught:
                await carol.enliven(of_alice)
            assert ["this peer has as many sessions as its relay allows"] == caught.value.__notes__
            _, of_carol = await carol.share(Greeter, "Carol")
            with pytest.raises(ConnectFailedError):
                await bob.enliven(of_carol)
            assert "number 1" in await alice.vat.send(await alice.enliven(of_carol)).greet("Alice")
        network.drop("bob", "relay")
        await trio.sleep(5)
        async with client("dave", network) as dave:
            assert "number 2" in await dave.vat.send(await dave.enliven(of_alice)).greet("Dave")


async def test_an_account_that_is_removed_ends_its_sessions(autojump_clock):
    """Its sturdyrefs lead nowhere, others go on."""
    async with two_on_a_relay() as (alice, bob, there, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        reasons = []
        await bob.vat.run(lambda: on_sever(greeter, reasons.append))
        await there.vat.send(there.admin).remove_account("alice")
        await until(lambda: reasons)
        assert "the account was removed" in reasons[0]
        with pytest.raises(ConnectFailedError):
            await bob.enliven(sturdyref)
        assert ("bob",) == await there.vat.send(there.admin).get_accounts()


async def test_a_client_is_told_that_its_account_was_removed(autojump_clock, caplog):
    """Idle as it is: it is registered no more, says so in its log as a warning, and asks again in vain."""
    async with two_on_a_relay() as (alice, bob, there, _):
        while not (await alice.is_registered() and await bob.is_registered()):
            await trio.sleep(0.1)
        await there.vat.send(there.admin).remove_account("alice")
        await trio.sleep(20)
        assert not await alice.is_registered()
        assert await bob.is_registered()
        warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        warnings = [each for each in warnings if "relay" in each]
        assert "the account was removed" in warnings[0]
        assert len(warnings) > 2


async def test_a_removed_account_cannot_be_redeemed_by_who_still_holds_it(autojump_clock):
    """A live reference to it registers nothing again."""
    network = LoopbackNetwork()
    async with relay(network) as there, client("mallory", network) as mallory:
        account = await mallory.enliven(await there.account("mallory"))
        await there.vat.send(there.admin).remove_account("mallory")
        with pytest.raises(RemoteError, match="this account was removed"):
            await mallory.vat.send(account)()


async def test_what_was_passed_on_is_counted_the_same_both_ways(autojump_clock):
    """What Bob's client has sent is what Alice's has received, and the reverse; refused is neither."""
    async with two_on_a_relay(message_size=10_000) as (alice, bob, there, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        for _ in range(20):
            await bob.vat.send(greeter).echo(bytes(1000))
        with pytest.raises(SessionSeveredError):
            await bob.vat.send(greeter).echo(bytes(20_000))
        of_alice, of_bob = [await there.statistics(name) for name in ("alice", "bob")]
        assert 20_000 < of_bob["sent_bytes"] < 30_000
        assert of_bob["sent_bytes"] == of_alice["received_bytes"]
        assert of_alice["sent_bytes"] == of_bob["received_bytes"]


def test_a_meter_allows_a_second_at_once_and_then_the_rate():
    """Numbers only: what it costs to be ahead of one's allowance."""
    now = [0.0]
    meter = Meter(Quota(bytes_per_second=1000), lambda: now[0])
    assert [0.0, 0.0, 0.5] == [meter.spend(500), meter.spend(500), meter.spend(500)]
    now[0] = 0.5
    assert 0.0 == meter.spend(0)
    now[0] = 100.0
    assert 1.0 == meter.spend(2000)


# --- misbehaviour ---------------------------------------------------------------------------


async def test_a_flood_of_one_way_messages_is_cut_off_and_others_are_served(autojump_clock):
    """Whoever does not wait for answers, and whose receiver does not read: aborted, bounded, alone."""
    async with two_on_a_relay() as (alice, bob, there, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        network.partition("alice", "relay")
        aborted = []

        def deliver_in(method, *args):
            if method == Symbol("abort"):
                aborted.append(args)

        async with client("mallory", network) as mallory:
            with pytest.raises(RemoteError, match="does not answer"):
                await knock(mallory, sturdyref, deliver_in)
            await until(lambda: aborted)
            aborted.clear()
            network.heal("alice", "relay")
            session_in = await knock(mallory, sturdyref, deliver_in)
            network.partition("alice", "relay")

            def flood():
                for _ in range(100):
                    send_only(session_in).deliver(bytes(60_000))

            await mallory.vat.run(flood)
            await until(lambda: aborted)
            assert (await there.statistics("alice"))["queued_bytes"] == 0
            assert (await there.statistics("alice"))["aborted"] == 1
            _, of_bob = await bob.share(Greeter, "Bob")
            assert "number 1" in await mallory.vat.send(await mallory.enliven(of_bob)).greet("Mallory")


async def test_garbage_ends_the_inner_session_only(autojump_clock):
    """Bytes that are no CapTP: the receiver aborts that session, and the base session stays."""
    async with two_on_a_relay() as (alice, bob, _, network):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        heard = []
        async with client("mallory", network) as mallory:
            session_in = await knock(mallory, sturdyref, lambda *args: heard.append(args))
            for garbage in (b"\xff\xff", b"[" * 1000):
                try:
                    await mallory.vat.send(session_in).deliver(garbage)
                except RemoteError:
                    break
            await until(lambda: any(args[0] == Symbol("abort") for args in heard))
            for nonsense in (17, "text", b"", None):
                with pytest.raises(RemoteError):
                    await mallory.vat.send(session_in).deliver(nonsense)
        assert "number 1" in await bob.vat.send(greeter).greet("Bob")


async def test_a_stranger_can_knock_and_nothing_else(autojump_clock):
    """What leads to an endpoint leads to no controller, and a made-up number leads nowhere."""
    async with two_on_a_relay() as (alice, _, _, network), client("mallory", network) as mallory:
        _, sturdyref = await alice.share(Greeter, "Alice")
        endpoint = await mallory.enliven(prelay_endpoint(sturdyref.peer))
        listener = await mallory.vat.run(spawn, lambda *args: None)
        for message in ((Symbol("set-session-listener"), listener), (), (1,), (listener, listener)):
            with pytest.raises(RemoteError):
                await mallory.vat.send(endpoint)(*message)
        assert await alice.is_registered()


async def test_a_client_cannot_have_the_relay_deliver_to_itself(autojump_clock):
    """An object of the relay's as the place to deliver to could be a circle."""
    async with two_on_a_relay() as (alice, bob, there, network), client("mallory", network) as mallory:
        _, of_alice = await alice.share(Greeter, "Alice")
        _, of_bob = await bob.share(Greeter, "Bob")
        endpoint = await mallory.enliven(prelay_endpoint(of_alice.peer))
        account = await mallory.enliven(await there.account("mallory"))
        _, controller_ref = await mallory.vat.send(account)()
        controller = await mallory.enliven(controller_ref)
        with pytest.raises(RemoteError, match="deliver"):
            await mallory.vat.send(endpoint)(endpoint)
        with pytest.raises(RemoteError, match="deliver"):
            await mallory.vat.send(controller).connect(of_bob.peer, endpoint)
        with pytest.raises(RemoteError, match="client"):
            await mallory.vat.send(controller).set_session_listener(endpoint)


async def test_a_client_can_make_the_relay_dial_only_so_often(autojump_clock):
    """As any peer can make us dial: a hundred times a minute."""
    async with two_on_a_relay() as (alice, bob, _, _):
        refused = 0
        for number in range(110):
            locator = prelay_locator(Sturdyref(PeerLocator("loopback", f"nowhere-{number}"), bytes(32)))
            with pytest.raises(ConnectFailedError) as caught:
                await bob.vat.send(bob.mycapn).enliven(Sturdyref(locator, bytes(32)))
            refused += "dials_per_minute" in caught.value.__notes__[0]
        assert 10 == refused
        _, sturdyref = await alice.share(Greeter, "Alice")
        assert "number 1" in await bob.vat.send(await bob.enliven(sturdyref)).greet("Bob")


async def test_a_client_cannot_make_the_relay_dial_wherever_it_likes(autojump_clock):
    """One that comes from who knows where has no business at private addresses."""
    async with two_on_a_relay() as (_, bob, _, _):
        hidden = PeerLocator("loopback", "inside", {"host": "10.0.0.1", "port": "1"})
        with pytest.raises(ConnectFailedError) as caught:
            await bob.vat.send(bob.mycapn).enliven(
                Sturdyref(prelay_locator(Sturdyref(hidden, bytes(32))), bytes(32))
            )
        assert "that address is private" in caught.value.__notes__[0]


async def test_quotas_survive_a_restart(autojump_clock):
    """They are the account's state."""
    network, store = LoopbackNetwork(), MemoryStore()
    async with relay(network, store=store) as there:
        accounts = [await there.account("alice", sessions=1), await there.account("bob")]
    async with relay(network, store=store) as there, client("carol", network) as carol:
        async with client("alice", network, accounts[0]) as alice, client("dave", network) as dave:
            _, of_alice = await alice.share(Greeter, "Alice")
            assert "number 1" in await carol.vat.send(await carol.enliven(of_alice)).greet("Carol")
            with pytest.raises(ConnectFailedError) as caught:
                await dave.enliven(of_alice)
            assert ["this peer has as many sessions as its relay allows"] == caught.value.__notes__
        assert ("alice", "bob") == await there.vat.send(there.admin).get_accounts()


@pytest.mark.parametrize("quota", [{"sessions": 0}, {"sessions": "many"}, {"no_such": 1}, {"sessions": 1.5}])
async def test_nonsense_as_a_quota_is_refused(quota, autojump_clock):
    """And makes no account."""
    async with two_on_a_relay() as (_, _, there, _):
        with pytest.raises(Exception, match="quota"):
            await there.vat.send(there.admin).add_account("eve", Map(quota))
        assert ("alice", "bob") == await there.vat.send(there.admin).get_accounts()


async def test_one_relay_serves_a_thousand_registered_clients(autojump_clock):
    """Each is reached through its own endpoint, and by nobody else's; all are online."""
    network = LoopbackNetwork()
    count = 1000
    async with relay(network) as there, client("crowd", network) as crowd:
        accounts = [await there.account(f"client {number}") for number in range(count)]
        endpoints, knocks = [], []
        for number, account in enumerate(accounts):
            endpoint, controller = await crowd.vat.send(await crowd.enliven(account))()

            def listener(method, session_out, number=number):
                knocks.append(number)
                return session_out

            listening = await crowd.vat.run(spawn, listener)
            await crowd.vat.send(await crowd.enliven(controller)).set_session_listener(listening)
            endpoints.append(endpoint)
        statistics = await there.vat.send(there.admin).statistics()
        assert [True] * count == [each["online"] for each in statistics]
        for number in (0, 1, 500, 999):
            endpoint = await crowd.enliven(endpoints[number])
            with pytest.raises(RemoteError):  # this listener gives nothing to deliver to
                await crowd.vat.send(endpoint)(await crowd.vat.run(spawn, lambda *args: None))
        assert [0, 1, 500, 999] == knocks


async def test_many_sessions_together_leave_room_in_the_base_session(autojump_clock):
    """All connections of a client share a budget: whoever waits for it is woken, and all arrives."""
    network = LoopbackNetwork()
    async with relay(network) as there, client("bob", network, await there.account("bob")) as bob:
        budget = Budget(limit=50_000)
        bob.netlayer._behaviour._budgets = budget, Budget()
        async with AsyncExitStack() as stack:
            greeters = []
            for number in range(5):
                account = await there.account(f"peer {number}")
                peer = await stack.enter_async_context(client(f"peer-{number}", network, account))
                _, sturdyref = await peer.share(Greeter, "Peer")
                greeters.append(await bob.enliven(sturdyref))
            promises = [bob.vat.send(each).echo(bytes(40_000)) for each in greeters for _ in range(10)]
            assert [40_000] * 50 == [len((await promise)[0]) for promise in promises]
            assert budget.used <= 50_000


async def test_only_base_sessions_that_clients_use_may_have_much_queued(autojump_clock):
    """Whoever has no business at the relay gets no more than at any other peer."""
    async with two_on_a_relay() as (alice, bob, there, network), client("stranger", network) as stranger:
        await alice.share(Greeter, "Alice")
        await bob.share(Greeter, "Bob")
        while not (await alice.is_registered() and await bob.is_registered()):
            await trio.sleep(0.1)
        await stranger.enliven(await there.account("carol"))  # it fetches, and knocks nowhere
        switchboard = there.admin._behaviour._mycapn._behaviour._switchboard
        queues = {session.peer.designator: session._outbox.soft for session in switchboard._pumps}
        assert {"alice": 64 * MIB, "bob": 64 * MIB, "stranger": MIB} == queues
