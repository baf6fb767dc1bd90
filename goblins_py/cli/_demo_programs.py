"""The two programs of the demo, as it writes them into its folder: the files of these names in `examples`.

They are here as texts because an installed package has no examples; a test keeps both equal.
"""

from typing import Final

__all__ = ["GUEST_BOOK", "SIGN_GUEST_BOOK"]

GUEST_BOOK: Final = '''\
"""A guest book: who has its URI can read it and sign it, and nobody else can.

$ goblins serve guest_book.py:GuestBook --arg "Alice's guest book" --store alice.syrup > uri
$ goblins call @uri sign Bob "What a nice place!"
$ goblins call @uri read
"""

from goblins_py import Map, actor


@actor
class GuestBook:
    """Its fields are its state: saved when a message has changed them, set back when one fails."""

    title: str
    entries: tuple[Map[str, str], ...] = ()

    def sign(self, guest: str, words: str) -> int:
        """Add an entry; returns its number."""
        self.entries = (*self.entries, Map({"guest": guest, "words": words}))
        if not guest:
            raise ValueError("who are you?")  # and the entry has never been there
        return len(self.entries)

    def read(self) -> tuple[Map[str, str], ...]:
        """All entries, oldest first."""
        return self.entries
'''

SIGN_GUEST_BOOK: Final = '''\
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
'''
