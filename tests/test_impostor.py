"""Mallory dials Bob and says that she is Alice, over each netlayer: she gets nothing that is meant for Alice.

But where the transport knows no identities, or Bob chose to believe everybody: then she gets it, as told.
"""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from captp_kit import to_bytes
from goblins_py import open_vat, spawn, spawn_mycapn
from goblins_py.abc import UNPROVED
from goblins_py.captp import SessionKeys
from goblins_py.captp._greeting import greeting
from goblins_py.captp._records import (
    DescExport,
    DescImportObject,
    OpAbort,
    OpDeliver,
    OpGcExports,
    OpStartSession,
    read_record,
)
from goblins_py.syrup import NEED_DATA, Decoder, Symbol
from netlayers import (
    LoopbackNetlayer,
    LoopbackNetwork,
    TcpTestingOnlyNetlayer,
    TcpTlsNetlayer,
    _tcp_meeting,
    _tls_dialler,
)
from netlayers._certificates import canonical_pair
from netlayers._tls_connection import TlsConnection
from netlayers._tls_identity import make_identity
from runtime_kit import Greeter
from tcp_tls_kit import DialOnlyIo, anonymous_context, tcp_socket, tls_client

S = Symbol
MALLORYS_KEYS = SessionKeys.from_seed(b"m" * 32)
FETCH = OpDeliver(DescExport(0), (S("fetch"), b"a guess"), False, DescImportObject(1))


class World:
    """One kind of network: netlayers for honest people, and Mallory's way to Bob."""

    def __init__(self):
        self.network = LoopbackNetwork()


class Loopback(World):
    def netlayer(self, name):
        netlayer = spawn(LoopbackNetlayer, name)
        netlayer.attach(self.network)
        return netlayer

    async def dial(self, victim):
        return await self.network.dial("mallory", victim.designator)


class Tls(World):
    """Mallory shows no certificate."""

    trusting = False

    def netlayer(self, name):
        return spawn(TcpTlsNetlayer, "127.0.0.1", trust_claims=self.trusting and name == "bob")

    async def dial(self, victim):
        sock = await tcp_socket((victim.hints["host"], int(victim.hints["port"])))
        return TlsConnection(await tls_client(sock, anonymous_context()), sock, UNPROVED)


class TlsWithCertificate(Tls):
    """Mallory shows her own."""

    async def dial(self, victim):
        return await _tls_dialler.dial(make_identity(*canonical_pair(None, None)), DialOnlyIo(), victim)


class TrustingTls(Tls):
    trusting = True


class TrustingTlsWithCertificate(TlsWithCertificate):
    trusting = True


class TestingOnly(World):
    __test__ = False

    def netlayer(self, name):
        return spawn(TcpTestingOnlyNetlayer, name)

    async def dial(self, victim):
        return await _tcp_meeting.dial(DialOnlyIo(), victim, "none")


@attrs.define
class Honest:
    vat: object
    mycapn: object
    location: object

    async def share(self):
        greeter = await self.vat.run(spawn, Greeter, "Alice")
        return await self.vat.send(self.mycapn).register(greeter, self.location.transport)

    async def greet_by(self, sturdyref):
        """Enliven it, and be greeted by whoever that leads to."""
        greeter = await self.vat.send(self.mycapn).enliven(sturdyref)
        return await self.vat.send(greeter).greet("Bob")


class Mallory:
    """A connection to Bob on which somebody claims to be at Alice's location."""

    def __init__(self, connection):
        self._connection = connection
        self._decoder = Decoder(special=read_record)
        self.heard = []

    async def say(self, *operations):
        for operation in operations:
            await self._connection.send(to_bytes(operation))

    async def hear(self):
        """The next operation of Bob's, his garbage left out; None when he hangs up."""
        while True:
            operation = self._decoder.next_value()
            if operation is NEED_DATA:
                data = await self._connection.receive()
                if not data:
                    return None
                self._decoder.feed(data)
            elif not isinstance(operation, OpGcExports):  # that comes when it comes
                self.heard.append(type(operation))
                return operation

    async def is_served(self):
        """Bob answers what she asks: the session lives, and nothing else has come over it before."""
        await self.say(FETCH)
        answer = await self.hear()
        assert answer.to == DescExport(1)
        assert answer.args[0] == S("break")  # she has to guess swiss numbers, like everybody
        return self.heard[:-1] == [OpStartSession]


@asynccontextmanager
async def honest(world, name):
    async with open_vat(name) as vat:
        netlayer = await vat.run(world.netlayer, name)
        mycapn = await vat.run(spawn_mycapn, netlayer)
        location = await vat.send(mycapn).self_location(await vat.run(netlayer.netlayer_name))
        yield Honest(vat, mycapn, location)


@asynccontextmanager
async def town(world):
    """Alice and Bob, and a function that lets Mallory claim to be Alice."""
    with trio.fail_after(20):
        async with honest(world, "alice") as alice, honest(world, "bob") as bob:
            connections = []

            async def claim():
                connections.append(await world.dial(bob.location))
                mallory = Mallory(connections[-1])
                await mallory.say(greeting(MALLORYS_KEYS, alice.location))
                assert type(await mallory.hear()) is OpStartSession
                return mallory

            try:
                yield alice, bob, claim
            finally:
                for connection in connections:
                    await connection.aclose()


EVERY_NETLAYER = [Loopback, Tls, TlsWithCertificate, TrustingTlsWithCertificate]
AS_ALICE = "Hello Bob, I am Alice. You are number {}."


@pytest.mark.parametrize("kind", EVERY_NETLAYER)
async def test_an_impostor_who_comes_first_gets_nothing_meant_for_alice(kind):
    """Bob dials Alice all the same; the impostor is neither asked nor aborted."""
    async with town(kind()) as (alice, bob, claim):
        sturdyref = await alice.share()
        impostors = [await claim(), await claim()]
        assert [True, True] == [await each.is_served() for each in impostors]
        assert await bob.greet_by(sturdyref) == AS_ALICE.format(1)
        for each in impostors:
            await each.say(FETCH)
            assert (await each.hear()).to == DescExport(1)
            assert each.heard == [OpStartSession, OpDeliver, OpDeliver]


@pytest.mark.parametrize("kind", EVERY_NETLAYER)
async def test_an_impostor_who_comes_second_disturbs_nothing(kind):
    """The session with Alice stays the one that is used, and is not aborted."""
    async with town(kind()) as (alice, bob, claim):
        sturdyref = await alice.share()
        assert await bob.greet_by(sturdyref) == AS_ALICE.format(1)
        mallory = await claim()
        assert await mallory.is_served()
        assert await bob.greet_by(sturdyref) == AS_ALICE.format(2)
        assert mallory.heard == [OpStartSession, OpDeliver]


@pytest.mark.parametrize("kind", EVERY_NETLAYER)
async def test_alice_gets_through_to_a_victim_of_impostors(kind):
    """What Alice asks of Bob is answered over her own session, and he uses that to reach her."""
    async with town(kind()) as (alice, bob, claim):
        mallory = await claim()
        assert await mallory.is_served()
        assert await alice.greet_by(await bob.share()) == AS_ALICE.format(1)
        assert await bob.greet_by(await alice.share()) == AS_ALICE.format(1)
        assert mallory.heard == [OpStartSession, OpDeliver]


@pytest.mark.parametrize("kind", [TrustingTls, TestingOnly])
async def test_a_believed_impostor_gets_what_is_meant_for_alice(kind):
    """The swiss number, too: that is what believing claims is worth."""
    async with town(kind()) as (alice, bob, claim):
        sturdyref = await alice.share()
        mallory = await claim()
        assert await mallory.is_served()
        asked = bob.vat.send(bob.mycapn).enliven(sturdyref)
        stolen = await mallory.hear()
        assert stolen.args == (S("fetch"), sturdyref.swiss_num)
        await mallory.say(
            OpDeliver(DescExport(stolen.resolve_me.position), (S("fulfill"), "mine"), False, False)
        )
        assert await asked == "mine"


@pytest.mark.parametrize("kind", [TrustingTls, TestingOnly])
async def test_not_even_a_believed_impostor_takes_the_place_of_a_live_session(kind):
    """She is the one who is aborted."""
    async with town(kind()) as (alice, bob, claim):
        sturdyref = await alice.share()
        assert await bob.greet_by(sturdyref) == AS_ALICE.format(1)
        mallory = await claim()
        assert isinstance(await mallory.hear(), OpAbort)
        assert await bob.greet_by(sturdyref) == AS_ALICE.format(2)


async def test_a_believed_impostor_gives_way_to_a_proved_alice():
    """Where there are certificates, showing one counts for more than a claim."""
    async with town(TrustingTls()) as (alice, bob, claim):
        mallory = await claim()
        assert await mallory.is_served()
        assert await alice.greet_by(await bob.share()) == AS_ALICE.format(1)
        assert "replaced" in (await mallory.hear()).reason
        assert await bob.greet_by(await alice.share()) == AS_ALICE.format(1)
