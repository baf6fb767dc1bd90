"""Guile Goblins 0.18 and we over websockets, with TLS and without, both ways round."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from goblins_py import open_vat, spawn, spawn_mycapn
from guile_playground import Playground
from netlayers import WebsocketNetlayer

pytestmark = pytest.mark.guile

PATIENCE = 60
ALMOST_ALL = 50
"""Checks of client.scm that a run must at least have made."""


@pytest.fixture(scope="module", params=["ws", "wss"])
def uris(guile, request):
    """What a Guile server serves, for all tests that do it no harm."""
    with guile("server.scm", request.param) as peer:
        found = peer.uris()
        assert all(f"url={request.param}%3A" in uri for uri in found.values())
        yield found


@asynccontextmanager
async def client_vat():
    """A vat that can dial, and a function that enlivens; all of it within PATIENCE seconds."""
    with trio.fail_after(PATIENCE):
        async with open_vat() as vat:
            make = partial(spawn, WebsocketNetlayer, listen=False, verify_certificates=False)
            mycapn = await vat.run(lambda: spawn_mycapn(make()))

            async def enliven(uri):
                return await vat.send(mycapn).enliven(uri)

            yield vat, enliven


async def test_objects_of_guile_are_called(uris):
    """Plain calls, promises pipelined three deep, and references of ours that it calls back."""
    async with client_vat() as (vat, enliven):
        assert (1, "two") == await vat.send(await enliven(uris["echo"]))(1, "two")
        builder = await enliven(uris["builder"])
        car = vat.send(vat.send(builder).make_factory("Tatra")).make_car("black")
        assert "A black Tatra drives" == await vat.send(car).drive()
        friend = await vat.run(spawn, lambda greeting: f"{greeting} yourself")
        assert "Hello yourself" == await vat.send(await enliven(uris["greeter"]))(friend)


async def test_many_messages_at_once_all_arrive(uris):
    """Over TLS Goblins leaves a second frame of one record unread: each of ours is in its own."""
    async with client_vat() as (vat, enliven):
        counter = await enliven(uris["counter"])
        before = await vat.send(counter).get()
        with trio.fail_after(10):  # one frame left unread would wait for 20 s and more
            answers = [vat.send(counter).incr() for _ in range(200)]
            assert [before + n for n in range(1, 201)] == [await answer for answer in answers]


async def test_large_values_pass_both_ways(uris):
    """More than a TLS record, than a TCP window, than one read."""
    async with client_vat() as (vat, enliven):
        value = bytes(range(256)) * 2**12
        assert (value,) == await vat.send(await enliven(uris["echo"]))(value)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_guile_calls_our_objects(guile, encrypted):
    """Every check of the Guile client, against our listener."""
    with trio.fail_after(PATIENCE * 2):
        async with open_vat() as vat:
            make = partial(spawn, WebsocketNetlayer, "127.0.0.1", encrypted=encrypted)
            mycapn = await vat.run(lambda: spawn_mycapn(make()))
            playground = await vat.run(spawn, Playground)
            sturdyref = await vat.send(mycapn).register(playground, "websocket")
            with guile("client.scm", sturdyref.uri) as peer:
                passed, complaints = await trio.to_thread.run_sync(peer.results)
    assert [] == complaints
    assert passed >= ALMOST_ALL


@pytest.mark.slow
async def test_guile_may_be_idle(guile):
    """After 30 s without a frame it would ping, unmasked, and be hung up on: it never comes to that."""

    async def be_idle(encrypted):
        async with open_vat() as vat:
            make = partial(spawn, WebsocketNetlayer, "127.0.0.1", encrypted=encrypted)
            mycapn = await vat.run(lambda: spawn_mycapn(make()))
            sturdyref = await vat.send(mycapn).register(await vat.run(spawn, Playground), "websocket")
            with guile("idle.scm", sturdyref.uri, "40") as peer:
                assert "ok" == await trio.to_thread.run_sync(peer.next_line)
                assert "DONE" == await trio.to_thread.run_sync(peer.next_line)

    with trio.fail_after(PATIENCE * 3):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(be_idle, False)
            nursery.start_soon(be_idle, True)
