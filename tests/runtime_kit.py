"""What tests of whole vats share: actors, and two people over a network in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager

import attrs
import trio

from goblins_py import actor, open_vat, send, spawn, spawn_mycapn
from netlayers import LoopbackNetlayer, LoopbackNetwork


@actor
class Greeter:
    """Greets, counts, fails, calls back."""

    name: str
    greeted: int = 0

    def greet(self, guest):
        """Count, and say hello."""
        self.greeted += 1
        return f"Hello {guest}, I am {self.name}. You are number {self.greeted}."

    def echo(self, *args):
        """The arguments, as they arrived."""
        return args

    def fail(self):
        """Change state, then raise."""
        self.greeted = 1000
        raise ValueError("internal detail")

    def count(self):
        """How many were greeted."""
        return self.greeted

    def call_back(self, function):
        """What the caller's function says."""
        return send(function)("from the greeter")

    async def call_twice(self, function):
        """Two answers, one after the other."""
        return await send(function)(1), await send(function)(2)


@attrs.define
class Person:
    """A vat with a mycapn on a loopback network."""

    vat: object
    mycapn: object
    name: str

    async def share(self, cls, *args):
        """Spawn something and register it: the reference and its sturdyref."""
        ref = await self.vat.run(spawn, cls, *args)
        return ref, await self.vat.send(self.mycapn).register(ref, "loopback")

    async def enliven(self, sturdyref):
        """The object behind a sturdyref."""
        return await self.vat.send(self.mycapn).enliven(sturdyref)


@asynccontextmanager
async def person(name, network):
    """Open somebody's vat."""
    async with open_vat(name) as vat:

        def up():
            netlayer = spawn(LoopbackNetlayer, name)
            netlayer.attach(network)
            return spawn_mycapn(netlayer)

        yield Person(vat, await vat.run(up), name)


@asynccontextmanager
async def alice_and_bob(**options):
    """Two people and the network between them."""
    network = LoopbackNetwork(**options)
    async with person("alice", network) as alice, person("bob", network) as bob:
        yield alice, bob, network


async def until(condition, seconds=5):
    """Wait for something that another task does."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.01)
