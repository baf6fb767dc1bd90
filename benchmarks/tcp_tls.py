"""Round trips and pipelined calls per second over tcp-tls, two processes, beside what carries them.

    python benchmarks/tcp_tls.py [--seconds 2] [--json]

The floor is a raw echo of as many bytes over the same TLS connection class, without CapTP; figures of one
run can be compared, those of different runs cannot.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import ssl
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection as Pipe

import trio

from goblins_py import actor, open_vat, send_only, spawn, spawn_mycapn
from goblins_py.runtime import OpenVat
from netlayers import TcpTlsNetlayer, generate_tls_certificate, generate_tls_private_key

IN_FLIGHT = 1000
ROWS = ("raw trio TLS echo", "round trips", "pipelined", "one-way")
MESSAGE = 110
"""Bytes of one small op:deliver."""


@actor
class Echo:
    """Gives back what it gets."""

    def echo(self, value: object) -> object:
        """The value."""
        return value


async def serve(pipe: Pipe) -> None:
    """The other process: an echo object, and a raw TLS echo."""
    async with open_vat("server") as vat:
        mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1")))
        echo = await vat.run(spawn, Echo)
        sturdyref = await vat.send(mycapn).register(echo, "tcp-tls")
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(raw_echo)
            pipe.send((sturdyref.uri, listeners))
            await trio.to_thread.run_sync(pipe.recv)
            nursery.cancel_scope.cancel()


async def raw_echo(task_status: trio.TaskStatus[int]) -> None:
    """An echo over the SSLStream of trio: the floor."""
    key = generate_tls_private_key()
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(key + generate_tls_certificate(key))
        file.flush()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file.name)

    async def echo(stream: trio.SSLStream[trio.SocketStream]) -> None:
        async for data in stream:
            await stream.send_all(data)

    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
    task_status.started(listeners[0].transport_listener.socket.getsockname()[1])
    await trio.serve_listeners(echo, listeners)


def serve_process(pipe: Pipe) -> None:
    """Entry of the other process."""
    trio.run(serve, pipe)


async def measure(uri: str, port: int, seconds: float) -> dict[str, list[float]]:
    """All rows, several rounds each, taken in turn."""
    rows: dict[str, list[float]] = {name: [] for name in ROWS}
    async with open_vat("client") as vat:
        mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
        echo = await vat.send(mycapn).enliven(uri)
        for _ in range(5):
            rows["raw trio TLS echo"].append(await raw_round_trips(port, seconds / 5))
            rows["round trips"].append(await round_trips(vat, echo, seconds / 5))
            rows["pipelined"].append(await pipelined(vat, echo, seconds / 5))
            rows["one-way"].append(await one_way(vat, echo, seconds / 5))
    return rows


async def raw_round_trips(port: int, seconds: float) -> float:
    """As many bytes each way as a small message has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=context)
    async with stream:
        await stream.do_handshake()
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            await stream.send_all(b"x" * MESSAGE)
            received = 0
            while received < MESSAGE:
                received += len(await stream.receive_some())
            count += 1
        return count / (time.perf_counter() - start)


async def round_trips(vat: OpenVat, echo: object, seconds: float) -> float:
    """One call at a time."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        await vat.send(echo).echo(count)
        count += 1
    return count / (time.perf_counter() - start)


async def pipelined(vat: OpenVat, echo: object, seconds: float) -> float:
    """IN_FLIGHT calls at a time."""
    count, start = 0, time.perf_counter()
    waiting = [vat.send(echo).echo(number) for number in range(IN_FLIGHT)]
    position = 0
    while time.perf_counter() - start < seconds:
        await waiting[position]
        waiting[position] = vat.send(echo).echo(position)
        position = (position + 1) % IN_FLIGHT
        count += 1
    for promise in waiting:
        await promise
    return (count + IN_FLIGHT) / (time.perf_counter() - start)


async def one_way(vat: OpenVat, echo: object, seconds: float) -> float:
    """Bursts without answers, one answer at the end of each."""
    count, start = 0, time.perf_counter()

    def burst() -> None:
        for number in range(IN_FLIGHT):
            send_only(echo).echo(number)

    while time.perf_counter() - start < seconds:
        await vat.run(burst)
        await vat.send(echo).echo(0)
        count += IN_FLIGHT
    return count / (time.perf_counter() - start)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="CapTP over tcp-tls, between two processes")
    parser.add_argument("--seconds", type=float, default=2.0, help="per row")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_process, args=(theirs,), daemon=True)
    process.start()
    uri, port = ours.recv()
    rows = trio.run(measure, uri, port, options.seconds)
    ours.send("done")
    process.join(10)
    if options.json:
        json.dump(rows, sys.stdout)
        return
    floor = statistics.median(rows["raw trio TLS echo"])
    print(f"tcp-tls, two processes, {os.cpu_count()} cores: per second (min, median, max), ratio to the echo")
    for name, values in rows.items():
        middle = statistics.median(values)
        print(f"  {name:20} {min(values):9,.0f} {middle:9,.0f} {max(values):9,.0f}   {middle / floor:5.2f}")


if __name__ == "__main__":
    main()
