"""One of the two banks of the accounts test: `python kill_bank.py STORE`.

Serves until it is killed. Prints one line when it is up: the URI for its owner (the test).
"""

import sys

import trio

from goblins_py import Map, PersistenceEnv, actor, mycapn_env, open_persistent_vat, spawn, spawn_mycapn
from goblins_py.lib import lib_env, spawn_once, spawn_outbox
from netlayers import TcpTlsNetlayer, tcp_tls_env
from persistence import SyrupStore

START = 1000


@actor
class Account:
    """Money, and every transfer that it came or went by."""

    balance: int = START
    moved: Map[str, int] = Map()

    def move(self, name, amount):
        """Take it in, or give it away if it is negative. Nothing here keeps it from happening twice."""
        assert self.balance + amount >= 0
        self.balance += amount
        self.moved = self.moved.set(name, self.moved.get(name, 0) + amount)

    def read(self):
        """What there is."""
        return self.balance, self.moved


@actor
class Till:
    """What the other bank may do."""

    account: object

    def deposit(self, name, amount):
        """Take money in."""
        self.account.move(name, amount)
        return name


@actor
class Owner:
    """What the test may do."""

    account: object
    mycapn: object
    till: object
    outbox: object = None

    def open_till(self):
        """The URI by which the other bank can deposit, the same each time."""
        return self.mycapn.register(self.till, "tcp-tls", label="the other bank")

    def know(self, till):
        """Which other bank there is."""
        if self.outbox is None:
            self.outbox = spawn_outbox(self.mycapn, till)

    def transfer(self, name, amount):
        """Give money to the other bank; a promise that it has it."""
        self.account.move(name, -amount)
        return self.outbox.post("deposit", name, amount)

    def report(self):
        """Balance, all transfers, and how many are under way."""
        waiting = 0 if self.outbox is None else self.outbox.status()["waiting"]
        return *self.account.read(), waiting


env = PersistenceEnv(Account, Till, Owner, extends=[lib_env, mycapn_env, tcp_tls_env])


def roots():
    mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1"))
    account = spawn(Account)
    return mycapn, spawn(Owner, account, mycapn, spawn_once(spawn(Till, account)))


async def main(path):
    async with open_persistent_vat(env, roots, SyrupStore(path)) as (vat, (mycapn, owner)):
        sturdyref = await vat.send(mycapn).register(owner, "tcp-tls")
        print(sturdyref.uri, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
