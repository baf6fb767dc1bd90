"""What commands keep in stores: whose it is, and errors as one line about the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from goblins_py.actors import PersistenceEnv, actor
from goblins_py.cli._failure import ExitCode, Failure, one_line, printable
from goblins_py.errors import (
    GoblinsError,
    StoreCorruptError,
    StoreLockedError,
    UnknownObjectError,
    VersionMismatchError,
)

__all__ = ["Served", "explained", "roots_of", "served_env"]


@actor
class Served:
    """What a store was made to serve, so that another program that takes it up by mistake is told."""

    what: str


served_env = PersistenceEnv(named={"goblins-served": Served})
"""What saves and restores a `Served`."""


def roots_of(roots: Any, store: str | None) -> tuple[Any, Served, Any]:
    """Mycapn, what it serves, and the object, if this store holds these three. Raises `Failure`."""
    desk = roots[1]._behaviour if isinstance(roots, tuple) and len(roots) == 3 else None
    if not isinstance(desk, Served):
        raise Failure(
            ExitCode.BROKEN, f"{store} holds another program's objects: goblins serve did not make it"
        )
    return roots[0], desk, roots[2]


@contextmanager
def explained(target: str, store: str | None) -> Iterator[None]:
    """Errors as `Failure`s.

    Args:
        target: what was to be served.
    """
    try:
        yield
    except Failure:
        raise
    except StoreLockedError:
        raise Failure(ExitCode.BROKEN, f"{store} is in use by another process") from None
    except StoreCorruptError as error:
        raise Failure(ExitCode.BROKEN, f"{store} cannot be used: {one_line(error)}") from None
    except (UnknownObjectError, VersionMismatchError) as error:
        raise Failure(ExitCode.BROKEN, f"{store} does not fit {target}: {one_line(error)}") from None
    except GoblinsError as error:
        raise Failure(ExitCode.BROKEN, one_line(error)) from None
    except OSError as error:
        raise Failure(
            ExitCode.BROKEN, f"{store}: {error.strerror or error}" if store else one_line(error)
        ) from None
    except (TypeError, ValueError) as error:
        raise Failure(ExitCode.USAGE, printable(f"{target}: {error}")) from error
