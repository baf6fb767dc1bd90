"""What a listener answers to an HTTP request: a websocket, a page of its own, or no. Decisions only, no I/O.

Any page in a browser may open a websocket to anywhere, and says where it comes from in `Origin`. A peer
sends none. So whoever sends one must be listed: the origins that we are reached by always are.
"""

from __future__ import annotations

import base64
import http
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from goblins_py.errors import NetlayerError

__all__ = ["CHALLENGE", "Door", "Page", "read_site"]

CHALLENGE: Final = "OCapN-Challenge"
"""The header of a 101 response that holds 32 bytes of the acceptor's in base64, for the dialler to sign."""

_LARGEST_SITE: Final = 16 * 2**20
_MOST_PAGES: Final = 1000
_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}
"""Not left to the machine's own tables, which browsers would then refuse scripts over."""


@attrs.frozen
class Page:
    """One file of a site.

    Attributes:
        kind: the value of its Content-Type header.
    """

    kind: str
    body: bytes = attrs.field(repr=False)


@attrs.frozen
class Door:
    """Who is let in.

    Attributes:
        path: where the websocket is, without a query.
        origins: those that may connect, as browsers write them.
        site: what plain requests get, by path.
    """

    path: str
    origins: frozenset[str]
    site: Mapping[str, Page]

    def answer(self, protocol: ServerProtocol, request: Request, challenge: bytes) -> Response:
        """The response to a request; 101 if it opens a websocket."""
        if "Upgrade" not in request.headers:
            return self._page(request)
        if request.path.partition("?")[0] != self.path:
            return _refusal(http.HTTPStatus.NOT_FOUND, "There is no websocket here.")
        origins = request.headers.get_all("Origin")
        if not all(origin.lower() in self.origins for origin in origins):
            return _refusal(http.HTTPStatus.FORBIDDEN, "Pages of that origin may not connect.")
        response = protocol.accept(request)
        if response.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS:
            response.headers[CHALLENGE] = base64.b64encode(challenge).decode("ascii")
        return response

    def _page(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return _refusal(http.HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are served.")
        page = self.site.get(request.path.partition("?")[0])
        if page is None:
            if request.path.partition("?")[0] == self.path:
                return _refusal(http.HTTPStatus.UPGRADE_REQUIRED, "An OCapN peer: connect by websocket.")
            return _refusal(http.HTTPStatus.NOT_FOUND, "There is nothing here.")
        response = _response(http.HTTPStatus.OK, page.kind, page.body)
        if request.method == "HEAD":
            response.body = b""
        return response


def read_site(folder: str | None) -> dict[str, Page]:
    """All files of a folder, by the path that they are served under; `index.html` as the folder, too.

    They are read once, so nothing that a request says ever touches a file system. Hidden ones are left out.

    Raises:
        NetlayerError: it cannot be read, or holds over 1,000 files or 16 MiB.
    """
    if folder is None:
        return {}
    root, room = Path(folder), _LARGEST_SITE
    pages: dict[str, Page] = {}
    try:
        for path in sorted(root.rglob("*")):
            parts = path.relative_to(root).parts
            if not path.is_file() or any(part.startswith(".") for part in parts):
                continue
            page = Page(_kind(path), path.read_bytes())
            room -= len(page.body)
            if room < 0 or len(pages) >= _MOST_PAGES:
                raise NetlayerError(f"the site in {folder} is too large to be kept in memory")
            pages["/" + "/".join(parts)] = page
            if parts[-1] == "index.html":
                pages["/" + "".join(f"{part}/" for part in parts[:-1])] = page
    except OSError as error:
        raise NetlayerError(f"the site in {folder} cannot be read: {error.strerror or error}") from None
    if "/" not in pages:
        raise NetlayerError(f"the site in {folder} has no index.html")
    return pages


def _kind(path: Path) -> str:
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _refusal(status: http.HTTPStatus, text: str) -> Response:
    response = _response(status, "text/plain; charset=utf-8", f"{text}\n".encode())
    if status is http.HTTPStatus.UPGRADE_REQUIRED:
        response.headers["Upgrade"] = "websocket"
    return response


def _response(status: http.HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers(
        {
            "Connection": "close",
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-cache",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
    )
    return Response(status.value, status.phrase, headers, body)
