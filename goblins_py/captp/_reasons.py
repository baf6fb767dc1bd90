"""Break reasons across the wire: what we tell peers, and what theirs become here.

Our choice: a plain string, which both Goblins and Endo take; and no internals, because a reason
goes to somebody whom the object's author did not choose. All forms that peers write are read.
"""

from __future__ import annotations

from typing import Final

from goblins_py.actors import passable
from goblins_py.errors import (
    HandoffError,
    LocatorError,
    NetlayerError,
    NoSuchMethodError,
    NotPassableError,
    QueueFullError,
    Refusal,
    RemoteError,
    SessionSeveredError,
    UnknownSwissNumError,
    VatClosedError,
)
from goblins_py.syrup import Record, Symbol

__all__ = ["NO_REASON", "printable_reason", "read_reason", "write_reason"]

NO_REASON: Final = "the remote object failed and gives no reason"
"""What a Goblins object's failure is read as."""
_LONGEST: Final = 500
_UNTOLD: Final = "the object failed; why is in its own vat's log"

_TOLD: Final[dict[type[Exception], str | None]] = {
    HandoffError: None,
    LocatorError: None,
    NetlayerError: "a peer that this depended on cannot be reached",
    NoSuchMethodError: "the object has no such method",
    NotPassableError: "something in the message, or in its answer, cannot be passed",
    QueueFullError: "too much waits to be sent already",
    SessionSeveredError: "a session that this depended on was severed",
    UnknownSwissNumError: None,
    VatClosedError: "the object's vat is closed",
}
"""What peers are told of errors that may be theirs to know: a text, or None for the error's own."""


def write_reason(error: BaseException, *, verbose: bool) -> object:
    """The value that travels as the reason.

    Args:
        verbose: class and text of any exception, for a vat whose callers are its developers.
    """
    if isinstance(error, Refusal | RemoteError):
        try:
            return passable(error.value if isinstance(error, Refusal) else error.reason)
        except NotPassableError:
            return _UNTOLD
    if verbose:
        return f"{type(error).__name__}: {error}".encode(errors="replace").decode()
    for kind, text in _TOLD.items():
        if isinstance(error, kind):
            return text or str(error)
    return _UNTOLD


def read_reason(reason: object) -> RemoteError:
    """The exception that a received reason is raised as."""
    match reason:
        case Record(label=Symbol(name="exn:fail:mystery")):
            return RemoteError(NO_REASON)
        case Record(label=Symbol(name="desc:error"), fields=(str() as text, *_)):
            return RemoteError(text)
        case _:
            return RemoteError(reason)


def printable_reason(text: str) -> str:
    """A peer's text, fit for logs and short."""
    return "".join([char if char.isprintable() else "?" for char in text[:_LONGEST]])
