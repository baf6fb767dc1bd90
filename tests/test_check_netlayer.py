"""Our own netlayers pass the suite that everybody's must, and broken ones do not."""

import pytest

from goblins_py.actors import actor, spawn
from goblins_py.locators import PeerLocator
from goblins_py.testing._check_netlayer import check_netlayer
from netlayers import LoopbackNetlayer, LoopbackNetwork, TcpTlsNetlayer, WebsocketNetlayer


def loopback(network, designator, kind=LoopbackNetlayer):
    netlayer = spawn(kind, designator)
    netlayer.attach(network)
    return netlayer


async def test_tcp_tls_keeps_the_contract():
    """Between two that listen."""
    await check_netlayer(lambda: spawn(TcpTlsNetlayer, "localhost"))


async def test_tcp_tls_that_only_dials_keeps_the_contract():
    """It has an identity all the same."""
    await check_netlayer(
        lambda: spawn(TcpTlsNetlayer, "localhost"),
        make_dialler=lambda: spawn(TcpTlsNetlayer, listen=False),
    )


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("listen", [True, False])
async def test_websocket_keeps_the_contract(encrypted, listen):
    """Over TLS and without, between two that listen, and with one that only dials."""
    await check_netlayer(
        lambda: spawn(WebsocketNetlayer, "localhost", encrypted=encrypted),
        make_dialler=lambda: spawn(WebsocketNetlayer, "localhost", encrypted=encrypted, listen=listen),
    )


@pytest.mark.parametrize("chunk", [1000, 64 * 1024])
async def test_loopback_keeps_the_contract(chunk):
    """However it splits what is sent."""
    network = LoopbackNetwork(chunk=chunk)
    await check_netlayer(lambda: loopback(network, "alice"), make_dialler=lambda: loopback(network, "bob"))


@actor
class Renaming(LoopbackNetlayer):
    """Forgets what transport it is."""

    def our_location(self):
        return PeerLocator("other", self.designator, None)


@actor
class Misleading(LoopbackNetlayer):
    """Reaches somebody, whoever was asked for."""

    def connect_to(self, locator, asked_by=None):
        return LoopbackNetlayer.connect_to(self, PeerLocator("loopback", "alice", None))


@pytest.mark.parametrize(
    ("alice", "bob", "text"),
    [
        (Renaming, LoopbackNetlayer, "another transport"),
        (LoopbackNetlayer, Misleading, "not there"),
    ],
)
async def test_netlayer_that_breaks_the_contract_is_told_where(alice, bob, text):
    """The suite is worth what it catches."""
    network = LoopbackNetwork()
    with pytest.raises(AssertionError, match=text):
        await check_netlayer(
            lambda: loopback(network, "alice", alice), make_dialler=lambda: loopback(network, "bob", bob)
        )
