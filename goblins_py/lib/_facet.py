"""A facet is some of an object's messages."""

from __future__ import annotations

from typing import Any

from goblins_py.actors import Ref, actor, method_symbol, spawn
from goblins_py.errors import NoSuchMethodError
from goblins_py.lib._passing import pass_on
from goblins_py.syrup import Symbol

__all__ = ["Facet", "spawn_facet"]


@actor
class Facet:
    """Passes some messages on; see `spawn_facet`."""

    _target: Ref[Any]
    _methods: frozenset[str]

    def __call__(self, *args: object, **kwargs: object) -> object:
        symbol = args[0] if args and isinstance(args[0], Symbol) else None
        if symbol is None:
            raise NoSuchMethodError("a facet takes messages with a method name only")
        # What is checked is what is passed on: a target may tell `a_b` from `a-b`.
        symbol = symbol if symbol.name in self._methods else method_symbol(symbol.name)
        if symbol.name not in self._methods:
            raise NoSuchMethodError(f"access to the method {symbol.name[:80]!r} is denied")
        return pass_on(self._target, (symbol, *args[1:]), kwargs)


def spawn_facet(target: Ref[Any], *methods: str | Symbol) -> Ref[Any]:
    """An object that passes on these messages of the target's, and raises `NoSuchMethodError` for all others.

    Args:
        target: near or not.
        methods: names as Python writes them, or the exact symbols.
    """
    names = [each.name if isinstance(each, Symbol) else method_symbol(each).name for each in methods]
    return spawn(Facet, target, frozenset(names))
