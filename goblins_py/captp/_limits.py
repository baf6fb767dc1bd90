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
    """

    message_size: int = 8 * 2**20
    depth: int = 128
    items: int = 250_000
    greeting_size: int = 64 * 2**10
    exports: int = 1_000_000
    answers: int = 100_000
    queue_soft: int = 2**20
    queue_hard: int = 32 * 2**20
