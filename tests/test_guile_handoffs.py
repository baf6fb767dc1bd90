"""Introductions among Guile Goblins 0.18 and us over tcp-tls, every role played by each of us."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import pytest
import trio

from goblins_py import actor, open_vat, parse_uri, send, spawn, spawn_mycapn
from goblins_py.captp import Session
from guile_peer import GuilePeer
from netlayers import TcpTlsNetlayer

pytestmark = pytest.mark.guile

PATIENCE = 20


@pytest.fixture(scope="module")
def guiles(guile: type[GuilePeer]) -> Iterator[list[dict[str, str]]]:
    """What two Guile servers serve."""
    with guile("server.scm") as one, guile("server.scm") as other:
        yield [one.uris(), other.uris()]


class Probe:
    """A plain callable whose end of life can be watched."""

    def __call__(self, *args):
        return args


@actor
class Holder:
    """Holds what it is given, and calls it: the receiver."""

    held: object = None

    def hold(self, ref):
        self.held = ref
        return "holding"

    def poke(self, *args):
        return send(self.held)(*args)

    def drop(self):
        self.held = None

    def get(self):
        return self.held


@actor
class Matchmaker:
    """Brings two together: the gifter."""

    mycapn: object

    async def introduce(self, receiver, exporter):
        receiving = await send(self.mycapn).enliven(receiver)
        return await send(receiving).hold(await send(self.mycapn).enliven(exporter))

    async def give(self, receiver, ref):
        return await send(await send(self.mycapn).enliven(receiver)).hold(ref)


@attrs.define
class Ours:
    """A vat that listens, and what it shares."""

    vat: object
    mycapn: object
    uris: dict
    holder: object

    async def enliven(self, uri):
        return await self.vat.send(self.mycapn).enliven(uri)


@asynccontextmanager
async def ours(name):
    """One of us, with an object for each role."""
    async with open_vat(name) as vat:
        mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1")))
        things = {
            "echo": await vat.run(spawn, Probe()),
            "holder": await vat.run(spawn, Holder),
            "matchmaker": await vat.run(spawn, Matchmaker, mycapn),
            "maker": await vat.run(spawn, lambda: spawn(Probe())),
        }
        uris = {key: (await vat.send(mycapn).register(ref, "tcp-tls")).uri for key, ref in things.items()}
        yield Ours(vat, mycapn, uris, things["holder"])


@asynccontextmanager
async def people(count):
    """So many of us; all of it within PATIENCE seconds."""
    with trio.fail_after(PATIENCE):
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(ours(f"person {number}")) for number in range(count)]


def designator_of(uri):
    return parse_uri(uri).peer.designator


def peer_of(ref):
    assert isinstance(ref._connector, Session)
    return ref._connector.peer.designator


async def until(condition):
    """Wait for what only garbage collectors can bring about."""
    while not await condition():
        gc.collect()
        await trio.sleep(0.1)


ROLES = ["OOG", "OGO", "GOO", "OGG", "GOG", "GGO"]
"""Who is gifter, receiver and exporter: one of Ours, or Guile."""


@pytest.mark.parametrize("roles", ROLES)
async def test_every_role_is_played_by_guile_and_by_us(guiles, roles) -> None:
    """The receiver's call arrives at the exporter's object, twice introduced and twice called."""
    async with people(1 + roles.count("O")) as (driver, *rest):
        others = list(guiles)
        cast = [rest.pop().uris if role == "O" else others.pop() for role in roles]
        gifter, receiver, exporter = cast
        matchmaker = await driver.enliven(gifter["matchmaker"])
        holder = await driver.enliven(receiver["holder"])
        for number in range(2):
            await driver.vat.send(matchmaker).introduce(receiver["holder"], exporter["echo"])
            assert ("Hello", number) == await driver.vat.send(holder).poke("Hello", number)


@pytest.mark.parametrize("gifter", ["ours", "guile"])
async def test_a_given_reference_is_the_exporters_own(guiles, gifter) -> None:
    """No messages go through the gifter; and it is what enliven finds as well."""
    async with people(3) as (driver, receiver, other):
        giving = other.uris if gifter == "ours" else guiles[0]
        exporting = guiles[1]
        matchmaker = await driver.enliven(giving["matchmaker"])
        await driver.vat.send(matchmaker).introduce(receiver.uris["holder"], exporting["echo"])
        held = await receiver.vat.send(receiver.holder).get()
        assert peer_of(held) == designator_of(exporting["echo"])
        assert held is await receiver.enliven(exporting["echo"])


async def test_a_guile_exporter_serves_several_receivers_of_one_gifter(guiles) -> None:
    """It shares its count among them: who is refused comes again with a higher one."""
    async with people(4) as (gifter, *receivers):
        made = await gifter.enliven(guiles[0]["echo"])
        for number in range(4):
            for receiver in receivers:
                holder = await gifter.enliven(receiver.uris["holder"])
                await gifter.vat.send(holder).hold(made)
                assert (number,) == await gifter.vat.send(holder).poke(number)


async def test_what_was_given_and_dropped_guile_can_collect(guiles) -> None:
    """Gifter and receiver let go: Guile's guardian gets its object."""
    async with people(2) as (gifter, receiver):
        witness = await gifter.enliven(guiles[0]["witness"])
        holder = await gifter.enliven(receiver.uris["holder"])
        before = await gifter.vat.send(witness).collected()
        await gifter.vat.send(holder).hold(await gifter.vat.send(witness).make())
        assert (1,) == await gifter.vat.send(holder).poke(1)
        gc.collect()
        assert before == await gifter.vat.send(witness).collected()
        await gifter.vat.send(holder).drop()

        async def is_gone() -> bool:
            return await gifter.vat.send(witness).collected() == before + 1

        await until(is_gone)


async def test_what_was_given_to_guile_and_dropped_we_can_collect(guiles) -> None:
    """An object of ours that a Guile receiver was given is freed when that lets go."""
    async with people(2) as (gifter, exporter):
        probe = Probe()
        watch = weakref.ref(probe)
        made = [await exporter.vat.run(spawn, probe)]
        maker = await exporter.vat.run(spawn, made.pop)
        sturdyref = await exporter.vat.send(exporter.mycapn).register(maker, "tcp-tls")
        holder = await gifter.enliven(guiles[0]["holder"])
        await gifter.vat.send(holder).hold(gifter.vat.send(await gifter.enliven(sturdyref.uri))())
        del probe
        assert ("still", "here") == await gifter.vat.send(holder).poke("still", "here")
        await gifter.vat.send(holder).drop()

        async def is_gone() -> bool:
            return watch() is None

        await until(is_gone)


async def test_both_dial_at_once(guiles) -> None:
    """Crossed hellos with Guile: whichever wins, what we want of it is there.

    What Guile itself wanted over a connection that lost never settles there, so it is not waited for.
    """
    for _ in range(4):
        async with people(2) as (driver, one):
            matchmaker = await driver.enliven(guiles[0]["matchmaker"])
            driver.vat.send(matchmaker).meet(one.uris["echo"])
            echo = await one.enliven(guiles[0]["echo"])
            assert ("Hello",) == await one.vat.send(echo)("Hello")
            assert ("again",) == await one.vat.send(echo)("again")
            assert peer_of(echo) == designator_of(guiles[0]["echo"])
