"""Stores: where a persistent vat keeps its portraits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from goblins_py.actors import Delta, Snapshot

__all__ = ["Store"]


class Store(ABC):
    """Keeps one vat's portraits. Knows no classes, holds no code, can run none.

    Used by one task at a time. The values in portraits are Syrup values (`goblins_py.syrup`);
    a store writes and reads them and looks at nothing inside.
    """

    @abstractmethod
    async def open(self) -> Snapshot | None:
        """Take the store for writing and read it.

        Returns:
            What was saved last; None if the store is new.

        Raises:
            StoreLockedError: another process, or store object, has it.
            StoreCorruptError: damaged. VersionMismatchError: made by a newer version.
            After an error, or cancellation, it is not open and the store is unchanged (but for
            a torn tail that was cut).
        """

    @abstractmethod
    async def commit(self, deltas: Sequence[Delta]) -> None:
        """Make these changes durable, in this order, all with one sync; all or a prefix if we crash.

        The first delta ever given to a new store has `vat_id` and `roots` set. Cancellation is
        put off until the outcome is known.

        Raises:
            OSError: it could not be written. The store takes no more commits until reopened;
            what it holds then is some prefix of all that was given to it, with every delta whose
            `commit` returned.
        """

    def _begin_commit(self, deltas: Sequence[Delta], told: Callable[[Exception | None], None]) -> bool:
        """Begin a commit for who waits in no task; False: it cannot now, and `commit` has to be used.

        `told` gets the error, or None, later and on this thread. Private: a short cut of our own stores.
        """
        return False

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of the store; idempotent, and done even if cancelled."""
