"""Actors and vats: references, promises, state, turns, churns, portraits. No I/O, no event loop."""

import goblins_py.actors._pure  # noqa: F401, I001 - first: it decides where the others are found

from goblins_py.actors._behaviour import actor, become, live, value
from goblins_py.actors._bulk import without_gc
from goblins_py.actors._dormant import LostReferenceError, dormant_ref
from goblins_py.actors._environment import PersistenceEnv, persistent_name
from goblins_py.actors._far import PersistenceRegistry
from goblins_py.actors._joiners import all_of, any_of, race, timeout
from goblins_py.actors._keeper import GraphKeeper
from goblins_py.actors._on import HandlerTurn, Resolver, make_promise, on, on_sever, resolver_for
from goblins_py.actors._outgoing import Flushed, Introduce, Lost, Outgoing, Pursuit
from goblins_py.actors._outside import listen_outside, outcome_now, run_outside, send_outside, sender_for
from goblins_py.actors._passable import passable
from goblins_py.actors._portrait import Delta, Portrait, Snapshot
from goblins_py.actors._promise import (
    Broken,
    Fulfilled,
    Listen,
    Listener,
    Message,
    Outcome,
    Promise,
    RemotePending,
    Resolve,
    Select,
    outcome_of,
    promise_told,
    reconnect,
    unwrap,
)
from goblins_py.actors._reference import (
    Connector,
    NearOnly,
    Ref,
    Severable,
    Source,
    is_near,
    is_remote,
    is_verified,
    method_symbol,
    ref_to,
)
from goblins_py.actors._roots import Roots, RootsPlan
from goblins_py.actors._selection import Selection, SelectionKind
from goblins_py.actors._send import Sender, call, make_message, send, send_only, untag
from goblins_py.actors._spawn import implant, spawn
from goblins_py.actors._turn import Effect, Home, Host, current_turn, require_turn
from goblins_py.actors._upgrade import upgrade
from goblins_py.actors._vat import Churn, Keeper, Vat

__all__ = [
    "Broken",
    "Churn",
    "Connector",
    "Delta",
    "Effect",
    "Flushed",
    "Fulfilled",
    "GraphKeeper",
    "HandlerTurn",
    "Home",
    "Host",
    "Introduce",
    "Keeper",
    "Listen",
    "Listener",
    "Lost",
    "LostReferenceError",
    "Message",
    "NearOnly",
    "Outcome",
    "Outgoing",
    "PersistenceEnv",
    "PersistenceRegistry",
    "Portrait",
    "Promise",
    "Pursuit",
    "Ref",
    "RemotePending",
    "Resolve",
    "Resolver",
    "Roots",
    "RootsPlan",
    "Select",
    "Selection",
    "SelectionKind",
    "Sender",
    "Severable",
    "Snapshot",
    "Source",
    "Vat",
    "actor",
    "all_of",
    "any_of",
    "become",
    "call",
    "current_turn",
    "dormant_ref",
    "implant",
    "is_near",
    "is_remote",
    "is_verified",
    "listen_outside",
    "live",
    "make_message",
    "make_promise",
    "method_symbol",
    "on",
    "on_sever",
    "outcome_now",
    "outcome_of",
    "passable",
    "persistent_name",
    "promise_told",
    "race",
    "reconnect",
    "ref_to",
    "require_turn",
    "resolver_for",
    "run_outside",
    "send",
    "send_only",
    "send_outside",
    "sender_for",
    "spawn",
    "timeout",
    "untag",
    "unwrap",
    "upgrade",
    "value",
    "without_gc",
]
