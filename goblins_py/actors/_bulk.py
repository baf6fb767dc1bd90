"""For work that makes many objects at once, none of which is garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_gc"]


@contextmanager
def without_gc() -> Iterator[None]:
    """Python does not look for cycles within: while 10⁵ objects are made, that is a third of the time.

    What was made then counts as old, so that it is not looked at at once either. In any thread.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():  # somebody's own frozen objects stay so
                gc.freeze()
                gc.unfreeze()  # both together only move all objects to the oldest generation
            gc.enable()
