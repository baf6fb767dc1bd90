"""Alice listens and Bob dials, for the tests of tcp-tls: real sockets on loopback."""

import socket
from contextlib import asynccontextmanager, suppress

import attrs
import trio
from OpenSSL import SSL

from goblins_py.abc import Establisher, Io
from goblins_py.locators import PeerLocator
from goblins_py.runtime._sockets import dial_tcp, listen_tcp
from netlayers._certificates import canonical_pair
from netlayers._preamble import PreambleReader
from netlayers._tls_connection import shake_hands
from netlayers._tls_dialler import dial
from netlayers._tls_identity import make_identity
from netlayers._tls_listener import TlsListener

ALICE_PAIR = canonical_pair(None, None)
ALICE = make_identity(*ALICE_PAIR)
BOB = make_identity(*canonical_pair(None, None))


class DialOnlyIo(Io):
    """The one part of `Io` that the dialler uses."""

    listen = start = now = wall_time = random_bytes = None
    dial = staticmethod(dial_tcp)


class HandOver(Establisher):
    """Gives accepted connections to the test, and keeps each until it is closed or released."""

    def __init__(self):
        self.inlet, self.outlet = trio.open_memory_channel(1000)
        self.release = trio.Event()

    async def run(self, connection):
        try:
            await self.inlet.send(connection)
            await self.release.wait()
        finally:
            await connection.aclose()


class Echo(Establisher):
    """Sends back what comes."""

    async def run(self, connection):
        try:
            while data := await connection.receive():
                await connection.send(data)
        except trio.BrokenResourceError:
            pass
        finally:
            await connection.aclose()


@attrs.define
class Server:
    """Alice, listening."""

    listener: TlsListener
    establisher: Establisher
    locator: PeerLocator
    address: tuple

    async def dial(self, identity=BOB):
        return await dial(identity, DialOnlyIo(), self.locator)


def locator_of(identity, address):
    return PeerLocator("tcp-tls", identity.designator, {"host": address[0], "port": str(address[1])})


@asynccontextmanager
async def alice(establisher=None, *, identity=ALICE, limit=100, patience=5.0):
    """Alice listens on 127.0.0.1 and ::1. All ends within 20 s, or the test fails."""
    establisher = Echo() if establisher is None else establisher
    listener = TlsListener(identity, establisher, limit, patience)
    sockets = listen_tcp("localhost", 0)
    address = sockets[0].getsockname()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run, sockets)
            yield Server(listener, establisher, locator_of(identity, address), address)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(dialler=BOB):
    """A connection's two ends, the dialler's first. Bob's first byte has been read."""
    establisher = HandOver()
    async with alice(establisher) as server:
        ours = await server.dial(dialler)
        await ours.send(b"!")
        theirs = await establisher.outlet.receive()
        assert await theirs.receive() == b"!"
        try:
            yield ours, theirs
        finally:
            await ours.aclose()


@asynccontextmanager
async def stranger(address):
    """A plain TCP connection (a trio stream) to `address`, from someone who may do anything."""
    async with await trio.open_tcp_stream(*address[:2]) as stream:
        yield stream


async def read_exactly(stream, size):
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        assert more, "the stream ended early"
        data += more
    return data


async def read_preamble(stream):
    reader = PreambleReader()
    while reader.wanted:
        reader.feed(await read_exactly(stream, reader.wanted))
    return reader.pem


async def copy(source, sink):
    """Pass everything on until an end hangs up."""
    with suppress(trio.BrokenResourceError):
        while data := await source.receive_some(65536):
            await sink.send_all(data)


async def is_ended(stream):
    """Whether the far end hangs up (at once or after some bytes)."""
    try:
        while await stream.receive_some(4096):
            pass
    except trio.BrokenResourceError:
        pass
    return True


async def until(condition):
    """Wait until something that other tasks do has happened."""
    while not condition():
        await trio.sleep(0.001)


async def tls_client(sock, context):
    """A client of its own kind: preamble, then TLS with `context`, on a stdlib socket."""
    reader = PreambleReader()
    while reader.wanted:
        await trio.lowlevel.wait_readable(sock)
        reader.feed(sock.recv(reader.wanted))
    tls = SSL.Connection(context, sock)
    tls.set_connect_state()
    await shake_hands(tls, sock)
    return tls


def anonymous_context():
    """A TLS client that shows no certificate and checks none."""
    return SSL.Context(SSL.TLS_METHOD)


async def tcp_socket(address):
    sock = socket.socket()
    sock.setblocking(False)
    trio_socket = trio.socket.from_stdlib_socket(sock)
    await trio_socket.connect(address[:2])
    return sock


@asynccontextmanager
async def impostor(serve):
    """A TCP server that calls `serve(stream)` for each connection; yields its address."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, listeners)
            yield listeners[0].socket.getsockname()
            nursery.cancel_scope.cancel()
