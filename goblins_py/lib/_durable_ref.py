"""A forwarder to a peer's object that outlives the session with that peer."""

from __future__ import annotations

from typing import Any

from goblins_py.actors import Ref, Source, actor, dormant_ref, live, require_turn, send, spawn
from goblins_py.errors import LocatorError
from goblins_py.locators import Sturdyref, parse_uri

__all__ = ["DurableRef", "durable_ref"]


@actor
class DurableRef:
    """Passes all messages on to what a sturdyref leads to; see `durable_ref`."""

    _mycapn: Ref[Any]
    _sturdyref: Sturdyref
    _way: Ref[Any] | None = live()

    def __call__(self, *args: object, **kwargs: object) -> object:
        if self._way is None:
            source = Source(self._mycapn, self._sturdyref)
            self._way = dormant_ref(require_turn().home, source, heals=True)
        return send(self._way)(*args, **kwargs)


def durable_ref(mycapn: Ref[Any], sturdyref: Sturdyref | str) -> Ref[DurableRef]:
    """A reference that heals: its first message enlivens it, and again after each severance and restart.

    Messages that are under way when the session ends break with `SessionSeveredError`: nobody knows whether
    they arrived. While the peer cannot be reached, messages break with `ConnectFailedError`; the next one
    tries again, after a pause that grows from half a second to a minute.

    Args:
        sturdyref: or its URI.

    Raises:
        LocatorError: malformed, or no sturdyref.
    """
    target = parse_uri(sturdyref) if isinstance(sturdyref, str) else sturdyref
    if not isinstance(target, Sturdyref):
        raise LocatorError("a durable reference needs a sturdyref, or the URI of one")
    return spawn(DurableRef, mycapn, target)
