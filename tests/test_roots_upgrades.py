"""Roots of a former version: upgraded in one turn, before anything starts, or not at all."""

import pytest

from goblins_py import (
    actor,
    become,
    call,
    send,
    spawn,
)
from goblins_py.actors import RootsPlan, send_only
from goblins_py.errors import (
    UpgradeFailedError,
    VersionMismatchError,
)
from upgrades_kit import Box, Leaf, disk_of, named, saved
from vat_kit import Disk, Persistent


@actor
class Starter:
    """Tells a leaf when it starts."""

    listener: object = None
    name: str = ""

    def on_start(self, restored):
        self.listener.hear((self.name, restored))

    def poke(self):
        self.listener.hear((self.name, "poked"))
        return self.name


@actor
class Ear:
    heard: tuple = ()

    def hear(self, what):
        self.heard = (*self.heard, what)

    def get(self):
        return self.heard

    def retire(self):
        become(self, Leaf("was an ear"))


ROOTS = named(starter=Starter, ear=Ear, leaf=Leaf)


def first_roots():
    ear = spawn(Ear)
    return ear, spawn(Starter, ear, "old")


def test_roots_of_a_former_version_are_upgraded_before_anything_starts() -> None:
    """With the version and the roots; it may spawn, call and send; all of it is saved with the new roots."""
    disk = saved(ROOTS, first_roots)
    got = []

    def up(version, roots):
        ear, starter = roots
        got.append(version)
        ear.hear("upgrade")
        starter.poke()
        send_only(ear).hear("sent")
        return ear, starter, spawn(Starter, ear, "new"), spawn(Leaf, call(ear, Ear.get))

    vat = Persistent(ROOTS, disk, version=2, upgrade=up)
    assert [0] == got
    ear, *_, leaf = vat.roots
    heard = (
        ("old", False),
        "upgrade",
        ("old", "poked"),
        ("old", True),
        "sent",
        ("new", False),
    )
    assert heard == vat.run(ear.get)
    assert heard[:3] == vat.run(leaf.get)
    assert (2, (0, 1, 2, 3)) == (disk.snapshot.roots_version, disk.snapshot.roots)
    assert heard == disk.states[0]["heard"]


def test_roots_that_were_upgraded_are_not_upgraded_again() -> None:
    """The next start finds them as they are."""
    disk = saved(ROOTS, first_roots)
    Persistent(ROOTS, disk, version=1, upgrade=lambda version, roots: roots[0])
    again = Persistent(ROOTS, disk, version=1, upgrade=lambda version, roots: pytest.fail("twice"))
    assert [Ear] == [type(root._behaviour) for root in again.roots]


def test_the_roots_version_of_a_new_store_is_the_programs() -> None:
    """So that it is not upgraded when it is opened again."""
    disk = Disk()
    Persistent(ROOTS, disk, first_roots, version=5)
    assert 5 == disk.snapshot.roots_version
    assert 2 == len(Persistent(ROOTS, disk, version=5).roots)


def test_what_an_upgrade_of_the_roots_drops_does_not_start_and_leaves_the_store() -> None:
    """In circles, too."""

    def roots():
        ear = spawn(Ear)
        starter = spawn(Starter, ear, "old")
        circle = spawn(Leaf)
        circle._behaviour.what = (circle, starter)
        return ear, circle

    disk = saved(ROOTS, roots)
    vat = Persistent(ROOTS, disk, version=1, upgrade=lambda version, roots: roots[0])
    assert (("old", False),) == vat.run(vat.roots[0].get)
    assert {0} == set(disk.states)


def test_a_former_upgrade_of_objects_comes_before_that_of_roots() -> None:
    """It sees them as they are now."""
    disk = disk_of(0, weight=5)
    vat = Persistent(
        named(box=Box, leaf=Leaf), disk, version=1, upgrade=lambda version, root: spawn(Leaf, root.get())
    )
    assert (10, ("0", "1", "2")) == vat.run(vat.roots[0].get)


def raise_after_all(version, roots):
    roots[0].hear("lost")
    spawn(Starter, roots[0], "lost")
    raise ValueError("the secret")


@pytest.mark.parametrize(
    ("up", "said"),
    [
        pytest.param(raise_after_all, "ValueError", id="raises"),
        pytest.param(lambda version, roots: 5, "TypeError", id="returns no references"),
        pytest.param(lambda version, roots: spawn(Box, 1), "NotPortrayableError: Box", id="an unlisted root"),
        pytest.param(
            lambda version, roots: [
                setattr(roots[0]._behaviour, "heard", (spawn(lambda: None),)),
                roots[0],
            ][1],
            "NotPortrayableError: Ear cannot be saved|NotPortrayableError: .*lambda",
            id="leaves what cannot be saved",
        ),
    ],
)
def test_an_upgrade_of_the_roots_that_fails_changes_nothing(up, said) -> None:
    """It is named with the versions; nothing has started, and there is nothing to save."""
    disk = saved(ROOTS, first_roots)
    before = disk.snapshot
    vat = Persistent.__new__(Persistent)
    with pytest.raises(UpgradeFailedError, match=f"roots cannot be upgraded from version 0 to 3: {said}"):
        vat.__init__(ROOTS, disk, version=3, upgrade=up)
    assert [] == vat.save()
    assert before is disk.snapshot
    assert (("old", False),) == vat.roots[0]._behaviour.heard


def test_after_a_failed_upgrade_of_the_roots_upgraded_objects_are_not_saved_either() -> None:
    """The store is as it was, for the next attempt."""
    disk = disk_of(0, weight=5)
    vat = Persistent.__new__(Persistent)
    with pytest.raises(UpgradeFailedError):
        vat.__init__(named(box=Box), disk, version=1, upgrade=raise_after_all)
    assert [] == vat.save()
    assert {0: {"weight": 5}} == disk.states


def test_roots_that_are_newer_or_lack_an_upgrade_are_refused() -> None:
    """With both versions."""
    disk = Disk()
    Persistent(ROOTS, disk, first_roots, version=2)
    with pytest.raises(VersionMismatchError, match=r"roots were saved at version 2, by a newer .* version 1"):
        Persistent(ROOTS, disk, version=1, upgrade=lambda version, roots: roots)
    with pytest.raises(
        VersionMismatchError, match=r"roots were saved at version 2, .* version 3 .* no upgrade"
    ):
        Persistent(ROOTS, disk, version=3)


@pytest.mark.parametrize("version", [-1, 1.0, True, "1"])
def test_a_roots_version_is_a_whole_number(version) -> None:
    """Said before anything is opened."""
    with pytest.raises(TypeError, match="whole number"):
        RootsPlan(first_roots, version)


async def waiting(version=0, roots=()):
    return roots


@pytest.mark.parametrize("plan", [(waiting,), (first_roots, 0, waiting)])
def test_functions_that_make_or_upgrade_roots_do_not_wait(plan) -> None:
    """They are turns; said before anything is opened."""
    with pytest.raises(TypeError, match="cannot wait"):
        RootsPlan(*plan)


def test_an_object_may_become_something_else_in_an_upgrade_of_the_roots() -> None:
    """It is a turn like any other; what changed is saved with the new roots."""
    disk = saved(ROOTS, lambda: spawn(Ear))

    def up(version, root):
        root.retire()
        return root

    vat = Persistent(ROOTS, disk, version=1, upgrade=up)
    assert "was an ear" == vat.vat.take(vat.run(lambda: send(vat.roots[0]).get()))
    assert {0: {"what": "was an ear"}} == disk.states
