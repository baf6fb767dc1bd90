"""goblins_py: objects on different machines that call each other safely, with no server in the middle.

Spawn objects in a vat, send to them near or far, keep them across restarts, share them by sturdyrefs.
Netlayers are in `netlayers`, stores in `persistence`, ready-made actors in `goblins_py.lib`.
"""

import goblins_py._pure  # noqa: F401, I001 - first: it decides where the others are found

from goblins_py.actors import (
    PersistenceEnv,
    Promise,
    Ref,
    Resolver,
    actor,
    all_of,
    any_of,
    become,
    call,
    is_near,
    is_verified,
    live,
    make_promise,
    on,
    on_sever,
    race,
    ref_to,
    send,
    send_only,
    spawn,
    timeout,
    upgrade,
    value,
)
from goblins_py.errors import GoblinsError, Refusal, RemoteError
from goblins_py.locators import PeerLocator, Sturdyref, parse_uri
from goblins_py.runtime import (
    flushed,
    mycapn_env,
    open_persistent_vat,
    open_vat,
    spawn_mycapn,
    spawn_persistent_vat,
    spawn_vat,
)
from goblins_py.syrup import Map, Null, Symbol, Tagged

__all__ = [
    "GoblinsError",
    "Map",
    "Null",
    "PeerLocator",
    "PersistenceEnv",
    "Promise",
    "Ref",
    "Refusal",
    "RemoteError",
    "Resolver",
    "Sturdyref",
    "Symbol",
    "Tagged",
    "actor",
    "all_of",
    "any_of",
    "become",
    "call",
    "flushed",
    "is_near",
    "is_verified",
    "live",
    "make_promise",
    "mycapn_env",
    "on",
    "on_sever",
    "open_persistent_vat",
    "open_vat",
    "parse_uri",
    "race",
    "ref_to",
    "send",
    "send_only",
    "spawn",
    "spawn_mycapn",
    "spawn_persistent_vat",
    "spawn_vat",
    "timeout",
    "upgrade",
    "value",
]
