"""`goblins call`: enliven a URI, send one message, print the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import attrs
import trio

from goblins_py.cli._failure import ExitCode, Failure, one_line, printable
from goblins_py.cli._json import read_argument, to_text
from goblins_py.cli._netlayers import NETLAYERS
from goblins_py.cli._prelay import PRELAY, base_of, spawn_dialling_mycapn
from goblins_py.errors import (
    ActorError,
    GoblinsError,
    LocatorError,
    NetlayerError,
    NotPassableError,
    RemoteError,
    SessionSeveredError,
)
from goblins_py.locators import Sturdyref
from goblins_py.runtime import OpenVat, open_vat
from goblins_py.syrup import Symbol

__all__ = ["Request", "call", "make_request"]


@attrs.frozen
class Request:
    """What shall be sent to whom.

    Attributes:
        message: the arguments; the method's symbol, if one is named, is the first.
        timeout: seconds for all of it; None waits for ever.
        insecure: whoever is on the way may listen, if the netlayer lets them.
    """

    sturdyref: Sturdyref
    message: tuple[object, ...]
    timeout: float | None
    insecure: bool = False


def make_request(
    uri: str, method: str | None, args: Sequence[str], *, timeout: float, insecure: bool = False
) -> Request:
    """Read the command line; nothing is sent yet. Raises `Failure`."""
    try:
        sturdyref = Sturdyref.from_uri(uri)
    except LocatorError as error:
        raise Failure(ExitCode.USAGE, f"malformed URI: {error}") from None
    transport = base_of(sturdyref.peer)
    if transport not in NETLAYERS:
        known = ", ".join((*NETLAYERS, PRELAY))
        raise Failure(ExitCode.UNREACHABLE, f"no netlayer for the transport {transport} (there is {known})")
    try:
        name = () if method in (None, "-") else (Symbol(str(method)),)
        message = (*name, *map(read_argument, args))
    except (ValueError, TypeError) as error:
        raise Failure(ExitCode.USAGE, printable(f"bad argument: {error}")) from None
    return Request(sturdyref, message, timeout or None, insecure)


def call(request: Request) -> object:
    """Send it and wait for the answer. Raises `Failure`."""
    try:
        return trio.run(_call, request)
    except KeyboardInterrupt:
        raise Failure(ExitCode.INTERRUPTED, "interrupted; the message may have arrived") from None


async def _call(request: Request) -> object:
    limit = float("inf") if request.timeout is None else request.timeout
    doing = "connecting"
    async with open_vat("goblins call") as vat:
        try:
            with trio.fail_after(limit):
                target = await _reach(vat, request)
                doing = "waiting for the answer"
                return await _send(vat, target, request)
        except trio.TooSlowError:
            raise Failure(ExitCode.TIMED_OUT, f"timed out after {limit:g} s while {doing}") from None


async def _reach(vat: OpenVat, request: Request) -> object:
    peer, insecure = request.sturdyref.peer, request.insecure
    mycapn = await vat.run(lambda: spawn_dialling_mycapn(peer, insecure=insecure))
    try:
        target: object = await vat.send(mycapn).enliven(request.sturdyref)
    except NetlayerError as error:
        raise Failure(ExitCode.UNREACHABLE, one_line(error)) from None
    except SessionSeveredError as error:
        raise Failure(ExitCode.UNREACHABLE, f"cannot connect: {one_line(error)}") from None
    except GoblinsError as error:
        raise _broken(error) from None
    return target


async def _send(vat: OpenVat, target: object, request: Request) -> object:
    try:
        return cast(object, await vat.send(target)(*request.message))
    except NotPassableError as error:
        raise Failure(ExitCode.USAGE, printable(f"bad argument: {error}")) from None
    except SessionSeveredError as error:
        text = f"{one_line(error)}; whether the message arrived is unknown"
        raise Failure(ExitCode.BROKEN, text) from None
    except (GoblinsError, ValueError, TypeError) as error:
        raise _broken(error) from None


def _broken(error: Exception) -> Failure:
    if isinstance(error, RemoteError):
        reason = error.reason if isinstance(error.reason, str) else to_text(error.reason)
        return Failure(ExitCode.BROKEN, f"the object broke the promise: {printable(reason)}")
    if isinstance(error, ActorError):
        return Failure(ExitCode.BROKEN, one_line(error))
    return Failure(ExitCode.BROKEN, f"{type(error).__name__}: {one_line(error)}")
