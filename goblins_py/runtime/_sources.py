"""Which sturdyref a remote reference was enlivened by, so that it can be saved."""

from __future__ import annotations

from typing import Any, cast

from goblins_py.actors import Fulfilled, Home, Listener, Outcome, Promise, Ref, Source, Vat
from goblins_py.captp import Session

__all__ = ["NoteSource"]


class NoteSource(Listener):
    """Waits for what a sturdyref leads to, and has the session remember how it was had.

    Only for an object of the very peer that the sturdyref names: of no other could that peer say what it
    leads to after a restart.

    That it waits counts for nobody having heard: `stays`; but it goes along with what the promise follows.

    Args:
        bootstrap: of the peer that was asked.
    """

    __slots__ = ("bootstrap", "source")
    stays = True

    def __init__(self, bootstrap: Promise[Any], source: Source) -> None:
        self.bootstrap = bootstrap
        self.source = source

    def changed(self, vat: Home, promise: Promise[object]) -> None:
        cast(Vat, vat).listen(promise, self)

    def notify(self, vat: Home, outcome: Outcome) -> None:
        asked = self.bootstrap._state
        found = outcome.value if isinstance(outcome, Fulfilled) else None
        if isinstance(found, Ref) and isinstance(asked, Fulfilled) and isinstance(asked.value, Ref):
            session = asked.value._connector
            if isinstance(session, Session) and found._connector is session:
                session.references.sources.setdefault(found, self.source)
