"""Introductions: Alice has an object, Bob gives it to Carol, and from then on Bob is not needed."""

import gc
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from goblins_py import actor, send
from goblins_py.captp import Session
from goblins_py.errors import ConnectFailedError, RemoteError
from netlayers import LoopbackNetwork
from runtime_kit import Greeter, person, until


@actor
class Desk:
    """Keeps what it is given, and calls it."""

    kept: object = None

    def take(self, thing):
        """Keep it."""
        self.kept = thing

    def use(self, guest):
        """Greet through it."""
        return send(self.kept).greet(guest)

    def give(self):
        """Hand it on."""
        return self.kept


@asynccontextmanager
async def three_people(**options):
    """Alice, Bob and Carol on one network."""
    network = LoopbackNetwork(**options)
    async with (
        person("alice", network) as alice,
        person("bob", network) as bob,
        person("carol", network) as carol,
    ):
        yield alice, bob, carol, network


def session_of(ref):
    """The session behind a remote reference."""
    assert isinstance(ref._connector, Session)
    return ref._connector


async def introduced(alice, bob, carol):
    """Bob enlivens Alice's greeter and puts it on Carol's desk: desk, greeter, and Bob's view of the desk."""
    greeter, sturdyref = await alice.share(Greeter, "Alice")
    desk, desk_ref = await carol.share(Desk)
    bobs_greeter = await bob.enliven(sturdyref)
    bobs_desk = await bob.enliven(desk_ref)
    await bob.vat.send(bobs_desk).take(bobs_greeter)
    return desk, greeter, bobs_desk


async def test_a_given_reference_leads_straight_to_its_object():
    """Carol's session is with Alice; Bob may go."""
    async with three_people() as (alice, bob, carol, network):
        desk, _, _ = await introduced(alice, bob, carol)
        assert (await carol.vat.send(desk).use("Carol")).startswith("Hello Carol, I am Alice")
        kept = await carol.vat.send(desk).give()
        assert session_of(kept).peer.designator == "alice"
        network.drop("bob", "carol")
        network.drop("bob", "alice")
        assert (await carol.vat.send(desk).use("Carol")).endswith("number 2.")


async def test_messages_to_a_given_reference_are_pipelined(autojump_clock):
    """They need not wait for the introduction to be complete."""
    async with three_people() as (alice, bob, carol, network):
        greeter, sturdyref = await alice.share(Greeter, "Alice")
        _, desk_ref = await carol.share(Desk)
        bobs_greeter, bobs_desk = await bob.enliven(sturdyref), await bob.enliven(desk_ref)
        network.set_delay("alice", "carol", 2.0)

        def both():
            send(bobs_desk).take(bobs_greeter)
            return send(bobs_desk).use("Dora")

        assert (await (await bob.vat.run(both))).startswith("Hello Dora")
        assert await alice.vat.send(greeter).count() == 1


async def test_a_reference_given_back_to_its_exporter_is_the_original():
    """Bob gives Alice her own object: it arrives as itself, no introduction needed."""
    async with three_people() as (alice, bob, _carol, _network):
        greeter, sturdyref = await alice.share(Greeter, "Alice")
        desk, desk_ref = await alice.share(Desk)
        await bob.vat.send(await bob.enliven(desk_ref)).take(await bob.enliven(sturdyref))
        assert (await alice.vat.send(desk).give()) is greeter


async def test_a_given_reference_can_be_given_on():
    """Carol gives it to Dora, who ends up with a session to Alice, too."""
    async with three_people() as (alice, bob, carol, network), person("dora", network) as dora:
        desk, _, _ = await introduced(alice, bob, carol)
        kept = await carol.vat.send(desk).give()
        doras_desk, doras_ref = await dora.share(Desk)
        await carol.vat.send(await carol.enliven(doras_ref)).take(kept)
        assert (await dora.vat.send(doras_desk).use("Dora")).startswith("Hello Dora")
        assert session_of(await dora.vat.send(doras_desk).give()).peer.designator == "alice"


async def test_two_receivers_of_one_gifter_each_get_it():
    """Counts are the exporter session's own."""
    async with three_people() as (alice, bob, carol, network), person("dora", network) as dora:
        desk, _, _ = await introduced(alice, bob, carol)
        _, sturdyref = await alice.share(Greeter, "Anna")
        anna = await bob.enliven(sturdyref)
        doras_desk, doras_ref = await dora.share(Desk)
        bobs_view = await bob.enliven(doras_ref)
        for _ in range(3):
            await bob.vat.send(bobs_view).take(anna)
        assert "Anna" in await dora.vat.send(doras_desk).use("Dora")
        assert "Alice" in await carol.vat.send(desk).use("Carol")


async def test_an_exporter_that_cannot_be_reached_breaks_the_promise(autojump_clock):
    """Carol is told why, and nothing else of hers is touched."""
    async with three_people() as (alice, bob, carol, network):
        network.partition("alice", "carol")
        desk, _, _ = await introduced(alice, bob, carol)
        with pytest.raises(ConnectFailedError):
            await carol.vat.send(desk).use("Carol")


async def test_a_gift_whose_gifter_has_gone_before_the_deposit_is_refused():
    """Gifts and waits die with the gifter's session."""
    async with three_people() as (alice, bob, carol, network):
        network.set_delay("alice", "bob", 0.0)
        _, sturdyref = await alice.share(Greeter, "Alice")
        desk, desk_ref = await carol.share(Desk)
        bobs_greeter, bobs_desk = await bob.enliven(sturdyref), await bob.enliven(desk_ref)
        network.partition("alice", "bob")  # the deposit is held back
        await bob.vat.send(bobs_desk).take(bobs_greeter)
        promise = carol.vat.send(desk).use("Carol")
        await trio.testing.wait_all_tasks_blocked(0.05)
        network.drop("alice", "bob")
        with trio.fail_after(10), pytest.raises(RemoteError, match="gifter"):
            await promise


async def test_tables_return_to_their_size_after_introductions():
    """Nothing of a hundred introductions stays."""
    async with three_people() as (alice, bob, carol, _network):
        desk, _, bobs_desk = await introduced(alice, bob, carol)
        await carol.vat.send(desk).use("x")
        references = session_of(bobs_desk).references
        await trio.sleep(0.3)
        before = len(references.exports), len(references.imports)
        _, sturdyref = await alice.share(Greeter, "Anna")
        anna = await bob.enliven(sturdyref)
        for _ in range(100):
            await bob.vat.send(bobs_desk).take(anna)
        await carol.vat.send(desk).use("x")

        def back_to_size():
            gc.collect()  # circles that have grown old are no concern of this test
            return len(references.exports) <= before[0] and len(references.imports) <= before[1]

        await until(back_to_size, seconds=30)
