"""What tests of prelay share: relays on a loopback network, and people who are reached through them only."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import attrs

from goblins_py import PersistenceEnv, mycapn_env, open_persistent_vat, open_vat, spawn, spawn_mycapn
from goblins_py.relay import RELAY_LIMITS, Quota, relay_env, spawn_relay
from netlayers import (
    LoopbackNetlayer,
    LoopbackNetwork,
    PrelayNetlayer,
    fetch_and_spawn_prelay_netlayer,
    loopback_env,
    prelay_env,
)
from runtime_kit import Greeter


@attrs.define
class Relay:
    """A relay in a vat of its own."""

    vat: object
    admin: object

    async def account(self, name, **quota):
        """The sturdyref of a new account."""
        return await self.vat.send(self.admin).add_account(name, quota or None)

    async def statistics(self, name):
        """What one account uses."""
        every = await self.vat.send(self.admin).statistics()
        return next(each for each in every if each["name"] == name)


@attrs.define
class Client:
    """Somebody's vat: one mycapn with loopback, to reach the relay, and prelay, to be reached."""

    vat: object
    mycapn: object
    netlayer: object
    name: str

    async def share(self, cls, *args):
        """Spawn something and register it: the reference and its sturdyref over prelay."""
        ref = await self.vat.run(spawn, cls, *args)
        return ref, await self.vat.send(self.mycapn).register(ref, "prelay")

    async def enliven(self, sturdyref):
        """The object behind a sturdyref."""
        return await self.vat.send(self.mycapn).enliven(sturdyref)

    async def is_registered(self):
        """Has it found its relay?"""
        return await self.vat.run(self.netlayer.is_registered)


def loopback(name, network):
    """A netlayer on the network; in a turn."""
    netlayer = spawn(LoopbackNetlayer, name)
    netlayer.attach(network)
    return netlayer


@asynccontextmanager
async def relay(network, name="relay", *, store=None, **quota):
    """Open a relay; with a store one that can be opened again."""

    def up():
        mycapn = spawn_mycapn(loopback(name, network), limits=RELAY_LIMITS)
        return mycapn, spawn_relay(mycapn, "loopback", quota=Quota(**quota))

    if store is None:
        async with open_vat(name) as vat:
            _, admin = await vat.run(up)
            yield Relay(vat, admin)
        return
    env = PersistenceEnv(extends=[relay_env, loopback_env])
    async with open_persistent_vat(env, up, store, name=name) as (vat, (mycapn, admin)):
        await vat.run(attach, mycapn, network)
        yield Relay(vat, admin)


def attach(mycapn, network):
    """Attach a restored loopback netlayer; in a turn."""
    mycapn._behaviour._netlayers["loopback"].attach(network)


@asynccontextmanager
async def client(name, network, account=None, **options):
    """Open somebody's vat; without an account it can only dial."""
    async with open_vat(name) as vat:

        def up():
            mycapn = spawn_mycapn(loopback(name, network))
            if account is None:
                netlayer = spawn(PrelayNetlayer, mycapn)
            elif options:
                netlayer = spawn(PrelayNetlayer, mycapn, None, None, account, **options)
            else:
                netlayer = fetch_and_spawn_prelay_netlayer(account, mycapn=mycapn)
            mycapn.install_netlayer(netlayer)
            return mycapn, netlayer

        mycapn, netlayer = await vat.run(up)
        yield Client(vat, mycapn, netlayer, name)


@asynccontextmanager
async def persistent_client(name, network, account, store):
    """Somebody whose vat is kept; their greeter is registered over prelay. Yields also its sturdyref."""

    def up():
        mycapn = spawn_mycapn(loopback(name, network))
        netlayer = fetch_and_spawn_prelay_netlayer(account, mycapn=mycapn)
        mycapn.install_netlayer(netlayer)
        return mycapn, netlayer, spawn(Greeter, name)

    env = PersistenceEnv(Greeter, extends=[mycapn_env, loopback_env, prelay_env])
    async with open_persistent_vat(env, up, store, name=name) as (vat, (mycapn, netlayer, greeter)):
        await vat.run(attach, mycapn, network)
        sturdyref = await vat.send(mycapn).register(greeter, "prelay")
        yield Client(vat, mycapn, netlayer, name), sturdyref


@asynccontextmanager
async def alice_and_bob_behind_a_relay(relays=1, **options):
    """Two people with an account each, on one relay or on one each; and the network."""
    network = LoopbackNetwork(**options)
    async with AsyncExitStack() as stack:
        names = ["relay", "other-relay"][:relays]
        there = [await stack.enter_async_context(relay(network, name)) for name in names]
        alice = client("alice", network, await there[0].account("alice"))
        bob = client("bob", network, await there[-1].account("bob"))
        people = [await stack.enter_async_context(each) for each in (alice, bob)]
        yield *people, there, network
