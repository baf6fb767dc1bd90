"""The contract of `abc.Netlayer` and `abc.Connection` as a test that anybody's netlayer can run.

A listening netlayer and a dialling one are made, each in a vat of its own, and driven by their
messages only. What one kind of transport alone can suffer (a wrong certificate, a reset) is
not in it: each netlayer has its own tests for that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing

from goblins_py.abc import Connection, Establisher, Netlayer, ProofKind
from goblins_py.actors import Promise, Ref, call
from goblins_py.errors import NetlayerError
from goblins_py.locators import PeerLocator
from goblins_py.runtime import OpenVat, open_vat

__all__ = ["check_netlayer"]

_PATIENCE = 60.0
"""Seconds for all of it; enough for a transport that has to find its way first."""

_LARGE = bytes(range(256)) * 1024
"""More than any system takes at once: 256 KiB."""


MakeNetlayer = Callable[[], Ref[Netlayer]]


async def check_netlayer(make_netlayer: MakeNetlayer, *, make_dialler: MakeNetlayer | None = None) -> None:
    """Check a netlayer against the contract.

    Args:
        make_netlayer: called in a turn, spawns a netlayer that listens and is not set up yet.
        make_dialler: the same for the one that dials; None takes `make_netlayer`, called again.

    Raises:
        AssertionError: the netlayer breaks the contract; the text says where.
        trio.TooSlowError: it has not done what it should within a minute.
    """
    with trio.fail_after(_PATIENCE):
        async with (
            _set_up(make_netlayer) as listener,
            _set_up(make_dialler or make_netlayer) as dialler,
        ):
            await _check_location(listener)
            for chapter in _CHAPTERS:
                async with _connected(dialler, listener) as (ours, theirs):
                    await chapter(ours, theirs)
            await _check_two_at_once(dialler, listener)
            await _check_failures(dialler, listener)


# --- the stage -----------------------------------------------------------------


class _Guests(Establisher):
    """Hands accepted connections to the test, and keeps `run` going until they are done with."""

    def __init__(self) -> None:
        self._inlet, self._outlet = trio.open_memory_channel[Connection](100)

    async def run(self, connection: Connection) -> None:
        try:
            await self._inlet.send(connection)
            await trio.sleep_forever()
        finally:
            await connection.aclose()

    async def next(self) -> Connection:
        return await self._outlet.receive()


@attrs.frozen
class _Place:
    """A netlayer that is set up, in its vat."""

    vat: OpenVat
    netlayer: Ref[Netlayer]
    guests: _Guests

    async def name(self) -> str:
        return await self.vat.run(lambda: call(self.netlayer, Netlayer.netlayer_name))

    async def set_up(self) -> None:
        await self.vat.run(lambda: call(self.netlayer, Netlayer.setup, self.vat.io, self.guests))

    async def location(self) -> PeerLocator:
        answer = await self.vat.run(lambda: call(self.netlayer, Netlayer.our_location))
        return await answer if isinstance(answer, Promise) else answer

    async def connect_to(self, locator: PeerLocator) -> Connection:
        return await (await self.vat.run(lambda: call(self.netlayer, Netlayer.connect_to, locator)))


@asynccontextmanager
async def _set_up(make_netlayer: MakeNetlayer) -> AsyncIterator[_Place]:
    async with open_vat("a netlayer under test") as vat:
        place = _Place(vat, await vat.run(make_netlayer), _Guests())
        name = await place.name()
        assert isinstance(name, str), "netlayer_name is no text before setup"
        await place.set_up()
        assert await place.name() == name, "netlayer_name changed by setup"
        yield place


@asynccontextmanager
async def _connected(dialler: _Place, listener: _Place) -> AsyncIterator[tuple[Connection, Connection]]:
    """A new connection: the dialler's end, and the listener's."""
    locator = await listener.location()
    ours = await dialler.connect_to(locator)
    await ours.send(_HELLO)  # a listener may take it for a connection only when something is said
    theirs = await listener.guests.next()
    assert await _receive(theirs, len(_HELLO)) == _HELLO, "the first bytes did not arrive"
    await _check_proofs(dialler, locator, (ours, theirs))
    try:
        yield ours, theirs
    finally:
        await ours.aclose()
        await theirs.aclose()


_HELLO = b"<5'hello>"


async def _receive(connection: Connection, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await connection.receive()
        assert more, "the stream ended before all that was sent had arrived"
        assert connection.message_oriented or len(more) <= 64 * 1024, "receive returned over 64 KiB"
        data += more
    return data


# --- chapters ----------------------------------------------------------------------


async def _check_location(listener: _Place) -> None:
    location = await listener.location()
    assert isinstance(location, PeerLocator), "our_location is no PeerLocator"
    assert location.transport == await listener.name(), "our_location has another transport"
    again = await listener.location()
    assert again == location, "our_location changes"
    assert again.hints == location.hints, "our_location's hints change"


async def _check_proofs(dialler: _Place, locator: PeerLocator, ends: tuple[Connection, Connection]) -> None:
    ours, theirs = (end.proof for end in ends)
    if ours.kind is ProofKind.WITHOUT_IDENTITIES:
        return
    assert ours.kind is ProofKind.PROVED, "a dialled connection proves nothing"
    assert ours.designator == locator.designator, "a dialled connection proves another peer"
    if theirs.kind is ProofKind.PROVED:
        location = await dialler.location()
        assert theirs.designator == location.designator, "an accepted connection proves another peer"


async def _check_both_ways(ours: Connection, theirs: Connection) -> None:
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        for message in (b"a", b"bc", b"d" * 5000):
            await sender.send(message)
            assert await _receive(receiver, len(message)) == message, "bytes were changed on the way"


async def _check_large(ours: Connection, theirs: Connection) -> None:
    """Both send more than fits anywhere before either has read."""

    async def read(connection: Connection, expected: bytes) -> None:
        assert await _receive(connection, len(expected)) == expected, "a large message was damaged"

    async with trio.open_nursery() as nursery:
        for end, data in ((ours, _LARGE), (theirs, _LARGE[::-1])):
            nursery.start_soon(end.send, data)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(read, ours, _LARGE[::-1])
        nursery.start_soon(read, theirs, _LARGE)


async def _check_send_nowait(ours: Connection, theirs: Connection) -> None:
    taken = ours.send_nowait(_LARGE)
    assert 0 <= taken <= len(_LARGE), "send_nowait took more than there was"
    assert not ours.message_oriented or taken in {0, len(_LARGE)}, "send_nowait took part of a message"
    async with trio.open_nursery() as nursery:
        if taken < len(_LARGE):
            nursery.start_soon(ours.send, _LARGE[taken:])
        assert await _receive(theirs, len(_LARGE)) == _LARGE, "send does not go on where send_nowait stopped"


async def _check_cancelled_receive(ours: Connection, theirs: Connection) -> None:
    with trio.move_on_after(0.01):
        await theirs.receive()
    await ours.send(b"kept")
    with trio.CancelScope() as scope:
        scope.cancel()
        await theirs.receive()
    assert scope.cancelled_caught, "receive is no checkpoint"
    assert await _receive(theirs, 4) == b"kept", "a cancelled receive lost bytes"


async def _check_checkpoints(ours: Connection, theirs: Connection) -> None:
    with trio.testing.assert_checkpoints():
        await ours.send(b"x")
    with trio.testing.assert_checkpoints():
        await theirs.receive()
    with trio.testing.assert_checkpoints():
        await ours.aclose()


async def _check_end(ours: Connection, theirs: Connection) -> None:
    await ours.send(b"last words")
    await ours.aclose()
    await ours.aclose()
    assert await _receive(theirs, 10) == b"last words", "closing lost what was sent before"
    for _ in range(3):
        assert await theirs.receive() == b"", "a closed connection does not end the stream for good"
    for operation in (ours.receive, lambda: ours.send(b"x")):
        assert await _is_refused(operation), "a closed connection can still be used"


async def _check_closing_wakes(ours: Connection, theirs: Connection) -> None:
    woken: list[bool] = []

    async def wait() -> None:
        woken.append(await _is_refused(ours.receive))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.CancelScope() as scope:
            scope.cancel()
            await ours.aclose()
    assert woken == [True], "aclose does not wake a task in receive"
    assert await theirs.receive() == b"", "a cancelled aclose does not close"


async def _is_refused(operation: Callable[[], Awaitable[object]]) -> bool:
    try:
        await operation()
    except trio.ClosedResourceError:
        return True
    return False


async def _check_two_at_once(dialler: _Place, listener: _Place) -> None:
    async with (
        _connected(dialler, listener) as (first, first_end),
        _connected(dialler, listener) as (second, second_end),
    ):
        await first_end.send(b"first")
        await second_end.send(b"second")
        await second.aclose()
        assert await _receive(first, 5) == b"first", "connections of one peer are not independent"


async def _check_failures(dialler: _Place, listener: _Place) -> None:
    location = await listener.location()
    elsewhere = PeerLocator("no-such-transport", location.designator, location.hints)
    for locator in (elsewhere, PeerLocator(location.transport, "a" * 52, location.hints)):
        try:
            connection = await dialler.connect_to(locator)
        except NetlayerError:
            continue
        await connection.aclose()
        without = connection.proof.kind is ProofKind.WITHOUT_IDENTITIES
        assert without, "connect_to reached a peer that is not there"
        assert locator is not elsewhere, "connect_to dialled another transport's peer"


_CHAPTERS = (
    _check_both_ways,
    _check_large,
    _check_send_nowait,
    _check_cancelled_receive,
    _check_checkpoints,
    _check_end,
    _check_closing_wakes,
)
