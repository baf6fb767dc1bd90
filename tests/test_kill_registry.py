"""kill -9, and all that netlayer, mycapn and registry need is there again: who may come, and who may not."""

import pytest
import trio

from goblins_py import RemoteError, Sturdyref, open_vat, spawn, spawn_mycapn
from kill_kit import Victim, running
from netlayers import TcpTlsNetlayer

DAY = 24 * 3600


async def test_what_was_given_out_taken_back_and_has_expired_is_so_after_each_kill(tmp_path):
    """Designator, port and URIs stay; who was told that a sturdyref was taken back can rely on it at once."""
    desk = Victim("kill_desk.py", [str(tmp_path / "desk.syrup"), "0"])
    async with running(desk), open_vat("bob") as vat:
        mycapn = vat.send(await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False))))

        async def owner():
            return vat.send(await mycapn.enliven(desk.uri))

        async def restart(ahead):
            await desk.kill()
            desk.args[1] = str(ahead)
            await desk.start()

        async def works(label):
            try:
                return await vat.send(await mycapn.enliven(given[label])).given() is not None
            except RemoteError as error:
                return error.reason

        with trio.fail_after(60):
            to = await owner()
            given = {
                "Ann": await to.share("Ann", None),
                "Bob": await to.share("Bob", None),
                "Carol": await to.share("Carol", DAY),
                "Dave": await to.share("Dave", 3 * DAY),
            }
            await restart(0)
            assert [True] * 4 == [await works(label) for label in given]
            to = await owner()
            assert await to.take_back("Bob") is True
            await restart(2 * DAY)
            given["never"] = Sturdyref(given["Ann"].peer, bytes(32))
            found = {label: await works(label) for label in given}
            gone = found["never"]
            assert found == {"Ann": True, "Bob": gone, "Carol": gone, "Dave": True, "never": gone}
            to = await owner()
            assert [None, "Ann", "Dave"] == [each["label"] for each in await to.given()]
            assert given["Ann"] == await to.share("Ann", None)
            assert given["Bob"] != await to.share("Bob", None)
            await restart(0)  # somebody has set the clock back
            assert [True, gone, gone, True, gone] == [await works(label) for label in given]
            hints = {str(each.peer.hints) for each in given.values()}
            assert len(hints) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.003, 0.05])
async def test_a_kill_while_it_is_taken_back_leaves_it_good_or_gone_never_half(tmp_path, seconds):
    """Whatever the moment, a restart knows it for all purposes, or for none."""
    desk = Victim("kill_desk.py", [str(tmp_path / "desk.syrup"), "0"])
    async with running(desk), open_vat("bob") as vat:
        mycapn = vat.send(await vat.run(lambda: spawn_mycapn(spawn(TcpTlsNetlayer, listen=False))))
        with trio.fail_after(60):
            to = vat.send(await mycapn.enliven(desk.uri))
            given = await to.share("Bob", DAY)
            to.take_back("Bob")  # nobody waits for the answer
            await trio.sleep(seconds)
            await desk.kill()
            await desk.start()
            to = vat.send(await mycapn.enliven(desk.uri))
            listed = [each["sturdyref"] for each in await to.given()]
            try:
                good = await mycapn.enliven(given) is not None
            except RemoteError:
                good = False
            assert (given in listed) is good
