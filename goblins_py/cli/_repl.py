"""`goblins repl`: puts together what the REPL is started with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import attrs

from goblins_py.actors import PersistenceEnv
from goblins_py.cli._failure import ExitCode, Failure, one_line
from goblins_py.cli._load import load_module, make_env
from goblins_py.cli._netlayers import NETLAYERS, Reach
from goblins_py.cli._stores import kept_store
from goblins_py.errors import (
    PersistenceError,
    StoreLockedError,
    UnknownObjectError,
)
from goblins_py.repl import HOME_NAME, Home, ReplOptions, run_repl

__all__ = ["ReplCommand", "repl"]


@attrs.frozen
class ReplCommand:
    """The command line of `goblins repl`."""

    store: str | None
    store_key: str | None
    store_passphrase: str | None
    sources: Sequence[str]
    host: str | None
    port: int | None


def repl(command: ReplCommand) -> int:
    """Run the REPL; its exit code. Raises `Failure`."""
    modules = [load_module(source) for source in command.sources]
    own = PersistenceEnv(named={HOME_NAME: Home})
    kind = NETLAYERS["tcp-tls"]
    reach = Reach(command.host or "127.0.0.1", command.port)
    store = command.store
    options = ReplOptions(
        netlayer=lambda: kind.listening(reach),
        modules=modules,
        store=None if store is None else kept_store(store, command.store_key, command.store_passphrase),
        env=make_env(modules, own),
    )
    try:
        return run_repl(options)
    except (PersistenceError, OSError) as error:
        _explain(error, store)


def _explain(error: PersistenceError | OSError, store: str | None) -> NoReturn:
    text = one_line(error)
    if isinstance(error, StoreLockedError):
        text = "it is in use by another process"
    elif isinstance(error, UnknownObjectError):
        text = f"{text}; have what defines it at hand: --load FILE"
    elif isinstance(error, OSError):
        text = error.strerror or text
    raise Failure(ExitCode.BROKEN, f"{store} cannot be used: {text}") from None
