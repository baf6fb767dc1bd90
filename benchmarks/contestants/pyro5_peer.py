"""Pyro5 with its own serializer; pipelined calls are its batches."""

from __future__ import annotations

import functools
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from threading import Thread

import Pyro5.api
from Pyro5 import config

from _network import IN_FLIGHT, obey


@Pyro5.api.expose
class Echo:
    """Gives back what it gets."""

    def echo(self, value: object) -> object:
        return value

    @Pyro5.api.oneway
    def swallow(self, value: object) -> None:
        """Nothing comes back."""


def serve(pipe: Pipe, folder: str) -> None:
    """One process."""
    config.SOCK_NODELAY = True
    config.SSL, config.SSL_SERVERCERT = True, str(Path(folder) / "server.pem")
    daemon = Pyro5.api.Daemon(host="localhost")
    pipe.send(str(daemon.register(Echo(), "echo")))
    Thread(target=daemon.requestLoop, daemon=True).start()
    pipe.recv()


def round_trips(echo: Pyro5.api.Proxy, count: int) -> float:
    """One call at a time."""
    start = time.perf_counter()
    for number in range(count):
        echo.echo(number)
    return time.perf_counter() - start


def batches(echo: Pyro5.api.Proxy, count: int) -> float:
    """Many calls in one message."""
    start = time.perf_counter()
    for first in range(0, count, IN_FLIGHT):
        batch = Pyro5.api.BatchProxy(echo)
        for number in range(min(IN_FLIGHT, count - first)):
            batch.echo(number)
        for _ in batch():
            pass
    return time.perf_counter() - start


def one_way(echo: Pyro5.api.Proxy, count: int) -> float:
    """Bursts, with an answer at the end of each."""
    start = time.perf_counter()
    for first in range(0, count, IN_FLIGHT):
        for number in range(min(IN_FLIGHT, count - first)):
            echo.swallow(number)
        echo.echo(0)
    return time.perf_counter() - start


def connects(uri: str, count: int) -> float:
    """A new connection each time."""
    seconds = 0.0
    for _ in range(count):
        start = time.perf_counter()
        with Pyro5.api.Proxy(uri) as one:
            one.echo(1)
            seconds += time.perf_counter() - start
    return seconds


def call(pipe: Pipe, uri: str, folder: str) -> None:
    """The other process."""
    config.SOCK_NODELAY = True
    config.SSL, config.SSL_CACERTS = True, str(Path(folder) / "ca.pem")
    echo = Pyro5.api.Proxy(uri)
    echo._pyroBind()
    workloads = {
        "round trips": functools.partial(round_trips, echo),
        "pipelined": functools.partial(batches, echo),
        "one-way": functools.partial(one_way, echo),
        "connect": functools.partial(connects, uri),
    }
    obey(pipe, workloads)
