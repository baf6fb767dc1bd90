"""Forwarders: their target can be taken away (revocable) or replaced (swappable).

They pass on messages, not more: what the target gives out is given out as it is.
"""

from __future__ import annotations

from typing import Any

from goblins_py.actors import Ref, actor, spawn
from goblins_py.errors import Refusal
from goblins_py.lib._cell import Cell
from goblins_py.lib._passing import pass_on

__all__ = ["Forwarder", "Revoker", "Swapper", "spawn_revocable", "spawn_swappable"]


@actor
class Forwarder:
    """Passes all messages on to what a cell holds."""

    _cell: Ref[Cell]

    def __call__(self, *args: object, **kwargs: object) -> object:
        target = self._cell.get()
        if target is None:
            raise Refusal("this reference was revoked")
        return pass_on(target, args, kwargs)


@actor
class Revoker:
    """Takes a forwarder's target away, for ever; see `spawn_revocable`."""

    _cell: Ref[Cell]

    def revoke(self) -> None:
        """From now on the forwarder refuses everything. Idempotent."""
        self._cell.set(None)

    def __call__(self) -> None:
        self.revoke()


@actor
class Swapper:
    """Gives a proxy another target; see `spawn_swappable`."""

    _cell: Ref[Cell]

    def swap(self, target: Ref[Any]) -> None:
        """Pass messages on to this object from now on. Raises `TypeError` if it is no reference."""
        self._cell.set(_checked(target))

    def __call__(self, target: Ref[Any]) -> None:
        self.swap(target)


def _checked(target: object) -> Ref[Any]:
    if not isinstance(target, Ref):
        raise TypeError(f"messages can be passed on to references, not to a {type(target).__name__}")
    return target


def spawn_revocable(target: Ref[Any]) -> tuple[Ref[Any], Ref[Revoker]]:
    """A forwarder to the target, and the revoker that ends it.

    A revoked forwarder raises `Refusal`. Messages that it has passed on are not called back.

    Raises:
        TypeError: the target is no reference.
    """
    cell = spawn(Cell, _checked(target))
    return spawn(Forwarder, cell), spawn(Revoker, cell)


def spawn_swappable(target: Ref[Any]) -> tuple[Ref[Any], Ref[Swapper]]:
    """A proxy of the target, and the swapper that gives it another one.

    Raises:
        TypeError: the target is no reference.
    """
    cell = spawn(Cell, _checked(target))
    return spawn(Forwarder, cell), spawn(Swapper, cell)
