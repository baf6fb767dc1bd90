"""gRPC: its blocking client and its thread pool; messages are bytes, without protocol buffers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import grpc

from _network import CHUNK, CHUNKS_IN_FLIGHT, IN_FLIGHT, obey

SMALL = b"x" * 64


def swallow(stream: Iterator[bytes], context: object) -> bytes:
    """All of a stream."""
    for _ in stream:
        pass
    return b"done"


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(lambda value, context: value),
    "Size": grpc.unary_unary_rpc_method_handler(lambda value, context: str(len(value)).encode()),
    "Swallow": grpc.stream_unary_rpc_method_handler(swallow),
}


def serve(pipe: Pipe, folder: str) -> None:
    """One process."""
    pem = (Path(folder) / "server.pem").read_bytes()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Bench", HANDLERS),))
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(pem, pem)]))
    server.start()
    pipe.send(port)
    pipe.recv()
    server.stop(None)


def in_flight(method: Any, value: bytes, count: int, most: int) -> float:
    """So many calls at a time."""
    start = time.perf_counter()
    waiting = [method.future(value) for _ in range(min(most, count))]
    for number in range(count - len(waiting)):
        waiting[number % most].result()
        waiting[number % most] = method.future(value)
    for future in waiting:
        future.result()
    return time.perf_counter() - start


def call(pipe: Pipe, port: int, folder: str) -> None:
    """The other process."""
    credentials = grpc.ssl_channel_credentials((Path(folder) / "ca.pem").read_bytes())

    def connected() -> grpc.Channel:  # each with connections of its own
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(f"localhost:{port}", credentials, options)

    channel = connected()
    echo, size = channel.unary_unary("/Bench/Echo"), channel.unary_unary("/Bench/Size")
    stream = channel.stream_unary("/Bench/Swallow")

    def round_trips(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            echo(SMALL)
        return time.perf_counter() - start

    def one_way(count: int) -> float:
        start = time.perf_counter()
        stream(SMALL for _ in range(count))
        return time.perf_counter() - start

    def connect(count: int) -> float:
        seconds = 0.0
        for _ in range(count):
            start = time.perf_counter()
            with connected() as one:
                one.unary_unary("/Bench/Echo")(SMALL)
                seconds += time.perf_counter() - start
        return seconds

    workloads = {
        "round trips": round_trips,
        "pipelined": lambda count: in_flight(echo, SMALL, count, IN_FLIGHT),
        "bulk": lambda count: in_flight(size, bytes(CHUNK), count, CHUNKS_IN_FLIGHT),
        "one-way": one_way,
        "connect": connect,
    }
    obey(pipe, workloads)
