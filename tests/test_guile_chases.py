"""Guile Goblins 0.18 gets a message that only we know: somebody asks whether a promise waits for itself."""

from collections.abc import Iterator

import pytest
import trio

from goblins_py import open_vat, send_only, spawn, spawn_mycapn
from goblins_py.captp._dialects import OURS
from guile_peer import GuilePeer
from netlayers import TcpTlsNetlayer

pytestmark = pytest.mark.guile

PATIENCE = 30


@pytest.fixture(scope="module")
def uris(guile: type[GuilePeer]) -> Iterator[dict[str, str]]:
    """What a Guile server serves."""
    with guile("server.scm") as peer:
        yield peer.uris()


async def test_a_chase_does_no_harm_to_a_peer_that_knows_nothing_of_it(uris):
    """It is ignored, with an answer or an export of the peer's in it; all else goes on."""
    with trio.fail_after(PATIENCE):
        async with open_vat() as vat:
            mycapn = await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False)))
            remote = await vat.send(mycapn).enliven(uris["echo"])
            session = remote._connector
            bootstrap = session.references.bootstrap
            for _ in range(3):
                answer = vat.send(remote)("Alice")
                await vat.run(lambda: None)  # the question is out
                assert session.references.dialect is OURS
                session._outbound._chase_on(answer, ())
                assert session.queued
                await vat.run(lambda: send_only(bootstrap).chase(remote, (bytes(16),)))
                assert await answer == ("Alice",)
