"""kill -9 at any moment: nothing that anybody was told is missing afterwards.

A real `goblins serve` process with a real store is killed again and again, at random moments of its
start and of its work, under a client that increments a counter as fast as it is answered.
"""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from goblins_py import GoblinsError, open_vat, spawn, spawn_mycapn
from netlayers import TcpTlsNetlayer

KILLS_EACH = 100
"""Of two servers side by side: 200 in all."""


@attrs.define
class Tally:
    """What one client was told."""

    highest: int = 0
    kills: int = 0
    answers: int = 0


@asynccontextmanager
async def serving(store):
    """A serving process; killed at the end in any case."""
    program = Path(__file__).with_name("kill_counter.py")
    process = await trio.lowlevel.open_process(
        [
            sys.executable,
            "-m",
            "goblins_py",
            "serve",
            f"{program}:Counter",
            "--host",
            "127.0.0.1",
            "--store",
            str(store),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()
            await process.stderr.aclose()


async def first_line(process):
    """The URI, once it serves."""
    line = b""
    while not line.endswith(b"\n"):
        data = await process.stdout.receive_some()
        assert data, (await process.stderr.receive_some()).decode()
        line += data
    return line.decode().strip()


async def increment_until_dead(vat, mycapn, uri, tally):
    """Increment as fast as answers come, until the session severs."""
    try:
        counter = await vat.send(mycapn).enliven(uri)
        value, history = await vat.send(counter).read()
        assert value >= tally.highest, f"answered {tally.highest}, found {value}"
        assert history == tuple(range(max(1, value - 9), value + 1))
        while True:
            answer = await vat.send(counter).increment()
            assert answer > tally.highest
            tally.highest = answer
            tally.answers += 1
    except GoblinsError:
        return


async def kill_and_restart(store, tally, seed):
    """Serve, kill at a random moment, check, again and again."""
    moments = random.Random(seed)
    uris = set()
    async with open_vat(f"client {seed}") as vat:
        mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
        while tally.kills < KILLS_EACH:
            async with serving(store) as process:
                if tally.kills % 5 == 4:  # in the middle of its start
                    await trio.sleep(moments.uniform(0.2, 0.7))
                else:
                    uris.add(await first_line(process))
                    (uri,) = uris
                    with trio.move_on_after(moments.uniform(0.02, 0.2)):
                        await increment_until_dead(vat, mycapn, uri, tally)
                process.kill()
                tally.kills += 1


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_server_killed_at_any_moment_has_all_that_it_answered(tmp_path):
    """200 kills: no counter is ever lower than what a client was told, and none is corrupt."""
    tallies = [Tally(), Tally()]
    async with trio.open_nursery() as nursery:
        for seed, tally in enumerate(tallies):
            nursery.start_soon(kill_and_restart, tmp_path / f"{seed}.syrup", tally, seed)
    assert sum(tally.kills for tally in tallies) >= 200
    assert all(tally.answers > 100 for tally in tallies)
