"""The name that others reach us by, and the address to bind for it. Pure."""

from __future__ import annotations

import ipaddress
import re

__all__ = ["address_to_bind", "is_reachable"]


def is_reachable(host: str) -> bool:
    """Could it be a host name, or is it an address that is somewhere?"""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return re.fullmatch(r"[\w-]+(\.[\w-]+)*\.?", host) is not None


def address_to_bind(host: str | None) -> str | None:
    """Loopback if `host` is, else all interfaces (None)."""
    if host == "localhost":
        return host
    try:
        address = ipaddress.ip_address((host or "").strip("[]"))
    except ValueError:
        return None
    if not address.is_loopback:
        return None
    return "localhost" if str(address) in {"127.0.0.1", "::1"} else str(address)
