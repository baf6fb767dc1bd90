"""prelay with Guile Goblins 0.18: our client on its relay, its client on ours, calls both ways."""

from contextlib import asynccontextmanager

import pytest
import trio

from goblins_py import open_vat, spawn, spawn_mycapn
from goblins_py.locators import Sturdyref
from goblins_py.relay import RELAY_LIMITS, spawn_relay
from netlayers import PrelayNetlayer, TcpTlsNetlayer, fetch_and_spawn_prelay_netlayer
from runtime_kit import Greeter

pytestmark = pytest.mark.guile

PATIENCE = 60


@asynccontextmanager
async def our_relay():
    """A relay of ours over tcp-tls: a function that makes accounts."""
    async with open_vat("relay") as vat:

        def up():
            mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1"), limits=RELAY_LIMITS)
            return spawn_relay(mycapn, "tcp-tls")

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
