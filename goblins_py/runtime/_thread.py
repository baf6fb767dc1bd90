"""`spawn_vat` and `spawn_persistent_vat`: vats in a background thread, for the REPL and plain programs."""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Self, TypeVar, TypeVarTuple, cast

import trio

from goblins_py.abc import Io, Store
from goblins_py.actors import (
    Outcome,
    PersistenceEnv,
    PersistenceRegistry,
    Promise,
    Roots,
    Sender,
    current_turn,
    run_outside,
    unwrap,
)
from goblins_py.errors import ActorError
from goblins_py.runtime._vats import OpenVat, open_persistent_vat, open_vat

__all__ = ["VatThread", "spawn_persistent_vat", "spawn_vat"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_log = logging.getLogger("goblins_py.runtime")

_GOODBYE: Final = 5.0
"""Seconds that the end of the program waits for its vats."""


class _Background:
    """One daemon thread with one trio run, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None

    def start_soon(self, async_fn: Callable[..., Any], *args: object) -> None:
        """Start a task in the background run."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._start()
        token, nursery = self._token, self._nursery
        if token is None or nursery is None:
            raise ActorError("the background thread did not start")
        token.run_sync_soon(lambda: nursery.start_soon(async_fn, *args))

    def is_current(self) -> bool:
        """Is this called on the background thread?"""
        return threading.current_thread() is self._thread

    def _start(self) -> None:
        ready = threading.Event()
        run = (self._main, ready)
        self._thread = threading.Thread(target=trio.run, args=run, name="goblins", daemon=True)
        self._thread.start()
        ready.wait()
        atexit.register(self._stop)

    async def _main(self, ready: threading.Event) -> None:
        async with trio.open_nursery() as nursery:
            self._token = trio.lowlevel.current_trio_token()
            self._nursery = nursery
            ready.set()
            await trio.sleep_forever()

    def _stop(self) -> None:
        nursery, thread = self._nursery, self._thread
        if self._token is not None and nursery is not None and thread is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(nursery.cancel_scope.cancel)
            thread.join(_GOODBYE)


_background: Final = _Background()


class VatThread:
    """A vat in the background thread. A context manager, that closes it.

    All methods may be called from any thread but the background one, and not in turns.
    """

    def __init__(self, opened: OpenVat, closing: trio.Event, closed: Future[None]) -> None:
        self._opened = opened
        self._token = opened.token
        self._closing = closing
        self._closed = closed

    @property
    def name(self) -> str:
        """For people, in logs."""
        return self._opened.name

    @property
    def io(self) -> Io:
        """The capability for I/O: give it to the actors that shall have it, in a turn."""
        return self._opened.io

    def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run `function(*args)` as a turn and wait for its result.

        Raises:
            What it raises, everything undone. ActorError: in a turn, or on the vat's own thread.
            VatClosedError. KeyboardInterrupt ends the wait, not the turn.
        """
        self._must_not_block()
        future: Future[Outcome] = Future()
        run_outside(self._opened.vat, function, args, future.set_result)
        result = unwrap(future.result(), keep_traceback=True)
        if isinstance(result, Promise) and self._opened.is_async(function):
            return cast(T, result.wait())
        return cast(T, result)

    def send(self, ref: object) -> Sender:
        """`send` from outside of turns; its promises have `wait(timeout)`."""
        return self._opened.send(ref)

    def close(self) -> None:
        """End the vat, gracefully, and wait until it has ended. Idempotent.

        Raises:
            OSError: its store had failed.
        """
        self._must_not_block()
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._closing.set)
            self._closed.result()

    def _must_not_block(self) -> None:
        if current_turn() is not None or self._opened.on_own_thread():
            raise ActorError("this would block the vat itself: call the function, or await")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<VatThread {self.name!r}>"


Started = tuple[Any, trio.Event]


async def _hold(
    manager: AbstractAsyncContextManager[Any], started: Future[Started], closed: Future[None]
) -> None:
    """Keep a vat open until it is told to close, or the program ends."""
    closing = trio.Event()
    try:
        async with manager as opened:
            started.set_result((opened, closing))
            await closing.wait()
        closed.set_result(None)
    except Exception as error:  # noqa: BLE001 - it is told to whoever opened or closes the vat
        if not started.done():
            started.set_exception(error)
        else:
            _log.exception("a vat in the background ended")
            closed.set_exception(error)
    finally:
        if not closed.done():
            closed.set_result(None)


def _open(manager: AbstractAsyncContextManager[Any]) -> tuple[Any, trio.Event, Future[None]]:
    if current_turn() is not None:
        raise ActorError("a turn cannot open a vat: it would block")
    if _background.is_current():
        raise ActorError("the background thread would wait for itself: use open_vat there")
    started: Future[Started] = Future()
    closed: Future[None] = Future()
    _background.start_soon(_hold, manager, started, closed)
    opened, closing = started.result()
    return opened, closing, closed


def spawn_vat(name: str = "vat", *, verbose: bool = False) -> VatThread:
    """A vat in the background thread; it ends with `close`, or the program. Arguments as `open_vat`."""
    opened, closing, closed = _open(open_vat(name, verbose=verbose))
    return VatThread(opened, closing, closed)


def spawn_persistent_vat(
    env: PersistenceEnv,
    roots: Callable[[], Roots],
    store: Store,
    *,
    roots_version: int = 0,
    upgrade_roots: Callable[[int, Any], Roots] | None = None,
    name: str = "vat",
    verbose: bool = False,
    registry: PersistenceRegistry | None = None,
) -> tuple[VatThread, Any]:
    """A persistent vat in the background thread, and its roots; see `open_persistent_vat`."""
    manager = open_persistent_vat(
        env,
        roots,
        store,
        roots_version=roots_version,
        upgrade_roots=upgrade_roots,
        name=name,
        verbose=verbose,
        registry=registry,
    )
    (opened, restored), closing, closed = _open(manager)
    return VatThread(opened, closing, closed), restored
