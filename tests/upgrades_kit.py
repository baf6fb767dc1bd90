"""Programs that save, and later ones that restore: what tests of upgrades have in common."""

from goblins_py import PersistenceEnv, actor, spawn, upgrade
from vat_kit import Disk, Persistent


def named(**classes) -> PersistenceEnv:
    return PersistenceEnv(named=classes)


def saved(env: PersistenceEnv, roots) -> Disk:
    """What a program with these classes and roots has left."""
    disk = Disk()
    Persistent(env, disk, roots)
    return disk


def old_box(version: int = 0, **state):
    """A class of objects with this state, of that version."""
    return actor(version=version)(type("Box", (), {"__annotations__": dict.fromkeys(state, object), **state}))


def disk_of(version: int = 0, **state) -> Disk:
    """A store that holds one such object as "box"."""
    cls = old_box(version, **state)
    return saved(named(box=cls), lambda: spawn(cls))


@actor
class Leaf:
    what: object = None

    def get(self):
        return self.what


@actor(version=3)
class Box:
    size: int
    trail: tuple[str, ...] = ()

    @upgrade(from_version=2)
    @staticmethod
    def last(state):
        return {**state, "trail": (*state["trail"], "2")}

    @upgrade(from_version=0)
    @staticmethod
    def first(state):
        return state.delete("weight").update({"size": state["weight"] * 2, "trail": ["0"]})

    @upgrade(from_version=1)
    def _second(state):  # noqa: N805 - it may go without @staticmethod
        return state.set("trail", (*state["trail"], "1"))

    def get(self):
        return self.size, self.trail
