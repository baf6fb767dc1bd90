"""prelay with Guile Goblins 0.18: our client on its relay, its client on ours, calls both ways."""

from contextlib import asynccontextmanager

import pytest
import trio

from goblins_py import on_sever, open_vat, spawn, spawn_mycapn
from goblins_py.locators import Sturdyref
from goblins_py.relay import RELAY_LIMITS, Quota, spawn_relay
from netlayers import PrelayNetlayer, TcpTlsNetlayer, fetch_and_spawn_prelay_netlayer
from runtime_kit import Greeter, until

pytestmark = pytest.mark.guile

PATIENCE = 60


@asynccontextmanager
async def our_relay(**quota):
    """A relay of ours over tcp-tls: a function that makes accounts."""
    async with open_vat("relay") as vat:

        def up():
            mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1"), limits=RELAY_LIMITS)
            return spawn_relay(mycapn, "tcp-tls", quota=Quota(**quota))

        admin = await vat.run(up)

        async def account(name):
            return await vat.send(admin).add_account(name)

        yield account


@asynccontextmanager
async def our_client(account):
    """A client of ours on whatever relay; without an account it only dials."""
    async with open_vat("client") as vat:

        def up():
            mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, listen=False))
            if account is None:
                mycapn.install_netlayer(spawn(PrelayNetlayer, mycapn))
            else:
                mycapn.install_netlayer(fetch_and_spawn_prelay_netlayer(account, mycapn=mycapn))
            return mycapn

        yield vat, await vat.run(up)


def read_uris(peer):
    """What it serves; and no thread is left waiting if it does not say."""
    return peer.uris(PATIENCE)


async def talk(vat, mycapn, guile_client, uris):
    """Calls both ways between a client of ours and one of Guile's."""
    echo = await vat.send(mycapn).enliven(uris["echo"])
    assert (1, "two") == await vat.send(echo)(1, "two")
    greeter = await vat.run(spawn, Greeter, "Alice")
    sturdyref = await vat.send(mycapn).register(greeter, "prelay")
    guile_client.say(f"call {sturdyref.uri}")
    said = await trio.to_thread.run_sync(guile_client.next_line)
    assert "said Hello Guile, I am Alice. You are number 1." == said


async def test_our_client_and_guiles_talk_over_a_relay_that_guile_runs(guile):
    """Both through Goblins' account flow, on Goblins' relay."""
    with guile("prelay_relay.scm", "alice", "guile") as there, trio.fail_after(PATIENCE):
        accounts = await trio.to_thread.run_sync(read_uris, there)
        with guile("prelay_client.scm", accounts["guile"]) as guile_client:
            uris = await trio.to_thread.run_sync(read_uris, guile_client)
            async with our_client(Sturdyref.from_uri(accounts["alice"])) as (vat, mycapn):
                await talk(vat, mycapn, guile_client, uris)


async def test_guiles_client_and_ours_talk_over_our_relay(guile):
    """Guile redeems its account by its own flow, and does not notice whose relay it is."""
    with trio.fail_after(PATIENCE):
        async with our_relay() as account:
            with guile("prelay_client.scm", (await account("guile")).uri) as guile_client:
                uris = await trio.to_thread.run_sync(read_uris, guile_client)
                async with our_client(await account("alice")) as (vat, mycapn):
                    await talk(vat, mycapn, guile_client, uris)


async def test_a_relay_of_guiles_and_one_of_ours_pass_on_to_each_other(guile):
    """Guile's client is on its own relay, ours on ours; each dials through the other's."""
    with guile("prelay_relay.scm", "guile") as there, trio.fail_after(PATIENCE):
        accounts = await trio.to_thread.run_sync(read_uris, there)
        async with our_relay() as account:
            with guile("prelay_client.scm", accounts["guile"]) as guile_client:
                uris = await trio.to_thread.run_sync(read_uris, guile_client)
                async with our_client(await account("alice")) as (vat, mycapn):
                    await talk(vat, mycapn, guile_client, uris)


async def test_guiles_client_hears_that_ours_is_gone_and_ours_that_guiles_is(guile):
    """Over our relay a lost client severs its sessions at once, on both sides."""
    with trio.fail_after(PATIENCE):
        async with our_relay() as account:
            with guile("prelay_client.scm", (await account("guile")).uri) as guile_client:
                uris = await trio.to_thread.run_sync(read_uris, guile_client)
                async with our_client(await account("alice")) as (vat, mycapn):
                    greeter = await vat.run(spawn, Greeter, "Alice")
                    sturdyref = await vat.send(mycapn).register(greeter, "prelay")
                    guile_client.say(f"hold {sturdyref.uri}")
                    assert "held" == await trio.to_thread.run_sync(guile_client.next_line)
                assert (await trio.to_thread.run_sync(guile_client.next_line)).startswith("severed")
                async with our_client(None) as (vat, mycapn):
                    echo = await vat.send(mycapn).enliven(uris["echo"])
                    reasons = []
                    await vat.run(lambda: on_sever(echo, reasons.append))
                    guile_client.kill()
                    await until(lambda: reasons, seconds=20)
                    assert "lost" in reasons[0]


async def test_a_flood_from_guile_is_aborted_with_a_reason(guile):
    """Guile sends one-way and cannot be slowed down: over its rate its inner session ends, and it is told."""
    with trio.fail_after(PATIENCE):
        async with our_relay(bytes_per_second=100_000) as account:
            with guile("prelay_client.scm", (await account("guile")).uri) as guile_client:
                await trio.to_thread.run_sync(read_uris, guile_client)
                async with our_client(await account("alice")) as (vat, mycapn):
                    greeter = await vat.run(spawn, Greeter, "Alice")
                    sturdyref = await vat.send(mycapn).register(greeter, "prelay")
                    guile_client.say(f"flood {sturdyref.uri} 40")
                    lines = [await trio.to_thread.run_sync(guile_client.next_line) for _ in range(2)]
                    assert ["flooded", "severed"] == sorted(line.split()[0] for line in lines)
                    assert "number 1" in await vat.send(greeter).greet("somebody")
