"""Sealers: put a value into a box that only the matching unsealer opens.

A box can pass through anybody's hands. The three ends meet at their brand, which nobody else has: to
open a box the brand asks it, and only a box that has the brand can answer there. An answer counts
only if it is that of the very box that was asked, so one that mimics a box, or stands before a real
one, opens nothing and learns nothing.
"""

from __future__ import annotations

from typing import Any

from goblins_py.actors import Promise, Ref, actor, is_near, on, spawn
from goblins_py.errors import Refusal

__all__ = ["Brand", "SealChecker", "SealedBox", "Sealer", "Unsealer", "spawn_sealer_triplet"]


@actor
class Brand:
    """Where the ends of a triplet meet. Never given out."""

    _asked: Ref[Any] | None = None
    _offered: tuple[object, ...] = ()

    def offer(self, box: Ref[Any], value: object) -> None:
        """A box says what is in it; that counts only if it is asked just now."""
        if box is self._asked:
            self._offered = (value,)

    def opened(self, box: object) -> tuple[object, ...]:
        """What is in the box, in a tuple; an empty one if it is no box of this brand."""
        if not isinstance(box, Ref) or not is_near(box):
            return ()
        self._asked, self._offered = box, ()
        try:
            box.offer()
        except Exception:  # noqa: BLE001 - whatever a thing raises that is no box of ours
            self._take()
        return self._take()

    def _take(self) -> tuple[object, ...]:
        offered = self._offered
        self._asked, self._offered = None, ()
        return offered


@actor
class SealedBox:
    """A sealed value. In a store it is in the clear."""

    _brand: Ref[Brand]
    _value: object

    def offer(self) -> None:
        """Tell the brand, and nobody else, what is in it."""
        self._brand.offer(self, self._value)


@actor
class Sealer:
    """Seals values; see `spawn_sealer_triplet`."""

    _brand: Ref[Brand]

    def seal(self, value: object) -> Ref[SealedBox]:
        """A box with the value in it."""
        return spawn(SealedBox, self._brand, value)

    def __call__(self, value: object) -> Ref[SealedBox]:
        return self.seal(value)


@actor
class Unsealer:
    """Opens what its sealer sealed; see `spawn_sealer_triplet`."""

    _brand: Ref[Brand]

    def unseal(self, box: object) -> object:
        """The sealed value; a promise of it, if a promise of the box is given.

        Raises:
            Refusal: it is no box of this sealer's.
        """
        if isinstance(box, Promise):
            return on(box, self.unseal)
        opened: tuple[object, ...] = self._brand.opened(box)
        if not opened:
            raise Refusal("this was not sealed by the matching sealer")
        return opened[0]

    def __call__(self, box: object) -> object:
        return self.unseal(box)


@actor
class SealChecker:
    """Knows what its sealer sealed; see `spawn_sealer_triplet`."""

    _brand: Ref[Brand]

    def is_sealed(self, box: object) -> bool | Promise[bool]:
        """Did the sealer seal this? A promise of the answer, if a promise is given."""
        if isinstance(box, Promise):
            return on(box, self.is_sealed)
        return bool(self._brand.opened(box))

    def __call__(self, box: object) -> bool | Promise[bool]:
        return self.is_sealed(box)


def spawn_sealer_triplet() -> tuple[Ref[Sealer], Ref[Unsealer], Ref[SealChecker]]:
    """Sealer, unsealer and `is_sealed`: each called with one value, `sealer("secret")`.

    Who has the sealer can make boxes, who has the unsealer can open them, who has the third can tell
    them from others. All boxes live in the vat of the triplet.
    """
    brand = spawn(Brand)
    return spawn(Sealer, brand), spawn(Unsealer, brand), spawn(SealChecker, brand)
