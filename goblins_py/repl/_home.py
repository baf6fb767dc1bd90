"""What a REPL with a store keeps: the objects and data under a name in its `home`."""

from __future__ import annotations

from typing import Any, Final

from goblins_py.actors import actor
from goblins_py.syrup import Map

__all__ = ["HOME_NAME", "Home"]

HOME_NAME: Final = "goblins-home"
"""What it is called in stores."""


@actor
class Home:
    """A place for what shall be there next time; whatever these things hold is kept with them."""

    things: Map[str, Any] = Map()

    def keep(self, name: str, thing: object) -> None:
        """Keep an object or a value under a name, in place of what had that name."""
        if not isinstance(name, str):
            raise TypeError('home.keep("name", thing): a name is a string')
        self.things = self.things.set(name, thing)

    def get(self, name: str) -> Any:
        """What was kept under this name."""
        if name not in self.things:
            raise LookupError(f"home has no {name!r}; it has {', '.join(self.names()) or 'nothing yet'}")
        return self.things[name]

    def forget(self, name: str) -> bool:
        """Keep it no longer; False if there was nothing of that name."""
        known = name in self.things
        if known:
            self.things = self.things.delete(name)
        return known

    def names(self) -> tuple[str, ...]:
        """All names, in order."""
        return tuple(sorted(self.things))
