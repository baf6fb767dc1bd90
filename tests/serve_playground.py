"""Serves a `Playground` and a site by websocket on loopback until stdin ends; prints the link."""

import sys

import trio

from goblins_py import Symbol, actor, live, make_promise, open_vat, send, spawn, spawn_mycapn
from guile_playground import Playground
from netlayers import WebsocketNetlayer


@actor
class PlaygroundForPages(Playground):
    """What pages are asked besides."""

    _resolver: object = live()

    def never(self):
        """No answer, as long as somebody holds the resolver."""
        promise, self._resolver = make_promise()
        return promise

    def select(self, path):
        """A part of what the held object gives, asked for before it is there."""
        part = send(self.held)(Symbol("give"))
        for step in path:
            part = part[step]
        return part


async def main(site):
    async with open_vat() as vat:
        make = lambda: spawn(WebsocketNetlayer, "127.0.0.1", encrypted=False, path="/ocapn", site=site)  # noqa: E731
        mycapn = await vat.run(lambda: spawn_mycapn(make()))
        sturdyref = await vat.send(mycapn).register(await vat.run(spawn, PlaygroundForPages), "websocket")
        origin = sturdyref.peer.hints["url"].replace("ws", "http", 1).removesuffix("/ocapn")
        print(f"{origin}/#{sturdyref.uri}", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


trio.run(main, sys.argv[1])
