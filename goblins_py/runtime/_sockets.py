"""TCP sockets for `Io`: listening and dialling. Knows nothing of vats or what is said."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import trio

from goblins_py.abc import Asker
from goblins_py.errors import NetlayerError

__all__ = ["dial_tcp", "listen_tcp"]

_BACKLOG = 1024
_TRIES = 32
"""How many free port numbers to try until one is free for IPv4 and IPv6."""

_NEXT_AFTER = 0.25
"""Seconds that one address has to itself before the next is tried as well (RFC 8305)."""

_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})

_TRIED = re.compile(r"Error connecting to \('(?P<host>[^']+)',.*?\): (?P<reason>.*)")

_Addresses = tuple[tuple[socket.AddressFamily, str], ...]
_BOTH: dict[str | None, _Addresses] = {
    None: ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")),  # noqa: S104 - who says None asks for it
    "localhost": ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")),
}


def listen_tcp(host: str | None, port: int, *, backlog: int = _BACKLOG) -> list[socket.socket]:
    """Bind and listen. It does not wait, so it looks no names up.

    Args:
        host: an IP address; None for all interfaces and "localhost" for both loopback
            addresses: IPv4 and IPv6 on one port number, or one of them alone where the
            machine lacks the other.
        port: 1 to 65535, or 0 for any free one.

    Returns:
        The listening sockets, non-blocking, all on one port.

    Raises:
        NetlayerError: the port is in use or may not be bound (the text names it), or `host`
            is no address. Nothing stays bound.
    """
    addresses = _addresses(host)
    for _ in range(_TRIES):
        try:
            return _listen_all(addresses, port, backlog)
        except OSError as exc:
            if port != 0 or exc.errno != errno.EADDRINUSE:
                raise NetlayerError(_explain(host, port, exc)) from exc
    raise NetlayerError("no port number is free for both IPv4 and IPv6")


async def dial_tcp(host: str, port: int, asked_by: Asker | None = None) -> socket.socket:
    """Connect by TCP, trying all addresses of `host` (RFC 8305).

    Args:
        asked_by: whoever makes us dial: addresses that it may not make us reach are not tried.

    Returns:
        A connected non-blocking socket with TCP_NODELAY set. The caller closes it.

    Raises:
        OSError: none answered; one note per address ("address:port: reason"). After
            that, and after cancellation, nothing stays open.
    """
    try:
        if asked_by is None:
            stream = await trio.open_tcp_stream(host, port)
        else:
            stream = await _dial_some(await _addresses_of(host, port), port, asked_by.refusal)
    except OSError as exc:
        error = OSError(f"cannot connect to {host}:{port}")
        for cause in _causes(exc):
            error.add_note(_note(cause, host, port))
        raise error from None
    except ValueError as exc:  # names that the resolver cannot even encode
        raise OSError(f"{host!r} is no host name") from exc
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _addresses_of(host: str, port: int) -> list[str]:
    infos = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


async def _dial_some(
    addresses: Sequence[str], port: int, refusal: Callable[[str], str | None]
) -> trio.SocketStream:
    """Connect to one of those addresses that are not refused: the names have been looked up by now.

    Raises:
        OSError: a group of what became of each.
    """
    refusals = {address: refusal(address) for address in addresses}
    failures = [
        OSError(errno.EACCES, f"not tried: {reason}", address)
        for address, reason in refusals.items()
        if reason is not None
    ]
    allowed = [address for address, reason in refusals.items() if reason is None]
    stream = await _race(allowed, port, failures)
    if stream is None:
        raise OSError("none of the addresses") from ExceptionGroup("each of them", failures)
    return stream


async def _race(addresses: Sequence[str], port: int, failures: list[OSError]) -> trio.SocketStream | None:
    """The first that answers; trio does the same, but looks names up itself."""
    winners: list[trio.SocketStream] = []

    async def attempt(address: str, failed: trio.Event) -> None:
        try:
            winners.append(await trio.open_tcp_stream(address, port))
            nursery.cancel_scope.cancel()
        except OSError as error:
            failures.extend(_causes(error))
            failed.set()

    with ExitStack() as undo:
        undo.callback(_close_all, winners)
        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(attempt, address, failed)
                with trio.move_on_after(_NEXT_AFTER):
                    await failed.wait()
        return winners.pop(0) if winners else None


def _close_all(streams: Sequence[trio.SocketStream]) -> None:
    for stream in streams:
        stream.socket.close()


def _addresses(host: str | None) -> _Addresses:
    if host is None or host == "localhost":
        return _BOTH[host]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise NetlayerError(f"cannot listen on {host!r}: bind an IP address or localhost") from None
    return ((socket.AF_INET if address.version == 4 else socket.AF_INET6, host),)


def _listen_all(addresses: _Addresses, port: int, backlog: int) -> list[socket.socket]:
    """Listen on each address that the machine has; on all of them with the first one's port."""
    sockets: list[socket.socket] = []
    with ExitStack() as undo:
        for family, host in addresses:
            try:
                sock = undo.enter_context(_listen_one(family, host, port, backlog))
            except OSError as exc:
                if exc.errno in _NO_SUCH_FAMILY and len(addresses) > 1:
                    continue
                raise
            sockets.append(sock)
            port = sock.getsockname()[1]
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        undo.pop_all()
    return sockets


def _listen_one(family: socket.AddressFamily, host: str, port: int, backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _explain(host: str | None, port: int, exc: OSError) -> str:
    where = f"port {port}" if host is None else f"port {port} of {host}"
    match exc.errno:
        case errno.EADDRINUSE:
            return f"cannot listen on {where}: it is in use"
        case errno.EACCES:
            return f"cannot listen on {where}: it may not be bound by this user"
        case _:
            return f"cannot listen on {where}: {exc.strerror}"


def _causes(exc: OSError) -> Iterator[OSError]:
    """The failures of each address that trio has put together in one."""
    if not isinstance(exc.__cause__, BaseExceptionGroup):
        yield exc
        return
    for cause in exc.__cause__.exceptions:
        if isinstance(cause, OSError):
            yield cause


def _note(exc: OSError, host: str, port: int) -> str:
    reason = str(exc.strerror or exc)
    told = _TRIED.fullmatch(reason)  # trio names the address in the text only
    where, reason = (told["host"], told["reason"]) if told else (exc.filename or host, reason)
    return f"[{where}]:{port}: {reason}" if ":" in where else f"{where}:{port}: {reason}"
