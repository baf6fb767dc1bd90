"""rpyc: a thread per connection, with TLS, and TCP_NODELAY, without which it waits for ACKs."""

from __future__ import annotations

import socket
import ssl
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from threading import Thread

import rpyc
from rpyc.core.stream import SocketStream
from rpyc.utils.authenticators import SSLAuthenticator
from rpyc.utils.factory import connect_stream
from rpyc.utils.server import ThreadedServer

from _network import CHUNK, CHUNKS_IN_FLIGHT, IN_FLIGHT, obey


class Echo(rpyc.Service):
    """Gives back what it gets."""

    def exposed_echo(self, value: object) -> object:
        return value

    def exposed_size(self, value: bytes) -> int:
        return len(value)


class Prompt(SSLAuthenticator):
    """Lets small messages go at once."""

    def __call__(self, sock: socket.socket) -> tuple[ssl.SSLSocket, object]:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return super().__call__(sock)


def serve(pipe: Pipe, folder: str) -> None:
    """One process."""
    pem = str(Path(folder) / "server.pem")
    server = ThreadedServer(Echo, "127.0.0.1", port=0, authenticator=Prompt(pem, pem))
    Thread(target=server.start, daemon=True).start()
    pipe.send(server.port)
    pipe.recv()


def in_flight(method: object, arguments: object, count: int, most: int) -> float:
    """So many calls at a time."""
    call = rpyc.async_(method)
    start = time.perf_counter()
    waiting = [call(arguments) for _ in range(min(most, count))]
    for number in range(count - len(waiting)):
        waiting[number % most].wait()
        waiting[number % most] = call(arguments)
    for result in waiting:
        result.wait()
    return time.perf_counter() - start


def call(pipe: Pipe, port: int, folder: str) -> None:
    """The other process."""

    def connected() -> rpyc.Connection:
        ca = str(Path(folder) / "ca.pem")
        verified = {"ca_certs": ca, "cert_reqs": ssl.CERT_REQUIRED}
        return connect_stream(SocketStream.ssl_connect("localhost", port, verified, nodelay=True))

    echo, size = (connection := connected()).root.echo, connection.root.size

    def round_trips(count: int) -> float:
        start = time.perf_counter()
        for number in range(count):
            echo(number)
        return time.perf_counter() - start

    def connect(count: int) -> float:
        seconds = 0.0
        for _ in range(count):
            start = time.perf_counter()
            one = connected()
            one.root.echo(1)
            seconds += time.perf_counter() - start
            one.close()
        return seconds

    workloads = {
        "round trips": round_trips,
        "pipelined": lambda count: in_flight(echo, 1, count, IN_FLIGHT),
        "bulk": lambda count: in_flight(size, bytes(CHUNK), count, CHUNKS_IN_FLIGHT),
        "connect": connect,
    }
    obey(pipe, workloads)
