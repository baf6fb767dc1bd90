"""A compaction under way: what is live goes to a new file piece by piece, while commits go on.

The old file stays the truth until the new one has its name. The new one gets the live records as they were
when it began, then, in their order, those of all commits since; when it has caught up it says the same.
A crash at any moment leaves the old file, and a temporary one that is removed when the store is opened.

It decides what comes next and copies it; when to work, and what failure means, is the journal's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import attrs

from persistence._index import Drop, Extent, Index, Op, Put, Stamp
from persistence._new_file import NewFile, fresh_record

__all__ = ["Compaction"]


@attrs.define(eq=False)
class Compaction:
    """From the state that `begin` found.

    Attributes:
        new: the file that it writes.
        done, total: bytes of records that are there, and that there will be.
    """

    new: NewFile
    total: int
    _log: Iterator[Op] = attrs.field(repr=False)
    _read: Callable[[Extent], bytes] = attrs.field(repr=False)
    _since: deque[Op] = attrs.field(factory=deque, init=False, repr=False)
    done: int = attrs.field(default=0, init=False)

    @classmethod
    def begin(cls, new: NewFile, index: Index, read: Callable[[Extent], bytes]) -> Compaction:
        """From the present state of the store.

        Args:
            new: an empty file.
            index: of the old one.
            read: the record that is there in the old file, or it raises.
        """
        log, total = index.log()
        return cls(new, total, log, read)

    def note(self, op: Op) -> None:
        """A record was appended to the old file."""
        self._since.append(op)
        self.total += _length(op)

    def step(self, budget: int) -> bool:
        """Carry over about `budget` bytes; whether the new file says all that the old one does.

        Raises:
            OSError, or what `read` raised: the new file is of no use any more.
        """
        items: list[tuple[Op, bytes]] = []
        size = 0
        while size < budget:
            op = self._next()
            if op is None:
                break
            record = self._read(op.extent) if isinstance(op, Put) else fresh_record(op)
            items.append((op, record))
            size += len(record)
            self.done += _length(op)
        self.new.write(items)
        return size < budget

    def _next(self) -> Op | None:
        op = next(self._log, None)
        if op is None and self._since:
            return self._since.popleft()
        return op


def _length(op: Drop | Put | Stamp) -> int:
    return op.extent.length if isinstance(op, Put) else 0
