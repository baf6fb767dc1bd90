"""A relay, an echo object behind it that can be reached directly, too, who calls it, and who only idles."""

from __future__ import annotations

from multiprocessing.connection import Connection as Pipe
from typing import Any

import trio

from _network import clocked, obey_async
from contestants.many import weigh
from goblins_py import actor, open_vat, parse_uri, spawn, spawn_mycapn
from goblins_py.relay import RELAY_LIMITS, spawn_relay
from netlayers import TcpTlsNetlayer, fetch_and_spawn_prelay_netlayer

CHUNK = bytes(64 * 1024)
IN_FLIGHT = 8
MOST = 5000


@actor
class Echo:
    """Gives back what it gets, or swallows it."""

    def echo(self, value: object) -> object:
        return value

    def swallow(self, value: object) -> None:
        """Nothing."""


async def _relay(pipe: Pipe) -> None:
    async with open_vat("relay") as vat:

        def up() -> Any:
            netlayer = spawn(TcpTlsNetlayer, "127.0.0.1", max_connections=MOST)
            return spawn_relay(spawn_mycapn(netlayer, limits=RELAY_LIMITS), "tcp-tls")

        admin = await vat.run(up)

        async def account(number: int) -> Any:
            return (await vat.send(admin).add_account(f"client {number}")).uri

        async def online(number: int) -> Any:
            return sum(bool(each["online"]) for each in await vat.send(admin).statistics())

        await obey_async(
            pipe, trio.to_thread.run_sync, {"account": account, "online": online, "memory": weigh}
        )


def relay(pipe: Pipe) -> None:
    """A process."""
    trio.run(_relay, pipe)


def client(account: str, *address: str) -> Any:
    """A mycapn that is known to the relay, and reached directly if it has an address; in a turn."""
    mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, *address, listen=bool(address)))
    mycapn.install_netlayer(fetch_and_spawn_prelay_netlayer(parse_uri(account), mycapn=mycapn))
    return mycapn


async def _serve(pipe: Pipe, account: str) -> None:
    async with open_vat("server") as vat:
        mycapn = await vat.run(client, account, "127.0.0.1")
        echo = await vat.run(spawn, Echo)
        pipe.send([(await vat.send(mycapn).register(echo, name)).uri for name in ("tcp-tls", "prelay")])
        await trio.to_thread.run_sync(pipe.recv)


def serve(pipe: Pipe, account: str) -> None:
    """A process."""
    trio.run(_serve, pipe, account)


async def _call(pipe: Pipe, account: str, uris: list[str]) -> None:
    async with open_vat("caller") as vat:
        mycapn = await vat.run(client, account)
        direct, relayed = [await vat.send(mycapn).enliven(uri) for uri in uris]

        def round_trips(echo: object) -> Any:
            async def work(count: int) -> None:
                for number in range(count):
                    await vat.send(echo).echo(number)

            return clocked(work)

        def bulk(echo: object) -> Any:
            async def work(count: int) -> None:
                waiting = []
                for _ in range(count):
                    waiting.append(vat.send(echo).swallow(CHUNK))
                    if len(waiting) == IN_FLIGHT:
                        await waiting.pop(0)
                for promise in waiting:
                    await promise

            return clocked(work)

        workloads = {"direct round trips": round_trips(direct), "relayed round trips": round_trips(relayed)}
        workloads |= {"direct bulk": bulk(direct), "relayed bulk": bulk(relayed)}
        await obey_async(pipe, trio.to_thread.run_sync, workloads)


def call(pipe: Pipe, account: str, uris: list[str]) -> None:
    """A process."""
    trio.run(_call, pipe, account, uris)


async def _crowd(pipe: Pipe, accounts: list[str]) -> None:
    async with open_vat("crowd") as vat:
        people = []

        async def join(number: int) -> float:
            for account in accounts[len(people) : len(people) + number]:
                people.append(await vat.run(client, account))
                await vat.send(people[-1]).self_location("prelay")
            return 0

        await obey_async(pipe, trio.to_thread.run_sync, {"join": join})


def crowd(pipe: Pipe, accounts: list[str]) -> None:
    """A process."""
    trio.run(_crowd, pipe, accounts)
