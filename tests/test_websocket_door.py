"""Who is let in: paths, origins, pages, and what plain HTTP gets."""

import base64

import pytest

from goblins_py.errors import NetlayerError
from netlayers._websocket_door import Door, Page, read_site
from websocket_kit import alice

PAGE = Page("text/html; charset=utf-8", b"<p>Hello")
UPGRADE = "GET {} HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"


def status(answer):
    return int(answer.split(" ", 2)[1])


async def test_challenge_is_in_the_response_and_fresh_each_time():
    """32 bytes in base64; nothing is negotiated."""
    async with alice() as server:
        responses = [(await server.stranger()).response for _ in range(2)]
        challenges = {response.headers["OCapN-Challenge"] for response in responses}
        assert [len(base64.b64decode(each)) for each in challenges] == [32, 32]
        assert "Sec-WebSocket-Extensions" not in responses[0].headers


async def test_compression_is_not_taken_up():
    """Endo offers it."""
    async with alice() as server:
        guest = await server.stranger(Sec_WebSocket_Extensions="permessage-deflate")
        assert guest.response.status_code == 101
        assert "Sec-WebSocket-Extensions" not in guest.response.headers


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, 101),
        ("https://127.0.0.1:PORT", 101),
        ("https://localhost:PORT", 101),
        ("https://LOCALHOST:PORT", 101),
        ("https://shop.example", 101),
        ("http://127.0.0.1:PORT", 403),
        ("https://127.0.0.1", 403),
        ("https://evil.example", 403),
        ("https://shop.example.evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_only_listed_origins_may_connect(origin, expected):
    """Whoever sends none is no page in a browser; our own, by each of its names, always is listed."""
    async with alice(allow_origins=("https://shop.example/",)) as server:
        line = "" if origin is None else f"Origin: {origin.replace('PORT', str(server.netlayer.port))}\n"
        if expected == 101:
            headers = {} if origin is None else {"Origin": origin.replace("PORT", str(server.netlayer.port))}
            assert (await server.stranger(**headers)).response.status_code == 101
        else:
            assert expected == status(await server.request(UPGRADE.format("/") + KEY + line + "\n"))
        assert await server.is_serving()


async def test_origin_of_the_announced_url_may_connect():
    """Behind a reverse proxy, pages come from there."""
    async with alice(url="wss://ocapn.example/peer", path="/") as server:
        assert (await server.stranger_at("/", Origin="https://ocapn.example")).response.status_code == 101


async def test_two_origins_are_one_too_many():
    """The listed one does not cover for the other."""
    async with alice() as server:
        own = f"Origin: https://127.0.0.1:{server.netlayer.port}\n"
        answer = await server.request(UPGRADE.format("/") + KEY + own + "Origin: https://evil.example\n\n")
        assert status(answer) == 403


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("GET / HTTP/1.1\nHost: h\n\n", 426),
        ("GET /x HTTP/1.1\nHost: h\n\n", 404),
        ("POST / HTTP/1.1\nHost: h\n\n", 405),
        (UPGRADE.format("/x") + KEY + "\n", 404),
        (UPGRADE.format("/") + "\n", 400),
        (UPGRADE.format("/").replace("13", "8") + KEY + "\n", 400),
        ("nonsense\n\n", 400),
        ("GET / HTTP/2\n\n", 400),
        ("GET / HTTP/1.1\nContent-Length: 5\n\nhello", 400),
        (f"GET /{'x' * 9000} HTTP/1.1\n\n", 414),
        ("GET / HTTP/1.1\n" + "X: y\n" * 200 + "\n", 431),
    ],
)
async def test_other_requests_are_answered_and_hung_up_on(request_text, expected):
    """With a status that says why."""
    async with alice(encrypted=False) as server:
        assert status(await server.request(request_text)) == expected
        assert await server.is_serving()
        assert server.netlayer.statistics()["requests"] == 1
        assert server.netlayer.statistics()["handshake_failed"] == 0


async def test_path_and_query_reach_a_websocket_elsewhere():
    """Other paths do not."""
    async with alice(path="/ocapn") as server:
        assert await server.is_serving()
        assert (await server.stranger_at("/ocapn?x=y")).response.status_code == 101
        assert status(await server.request(UPGRADE.format("/") + KEY + "\n")) == 404


async def test_site_is_served_beside_the_websocket(tmp_path):
    """On the same port and path."""
    (tmp_path / "index.html").write_text("<p>Hello")
    (tmp_path / "app.js").write_text("1")
    (tmp_path / ".secret").write_text("no")
    async with alice(site=str(tmp_path), encrypted=False) as server:
        answer = await server.request("GET / HTTP/1.1\nHost: h\n\n")
        assert answer.endswith("\r\n\r\n<p>Hello")
        assert "Content-Type: text/html; charset=utf-8" in answer
        assert "nosniff" in answer
        assert "text/javascript" in await server.request("GET /app.js?v=1 HTTP/1.1\n\n")
        head = await server.request("HEAD / HTTP/1.1\n\n")
        assert head.endswith("\r\n\r\n")
        assert "Content-Length: 8" in head
        for path in ("/.secret", "/../index.html", "/%2e%2e/etc/passwd", "//etc/passwd", "/index.html/"):
            assert status(await server.request(f"GET {path} HTTP/1.1\n\n")) == 404
        assert await server.is_serving()


def test_sites_too_large_to_be_kept_are_refused(tmp_path, monkeypatch):
    """In words, at start."""
    (tmp_path / "index.html").write_text("x" * 100)
    monkeypatch.setattr("netlayers._websocket_door._LARGEST_SITE", 99)
    with pytest.raises(NetlayerError, match="too large"):
        read_site(str(tmp_path))


def test_site_has_pages_in_folders(tmp_path):
    """`index.html` stands for its folder."""
    (tmp_path / "a").mkdir()
    for path in ("index.html", "a/index.html", "a/b.svg"):
        (tmp_path / path).write_text(path)
    assert set(read_site(str(tmp_path))) == {"/", "/index.html", "/a/", "/a/index.html", "/a/b.svg"}
    assert Door("/", frozenset(), {"/": PAGE}).site["/"] is PAGE
