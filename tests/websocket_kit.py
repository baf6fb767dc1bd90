"""Alice listens and Bob dials, for the tests of websockets: real sockets on loopback."""

import os
from contextlib import asynccontextmanager

import attrs
import trio
import trustme
from OpenSSL import SSL
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from goblins_py.locators import PeerLocator
from goblins_py.runtime._sockets import dial_tcp
from netlayer_kit import NurseryIo
from netlayers import WebsocketNetlayer
from netlayers._tcp_connection import TcpConnection
from netlayers._tls_connection import TlsConnection, shake_hands
from netlayers._websocket_auth import auth_message
from netlayers._websocket_dialler import _uri
from netlayers._websocket_url import read_url
from tcp_tls_kit import Echo


class WebsocketIo(NurseryIo):
    """Also makes random bytes, and closes what was listened on, and what strangers have dialled."""

    random_bytes = staticmethod(os.urandom)

    def __init__(self, nursery):
        super().__init__(nursery)
        self.sockets = []

    def listen(self, host, port):
        sockets = NurseryIo.listen(host, port)
        self.sockets += sockets
        return sockets


@asynccontextmanager
async def an_io(seconds=30):
    """An `Io` for one test; all ends within so many seconds."""
    with trio.fail_after(seconds):
        async with trio.open_nursery() as nursery:
            io = WebsocketIo(nursery)
            yield io
            nursery.cancel_scope.cancel()
    for sock in io.sockets:
        sock.close()


def set_up(io, *args, establisher=None, **fields):
    netlayer = WebsocketNetlayer(*args, **fields)
    netlayer.setup(io, establisher or Echo())
    return netlayer


@attrs.define
class Alice:
    """A netlayer that listens on loopback, and how to be a stranger to it."""

    netlayer: WebsocketNetlayer
    io: WebsocketIo

    @property
    def location(self):
        return self.netlayer.our_location()

    @property
    def target(self):
        return read_url(self.location.hints["url"])

    async def stream(self):
        """A bare connection to her port, with TLS if she has it: whoever it is may do anything."""
        sock = await dial_tcp("127.0.0.1", self.netlayer.port)
        self.io.sockets.append(sock)
        if not self.netlayer.encrypted:
            return TcpConnection(sock)
        tls = SSL.Connection(SSL.Context(SSL.TLS_METHOD), sock)
        tls.set_connect_state()
        await shake_hands(tls, sock)
        return TlsConnection(tls, sock, None)

    async def request(self, text):
        """The status line and all the rest of what she answers to a raw HTTP request."""
        stream = await self.stream()
        await stream.send(text.encode().replace(b"\n", b"\r\n"))
        answer = await read_to_end(stream)
        await stream.aclose()
        return answer.decode()

    async def stranger(self, **headers):
        """A raw websocket after its opening handshake, before init:peer-auth."""
        return await self.stranger_at(self.target.path, **headers)

    async def stranger_at(self, path, **headers):
        """The same at another path."""
        uri = _uri(attrs.evolve(self.target, path=path))
        stranger = Stranger(await self.stream(), ClientProtocol(uri, max_size=None))
        await stranger.open(headers)
        return stranger

    async def guest(self):
        """A stranger that has gone through init:peer-auth, as a stock peer does."""
        stranger = await self.stranger()
        await stranger.send(Frame(Opcode.BINARY, auth_message(os.urandom(32))))
        assert (await stranger.next_frame()).opcode is Opcode.BINARY
        return stranger

    async def is_serving(self):
        """Whether an honest peer gets its echo."""
        bob = set_up(self.io, listen=False, verify_certificates=False)
        connection = await bob.connect_to(self.location).wait()
        await connection.send(b"honest")
        answer = await connection.receive()
        await connection.aclose()
        return answer == b"honest"


@attrs.define
class Stranger:
    """The client's end of a websocket, frame by frame, of any kind."""

    stream: object
    protocol: ClientProtocol
    response: Response = None
    frames: list = attrs.field(factory=list)

    async def open(self, headers):
        request = self.protocol.connect()
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        self.protocol.send_request(request)
        await self.stream.send(b"".join(self.protocol.data_to_send()))
        while self.response is None:
            self.protocol.receive_data(await self.stream.receive() or b"\0")
            self._sort()

    def _sort(self):
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            else:
                self.frames.append(event)
        self.protocol.data_to_send()  # answers nothing by itself

    async def send(self, *frames, mask=True):
        await self.stream.send(b"".join(frame.serialize(mask=mask) for frame in frames))

    async def next_frame(self):
        """The next frame from her; None at the end."""
        while not self.frames:
            data = await self.stream.receive()
            if not data:
                return None
            self.protocol.receive_data(data)
            self._sort()
        return self.frames.pop(0)

    async def is_ended(self):
        """Whether she hangs up (at once or after some frames)."""
        try:
            while await self.stream.receive():
                pass
        except trio.BrokenResourceError:
            pass
        return True


@asynccontextmanager
async def alice(host="127.0.0.1", **fields):
    """Alice listens; with TLS unless told otherwise."""
    async with an_io() as io:
        yield Alice(set_up(io, host, **fields), io)


async def read_to_end(stream):
    data = b""
    try:
        while more := await stream.receive():
            data += more
    except trio.BrokenResourceError:
        pass
    return data


async def until(condition):
    """Wait until something that other tasks do has happened."""
    while not condition():
        await trio.sleep(0.005)


def request_of(path="/", *, method="GET", **headers):
    """A request as the door sees it."""
    return Request(path, Headers({name.replace("_", "-"): each for name, each in headers.items()}), method)


def locator_at(location, url):
    return PeerLocator(location.transport, location.designator, {"url": url})


def write_pair(folder, *names, authority=None, **options):
    """A certificate for these names, issued by an authority of the test's: the paths of its two files."""
    authority = authority or trustme.CA()
    issued = authority.issue_cert(*names, **options)
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return str(cert), str(key)
