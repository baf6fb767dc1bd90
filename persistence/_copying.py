"""From one store to another, whatever they are made of."""

from __future__ import annotations

from goblins_py.abc import Delta, Store
from goblins_py.errors import PersistenceError

__all__ = ["copy_store"]


async def copy_store(source: Store, target: Store) -> int:
    """Give `target` all that `source` holds now; both are opened for it, and closed afterwards.

    It is one commit: a copy that was cut short is an empty store. The history of the source is not copied.
    Two stores of one vat must never be in use at the same time: each would be taken for the other.

    Returns:
        How many objects there are.

    Raises:
        PersistenceError: the target is not empty, or the source is; nothing was changed.
        What `open` and `commit` raise.
    """
    snapshot = await source.open()
    try:
        if snapshot is None:
            raise PersistenceError("there is nothing to copy: the source is empty")
        if await target.open() is not None:
            await target.aclose()
            raise PersistenceError("the target is not empty")
        try:
            await target.commit(
                [
                    Delta(
                        snapshot.portraits,
                        vat_id=snapshot.vat_id,
                        roots_version=snapshot.roots_version,
                        roots=snapshot.roots,
                    )
                ]
            )
        finally:
            await target.aclose()
    finally:
        await source.aclose()
    return len(snapshot.portraits)
