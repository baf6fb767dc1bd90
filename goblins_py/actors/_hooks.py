"""What a class may have to say about its own portrait: `__portrait__` and `__restore__`.

Both are for the odd case, where the fields are not what should be saved. Their names start with
underscores, so no message can reach them. When they run no turn is current: they see values, and cannot
change, call or spawn anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from goblins_py.actors._behaviour import state_fields
from goblins_py.actors._turn import no_turn
from goblins_py.actors._upgrade import as_state
from goblins_py.errors import NotPortrayableError, StoreCorruptError, UpgradeFailedError, VersionMismatchError
from goblins_py.syrup import Map

__all__ = ["check_fit", "make_behaviour", "state_of"]


def state_of(behaviour: Any) -> Mapping[str, object]:
    """What is to be saved of an object: its state fields, or what its `__portrait__` says.

    Raises:
        NotPortrayableError: `__portrait__` raised something (the cause), or returned no state.
    """
    cls: Any = type(behaviour)
    if not hasattr(cls, "__portrait__"):
        return {name: getattr(behaviour, name) for name in state_fields(cls)}
    try:
        with no_turn():
            return as_state(behaviour.__portrait__())
    except Exception as error:
        raise NotPortrayableError(f"its __portrait__ failed: {type(error).__name__}") from error


def make_behaviour(cls: Any, name: str, state: Mapping[str, object]) -> object:
    """A behaviour with this state, which is of the present version.

    Raises:
        VersionMismatchError: the class has other fields. UpgradeFailedError: `__restore__` raised something,
        or returned something else. StoreCorruptError: values that no field can have.
    """
    if hasattr(cls, "__restore__"):
        return _restored(cls, name, state)
    check_fit(cls, name, state)
    try:
        return cls(**state)
    except TypeError as error:
        raise StoreCorruptError(f"the portrait of a {name} does not fit it: {error}") from None


def _restored(cls: Any, name: str, state: Mapping[str, object]) -> object:
    try:
        behaviour = cls.__restore__(Map(state))
        if type(behaviour) is not cls or behaviour._goblins_ref is not None:
            raise TypeError("__restore__ is to return a new instance of its class")
    except Exception as error:
        version = cls.__goblins_version__
        raise UpgradeFailedError(
            f"{name}, version {version}, cannot be restored: {type(error).__name__} in __restore__"
        ) from error
    return behaviour


@lru_cache(maxsize=1024)
def _shape(cls: Any) -> tuple[frozenset[str], frozenset[str]]:
    """The names of its fields, and of those without a default: asked for each object of a store."""
    required = frozenset(field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING)
    return frozenset(state_fields(cls)), required


def check_fit(cls: Any, name: str, state: Mapping[str, object]) -> None:
    """Raises `VersionMismatchError` if fields are missing that have no default, or there are others."""
    fields, required = _shape(cls)
    names = state.keys()
    if not (names <= fields and required <= names):
        misfits = (names - fields) | (required - names)
        raise VersionMismatchError(
            f"{name}, version {cls.__goblins_version__}, has other fields than what was saved,"
            f" with all upgrades: {', '.join(sorted(misfits))}"
        )
