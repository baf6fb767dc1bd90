"""The roots of a persistent vat: how they are made at first, and how they are made to fit later."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from weakref import ReferenceType

import attrs

from goblins_py.actors._reference import Ref
from goblins_py.actors._spawn import start_effect
from goblins_py.actors._turn import Effect, Home
from goblins_py.actors._upgrade import is_version
from goblins_py.errors import VersionMismatchError

__all__ = ["Awaken", "Roots", "RootsPlan"]

Roots: TypeAlias = Ref[Any] | tuple[Ref[Any], ...]
"""What a roots function returns: a reference, or a tuple of at least two."""


def _checked_version(_plan: object, _field: object, version: int) -> None:
    if not is_version(version):
        raise TypeError("the roots' version is a whole number from 0")


def _checked_function(_plan: object, field: attrs.Attribute[Any], function: object) -> None:
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"a function that makes or upgrades roots is a turn, and cannot wait: {field.name}")


@attrs.frozen
class RootsPlan:
    """What a program says of its roots.

    Attributes:
        make: run as a turn if the store is new.
        version: of the roots, from 0; of what `make` and `upgrade` return.
        upgrade: makes roots of a former version, which it gets with them, into those of today.
    """

    make: Callable[[], Roots] = attrs.field(validator=_checked_function)
    version: int = attrs.field(default=0, validator=_checked_version)
    upgrade: Callable[[int, Any], Roots] | None = attrs.field(default=None, validator=_checked_function)

    def upgrade_from(self, saved: int) -> Callable[[int, Any], Roots] | None:
        """What has to be done with roots of this version; None if nothing.

        Raises:
            VersionMismatchError: they are newer, or there is no upgrade.
        """
        if saved == self.version:
            return None
        if saved > self.version:
            raise VersionMismatchError(
                f"the roots were saved at version {saved}, by a newer program: they are version"
                f" {self.version} here"
            )
        if self.upgrade is None:
            raise VersionMismatchError(
                f"the roots were saved at version {saved}, and are version {self.version} now:"
                " they have no upgrade"
            )
        return self.upgrade


class Awaken(Effect):
    """After the first turn of a restored vat: the objects that are still there start.

    Args:
        thorough: the turn has changed the roots, so some of them may be gone, in circles too.
    """

    __slots__ = ("restored", "thorough")

    def __init__(self, restored: Sequence[ReferenceType[Ref[object]]], *, thorough: bool) -> None:
        self.restored = restored
        self.thorough = thorough

    def commit(self, vat: Home) -> None:
        if self.thorough:
            gc.collect()  # what is out of reach must not start; the store, too, goes by what Python collects
        for weak in self.restored:
            ref = weak()
            start = None if ref is None else start_effect(ref, restored=True)
            if start is not None:
                start.commit(vat)
