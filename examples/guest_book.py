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
