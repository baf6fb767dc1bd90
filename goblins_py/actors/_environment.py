"""The persistence environment: which classes a vat may save and restore, and by which names.

Only what an environment lists is ever constructed from a store.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

from goblins_py.actors._behaviour import is_actor_class
from goblins_py.errors import UnknownObjectError, VersionMismatchError

__all__ = ["OWN_LABELS", "PersistenceEnv", "persistent_name"]

OWN_LABELS: Final = frozenset(
    {"void", "null", "tagged", "record", "value"}
    | {"near", "far", "remote", "severed", "promise", "encase", "broken", "lost", "pending"}
)
"""Labels of the records that every portrait may hold."""


def persistent_name(cls: type) -> str:
    """`module.Class`.

    A program run as `__main__` counts by its file's stem, to find its store again
    however it is started.
    """
    module = cls.__module__
    if module == "__main__":
        file = getattr(sys.modules.get("__main__"), "__file__", None)
        module = PurePath(file).stem if file else module
    return f"{module}.{cls.__qualname__}"


class PersistenceEnv:
    """Names for `@actor` and `@value` classes.

    Args:
        classes: named `module.Class`.
        named: more, under names of your own (stable if you move or rename the class).
        leaves: other immutable values: the label of their record, and the class, which has `to_record()` and
            a class method `from_record(record)`.
        extends: environments whose entries hold here too.
        aliases: former names of classes that are listed. They are read; what is saved has the present name.

    Raises:
        UnknownObjectError: two classes under one name, or label; an alias of a class that is not listed.
        TypeError: a class that is not decorated.
    """

    def __init__(
        self,
        *classes: type,
        named: Mapping[str, type] | None = None,
        leaves: Mapping[str, type] | None = None,
        extends: Sequence[PersistenceEnv] = (),
        aliases: Mapping[str, type] | None = None,
    ) -> None:
        self._classes: dict[str, type] = {}
        self._names: dict[type, str] = {}
        self._aliases: dict[str, type] = {}
        self._leaves: dict[str, Any] = {}
        for env in extends:
            self._add_leaves(env._leaves)
            for name, cls in env._classes.items():
                self._add(name, cls)
            self._add_aliases(env._aliases)
        self._add_leaves(leaves or {})
        for cls in classes:
            self._add(persistent_name(cls), cls)
        for name, cls in (named or {}).items():
            self._add(name, cls)
        self._add_aliases(aliases or {})

    def _add(self, name: str, cls: type) -> None:
        if not (is_actor_class(cls) or cls.__dict__.get("__goblins_value__") is cls):
            raise TypeError(f"{cls.__name__} is neither an @actor nor a @value class")
        if name.startswith("<"):
            raise UnknownObjectError(f"names like {name!r} are kept for what is no user's object")
        self._claim(self._classes, name, cls)
        self._names.setdefault(cls, name)

    def _add_aliases(self, aliases: Mapping[str, type]) -> None:
        for name, cls in aliases.items():
            if cls not in self._names:
                raise UnknownObjectError(
                    f"{name!r} is an alias of {cls.__name__}, which the environment does not list"
                )
            self._claim(self._aliases, name, cls)

    def _claim(self, table: dict[str, type], name: str, cls: type) -> None:
        for taken in (self._classes, self._aliases):
            if taken.get(name, cls) is not cls:
                raise UnknownObjectError(f"two classes are named {name!r} in one environment")
        table[name] = cls

    def _add_leaves(self, leaves: Mapping[str, type]) -> None:
        for label, cls in leaves.items():
            if label in OWN_LABELS or self._leaves.setdefault(label, cls) is not cls:
                raise UnknownObjectError(f"two kinds of leaves are labelled {label!r} in one environment")

    def name_of(self, cls: type) -> str | None:
        """The name that objects of this class are saved under; None if it is not listed."""
        return self._names.get(cls)

    def class_named(self, name: str) -> Any:
        """The class that has that name, or had it. Raises `UnknownObjectError`."""
        cls = self._classes.get(name) or self._aliases.get(name)
        if cls is None:
            raise UnknownObjectError(f"the store holds a {name!r}, which the environment does not list")
        return cls

    def actor_named(self, name: str) -> Any:
        """The same for what was saved as an object. Raises `VersionMismatchError` if it is none any more."""
        cls = self.class_named(name)
        if not is_actor_class(cls):
            raise VersionMismatchError(f"{name} was saved as an @actor, and it is a @value class now")
        return cls

    def value_named(self, name: str) -> Any:
        """The same for what was saved as a value."""
        cls = self.class_named(name)
        if is_actor_class(cls):
            raise VersionMismatchError(f"{name} was saved as a @value, and it is an @actor class now")
        return cls

    def is_present(self, cls: Any, name: str, version: int) -> bool:
        """Is this name and version what instances of a class that is listed are saved under today?"""
        return bool(self._names[cls] == name and cls.__goblins_version__ == version)

    def writes(self, cls: type) -> bool:
        """Does it know how a leaf of this class is written?"""
        return cls in self._leaves.values()

    def class_labelled(self, label: str) -> Any:
        """The class whose leaves are written as records with this label; None if no leaf has it."""
        return self._leaves.get(label)

    def __repr__(self) -> str:
        return f"<PersistenceEnv of {len(self._classes)} classes>"
