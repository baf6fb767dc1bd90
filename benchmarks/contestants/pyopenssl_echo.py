"""Floor: the same as `asyncio_echo` with OpenSSL on a non-blocking socket under trio: what carries us."""

from __future__ import annotations

import functools
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import trio
from OpenSSL import SSL

from contestants.trio_echo import answer, call_over

SOME = 2**16


class Stream:
    """Just what the echo needs."""

    def __init__(self, context: SSL.Context, socket: trio.socket.SocketType, *, is_server: bool) -> None:
        socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        self._socket = socket
        self._tls = SSL.Connection(context, socket._sock)
        (self._tls.set_accept_state if is_server else self._tls.set_connect_state)()

    async def _until(self, act: Callable[[], Any]) -> Any:
        while True:
            try:
                return act()
            except SSL.WantReadError:
                await trio.lowlevel.wait_readable(self._socket)
            except SSL.WantWriteError:
                await trio.lowlevel.wait_writable(self._socket)

    async def send_all(self, data: bytes) -> None:
        """All of it."""
        sent = 0
        while sent < len(data):
            part = memoryview(data)[sent : sent + 2**18] if len(data) > 2**14 else data
            sent += await self._until(functools.partial(self._tls.send, part))

    async def receive_some(self) -> bytes:
        """What there is, or nothing at the end."""
        try:
            return await self._until(functools.partial(self._tls.recv, SOME))
        except SSL.Error:
            return b""

    async def aclose(self) -> None:
        """Without goodbye."""
        self._socket.close()


async def _serve(pipe: Pipe, folder: str) -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(str(Path(folder) / "server.pem"))
    context.use_privatekey_file(str(Path(folder) / "server.pem"))
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def accepted(tcp: trio.SocketStream) -> None:
            await answer(Stream(context, tcp.socket, is_server=True))

        nursery.start_soon(trio.serve_listeners, accepted, listeners)
        pipe.send(listeners[0].socket.getsockname()[1])
        await trio.to_thread.run_sync(pipe.recv)
        nursery.cancel_scope.cancel()


def serve(pipe: Pipe, folder: str) -> None:
    """One process."""
    trio.run(_serve, pipe, folder)


def call(pipe: Pipe, port: int, folder: str) -> None:
    """The other process."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(str(Path(folder) / "ca.pem"))
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)

    async def connect() -> Stream:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        return Stream(context, tcp.socket, is_server=False)

    trio.run(call_over, connect, pipe)
