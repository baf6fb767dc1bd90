"""`@upgrade`: how the state of one version of a class becomes that of the next.

Lives only here: which steps a class has, and the walk over them. A step is a function on values; when it
runs there is no turn, and objects that it sees may not be there yet. This must not know how states are
written, nor what a vat is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, TypeAlias, TypeVar, cast

from goblins_py.errors import PersistenceError, UpgradeFailedError, VersionMismatchError
from goblins_py.syrup import Map

__all__ = ["Steps", "as_state", "is_version", "steps_of", "upgrade", "upgraded", "what_failed"]

F = TypeVar("F", bound=Callable[..., Mapping[str, Any]])

Steps: TypeAlias = Mapping[int, Callable[[Map[str, Any]], Mapping[str, Any]]]
"""The upgrades of a class, by the version that they start from."""


class _Step(staticmethod):  # type: ignore[type-arg]  # of whatever function it is given
    """A static function of a class that upgrades; no function, so that no message can reach it."""

    def __init__(self, function: Callable[..., Any], from_version: int) -> None:
        super().__init__(function)
        self.from_version = from_version


def is_version(version: object) -> bool:
    """Is this a whole number from 0?"""
    return type(version) is int and version >= 0


def upgrade(*, from_version: int) -> Callable[[F], F]:
    """Mark a static function of an `@actor` or `@value` class as the upgrade from this version to the next.

    It gets the state of that version, a `Map` of field names to values, and returns that of the next as any
    mapping. Values only: it runs before anything is started, outside of turns. References and promises are
    passed on or dropped; the objects may not be there yet, so they cannot be called or asked.

    Raises:
        TypeError: not a plain or static function, or the version is none.
    """
    if not is_version(from_version):
        raise TypeError("from_version is a whole number from 0")

    def marked(function: F) -> F:
        plain = function.__func__ if isinstance(function, staticmethod) else function
        if not isinstance(plain, FunctionType) or inspect.iscoroutinefunction(plain):
            raise TypeError("an upgrade is a static function, and none that waits")
        return cast(F, _Step(plain, from_version))

    return marked


def steps_of(cls: type, version: int) -> Steps:
    """The upgrades of this very class; a base's are for the base's versions.

    Raises:
        TypeError: the version is none, or upgrades that do not lead to it.
    """
    if not is_version(version):
        raise TypeError(f"{cls.__name__}: its version is a whole number from 0")
    steps: dict[int, Callable[..., Any]] = {}
    for name, step in vars(cls).items():
        if not isinstance(step, _Step):
            continue
        if step.from_version >= version:
            raise TypeError(
                f"{cls.__name__}.{name} upgrades from version {step.from_version},"
                f" but the class is @…(version={version})"
            )
        if step.from_version in steps:
            raise TypeError(f"{cls.__name__} has two upgrades from version {step.from_version}")
        steps[step.from_version] = step.__func__
    return MappingProxyType(steps)


def upgraded(cls: Any, name: str, saved: int, state: Map[str, Any]) -> Map[str, Any]:
    """The state as it is at the present version.

    Args:
        name: what the class is called in the store.
        saved: the version that `state` has.

    Raises:
        VersionMismatchError: a newer version, or a step is missing; then none was run.
        UpgradeFailedError: a step raised something, or returned no state.
    """
    steps: Steps = cls.__goblins_upgrades__
    present: int = cls.__goblins_version__
    if saved > present:
        raise VersionMismatchError(
            f"{name} was saved at version {saved}, by a newer program: it is version {present} here"
        )
    for version in range(saved, present):
        if version not in steps:
            raise VersionMismatchError(
                f"{name} was saved at version {saved}, and it is version {present} now:"
                f" it has no upgrade from version {version}"
            )
    for version in range(saved, present):
        try:
            state = as_state(steps[version](state))
        except Exception as error:
            raise UpgradeFailedError(
                f"{name} cannot be upgraded from version {version} to {version + 1}: {what_failed(error)}"
            ) from error
    return state


def what_failed(error: Exception) -> str:
    """An error as another one's text names it: a program's own text may hold some of the state."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, PersistenceError) else kind


def as_state(result: object) -> Map[str, Any]:
    """A state that a program's function returned. Raises `TypeError` if it is none."""
    if not isinstance(result, Mapping):
        raise TypeError(f"a state is a mapping of names to values, not a {type(result).__name__}")
    if not all(type(name) is str for name in result):
        raise TypeError("the names in a state are strings")
    return Map(result)
