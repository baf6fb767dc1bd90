"""What waits at a local promise for a peer, and tells its resolver."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol, cast

from goblins_py.actors import Effect, Home, Listener, Outcome, Outgoing, Promise, Vat

__all__ = ["Dismiss", "Reply"]


class _Replier(Protocol):
    lost: deque[int]

    def reply(self, reply: Reply, outcome: Outcome) -> None:
        """Settle the peer's promise."""

    def owns(self, promise: Promise[object]) -> bool:
        """Will the peer itself settle this one?"""


class Reply(Listener, Outgoing):
    """Notified in the vat; tells the peer when the churn is released. Collected before that, it is `lost`.

    Attributes:
        resolver: the peer's position of what settles its promise.
    """

    __slots__ = ("__weakref__", "_outcome", "_replier", "in_order", "resolver")
    _outcome: Outcome | None
    abroad = True

    def __init__(self, replier: _Replier, resolver: int, *, in_order: bool = False) -> None:
        self.in_order = in_order
        self._replier = replier
        self._outcome = None
        self.resolver = resolver

    def __del__(self) -> None:  # only notes: this may run anywhere, in any thread
        if self._outcome is None:
            self._replier.lost.append(self.resolver)

    def notify(self, vat: Home, outcome: Outcome) -> None:
        self._outcome = outcome
        vat.outbox.append(self)  # type: ignore[attr-defined]  # a cast is a call, and this is hot

    def owns(self, promise: Promise[object]) -> bool:
        return self._replier.owns(promise)

    def release(self) -> None:
        if self._outcome is not None:
            self._replier.reply(self, self._outcome)


class Dismiss(Effect):
    """The peer that listened is gone: nothing waits at the promise any more."""

    __slots__ = ("promise", "reply")

    def __init__(self, promise: Promise[object], reply: Reply) -> None:
        self.promise = promise
        self.reply = reply

    def commit(self, vat: Home) -> None:
        cast(Vat, vat).dismiss(self.promise, cast(Any, self.reply))
