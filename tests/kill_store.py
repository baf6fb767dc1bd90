"""What the kill tests of stores run: `python kill_store.py KIND PATH KILLS SEED`.

It is loaded once and then forks a child per kill, so that a kill takes some hundredths of a second. The
child opens the store, judges what it finds, and commits as fast as it can, telling each number when it is
durable. The state after N commits follows from N alone, so whoever opens the store can tell a prefix of the
commits from anything else.
"""

import json
import os
import random
import signal
import sys
import time

import trio

from goblins_py.abc import Delta, Portrait
from persistence import SqliteStore, SyrupStore

KEY = bytes(range(32))
KINDS = {
    "plain": lambda path, **more: SyrupStore(path, min_compact=4000, **more),
    "history": lambda path, **more: SyrupStore(
        path, min_compact=4000, history=4, checkpoint_every=0.01, **more
    ),
    "encrypted": lambda path, **more: SyrupStore(path, min_compact=4000, key=KEY, **more),
    "sqlite": SqliteStore,
}
VAT_ID, FAR_BACK = bytes(32), 20


def change(number):
    """The commit of this number: a counter, one of five cells, and now and then one that goes."""
    text = b"%d" % number * (number * 37 % 100)
    cells = {0: number, 1 + number % 5: text}
    removed = frozenset({1 + (number + 2) % 5} if number % 3 == 0 else ())
    portraits = {slot: Portrait("a.A", 0, {"n": value}) for slot, value in cells.items()}
    return Delta(portraits, removed, VAT_ID, None, (0,)) if number == 0 else Delta(portraits, removed)


def state_after(number):
    """What a store holds then. Each cell is set every five commits, so the last twenty say it all."""
    cells = {}
    for each in range(max(0, number - FAR_BACK), number + 1):
        delta = change(each)
        cells.update({slot: portrait.state["n"] for slot, portrait in delta.portraits.items()})
        for slot in delta.removed:
            cells.pop(slot, None)
    return cells


def number_of(snapshot):
    """How many commits a snapshot is after; -1 for none. Whatever is no such state is an error."""
    if snapshot is None:
        return -1
    cells = {slot: portrait.state["n"] for slot, portrait in snapshot.portraits.items()}
    assert state_after(cells[0]) == cells, f"not the state after {cells[0]} commits: {cells}"
    return cells[0]


async def commit_until_killed(store, out, rng):
    """Tell what was found, then each number once it is durable."""
    number = number_of(await store.open())
    os.write(out, b"%d\n" % number)
    while True:
        count = rng.choice((1, 1, 1, 3))
        await store.commit([change(number + n) for n in range(1, count + 1)])
        number += count
        os.write(out, b"%d\n" % number)


def start(store, rng):
    """A child at work; its id and its pipe."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    try:
        trio.run(commit_until_killed, store, write, rng)
    except BaseException as error:  # noqa: BLE001 - told, whatever it is
        os.write(write, b"failed: %s\n" % repr(error).encode())
    finally:
        os._exit(1)


def kill_once(store, rng, highest):
    """Start a child and kill it; the highest number that it told."""
    child, pipe = start(store, rng)
    told = b""
    if rng.random() < 0.6:
        told = os.read(pipe, 1)  # it has opened the store
    time.sleep(rng.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while piece := os.read(pipe, 65536):
        told += piece
    os.close(pipe)
    lines = told.decode().split("\n")[:-1]
    assert not [line for line in lines if line.startswith("failed")], lines[-1]
    numbers = list(map(int, lines))
    if numbers:
        assert numbers[0] >= highest, f"{highest} was told, {numbers[0]} was found"
        assert numbers == sorted(numbers)
    return max([highest, *numbers])


async def pasts(kind, path):
    """The numbers of all checkpoints, each judged."""
    found = []
    for each in await KINDS[kind](path).checkpoints():
        store = KINDS[kind](path, at=each.number)
        found.append(number_of(await store.open()))
        await store.aclose()
    return found


def main():
    """Kill, and say what came of it."""
    kind, path, kills, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rng, highest = random.Random(seed), -1
    for _ in range(kills):
        highest = kill_once(KINDS[kind](path), rng, highest)
    past = trio.run(pasts, kind, path) if kind != "sqlite" else []
    print(json.dumps({"kills": kills, "highest": highest, "past": past}))


if __name__ == "__main__":
    main()
