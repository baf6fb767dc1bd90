"""How the actors here pass a message on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goblins_py.actors import Promise, Ref, is_near, send

__all__ = ["pass_on"]


def pass_on(
    target: Ref[Any] | Promise[Any], args: tuple[object, ...], kwargs: Mapping[str, object] | None = None
) -> object:
    """Call a near target at once, so that the caller gets its result and failures; send to any other."""
    if isinstance(target, Ref) and is_near(target):
        return target(*args, **(kwargs or {}))
    return send(target)(*args, **(kwargs or {}))
