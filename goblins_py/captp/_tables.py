"""The tables of a session.

*We* number exports and questions, the *peer* numbers imports and answers. Exports are held strongly
and counted by how often they were sent; imports and questions are held weakly, and noted when
Python collects them: in any thread, in the middle of anything, so nothing else is done then.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from weakref import ReferenceType

from goblins_py.actors import Promise, Ref
from goblins_py.errors import NotPassableError, RemoteProtocolError

__all__ = ["Exported", "Exports", "Flush", "HeldKind", "Imports", "Question", "Remote", "WeakEntry"]

Remote = Ref[object] | Promise[object]


class Question:
    """What a question's resolver is exported as: the peer settles the promise through it.

    Attributes:
        entry: of the promise, which may be gone.
        answered: the peer has settled it.
    """

    __slots__ = ("answered", "count", "entry")

    def __init__(self, entry: WeakEntry) -> None:
        self.entry = entry
        self.answered = False
        self.count = 1


class Flush(Question):
    """What is told when all has arrived that was sent to a promise of the peer's which has settled."""

    __slots__ = ()


Exported = Remote | Question


class _Export:
    __slots__ = ("count", "thing")

    def __init__(self, thing: Remote) -> None:
        self.thing = thing
        self.count = 0


class Exports:
    """What the peer can reach here. Position 0 is the bootstrap object and is never collected.

    Args:
        limit: of entries.
    """

    def __init__(self, bootstrap: Ref[object], limit: int) -> None:
        self._entries: dict[int, _Export | Question] = {0: _Export(bootstrap)}
        self._positions: dict[int, int] = {id(bootstrap): 0}
        self._next = 1
        self._limit = limit

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        """May nothing new be added?"""
        return len(self._entries) >= self._limit

    def add(self, thing: Remote) -> int:
        """The thing is about to be sent once more: its position, counted.

        Raises:
            NotPassableError: it is new, and the peer holds too many things already.
        """
        position = self._positions.get(id(thing))
        if position is None:
            if self.full:
                raise NotPassableError(f"the peer holds {self._limit} things of ours: exports limit")
            position = self._number(_Export(thing))
            self._positions[id(thing)] = position
        self._entries[position].count += 1
        return position

    def ask(self, entry: WeakEntry) -> int:
        """The position of a new resolver for a question, or for an imported promise."""
        return self._number(Question(entry))

    def flush(self, entry: WeakEntry) -> int:
        """The position of what is told when the way to this promise is clear; not limited, as one each."""
        return self._number(Flush(entry))

    def _number(self, entry: _Export | Question) -> int:
        position = self._next
        self._next = position + 1
        self._entries[position] = entry
        return position

    def get(self, position: int) -> Exported:
        """What is exported there. Raises `RemoteProtocolError`."""
        entry = self._entries.get(position)
        if type(entry) is _Export:
            return entry.thing
        if entry is None:
            raise RemoteProtocolError(f"unknown export position {position}")
        return entry  # type: ignore[return-value]

    def drop(self, position: int, count: int) -> Question | None:
        """The peer holds it `count` times less.

        Returns:
            The question whose resolver the peer let go of just now.

        Raises:
            RemoteProtocolError: it never held so many.
        """
        if position == 0:
            return None  # the bootstrap is not counted
        entry = self._entries.get(position)
        if entry is None or count > entry.count:
            raise RemoteProtocolError(f"op:gc-exports of {count} at position {position}, which has fewer")
        entry.count -= count
        if entry.count:
            return None
        del self._entries[position]
        if isinstance(entry, Question):
            return entry
        del self._positions[id(entry.thing)]
        return None

    def clear(self) -> None:
        """The peer is gone: let go of everything."""
        self._entries.clear()
        self._positions.clear()


class HeldKind(Enum):
    """What a weak entry stands for."""

    IMPORT = "import"
    QUESTION = "question"
    SELECTION = "selection"
    """A question without a resolver: what becomes of it has to be asked for."""


class WeakEntry(ReferenceType[Remote]):
    """A weak reference to something of the peer's.

    Attributes:
        position: in the peer's table.
        count: of an import: how often it was received; 0 if the peer has been told that we hold it no more.
        key: the id of the thing, under which it can be found.
    """

    __slots__ = ("count", "key", "kind", "position")
    position: int
    kind: HeldKind
    count: int
    key: int

    @property
    def address(self) -> bytes:
        """How a message to it is addressed: an encoded descriptor."""
        if self.kind is HeldKind.IMPORT:
            return b"<11'desc:export%d+>" % self.position
        return b"<11'desc:answer%d+>" % self.position


class Imports:
    """What we hold of the peer's: imports and questions.

    Attributes:
        collected: entries whose thing Python has collected, to be told to the peer.
    """

    def __init__(self) -> None:
        self.collected: deque[WeakEntry] = deque()
        self._note = self.collected.append
        self._imports: dict[int, WeakEntry] = {}
        self._by_id: dict[int, WeakEntry] = {}
        self._next_question = 1

    def __len__(self) -> int:
        return len(self._by_id)

    def received(self, position: int) -> Remote | None:
        """The import at this position, counted once more; None if it is new (or gone)."""
        entry = self._imports.get(position)
        thing = entry() if entry is not None else None
        if thing is not None and entry is not None:
            entry.count += 1
        return thing

    def add(self, thing: Remote, position: int) -> None:
        """A new import, received once."""
        self._imports[position] = self._hold(thing, HeldKind.IMPORT, position)

    def alias(self, thing: Remote, position: int) -> None:
        """Another thing that stands for an import, and is not counted."""
        self._hold(thing, HeldKind.IMPORT, position)

    def ask(self, answer: Promise[object], kind: HeldKind = HeldKind.QUESTION) -> WeakEntry:
        """A new question, at the next position."""
        position = self._next_question
        self._next_question = position + 1
        return self._hold(answer, kind, position)

    def find(self, thing: Remote) -> WeakEntry | None:
        """The entry of something that is the peer's."""
        entry = self._by_id.get(id(thing))
        # The entry may be that of a dead thing which had the same id.
        return entry if entry is not None and entry() is thing else None

    def _hold(self, thing: Remote, kind: HeldKind, position: int) -> WeakEntry:
        entry = WeakEntry(thing, self._note)
        entry.kind = kind
        entry.position = position
        entry.count = 1
        entry.key = key = id(thing)
        self._by_id[key] = entry
        return entry

    def forget(self, entry: WeakEntry) -> None:
        """As if Python had collected it: nobody here will ever use it, though somebody may hold it."""
        self.collected.append(entry)

    def take_collected(self) -> list[WeakEntry]:
        """Forget the collected ones, and return them; each once."""
        taken = []
        collected, by_id, imports = self.collected, self._by_id, self._imports
        while collected:
            entry = collected.popleft()
            if by_id.get(entry.key) is entry:
                del by_id[entry.key]
            if entry.kind is HeldKind.IMPORT and imports.get(entry.position) is entry:
                del imports[entry.position]
            if entry.count:
                taken.append(entry)
        return taken

    def living(self) -> list[Remote]:
        """All that is still held."""
        things = (entry() for entry in list(self._by_id.values()))
        return [thing for thing in things if thing is not None]

    def clear(self) -> None:
        """The peer is gone: nothing here is its any more, and nobody needs to be told of collections."""
        self._imports.clear()
        self._by_id.clear()
        self.collected.clear()
