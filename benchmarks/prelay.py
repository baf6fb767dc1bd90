"""What a relay costs: round trips and MB per second against direct tcp-tls, relay CPU, memory per client.

    python benchmarks/prelay.py [--seconds 2] [--clients 1000] [--json]

Four processes on loopback: the relay, an echo object behind it (reachable directly, too), the caller, and one
that holds many idle clients. Figures of one run can be compared, those of different runs cannot.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import trio

from goblins_py import actor, open_vat, parse_uri, spawn, spawn_mycapn
from goblins_py.relay import RELAY_LIMITS, spawn_relay
from goblins_py.runtime import OpenVat
from netlayers import TcpTlsNetlayer, fetch_and_spawn_prelay_netlayer

CONTEXT = multiprocessing.get_context("spawn")
CHUNK = bytes(64 * 1024)
IN_FLIGHT = 8
ROUNDS = 3


@actor
class Echo:
    """Gives back what it gets, or swallows it."""

    def echo(self, value: object) -> object:
        """The value."""
        return value

    def swallow(self, value: object) -> None:
        """Nothing."""


async def relay(pipe: Pipe) -> None:
    """The relay's process: makes accounts, and says what it has used, when asked."""
    async with open_vat("relay") as vat:

        def up() -> Any:
            netlayer = spawn(TcpTlsNetlayer, "127.0.0.1", max_connections=5000)
            return spawn_relay(spawn_mycapn(netlayer, limits=RELAY_LIMITS), "tcp-tls")

        admin = await vat.run(up)
        number = 0
        while (order := await trio.to_thread.run_sync(pipe.recv)) != "end":
            if order == "account":
                number += 1
                pipe.send((await vat.send(admin).add_account(f"client {number}")).uri)
            elif order == "usage":
                pipe.send((time.process_time(), resident()))
            else:
                every = await vat.send(admin).statistics()
                pipe.send(sum(bool(each["online"]) for each in every))


async def server(pipe: Pipe, account: str) -> None:
    """An echo object: its URIs, direct and over prelay."""
    async with open_vat("server") as vat:

        def up() -> Any:
            mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1"))
            mycapn.install_netlayer(fetch_and_spawn_prelay_netlayer(parse_uri(account), mycapn=mycapn))
            return mycapn

        mycapn = await vat.run(up)
        echo = await vat.run(spawn, Echo)
        uris = [(await vat.send(mycapn).register(echo, name)).uri for name in ("tcp-tls", "prelay")]
        pipe.send(uris)
        await trio.to_thread.run_sync(pipe.recv)


async def crowd(pipe: Pipe, accounts: list[str]) -> None:
    """Many idle clients in one process, each with a mycapn of its own."""
    async with open_vat("crowd") as vat:

        def up(account: str) -> Any:
            mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, listen=False))
            mycapn.install_netlayer(fetch_and_spawn_prelay_netlayer(parse_uri(account), mycapn=mycapn))
            return mycapn

        people = []
        for account in accounts:
            people.append(await vat.run(up, account))
            await vat.send(people[-1]).self_location("prelay")
        pipe.send("registered")
        await trio.to_thread.run_sync(pipe.recv)


def relay_process(pipe: Pipe) -> None:
    """Entry of a process."""
    trio.run(relay, pipe)


def server_process(pipe: Pipe, account: str) -> None:
    """Entry of a process."""
    trio.run(server, pipe, account)


def crowd_process(pipe: Pipe, accounts: list[str]) -> None:
    """Entry of a process."""
    trio.run(crowd, pipe, accounts)


def resident() -> int:
    """Bytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Process:
    """A process and the pipe to it."""

    def __init__(self, target: Any, *args: object) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=target, args=(theirs, *args), daemon=True)
        self._process.start()

    def ask(self, order: str) -> Any:
        """One question, one answer."""
        self.pipe.send(order)
        return self.pipe.recv()

    def end(self) -> None:
        """Have it end."""
        self.pipe.send("end")
        self._process.join(20)


async def round_trips(vat: OpenVat, echo: object, seconds: float) -> float:
    """One small call at a time: calls per second."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        await vat.send(echo).echo(count)
        count += 1
    return count / (time.perf_counter() - start)


async def megabytes(vat: OpenVat, echo: object, seconds: float) -> float:
    """64 KiB messages one way, 8 answers outstanding: MB per second."""
    waiting = [vat.send(echo).swallow(CHUNK) for _ in range(IN_FLIGHT)]
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        await waiting[count % IN_FLIGHT]
        waiting[count % IN_FLIGHT] = vat.send(echo).swallow(CHUNK)
        count += 1
    for promise in waiting:
        await promise
    return (count + IN_FLIGHT) * len(CHUNK) / 1e6 / (time.perf_counter() - start)


async def measure(uris: list[str], account: str, usage: Any, seconds: float) -> dict[str, list[float]]:
    """All rows, taken in turn."""
    rows: dict[str, list[float]] = {}
    async with open_vat("caller") as vat:

        def up() -> Any:
            mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, listen=False))
            mycapn.install_netlayer(fetch_and_spawn_prelay_netlayer(parse_uri(account), mycapn=mycapn))
            return mycapn

        mycapn = await vat.run(up)
        echoes = [await vat.send(mycapn).enliven(uri) for uri in uris]
        for _ in range(ROUNDS):
            for name, echo in zip(("direct", "prelay"), echoes, strict=True):
                row = rows.setdefault(f"{name}: round trips/s", [])
                row.append(await round_trips(vat, echo, seconds / ROUNDS))
                before = usage()[0]
                rate = await megabytes(vat, echo, seconds / ROUNDS)
                rows.setdefault(f"{name}: MB/s", []).append(rate)
                if name == "prelay":
                    cost = (usage()[0] - before) / (rate * seconds / ROUNDS)
                    rows.setdefault("relay: CPU ms per forwarded MB", []).append(cost * 1000)
    return rows


def memory_per_client(there: Process, clients: int) -> float:
    """KiB of the relay's memory for each registered, idle client."""
    accounts = [there.ask("account") for _ in range(clients)]
    before = there.ask("usage")[1]
    people = Process(crowd_process, accounts)
    people.pipe.recv()
    until = time.monotonic() + 60
    while there.ask("online") < clients and time.monotonic() < until:
        time.sleep(0.2)
    online = there.ask("online")
    used = there.ask("usage")[1] - before
    people.end()
    if online < clients:
        raise SystemExit(f"only {online} of {clients} clients are registered")
    return used / clients / 1024


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="prelay against direct tcp-tls")
    parser.add_argument("--seconds", type=float, default=6.0, help="per row")
    parser.add_argument("--clients", type=int, default=1000, help="registered and idle")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    there = Process(relay_process)
    behind = Process(server_process, there.ask("account"))
    uris = behind.pipe.recv()
    account = there.ask("account")
    rows = trio.run(measure, uris, account, lambda: there.ask("usage"), options.seconds)
    behind.end()
    rows[f"relay: KiB per idle client of {options.clients}"] = [memory_per_client(there, options.clients)]
    there.end()
    if options.json:
        json.dump(rows, sys.stdout)
        return
    print(f"prelay, {os.cpu_count()} cores: min, median, max of {ROUNDS} rounds")
    for name, values in rows.items():
        print(f"  {name:38} {min(values):9,.1f} {statistics.median(values):9,.1f} {max(values):9,.1f}")


if __name__ == "__main__":
    main()
