"""What all tests share, and it is little: each test makes its own world.

`sources`, `layering` and the like are modules beside this file, found through pytest's `pythonpath`.
"""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

import browser_kit
from guile_peer import GuilePeer, why_not

# A shell that runs us in the background ignores SIGINT, and every process that we start would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# CI is one slow shared machine: there, a deadline measures the machine. Failures must be repeatable, too.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def in_ci() -> bool:
    """True where a missing foreign peer is a failure and not a reason to skip."""
    return bool(os.environ.get("CI"))


@pytest.fixture(scope="session")
def chromium(in_ci: bool):
    """`browser_kit.browser`, on a machine that has Chromium; else the test is skipped, or fails in CI."""
    if reason := browser_kit.why_not():
        pytest.fail(reason) if in_ci else pytest.skip(reason)
    return browser_kit.browser


@pytest.fixture(scope="session")
def guile(in_ci: bool) -> type[GuilePeer]:
    """`GuilePeer`, on a machine that has Guile Goblins; elsewhere the test is skipped, and in CI it fails."""
    if reason := why_not():
        pytest.fail(reason) if in_ci else pytest.skip(reason)
    return GuilePeer
