"""A relay: calls and bytes through it, beside direct tcp-tls, and what it needs for them and for who idles.

python benchmarks/prelay.py [--quick] [--json FILE]

Three processes, on all cores: the relay, an echo object behind it, the caller.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from _measure import BYTES, OURS, PER_SECOND, Contestant, Row, Run, Took, Unit, main
from _network import Process

CHUNK = 64 * 1024
DIRECT = "direct tcp-tls"
CHUNKS_AS_MB = Unit("MB/s", CHUNK / 1e6)
CPU_FOR_MB = Unit("CPU ms for each MB", 1e3 * 1e6 / CHUNK, is_rate=False)


def process(stack: ExitStack, entry: str, *arguments: object) -> Process:
    """One of `contestants.relayed`."""
    found = Process("contestants.relayed", entry, {}, *arguments)
    stack.callback(found.end)
    return found


class World:
    """The three processes, shared by all rows."""

    def __init__(self, stack: ExitStack) -> None:
        self.relay = process(stack, "relay")
        uris = process(stack, "serve", self.relay.ask(("account", 1))).first
        self.caller = process(stack, "call", self.relay.ask(("account", 2)), uris)

    def run(self, workload: str, count: int) -> float:
        """Seconds."""
        return self.caller.ask((workload, count))

    def relay_cpu(self, count: int) -> float:
        """Seconds that the relay's processor worked for so many chunks."""
        before = self.relay.worked() or 0
        self.run("relayed bulk", count)
        return (self.relay.worked() or 0) - before


def idle_client(clients: int, stack: ExitStack) -> Run:
    """Memory at a relay of its own."""
    relay = process(stack, "relay")
    warm = 1 + clients // 10
    crowd = process(stack, "crowd", [relay.ask(("account", number)) for number in range(warm + clients)])
    crowd.ask(("join", warm))

    def run(count: int) -> Took | float:
        before = relay.ask(("memory", 0))
        crowd.ask(("join", clients))
        until = time.monotonic() + 60
        while relay.ask(("online", 0)) < warm + clients and time.monotonic() < until:
            time.sleep(0.2)
        return (relay.ask(("memory", 0)) - before) * count / clients

    return run


def rows(options: argparse.Namespace) -> list[Row]:
    """Calls, bytes, and what the relay needs."""
    clients = 1 if options.smoke else 100 if options.quick else 1000

    @functools.cache
    def world() -> World:
        return World(options.stack)

    def run(workload: str) -> Callable[[ExitStack], Run]:
        return lambda stack: functools.partial(world().run, workload)

    def pair(what: str) -> list[Contestant]:
        return [
            Contestant(DIRECT, "floor", run(f"direct {what}"), "TLS"),
            Contestant(OURS, "ours", run(f"relayed {what}"), "by a relay"),
        ]

    found = [
        Row("Relay: round trips", PER_SECOND, pair("round trips")),
        Row("Relay: byte strings of 64 KiB", CHUNKS_AS_MB, pair("bulk")),
    ]
    if Path("/proc/self/statm").exists():
        cpu = Contestant(OURS, "ours", lambda stack: world().relay_cpu)
        idle = Contestant(OURS, "ours", functools.partial(idle_client, clients), f"{clients} clients")
        found.append(Row("Relay: CPU for what it forwards", CPU_FOR_MB, [cpu]))
        found.append(Row("Relay: memory of an idle client", BYTES, [idle], count=1, rounds=1))
    return found


if __name__ == "__main__":
    main(__doc__, rows)
