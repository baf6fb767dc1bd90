"""What the test of sturdyrefs and restarts kills: `python kill_desk.py STORE SECONDS`.

SECONDS is how far its wall clock is ahead of the machine's. Prints the URI for its owner once it is up.
"""

import sys
import time

import trio

from goblins_py import PersistenceEnv, actor, mycapn_env, open_persistent_vat, spawn, spawn_mycapn
from netlayers import TcpTlsNetlayer, tcp_tls_env
from persistence import SyrupStore


@actor
class Desk:
    """Gives out sturdyrefs of itself, and takes them back."""

    mycapn: object

    def share(self, label, valid_for):
        """One for somebody."""
        return self.mycapn.register(self, "tcp-tls", label=label, valid_for=valid_for)

    def take_back(self, label):
        """And no longer."""
        return self.mycapn.unregister(self, label=label)

    def given(self):
        """What is out."""
        return self.mycapn.sturdyrefs(self)


async def main(path, ahead):
    env = PersistenceEnv(Desk, extends=[mycapn_env, tcp_tls_env])

    def roots():
        mycapn = spawn_mycapn(spawn(TcpTlsNetlayer, "127.0.0.1"))
        return mycapn, spawn(Desk, mycapn)

    def wall_clock():
        return time.time() + ahead

    opening = open_persistent_vat(env, roots, SyrupStore(path), wall_clock=wall_clock)
    async with opening as (vat, (mycapn, desk)):
        print((await vat.send(mycapn).register(desk, "tcp-tls")).uri, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], float(sys.argv[2]))
