"""Guile Goblins 0.18 and we, over real tcp-tls, in both directions: what the wire facts are worth."""

import gc
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio

from goblins_py import GoblinsError, RemoteError, Symbol, actor, flushed, open_vat, spawn, spawn_mycapn
from goblins_py.actors import untag
from goblins_py.errors import SessionSeveredError
from goblins_py.syrup import Tagged, same
from guile_peer import GuilePeer
from guile_playground import Playground
from guile_values import READ_ONLY, VALUES
from netlayers import TcpTlsNetlayer

pytestmark = pytest.mark.guile

PATIENCE = 30


@pytest.fixture(scope="module")
def uris(guile: type[GuilePeer]) -> Iterator[dict[str, str]]:
    """What a Guile server serves, for all tests that do it no harm."""
    with guile("server.scm") as peer:
        yield peer.uris()


@actor
class Friend:
    """Called with a greeting, answers it; remembers how many there were."""

    greeted: int = 0

    def __call__(self, greeting):
        self.greeted += 1
        return f"{greeting} yourself"

    def count(self):
        return self.greeted


class Probe:
    """A plain callable whose end of life can be watched."""

    def __call__(self, *args):
        return args


@asynccontextmanager
async def client_vat():
    """A vat that can dial, and a function that enlivens; all of it within PATIENCE seconds."""
    with trio.fail_after(PATIENCE):
        async with open_vat() as vat:
            mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))

            async def enliven(uri):
                return await vat.send(mycapn).enliven(uri)

            yield vat, enliven


async def until(condition) -> None:
    """Wait for what only the other side's garbage collector can bring about."""
    while not await condition():
        gc.collect()
        await trio.sleep(0.1)


async def test_every_kind_of_value_is_read_from_guile(uris) -> None:
    """Each value that Guile names arrives as the Python value of that name."""
    async with client_vat() as (vat, enliven):
        values = await enliven(uris["values"])
        assert set(VALUES) == {name.name for name in await vat.send(values).names()}
        got = {name: await vat.send(values).get(Symbol(name)) for name in VALUES}
        assert {} == {name: value for name, value in got.items() if not same(value, VALUES[name])}


async def test_every_kind_of_value_is_understood_by_guile(uris) -> None:
    """Guile itself compares what we send with what it means."""
    async with client_vat() as (vat, enliven):
        values = await enliven(uris["values"])
        verdicts = {name: await vat.send(values).check(Symbol(name), value) for name, value in VALUES.items()}
        assert [] == [name for name, verdict in verdicts.items() if verdict is not True]


async def test_every_kind_of_value_comes_back_as_it_was(uris) -> None:
    """All at once through an echo, alone and among others."""
    async with client_vat() as (vat, enliven):
        echo = await enliven(uris["echo"])
        everything = tuple(VALUES[name] for name in sorted(set(VALUES) - READ_ONLY))
        assert same((everything,), await vat.send(echo)(everything))
        assert () == await vat.send(echo)()


async def test_calls_are_answered_in_order(uris) -> None:
    """Sent without waiting, they take effect one after the other."""
    async with client_vat() as (vat, enliven):
        counter = await enliven(uris["counter"])
        before = await vat.send(counter).get()
        answers = [vat.send(counter).incr() for _ in range(20)]
        assert [before + n for n in range(1, 21)] == [await answer for answer in answers]


async def test_messages_are_pipelined_into_guile(uris) -> None:
    """Three calls deep, before the first has been answered."""
    async with client_vat() as (vat, enliven):
        builder = await enliven(uris["builder"])
        factory = vat.send(builder).make_factory("Škoda")
        cars = [vat.send(factory).make_car(colour) for colour in ("red", "green")]
        assert ["A red Škoda drives", "A green Škoda drives"] == [await vat.send(car).drive() for car in cars]
        assert 1 == await vat.send(cars[1]).serial()


async def test_parts_of_promises_are_pipelined_into_guile(uris) -> None:
    """Guile breaks what is not there; its untag takes tags for strings, and ours are symbols."""
    async with client_vat() as (vat, enliven):
        echo = await enliven(uris["echo"])
        promise = vat.send(echo)({"name": ("a", "b")}, Tagged("colour", "green"))
        field, tagged, missing = promise[0]["name"][1], promise[1], promise[7]
        called = vat.send(vat.send(echo)(echo)[0])(5)
        refused = untag(promise[1], "colour")
        assert ("b", Tagged("colour", "green"), (5,)) == (await field, await tagged, await called)
        for promise in (missing, refused):
            with pytest.raises(RemoteError):
                await promise


async def test_a_call_into_a_failure_breaks_too(uris) -> None:
    """What is built on a broken promise is broken."""
    async with client_vat() as (vat, enliven):
        thrower = await enliven(uris["thrower"])
        with pytest.raises(RemoteError):
            await vat.send(vat.send(vat.send(thrower)[Symbol("raise")]("no car")).drive()).again()


async def test_promises_of_guile_are_followed(uris) -> None:
    """A result that is settled later, and one inside a list."""
    async with client_vat() as (vat, enliven):
        promiser = await enliven(uris["promiser"])
        assert "in time" == await vat.send(promiser).later(0.2, "in time")
        (inside,) = await vat.send(promiser).inside("a list")
        assert "a list" == await inside


async def test_resolvers_of_guile_can_be_used(uris) -> None:
    """We settle Guile's promise from here, and hear of it through Guile."""
    async with client_vat() as (vat, enliven):
        promise, resolver = await vat.send(await enliven(uris["promiser"])).pair()
        vat.send(resolver).fulfill("from afar")
        assert "from afar" == await promise


async def test_plain_reasons_cross_and_exceptions_do_not(uris) -> None:
    """A string reason is read as sent; an exception of Guile's is a RemoteError without details."""
    async with client_vat() as (vat, enliven):
        thrower = await enliven(uris["thrower"])
        with pytest.raises(GoblinsError, match="not today"):
            await vat.send(thrower).refuse("not today")
        with pytest.raises(RemoteError) as caught:
            await vat.send(thrower)[Symbol("raise")]("a secret of the server")
        assert "secret" not in str(caught.value)


async def test_guile_calls_back(uris) -> None:
    """A reference of ours is called from Guile, twice, and is one object there."""
    async with client_vat() as (vat, enliven):
        friend = await vat.run(spawn, Friend)
        greeter = await enliven(uris["greeter"])
        assert "Hello yourself" == await vat.send(greeter)(friend)
        assert "Hello yourself" == await vat.send(greeter)(friend)
        assert 2 == await vat.send(friend).count()


async def test_references_keep_their_identity(uris) -> None:
    """Ours comes home as itself, and theirs is the same reference each time."""
    async with client_vat() as (vat, enliven):
        friend = await vat.run(spawn, Friend)
        echo = await enliven(uris["echo"])
        ours, theirs = await vat.send(echo)(friend, echo)
        assert ours is friend
        assert theirs is echo
        assert echo is await enliven(uris["echo"])


async def test_guile_keeps_a_reference_of_ours_and_uses_it_later(uris) -> None:
    """In another call than the one that brought it."""
    async with client_vat() as (vat, enliven):
        holder = await enliven(uris["holder"])
        assert Symbol("holding") == await vat.send(holder).hold(await vat.run(spawn, Friend))
        assert "Good morning yourself" == await vat.send(holder).poke("Good morning")
        assert Symbol("dropped") == await vat.send(holder).drop()


async def test_what_we_drop_guile_can_collect(uris) -> None:
    """Our garbage is reported: Guile's guardian gets every object that only we held."""
    async with client_vat() as (vat, enliven):
        witness = await enliven(uris["witness"])
        before = await vat.send(witness).collected()
        made = [await vat.send(witness).make() for _ in range(5)]
        assert before == await vat.send(witness).collected()
        made.clear()

        async def are_gone() -> bool:
            return await vat.send(witness).collected() == before + 5

        await until(are_gone)


async def test_what_guile_drops_we_can_collect(uris) -> None:
    """Guile's garbage is reported: an object of ours that only it held is freed."""
    async with client_vat() as (vat, enliven):
        holder = await enliven(uris["holder"])
        probe = Probe()
        watch = weakref.ref(probe)
        await vat.send(holder).hold(await vat.run(spawn, probe))
        del probe
        gc.collect()
        assert watch() is not None
        assert ("still", "here") == await vat.send(holder).poke("still", "here")
        await vat.send(holder).drop()

        async def is_gone() -> bool:
            return watch() is None

        await until(is_gone)


async def test_a_peer_killed_in_the_middle_of_a_call_breaks_the_promise(guile) -> None:
    """At once, with the reason that the session was severed; a later call breaks as well."""
    with guile("server.scm") as peer:
        uris = await trio.to_thread.run_sync(peer.uris)
        async with client_vat() as (vat, enliven):
            slow = await enliven(uris["slow"])
            answer = vat.send(slow).never()
            await flushed(slow)
            await trio.to_thread.run_sync(peer.kill)
            with trio.fail_after(5), pytest.raises(SessionSeveredError):
                await answer
            with trio.fail_after(5), pytest.raises(SessionSeveredError):
                await vat.send(slow).after(0, "too late")


@contextmanager
def served(target: str) -> Iterator[str]:
    """`goblins serve` as a process of its own; its one line of output is the URI."""
    command = [sys.executable, "-m", "goblins_py", "serve", target, "--host", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout
            uri = process.stdout.readline().strip()
            assert uri.startswith("ocapn://")
            yield uri
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


async def test_a_guile_client_gets_all_that_it_asks_for(guile) -> None:
    """Every check of client.scm, on an object in a vat of ours."""
    with trio.fail_after(2 * PATIENCE):
        async with open_vat() as vat:
            mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1")))
            playground = await vat.run(spawn, Playground)
            sturdyref = await vat.send(mycapn).register(playground, "tcp-tls")
            with guile("client.scm", sturdyref.uri) as client:
                passed, failures = await trio.to_thread.run_sync(client.results)
                assert [] == failures
                assert passed > 50


def test_a_guile_client_gets_all_that_it_asks_for_from_the_command_line(guile) -> None:
    """The same, on an object that `goblins serve` serves."""
    playground = Path(__file__).with_name("guile_playground.py")
    with served(f"{playground}:Playground") as uri, guile("client.scm", uri) as client:
        passed, failures = client.results()
        assert [] == failures
        assert passed > 50
        assert 0 == client.wait()


def test_a_guile_client_killed_in_the_middle_does_no_harm(guile) -> None:
    """The server goes on and serves the next one."""
    playground = Path(__file__).with_name("guile_playground.py")
    with served(f"{playground}:Playground") as uri:
        with guile("client.scm", uri) as client:
            assert "ok enliven" == client.next_line()
            client.kill()
        with guile("client.scm", uri, "pipelining") as client:
            assert [] == client.results()[1]
