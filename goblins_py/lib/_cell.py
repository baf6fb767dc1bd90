"""A cell holds one value."""

from __future__ import annotations

from goblins_py.actors import Ref, actor, spawn
from goblins_py.errors import NoSuchMethodError
from goblins_py.lib._passing import pass_on
from goblins_py.syrup import Symbol

__all__ = ["Cell", "ReadOnlyCell", "WriteOnlyCell", "spawn_read_only", "spawn_write_only"]


@actor
class Cell:
    """One value that can be read and replaced: `spawn(Cell, 5)`.

    Called without a method name it is Goblins' cell: no argument reads, one writes (but for a symbol, which
    would be a misspelt method name: `set` it).
    """

    _value: object = None

    def get(self) -> object:
        """What it holds."""
        return self._value

    def set(self, value: object) -> None:
        """Hold this from now on."""
        self._value = value

    def __call__(self, *new: object) -> object:
        if not new:
            return self._value
        self.set(_no_method(*new))
        return None


@actor
class ReadOnlyCell:
    """Reads a cell; see `spawn_read_only`."""

    _cell: Ref[Cell]

    def get(self) -> object:
        """What the cell holds; a promise of it, if the cell is not near."""
        return pass_on(self._cell, (_GET,))

    def __call__(self) -> object:
        return self.get()


@actor
class WriteOnlyCell:
    """Writes a cell; see `spawn_write_only`."""

    _cell: Ref[Cell]

    def set(self, value: object) -> object:
        """Let the cell hold this; a promise that it does, if it is not near."""
        return pass_on(self._cell, (_SET, value))

    def __call__(self, value: object) -> object:
        return self.set(_no_method(value))


def _no_method(value: object, *more: object) -> object:
    if isinstance(value, Symbol):
        raise NoSuchMethodError(f"a cell has no method {value.name[:80]!r}")
    if more:
        raise TypeError("a cell holds one value")
    return value


_GET = Symbol("get")
_SET = Symbol("set")


def spawn_read_only(cell: Ref[Cell]) -> Ref[ReadOnlyCell]:
    """An object that can read the cell, and nothing else."""
    return spawn(ReadOnlyCell, cell)


def spawn_write_only(cell: Ref[Cell]) -> Ref[WriteOnlyCell]:
    """An object that can write the cell, and nothing else."""
    return spawn(WriteOnlyCell, cell)
