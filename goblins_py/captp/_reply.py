"""What waits at a local promise for a peer, and tells its resolver."""

from __future__ import annotations

from typing import Protocol, cast

from goblins_py.actors import Home, Listener, Outcome, Outgoing, Vat

__all__ = ["Reply"]


class _Replier(Protocol):
    def reply(self, resolver: int, outcome: Outcome) -> None:
        """Settle the peer's promise."""


class Reply(Listener):
    """Notified in the vat; tells the peer when the churn is released."""

    __slots__ = ("replier", "resolver")

    def __init__(self, replier: _Replier, resolver: int) -> None:
        self.replier = replier
        self.resolver = resolver

    def notify(self, vat: Home, outcome: Outcome) -> None:
        cast(Vat, vat).outbox.append(_Telling(self, outcome))


class _Telling(Outgoing):
    __slots__ = ("outcome", "reply")

    def __init__(self, reply: Reply, outcome: Outcome) -> None:
        self.reply = reply
        self.outcome = outcome

    def release(self) -> None:
        self.reply.replier.reply(self.reply.resolver, self.outcome)
