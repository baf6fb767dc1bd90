"""A relay that drops, damages, repeats, floods or is silent: typed errors, severed sessions, bounds."""

from contextlib import asynccontextmanager

import pytest
import trio

from goblins_py import Symbol, make_promise, open_vat, send, send_only, spawn, spawn_mycapn
from goblins_py.abc import UNPROVED
from goblins_py.errors import CapTPError, ConnectFailedError
from netlayers import LoopbackNetwork, PrelayNetlayer
from netlayers._prelay_budget import Budget
from netlayers._prelay_connection import DeliverIn, PrelayConnection
from prelay_kit import Client, client, loopback, relay
from runtime_kit import Greeter, until

MIB = 2**20
DELIVER, ABORT = Symbol("deliver"), Symbol("abort")


class Crook:
    """A relay of one account. What it makes of a message is said by `tamper`: the messages to pass on."""

    def __init__(self, tamper):
        self.tamper = tamper
        self.listener = None
        self.deliver_ins = []

    def controller(self, method, *args):
        if method == Symbol("set-session-listener"):
            (self.listener,) = args

    def endpoint(self, their_in):
        """Two hops without any care."""
        out = spawn(self.hop(their_in))
        deliver_in = send(self.listener).incoming_session(out)
        self.deliver_ins.append(deliver_in)
        return spawn(self.hop(deliver_in))

    def hop(self, target):
        def pass_on(method, *args):
            if method != DELIVER:
                return send(target)(method, *args)
            for message in self.tamper(args[0]):
                send_only(target).deliver(message)
            return None

        return pass_on


@asynccontextmanager
async def alice_behind(crook):
    """Alice, whose relay is a crook, and Bob, who only dials."""
    network = LoopbackNetwork()
    async with open_vat("crook") as vat:
        mycapn = await vat.run(lambda: spawn_mycapn(loopback("crook", network)))
        pair = [
            await vat.send(mycapn).register(await vat.run(spawn, each), "loopback")
            for each in (crook.endpoint, crook.controller)
        ]
        async with open_vat("alice") as alice_vat:

            def up():
                own = spawn_mycapn(loopback("alice", network))
                promises = [make_promise() for _ in pair]
                netlayer = spawn(PrelayNetlayer, own, *(promise for promise, _ in promises))
                own.install_netlayer(netlayer)
                for (_, resolver), sturdyref in zip(promises, pair, strict=True):
                    resolver.fulfill(sturdyref)
                return own, netlayer

            alice = Client(alice_vat, *await alice_vat.run(up), "alice")
            async with client("bob", network) as bob:
                yield alice, bob, vat


async def test_an_honest_relay_of_this_kind_works(autojump_clock):
    """What the following tests take away from; endpoint and controller were given as promises."""
    async with alice_behind(Crook(lambda message: [message])) as (alice, bob, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        assert "number 1" in await bob.vat.send(await bob.enliven(sturdyref)).greet("Bob")


def every(count, fault):
    """Does it to each message from number `count` on."""
    seen = []

    def tamper(message):
        seen.append(None)
        return fault(message) if len(seen) >= count else [message]

    return tamper


FAULTS = {
    "truncates": lambda message: [message[:-1]],
    "appends": lambda message: [message + b"x"],
    "damages": lambda message: [b"\xff" + message[1:]],
    "drops": lambda message: [],
    "repeats the greeting": lambda message: [message, message],
    "joins": lambda message: [message * 2],
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_relay_that_tampers_is_met_with_errors(fault, count, autojump_clock):
    """From the greeting on, or later: whoever waits is told, by its kind of error, within minutes."""
    async with alice_behind(Crook(every(count, fault))) as (alice, bob, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        with trio.move_on_after(1000) as scope:
            try:
                greeter = await bob.enliven(sturdyref)
                said = [await bob.vat.send(greeter).greet("Bob") for _ in range(5)]
            except (CapTPError, ConnectFailedError):
                said = []
        assert not scope.cancelled_caught
        assert said == [] or fault is FAULTS["repeats the greeting"]


def bare_connection(vat, inboxes):
    """A connection whose messages nobody receives."""
    options = {"budget": Budget(), "inboxes": inboxes, "on_close": lambda _: None}
    return PrelayConnection(vat.vat, vat.io, UNPROVED, **options)


async def test_a_relay_that_floods_many_sessions_costs_a_bounded_amount_of_memory(autojump_clock):
    """All inboxes together are bounded; a session with little in it is not the one that ends."""
    async with open_vat("alice") as vat:
        inboxes = Budget(limit=MIB)
        connections = [bare_connection(vat, inboxes) for _ in range(20)]
        deliver_ins = [await vat.run(spawn, DeliverIn(each)) for each in connections]
        for _ in range(10):
            for deliver_in in deliver_ins[1:]:
                await vat.run(lambda deliver_in=deliver_in: send_only(deliver_in).deliver(bytes(50_000)))
        assert MIB < inboxes.used < MIB + 19 * (128 * 1024 + 51_000)
        assert connections[-1].why_lost == "the relay sent much more than was acknowledged"
        assert await vat.send(deliver_ins[0]).deliver(b"a few bytes")
        assert connections[0].why_lost is None
        assert b"a few bytes" == await connections[0].receive()
        for each in connections:
            each.close()
        assert 0 == inboxes.used


async def test_a_client_accepts_only_so_many_sessions(autojump_clock):
    """Whatever its relay allows: further ones are refused, and one that ends makes room."""
    network = LoopbackNetwork()
    async with relay(network) as there:
        account = await there.account("alice")
        async with client("alice", network, account, max_connections=1) as alice:
            _, sturdyref = await alice.share(Greeter, "Alice")
            async with client("bob", network) as bob, client("carol", network) as carol:
                assert "number 1" in await bob.vat.send(await bob.enliven(sturdyref)).greet("Bob")
                with pytest.raises(ConnectFailedError) as caught:
                    await carol.enliven(sturdyref)
                assert ["this peer has as many sessions as it takes"] == caught.value.__notes__
            await until(lambda: not alice.netlayer._behaviour._accepted)
            async with client("dave", network) as dave:
                assert "number 2" in await dave.vat.send(await dave.enliven(sturdyref)).greet("Dave")


async def test_a_relay_that_floods_costs_a_bounded_amount_of_memory(autojump_clock):
    """Nobody receives, and it goes on without an answer: 4 MiB and one message, then the path is lost."""
    async with open_vat("alice") as vat:
        connection = bare_connection(vat, Budget())
        deliver_in = await vat.run(spawn, DeliverIn(connection))
        for _ in range(50):
            await vat.run(lambda: send_only(deliver_in).deliver(bytes(100_000)))
        assert 4 * 2**20 < connection._inbox_size < 4 * 2**20 + 110_000
        for _ in range(42):
            assert 100_000 == len(await connection.receive())
        with pytest.raises(trio.BrokenResourceError, match="more than was acknowledged"):
            await connection.receive()


async def test_a_relay_that_says_nonsense_to_the_listener_is_refused(autojump_clock):
    """And the next session works."""
    crook = Crook(lambda message: [message])
    async with alice_behind(crook) as (alice, bob, vat):
        _, sturdyref = await alice.share(Greeter, "Alice")
        await until(lambda: crook.listener is not None)
        for message in ((Symbol("incoming-session"), 5), (Symbol("incoming-session"),), (7,), ()):
            with pytest.raises(Exception, match=r".*"):
                await vat.send(crook.listener)(*message)
        assert "number 1" in await bob.vat.send(await bob.enliven(sturdyref)).greet("Bob")


async def test_a_relay_that_never_answers_breaks_the_dial(autojump_clock):
    """After half a minute, with a note."""
    crook = Crook(lambda message: [message])
    crook.endpoint = lambda their_in: make_promise()[0]
    async with alice_behind(crook) as (alice, bob, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        with pytest.raises(ConnectFailedError) as caught:
            await bob.enliven(sturdyref)
        assert ["the relay does not answer"] == caught.value.__notes__
