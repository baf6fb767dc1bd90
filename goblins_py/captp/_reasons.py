"""Break reasons across the wire: what we tell peers, and what theirs become here.

Our choice: a plain string, which both Goblins and Endo take; and no internals, because a reason
goes to somebody whom the object's author did not choose. All forms that peers write are read.
"""

from __future__ import annotations

from typing import Final

from goblins_py.errors import GoblinsError, Refusal, RemoteError
from goblins_py.syrup import Record, Symbol

__all__ = ["read_reason", "write_reason"]

_UNTOLD: Final = "the object failed; why is in its own vat's log"


def write_reason(error: BaseException, *, verbose: bool) -> object:
    """The value that travels as the reason.

    Args:
        verbose: class and text of any exception, for a vat whose callers are its developers.
    """
    if isinstance(error, Refusal):
        return error.value
    if isinstance(error, RemoteError):
        return error.reason
    if verbose:
        return f"{type(error).__name__}: {error}"
    return str(error) if isinstance(error, GoblinsError) else _UNTOLD


def read_reason(reason: object) -> RemoteError:
    """The exception that a received reason is raised as."""
    match reason:
        case Record(label=Symbol(name="exn:fail:mystery")):
            return RemoteError("the remote object failed and gives no reason")
        case Record(label=Symbol(name="desc:error"), fields=(str() as text, *_)):
            return RemoteError(text)
        case _:
            return RemoteError(reason)
