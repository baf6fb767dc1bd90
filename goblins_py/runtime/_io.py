"""`Io` over trio and sockets."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, TypeVarTuple, cast

import trio

from goblins_py.abc import Asker, Io
from goblins_py.actors import (
    Broken,
    Effect,
    Fulfilled,
    Home,
    Outcome,
    Outgoing,
    Promise,
    Resolve,
    Vat,
    current_turn,
)
from goblins_py.errors import GoblinsError, VatClosedError
from goblins_py.runtime._sockets import dial_tcp, listen_tcp

__all__ = ["VatIo"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_log = logging.getLogger("goblins_py.runtime")


class VatIo(Io):
    """The I/O of one vat.

    Args:
        nursery: whose tasks end with the vat.
    """

    def __init__(self, vat: Vat, nursery: trio.Nursery) -> None:
        self._vat = vat
        self._nursery = nursery
        self._sockets: list[socket.socket] = []

    def listen(self, host: str | None, port: int) -> Sequence[socket.socket]:
        sockets = listen_tcp(host, port)
        self._sockets = [each for each in self._sockets if each.fileno() >= 0] + sockets
        return sockets

    async def dial(self, host: str, port: int, asked_by: Asker | None = None) -> socket.socket:
        return await dial_tcp(host, port, asked_by)

    def start(self, async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> Promise[T]:
        promise: Promise[Any] = Promise(self._vat)
        task = _Task(self, promise, async_fn, args)
        turn = current_turn()
        if turn is not None:
            turn.effects.append(task)
        else:
            self._vat.post(task)
        return cast("Promise[T]", promise)

    def now(self) -> float:
        return trio.current_time()

    def wall_time(self) -> float:
        return self._vat.host.wall_time()

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def close(self) -> None:
        """Close the listening sockets that are still open."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def launch(self, task: _Task) -> None:
        """Start the trio task of a turn that succeeded."""
        try:
            self._nursery.start_soon(self._run, task)
        except RuntimeError:  # the vat is closing, and its tasks have ended
            reason = VatClosedError("the vat was closed before the task started")
            self._vat.post(Resolve(task.promise, Broken(reason, heard=True)))

    async def _run(self, task: _Task) -> None:
        outcome: Outcome = Broken(VatClosedError("the vat was closed before the task ended"), heard=True)
        try:
            outcome = Fulfilled(await task.async_fn(*task.args))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it breaks the promise
            if not isinstance(error, GoblinsError | OSError):
                _log.exception("the task %s failed", getattr(task.async_fn, "__qualname__", task.async_fn))
            outcome = Broken(error.with_traceback(None))
        finally:
            self._vat.post(Resolve(task.promise, outcome))


class _Task(Effect, Outgoing):
    """A trio task to be: started when the turn that asked for it is released."""

    __slots__ = ("args", "async_fn", "io", "promise")

    def __init__(
        self,
        io: VatIo,
        promise: Promise[Any],
        async_fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
    ) -> None:
        self.io = io
        self.promise = promise
        self.async_fn = async_fn
        self.args = args

    def commit(self, vat: Home) -> None:
        cast(Vat, vat).outbox.append(self)

    def release(self) -> None:
        self.io.launch(self)
