"""CapTP over tcp-tls, wss and ws: between two processes, and what an idle session costs.

python benchmarks/websocket.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import memory
from _measure import BYTES, MIB_PER_SECOND, PER_SECOND, Contestant, Row, main
from _network import cores_of, started

NOTES = {"tcp-tls": "TLS", "wss": "TLS", "ws": "no TLS"}
ROLES = {"tcp-tls": "floor", "wss": "ours", "ws": "also"}
WORKLOADS = {"round trips": PER_SECOND, "pipelined": PER_SECOND, "bulk": MIB_PER_SECOND}


def contestants(workload: str) -> list[Contestant]:
    """The three netlayers."""
    pair = functools.partial(started, "goblins", workload, cores=cores_of(is_pinned=True), environment={})
    return [
        Contestant(name, role, functools.partial(pair, more=name), NOTES[name])
        for name, role in ROLES.items()
    ]


def idle_sessions(options: argparse.Namespace) -> Row:
    """At the server."""
    warm, count = (1, 1) if options.smoke else (memory.WARM, 2000 if options.quick else 50_000)
    weighed = [
        Contestant(name, role, functools.partial(memory.sessions, warm, netlayer=name), NOTES[name])
        for name, role in ROLES.items()
    ]
    return Row("Memory of an idle session, at the server", BYTES, weighed, count=count, rounds=1)


def rows(options: argparse.Namespace) -> list[Row]:
    """One for each kind of work, and memory."""
    found = [Row(f"Netlayers: {name}", unit, contestants(name)) for name, unit in WORKLOADS.items()]
    return [*found, idle_sessions(options)] if Path("/proc/self/statm").exists() else found


if __name__ == "__main__":
    main(__doc__, rows)
