"""How the stores in tests/stores were made: the bank as it was, generation by generation.

Each generation is a program of its time: its classes (under the names that it saved them by), its roots
function, and what happened in it. `bank_0.syrup` to `bank_2.syrup` were written by
`python old_stores_kit.py` with the `SyrupStore` of the first release (format version 1), before there were
upgrades. They are never made again, for they are what people have; a new generation gets a new file.
"""

from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from goblins_py import (
    Map,
    PersistenceEnv,
    Promise,
    Ref,
    actor,
    make_promise,
    open_persistent_vat,
    spawn,
    value,
)
from persistence import SyrupStore

STORES = Path(__file__).parent / "stores"


@attrs.frozen
class Generation:
    """A program of its time."""

    env: PersistenceEnv
    roots: Callable[[], Ref]


@actor
class Journal:
    """All that was ever done; given up after generation 2, with all that is in it."""

    lines: tuple[str, ...] = ()


@actor
class Branch:
    """Holds the accounts, and a promise that has settled; it has been a `Bank` since generation 2."""

    accounts: Map[str, Ref]
    journal: Ref
    opened: Promise | None = None

    def note(self, opened: Promise) -> None:
        self.opened = opened


def open_branch(account: Callable[[str, int], Ref]) -> Ref:
    alice, bob = account("Alice", 12), account("Bob", 5)
    branch = spawn(Branch, Map({"alice": alice, "bob": bob}), spawn(Journal, ("opened",)))
    for ref in (alice, bob):
        ref._behaviour.branch = branch
    return branch


def settled() -> Promise:
    promise, resolver = make_promise()
    resolver.fulfill("on time")
    return promise


def generation_0() -> Generation:
    """Accounts hold whole dollars."""

    @actor
    class Account:
        owner: str
        dollars: int = 0
        branch: Ref | None = None

    env = PersistenceEnv(named={"bank.Account": Account, "bank.Branch": Branch, "bank.Journal": Journal})
    return Generation(env, lambda: open_branch(lambda owner, dollars: spawn(Account, owner, dollars)))


def generation_1() -> Generation:
    """Cents, so that there can be interest."""

    @actor(version=1)
    class Account:
        owner: str
        cents: int = 0
        branch: Ref | None = None

    env = PersistenceEnv(named={"bank.Account": Account, "bank.Branch": Branch, "bank.Journal": Journal})
    return Generation(env, lambda: open_branch(lambda owner, dollars: spawn(Account, owner, 100 * dollars)))


def generation_2() -> Generation:
    """Money, so that cents are not mistaken for something else."""

    @value
    class Money:
        cents: int

    @actor(version=2)
    class Account:
        owner: str
        money: Money = Money(0)
        branch: Ref | None = None

    names = {"bank.Account": Account, "bank.Branch": Branch, "bank.Journal": Journal, "bank.Money": Money}
    return Generation(
        PersistenceEnv(named=names),
        lambda: open_branch(lambda owner, dollars: spawn(Account, owner, Money(100 * dollars))),
    )


GENERATIONS = (generation_0, generation_1, generation_2)


def store_of(number: int) -> Path:
    """The store that a generation has left."""
    return STORES / f"bank_{number}.syrup"


async def make_store(number: int, path: Path) -> None:
    """Let a generation live, as it did then."""
    generation = GENERATIONS[number]()
    async with open_persistent_vat(generation.env, generation.roots, SyrupStore(path)) as (vat, branch):
        opened = await vat.run(settled)
        await vat.send(branch).note(opened)


def main() -> None:
    for number in range(len(GENERATIONS)):
        if not store_of(number).exists():
            trio.run(make_store, number, store_of(number))
            store_of(number).with_name(f"{store_of(number).name}.lock").unlink()


if __name__ == "__main__":
    main()
