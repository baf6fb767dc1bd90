"""What peers make us dial, at run time: how often, where to, and by whose hints."""

import socket
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from goblins_py import open_vat, send, spawn, spawn_mycapn
from goblins_py.abc import Asker
from goblins_py.captp import SessionLimits
from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator, Sturdyref
from goblins_py.runtime._dialling import address_refusal
from goblins_py.runtime._sockets import dial_tcp
from netlayers import LoopbackNetlayer, LoopbackNetwork, TcpTlsNetlayer
from runtime_kit import Greeter, Person, person
from test_handoffs import Desk

NOWHERE = "a" * 52


@asynccontextmanager
async def local(name, **options):
    """Somebody with tcp-tls on loopback."""
    async with open_vat(name) as vat:
        mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1"), **options))
        yield Person(vat, mycapn, name)


async def share(who, cls, *args):
    ref = await who.vat.run(spawn, cls, *args)
    return ref, await who.vat.send(who.mycapn).register(ref, "tcp-tls")


async def given(alice, bob, carol):
    """Bob gives Alice's greeter to Carol's desk; what becomes of Carol's call to it."""
    _, greeter_ref = await share(alice, Greeter, "Alice")
    desk, desk_ref = await share(carol, Desk)
    greeter, bobs_desk = await bob.enliven(greeter_ref), await bob.enliven(desk_ref)
    await bob.vat.send(bobs_desk).take(greeter)
    return carol.vat.send(desk).use("Carol")


async def test_an_introduction_among_neighbours_is_dialled():
    """Who is at a loopback address itself may make us dial one."""
    with trio.fail_after(20):
        async with local("alice") as alice, local("bob") as bob, local("carol") as carol:
            assert (await (await given(alice, bob, carol))).startswith("Hello Carol")


async def test_a_hook_decides_what_peers_make_us_dial():
    """It sees where to, and who asks; what our own program asks for does not come by it."""
    asked = []

    def may_dial(locator, asked_by):
        asked.append((locator, asked_by))
        return False

    with trio.fail_after(20):
        async with local("alice") as alice, local("bob") as bob, local("carol", may_dial=may_dial) as carol:
            promise = await given(alice, bob, carol)
            with pytest.raises(ConnectFailedError, match="may_dial says no"):
                await promise
            ((locator, asked_by),) = asked
            assert locator == await alice.vat.send(alice.mycapn).self_location("tcp-tls")
            assert asked_by.peer == await bob.vat.send(bob.mycapn).self_location("tcp-tls")
            assert asked_by.address == "127.0.0.1"
            _, sturdyref = await share(alice, Greeter, "Alice")
            assert (await carol.vat.send(await carol.enliven(sturdyref)).greet("x")).startswith("Hello")
            assert len(asked) == 1


async def test_a_hook_may_be_an_object_that_decides_in_turns():
    """A near one, which a persistent vat can save."""
    with trio.fail_after(20):
        async with local("alice") as alice, local("bob") as bob, open_vat("carol") as vat:

            def up():
                policy = spawn(lambda locator, asked_by: locator.transport == "tcp-tls")
                return spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1"), may_dial=policy)

            carol = Person(vat, await vat.run(up), "carol")
            assert (await (await given(alice, bob, carol))).startswith("Hello Carol")


async def test_peers_make_us_dial_so_often_and_no_more(autojump_clock):
    """What is beyond breaks, and says which limit; when a minute has passed there is room again."""
    network = LoopbackNetwork()
    async with open_vat("carol") as vat, person("bob", network) as bob:

        def up():
            netlayer = spawn(LoopbackNetlayer, "carol")
            netlayer.attach(network)
            return spawn_mycapn(netlayer, limits=SessionLimits(dials_per_minute=2))

        carol = Person(vat, await vat.run(up), "carol")
        desk, desk_ref = await carol.share(Desk)
        bobs_desk = await bob.enliven(desk_ref)
        results = []
        for number in range(4):
            async with person(f"alice{number}", network) as alice:
                _, sturdyref = await alice.share(Greeter, "Alice")
                await bob.vat.send(bobs_desk).take(await bob.enliven(sturdyref))
                try:
                    results.append(await carol.vat.send(desk).use("x"))
                except ConnectFailedError as error:
                    results.append(str(error))
            if number == 2:
                await trio.sleep(61)
        assert ["Hello" in result for result in results] == [True, True, False, True]
        assert "dials_per_minute limit" in results[2]


@attrs.define
class Elsewhere:
    """Two locators of one peer: where it is, and where nobody is."""

    right: Sturdyref
    wrong: Sturdyref

    @classmethod
    async def of(cls, person):
        _, right = await share(person, Greeter, person.name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        peer = PeerLocator("tcp-tls", right.peer.designator, {"host": "127.0.0.1", "port": str(port)})
        return cls(right, Sturdyref(peer, right.swiss_num))


async def test_who_knows_the_right_way_is_not_harmed_by_who_does_not():
    """Two wishes for one peer: the way of the first fails, that of the second is tried."""
    with trio.fail_after(20):
        async with local("alice") as alice, local("bob") as bob:
            ways = await Elsewhere.of(alice)
            outcomes = {}

            async def try_to(name, sturdyref):
                try:
                    greeter = await bob.enliven(sturdyref)
                    outcomes[name] = await bob.vat.send(greeter).greet("Bob")
                except ConnectFailedError as error:
                    outcomes[name] = error

            async with trio.open_nursery() as nursery:
                nursery.start_soon(try_to, "wrong", ways.wrong)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(try_to, "right", ways.right)
            assert isinstance(outcomes["wrong"], ConnectFailedError)
            assert str(outcomes["right"]).startswith("Hello Bob")
            assert (await bob.vat.send(await bob.enliven(ways.wrong)).greet("again")).startswith("Hello")


# --- names that lead near --------------------------------------------------------------


def far_asker():
    asker = Asker("session", None, "93.184.215.14")
    return attrs.evolve(asker, refusal=lambda address: address_refusal(address, asker))


async def test_where_a_name_leads_is_looked_at_again():
    """A name is no way around the rules: here one that leads to this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match="cannot connect") as caught:
            await dial_tcp("localhost", port, far_asker())
        assert any("not tried" in note and "loopback" in note for note in caught.value.__notes__)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_what_may_be_reached_is(host):
    """Of two addresses of a name the one that answers."""
    near = Asker("session", None, "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with await dial_tcp(host, port, near) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"
    with pytest.raises(OSError, match="cannot connect") as caught:
        await dial_tcp(host, port, near)
    assert any("Connection refused" in note for note in caught.value.__notes__)


async def test_a_cancelled_dial_leaves_nothing_open(autojump_clock, monkeypatch):
    """Whatever has been reached by then."""
    streams = []

    async def open_slowly(host, port):
        if host == "192.0.2.1":
            await trio.sleep(60)
        await trio.sleep(1)
        raise OSError("no")

    monkeypatch.setattr(trio, "open_tcp_stream", open_slowly)

    async def two(host, port, **_):
        return [(2, 1, 6, "", (address, port)) for address in ("192.0.2.1", "192.0.2.2")]

    monkeypatch.setattr(trio.socket, "getaddrinfo", two)
    with trio.move_on_after(10) as scope:
        streams.append(await dial_tcp("two.example", 80, Asker("session")))
    assert scope.cancelled_caught
    assert streams == []


# --- peers that only dial ------------------------------------------------------------


async def test_an_object_of_a_peer_that_only_dials_is_forwarded():
    """Nobody could dial it: so Bob stands in between, and it works."""
    with trio.fail_after(20):
        async with local("bob") as bob, local("carol") as carol, open_vat("alice") as vat:
            mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
            alice = Person(vat, mycapn, "alice")
            bobs, bobs_ref = await share(bob, Desk)
            carols, carols_ref = await share(carol, Desk)
            greeter = await vat.run(spawn, Greeter, "Alice")
            await vat.send(await alice.enliven(bobs_ref)).take(greeter)
            carols_desk = await bob.enliven(carols_ref)

            def pass_on():
                return send(carols_desk).take(send(bobs).give())

            await (await bob.vat.run(pass_on))
            assert (await carol.vat.send(carols).use("Carol")).startswith("Hello Carol, I am Alice")
