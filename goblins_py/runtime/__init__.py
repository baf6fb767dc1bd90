"""Vats that run: trio under actors, sessions over connections, mycapn, persistence in time."""

from goblins_py.runtime._mycapn import MyCapn, mycapn_env, spawn_mycapn
from goblins_py.runtime._registry import Registry
from goblins_py.runtime._thread import VatThread, spawn_persistent_vat, spawn_vat
from goblins_py.runtime._vats import OpenVat, flushed, open_persistent_vat, open_vat

__all__ = [
    "MyCapn",
    "OpenVat",
    "Registry",
    "VatThread",
    "flushed",
    "mycapn_env",
    "open_persistent_vat",
    "open_vat",
    "spawn_mycapn",
    "spawn_persistent_vat",
    "spawn_vat",
]
