"""Conformance suites: run them on your own netlayer or store."""

from goblins_py.testing._check_netlayer import check_netlayer
from goblins_py.testing._check_store import check_store

__all__ = ["check_netlayer", "check_store"]
