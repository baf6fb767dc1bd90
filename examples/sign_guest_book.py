"""Bob: signs a guest book as fast as he can, until its process is gone.

$ python sign_guest_book.py < uri
"""

import sys

import trio

from goblins_py import open_vat, spawn, spawn_mycapn
from goblins_py.errors import SessionSeveredError
from netlayers import TcpTlsNetlayer


async def main(uri):
    async with open_vat("bob") as bob:
        mycapn = await bob.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
        book = await bob.send(mycapn).enliven(uri)
        try:
            while True:
                number = await bob.send(book).sign("Bob", "Still here!")
                print(number, flush=True)  # an answer means: it is on Alice's disk
        except SessionSeveredError as error:
            print(error, file=sys.stderr)


trio.run(main, sys.stdin.readline().strip())
