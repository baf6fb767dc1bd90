"""What waits at a local promise for a peer, and tells its resolver."""

from __future__ import annotations

from typing import Any, Protocol, cast

from goblins_py.actors import Effect, Home, Listener, Outcome, Outgoing, Promise, Vat

__all__ = ["Dismiss", "Reply"]


class _Replier(Protocol):
    def reply(self, reply: Reply, outcome: Outcome) -> None:
        """Settle the peer's promise."""


class Reply(Listener, Outgoing):
    """Notified in the vat; tells the peer when the churn is released.

    Attributes:
        resolver: the peer's position of what settles its promise.
    """

    __slots__ = ("_outcome", "_replier", "resolver")
    _outcome: Outcome

    def __init__(self, replier: _Replier, resolver: int) -> None:
        self._replier = replier
        self.resolver = resolver

    def notify(self, vat: Home, outcome: Outcome) -> None:
        self._outcome = outcome
        cast(Vat, vat).outbox.append(self)

    def release(self) -> None:
        self._replier.reply(self, self._outcome)


class Dismiss(Effect):
    """The peer that listened is gone: nothing waits at the promise any more."""

    __slots__ = ("promise", "reply")

    def __init__(self, promise: Promise[object], reply: Reply) -> None:
        self.promise = promise
        self.reply = reply

    def commit(self, vat: Home) -> None:
        cast(Vat, vat).dismiss(self.promise, cast(Any, self.reply))
