"""Serves a page, and the room that it talks to, on one port.

$ python server.py --insecure                                   # on this machine: http://127.0.0.1:…/#ocapn://…
$ python server.py --host example.com --port 443 --cert all.pem --key key.pem

Open the link that it prints; whoever has it can enter. What was said survives restarts, and so does the link.
"""

import argparse
import signal
from pathlib import Path

import trio
from room import Room, Seat

from goblins_py import PersistenceEnv, mycapn_env, open_persistent_vat, spawn, spawn_mycapn
from netlayers import PemFiles, SelfSigned, WebsocketNetlayer, websocket_env
from persistence import SyrupStore

SITE = str(Path(__file__).parent / "site")


def arguments():
    parser = argparse.ArgumentParser(description="A guest book and a chat, in a page")
    parser.add_argument("--host", default="127.0.0.1", help="the name that browsers reach this machine by")
    parser.add_argument("--port", type=int)
    parser.add_argument("--cert", help="a certificate that browsers trust: PEM, with its chain")
    parser.add_argument("--key", help="its private key")
    parser.add_argument(
        "--insecure", action="store_true", help="without TLS: on this machine, or behind a proxy"
    )
    parser.add_argument("--store", default="room.syrup")
    parser.add_argument("--title", default="The Red Lion")
    return parser.parse_args()


async def main(options):
    def roots():
        netlayer = spawn(
            WebsocketNetlayer,
            options.host,
            options.port,
            path="/ocapn",
            site=SITE,
            encrypted=not options.insecure,
            certificate=PemFiles(options.cert, options.key) if options.cert else SelfSigned(),
        )
        return spawn_mycapn(netlayer), spawn(Room, options.title)

    env = PersistenceEnv(Room, Seat, extends=[mycapn_env, websocket_env])
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_persistent_vat(env, roots, SyrupStore(options.store)) as (vat, (mycapn, room)):
            sturdyref = await vat.send(mycapn).register(room, "websocket")
            # Browsers keep what is behind the # to themselves: the URI is in no log and no Referer.
            origin = sturdyref.peer.hints["url"].replace("ws", "http", 1).removesuffix("/ocapn")
            print(f"{origin}/#{sturdyref.uri}", flush=True)
            async for _ in signals:
                return


if __name__ == "__main__":
    trio.run(main, arguments())
