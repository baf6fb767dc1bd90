"""Contestants that are two processes: one serves, one calls, on loopback, pinned to one core.

They are listed in `contestants`. Here is how their processes are started, pinned, ordered about and ended.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any
from unittest import mock

import attrs

from _measure import OURS, PURE, Bar, Contestant, Row, Run, Took, Unit, is_pure, main
from contestants import ASYNCIO, ENTRIES

IN_FLIGHT = 1000
MESSAGE = 110
"""Bytes of one small op:deliver."""
CHUNK = 2**20
CHUNKS_IN_FLIGHT = 4
PURE_SHOWN = frozenset({"round trips", "pipelined"})
"""Where ours without native parts is shown, too, if it has some."""
PARTLY_TIMED = frozenset({"connect"})
"""What sets up and clears away outside of the seconds that it tells."""

# --- in the processes ------------------------------------------------------------------------


def obey(pipe: Pipe, workloads: dict[str, Callable[[int], float]]) -> None:
    """Do what is ordered, until nothing is."""
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        name, count = order
        pipe.send(workloads[name](count))


async def obey_async(
    pipe: Pipe,
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
    workloads: dict[str, Callable[[int], Awaitable[float]]],
    *,
    is_first: bool = True,
) -> None:
    """The same in an event loop, which goes on meanwhile; unless `is_first`, the first word has been said."""
    if is_first:
        pipe.send("ready")
    while (order := await in_thread(pipe.recv)) is not None:
        name, count = order
        pipe.send(await workloads[name](count))


def clocked(work: Callable[[int], Awaitable[object]]) -> Callable[[int], Awaitable[float]]:
    """The seconds that it takes."""

    async def run(count: int) -> float:
        start = time.perf_counter()
        await work(count)
        return time.perf_counter() - start

    return run


async def in_flight(call: Callable[[], Awaitable[object]], count: int, most: int) -> float:
    """So many calls, some at a time, each begun by calling; the seconds that it takes."""
    start = time.perf_counter()
    waiting = [call() for _ in range(min(most, count))]
    for number in range(count - len(waiting)):
        await waiting[number % most]
        waiting[number % most] = call()
    for answer in waiting:
        await answer
    return time.perf_counter() - start


def _entry(module: str, which: str, arguments: Sequence[object]) -> None:
    """Where a process begins."""
    getattr(importlib.import_module(module), which)(*arguments)


# --- seen from the script ----------------------------------------------------------------------


def _context(*, is_fresh: bool) -> Any:
    """How processes are made: out of one that has imported much, or anew where the environment must count."""
    if is_fresh or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    os.environ["PYTHONSAFEPATH"] = "1"  # what it imports is what is installed, not what lies around
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["asyncio", "trio", "goblins_py", "netlayers", "persistence"])
    return context


class Process:
    """A process of a contestant, the pipe to it, and what it has used."""

    def __init__(self, module: str, which: str, environment: dict[str, str], *arguments: object) -> None:
        context = _context(is_fresh=bool(environment))
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_entry, args=(module, which, (theirs, *arguments)), daemon=True
        )
        with mock.patch.dict(os.environ, environment):  # it imports much of ours before it gets to `_entry`
            self._process.start()
        theirs.close()  # so that its end is noticed
        self.first = self.pipe.recv()

    def ask(self, order: object) -> Any:
        """One order, one answer."""
        self.pipe.send(order)
        return self.pipe.recv()

    def tasks(self) -> list[Path]:
        """Its threads."""
        return list(Path(f"/proc/{self._process.pid}/task").glob("*"))

    def pin(self, cores: set[int]) -> None:
        """Leave it only these cores."""
        for task in self.tasks():
            os.sched_setaffinity(int(task.name), cores)

    def worked(self) -> float | None:
        """Seconds of the processor so far, where the system says so."""
        try:
            return sum(int((task / "schedstat").read_text().split()[0]) for task in self.tasks()) / 1e9
        except OSError:
            return None

    def end(self) -> None:
        """Let it go."""
        try:
            self.pipe.send(None)
        except OSError:
            pass
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@attrs.define
class Pair:
    """Both processes of a contestant."""

    server: Process
    caller: Process
    cores: set[int]

    def run(self, workload: str, count: int) -> Took:
        """Have it called so many times."""
        before = self._prepared()
        seconds = self.caller.ask((workload, count))
        after = self._worked()
        is_known = before is not None and after is not None and workload not in PARTLY_TIMED
        return Took(seconds, after - before if is_known else None)

    def _prepared(self) -> float | None:
        for process in {self.server, self.caller}:
            if hasattr(os, "sched_setaffinity"):
                process.pin(self.cores)
        return self._worked()

    def _worked(self) -> float | None:
        each = [process.worked() for process in {self.server, self.caller}]
        return None if None in each else sum(filter(None, each))


def started(
    module: str,
    workload: str,
    stack: ExitStack,
    *,
    cores: set[int],
    environment: dict[str, str],
    more: str = "",
) -> Run:
    """Both processes, ready; `more` is an argument that both get."""
    arguments = (_certificates(), *filter(None, [more]))
    server = Process(f"contestants.{module}", "serve", environment, *arguments)
    stack.callback(server.end)
    caller = Process(f"contestants.{module}", "call", environment, server.first, *arguments)
    stack.callback(caller.end)
    return functools.partial(Pair(server, caller, cores).run, workload)


@functools.cache
def _certificates() -> str:
    """A folder with an authority and a server's certificate; it is left to the system's cleaning."""
    import trustme

    folder = Path(tempfile.mkdtemp(prefix="goblins-bench-"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        folder / "server.pem"
    )
    return str(folder)


def pairs(workload: str, *, is_pinned: bool = True) -> list[Contestant]:
    """Those who offer the workload."""
    found, cores = [], cores_of(is_pinned=is_pinned)
    for each in ENTRIES:
        if workload in each.workloads:
            start = functools.partial(started, each.module, workload, cores=cores)
            kept = {"note": each.note_on(workload), "package": each.package}
            normal = functools.partial(start, environment={})
            found.append(Contestant(each.name, each.role, normal, **kept))
            if each.name == OURS and workload in PURE_SHOWN and not is_pure():
                pure = functools.partial(start, environment={"GOBLINS_PURE": "1"})
                found.append(Contestant(PURE, "also", pure, **kept))
    return found


def ours(workload: str, name: str) -> Contestant:
    """Another workload of ours, to be shown beside a row."""
    start = functools.partial(started, "goblins", workload, cores=cores_of(is_pinned=True), environment={})
    return Contestant(name, "also", start, note="TLS")


def cores_of(*, is_pinned: bool) -> set[int]:
    """One, or all that there are for us."""
    if not hasattr(os, "sched_getaffinity"):
        return set()
    mine = os.sched_getaffinity(0)
    return {max(mine)} if is_pinned else mine


def run_workload(
    description: str | None,
    workload: str,
    *,
    unit: Unit,
    bars: Sequence[Bar],
    floor: str = ASYNCIO,
    also: Sequence[Contestant] = (),
) -> None:
    """The script of a network row: pinned to one core, which is steadier, and with `--unpinned` not."""

    def rows(options: argparse.Namespace) -> list[Row]:
        title = (description or "").splitlines()[0].partition(":")[0]
        found = [Row(title, unit, [*pairs(workload), *also], bars, floor)]
        if options.unpinned:
            found.append(Row(f"{title}, unpinned", unit, pairs(workload, is_pinned=False), floor=floor))
        return found

    main(description, rows)
