"""Signals to a command that serves: it can be told to end at any time, also while it is not all up yet."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

import trio

from goblins_py.actors import Ref
from goblins_py.cli._failure import one_line
from goblins_py.cli._narrate import say
from goblins_py.cli._prelay import netlayers_of
from goblins_py.errors import GoblinsError
from goblins_py.runtime import OpenVat

__all__ = ["reload_certificate", "signals_received", "until_told_to_end"]


def signals_received() -> AbstractContextManager[AsyncIterator[int]]:
    """Receive what `until_told_to_end` understands; what comes before that waits for it."""
    return trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def until_told_to_end(
    signals: AsyncIterator[int],
    bring_up: Callable[[], Awaitable[None]],
    hung_up: Callable[[], Awaitable[None]],
) -> None:
    """Bring up what there is, and return at SIGTERM or SIGINT. Raises what `bring_up` raises.

    Args:
        bring_up: may take for ever: it is cancelled when the end comes.
        hung_up: what SIGHUP means.
    """
    failed: list[Exception] = []

    async def attempt(scope: trio.CancelScope) -> None:
        try:
            await bring_up()
        except Exception as error:  # noqa: BLE001 - raised again below, and not in a group
            failed.append(error)
            scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(attempt, nursery.cancel_scope)
        async for number in signals:
            if number != signal.SIGHUP:
                say(f"{signal.Signals(number).name}: saying goodbye to all peers.")
                break
            await hung_up()
        nursery.cancel_scope.cancel()
    for error in failed:
        raise error


async def reload_certificate(vat: OpenVat, mycapn: Ref[Any]) -> None:
    """Show what the certificate's files hold now, or say why not, and go on."""
    netlayer = netlayers_of(mycapn).get("websocket")
    if netlayer is None or not netlayer._behaviour.listen:
        say("SIGHUP: there is no certificate to be read again.", mark="note")
        return
    try:
        await vat.run(netlayer.reload_certificate)
    except GoblinsError as error:
        say(f"the old certificate is kept: {one_line(error)}", mark="note")
    else:
        say("the certificate was read again.")
