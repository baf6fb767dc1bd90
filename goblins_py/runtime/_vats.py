"""`open_vat` and `open_persistent_vat`: vats for trio programs."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar, TypeVarTuple, cast

import trio

from goblins_py.abc import Io, Store
from goblins_py.actors import (
    GraphKeeper,
    Outcome,
    PersistenceEnv,
    PersistenceRegistry,
    Promise,
    Ref,
    Roots,
    RootsPlan,
    Sender,
    Vat,
    current_turn,
    run_outside,
    sender_for,
    unwrap,
)
from goblins_py.captp import Session, SessionState
from goblins_py.errors import ActorError
from goblins_py.runtime._host import TrioHost
from goblins_py.runtime._io import VatIo

__all__ = ["OpenVat", "flushed", "open_persistent_vat", "open_vat"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SETTLE: Final = 1.0
"""Seconds that closing waits for churns to become durable; the connections then have 2 s to flush."""
_FLUSH_POLL: Final = 0.005


class OpenVat:
    """A running vat, as a trio program sees it."""

    def __init__(self, vat: Vat, host: TrioHost, io: Io) -> None:
        self._vat = vat
        self._host = host
        self._io = io

    @property
    def name(self) -> str:
        """For people, in logs."""
        return self._vat.name

    @property
    def io(self) -> Io:
        """The capability for I/O: give it to the actors that shall have it, near."""
        return self._io

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run `function(*args)` as a turn.

        Returns:
            Its result, once its churn has ended (and is durable). Of an `async def`, what it returns.

        Raises:
            What it raises, everything undone. ActorError: called in a turn. VatClosedError.
            Cancelled: the turn may happen all the same.
        """
        if current_turn() is not None:
            raise ActorError("run cannot be called in a turn: call the function")
        outcomes: list[Outcome] = []
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()
        run_outside(self._vat, function, args, _teller(outcomes, done, token))
        if self._host.on_own_thread:
            self._host.run_pending()
        await done.wait()
        result = unwrap(outcomes[0], keep_traceback=True)
        if isinstance(result, Promise) and self.is_async(function):
            return cast(T, await result)
        return cast(T, result)

    def send(self, ref: object) -> Sender:
        """`send` from outside of turns, in any thread: `await vat.send(ref).greet("Bob")`."""
        return sender_for(self._vat, ref)

    # --- for those who put a vat somewhere else: threads, the REPL

    @property
    def vat(self) -> Vat:
        """The vat itself."""
        return self._vat

    @property
    def token(self) -> trio.lowlevel.TrioToken:
        """Of the trio run that carries it."""
        return self._host.token

    def on_own_thread(self) -> bool:
        """Is this called on the vat's thread?"""
        return self._host.on_own_thread

    @staticmethod
    def is_async(function: object) -> bool:
        """Is it an `async def`, whose promise `run` waits for?"""
        return inspect.iscoroutinefunction(function)

    def __repr__(self) -> str:
        return f"<OpenVat {self._vat.name!r}>"


def _teller(
    outcomes: list[Outcome], done: trio.Event, token: trio.lowlevel.TrioToken
) -> Callable[[Outcome], None]:
    here = threading.get_ident()

    def told(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if threading.get_ident() == here:
            done.set()
        else:
            token.run_sync_soon(done.set)

    return told


@asynccontextmanager
async def open_vat(
    name: str = "vat", *, verbose: bool = False, wall_clock: Callable[[], float] = time.time
) -> AsyncIterator[OpenVat]:
    """Open a vat in the current trio run; it ends with the block.

    At the end it stops accepting connections, flushes for at most 2 s, even when cancelled, and aborts its
    sessions with a reason. What the block raises leaves it as it is.

    Args:
        name: for people, in logs and reprs.
        verbose: tell peers class and text of exceptions that break promises.
        wall_clock: gives seconds since 1970. What has an expiry goes by it.
    """
    async with _hosted(name, TrioHost(None, wall_clock), verbose=verbose) as opened:
        yield opened


@asynccontextmanager
async def open_persistent_vat(
    env: PersistenceEnv,
    roots: Callable[[], Roots],
    store: Store,
    *,
    roots_version: int = 0,
    upgrade_roots: Callable[[int, Any], Roots] | None = None,
    name: str = "vat",
    verbose: bool = False,
    wall_clock: Callable[[], float] = time.time,
    registry: PersistenceRegistry | None = None,
) -> AsyncIterator[tuple[OpenVat, Any]]:
    """Open a vat whose roots, and all that they reach, are saved after each churn.

    Args:
        env: the classes that may be saved and restored.
        roots: run as a turn if the store is new: returns one reference, or a tuple of several.
        roots_version: of what `roots` returns, from 0; count it up when that changes.
        upgrade_roots: run as a turn if the store's roots are of a former version, when all objects are there
            and before any has started: gets that version and the roots, returns those of today.
        registry: shared with the other persistent vats of this process whose objects it may hold.
        name, verbose, wall_clock: as of `open_vat`.

    Yields:
        The vat, and the roots as `roots` returned them (restored, if the store is not new).

    Raises:
        StoreLockedError, StoreCorruptError, UnknownObjectError, VersionMismatchError, UpgradeFailedError: it
        was not opened, nothing was started, and the store is as it was.
        NotPortrayableError: the roots cannot be saved; nothing was. OSError: the store failed, the block was
        cancelled, nothing more left the vat.
    """
    plan = RootsPlan(roots, roots_version, upgrade_roots)
    async with _hosted(name, TrioHost(store, wall_clock), store, verbose=verbose) as opened:
        keeper = GraphKeeper(env, opened.vat, registry=registry)
        yield opened, await _bring_up(opened, keeper, plan, store)


async def _bring_up(opened: OpenVat, keeper: GraphKeeper, plan: RootsPlan, store: Store) -> Any:
    snapshot = await store.open()
    opened._host.has_store = True
    vat = opened.vat
    if snapshot is None:

        def first() -> None:
            keeper.adopt(plan.make(), opened.io.random_bytes(32), plan.version)
            vat.keeper = keeper

        await opened.run(first)
    else:
        await opened.run(keeper.restore, snapshot, plan)  # its churn runs and saves what they do first
    return keeper.given_roots


@asynccontextmanager
async def _hosted(
    name: str, host: TrioHost, store: Store | None = None, *, verbose: bool
) -> AsyncIterator[OpenVat]:
    """The life of a vat: its loop and its committer outside, its I/O tasks inside, the block innermost."""
    body_error: BaseException | None = None
    vat = host.vat = Vat(host, name, verbose=verbose)
    try:
        with _one_error():
            async with trio.open_nursery() as core:
                await core.start(host.run)
                core.start_soon(host.commit_forever)
                if store is not None:
                    core.start_soon(host.tidy_forever)
                async with trio.open_nursery() as tasks:
                    host.io = VatIo(vat, tasks)
                    try:
                        yield OpenVat(vat, host, host.io)
                    except BaseException as error:  # noqa: BLE001 - raised again below
                        body_error = error
                    await _settle(host)
                    tasks.cancel_scope.cancel()
                    if isinstance(body_error, trio.Cancelled):
                        raise body_error  # trio has to see it
                await _settle(host)
                core.cancel_scope.cancel()
    finally:
        if host.io is not None:
            host.io.close()
        host.end()
        if store is not None and host.has_store:  # else another vat may have it open
            await store.aclose()
    if body_error is not None and not isinstance(body_error, trio.Cancelled):
        raise body_error


async def _settle(host: TrioHost) -> None:
    with trio.move_on_after(_SETTLE, shield=True):
        await host.settle()


@contextmanager
def _one_error() -> Generator[None]:
    """Nurseries wrap each error in a group; ours have one of interest at most."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


async def flushed(ref: object) -> None:
    """Wait until all that was sent to the peer behind a remote reference has left this process.

    For code outside of vats that produces much: `send` itself never waits. Returns at once for others.
    """
    connector = ref._connector if isinstance(ref, Ref) else None
    await trio.lowlevel.checkpoint()
    while _has_output(connector):  # noqa: ASYNC110 - it may be of another trio run, so no event
        await trio.sleep(_FLUSH_POLL)


def _has_output(connector: object) -> bool:
    return (
        isinstance(connector, Session)
        and connector.queued > 0
        and connector.state is not SessionState.SEVERED
    )
