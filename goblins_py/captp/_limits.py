"""What one session takes, and gives."""

from __future__ import annotations

import attrs

__all__ = ["SessionLimits"]


@attrs.frozen
class SessionLimits:
    """What one session takes from its peer, and from us. Each is named by the error that enforces it.

    Attributes:
        message_size: bytes of one message, either way: a larger one of ours breaks, of the peer's aborts.
        depth: of nesting in one message.
        items: values in one message, at any depth; memory and time go with them more than with bytes.
        greeting_size: bytes of the peer's op:start-session.
        exports: entries of ours that the peer may hold, questions included; beyond it messages break.
        answers: answers that the peer may keep, and calls of its that may be unanswered; beyond, abort.
        queue_soft: bytes queued to the peer above which we stop reading from it.
        queue_hard: bytes queued to it above which messages break with `QueueFullError`.
        gifts: gifts of the peer's that may wait here for their receivers; beyond, a deposit is refused.
        gift_waits: withdrawals that may wait for a gift of the peer's; beyond, a withdrawal is refused.
        gift_seconds: how long one may wait.
        dials_at_once: dials that the peer has made necessary and that are under way; beyond, they fail.
        dials_per_minute: the same, begun within a minute.
        idle: seconds without a word from the peer after which it is asked for a sign of life, where the
            connection would not notice its loss; after as many again the session severs. 0: never.
    """

    message_size: int = 8 * 2**20
    depth: int = 128
    items: int = 250_000
    greeting_size: int = 64 * 2**10
    exports: int = 1_000_000
    answers: int = 100_000
    queue_soft: int = 2**20
    queue_hard: int = 32 * 2**20
    gifts: int = 10_000
    gift_waits: int = 1_000
    gift_seconds: float = 60.0
    dials_at_once: int = 8
    dials_per_minute: int = 100
    idle: float = 120.0
