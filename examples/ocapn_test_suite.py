"""Serves the objects that the OCapN test suite asks for, over plain TCP. For tests only: nothing is secret.

$ python ocapn_test_suite.py --port 22045
ocapn://….tcp-testing-only?host=127.0.0.1&port=22045

Give the suite's runner the line that it prints. It stops on SIGINT, SIGTERM, or after --seconds.
"""

import argparse
import secrets
import signal

import trio

from goblins_py import Sturdyref, Symbol, actor, make_promise, open_vat, send, spawn, spawn_mycapn
from netlayers import TcpTestingOnlyNetlayer


@actor
class CarFactoryBuilder:
    def __call__(self):
        return spawn(CarFactory)


@actor
class CarFactory:
    def __call__(self, color_and_model):
        color, model = color_and_model  # of any other length: the caller's promise breaks
        if not isinstance(color, Symbol) or not isinstance(model, Symbol):
            raise TypeError("a car is made of two symbols")
        return spawn(Car, color.name, model.name)


@actor
class Car:
    color: str
    model: str

    def __call__(self):
        return f"Vroom! I am a {self.color} {self.model} car!"


@actor
class Echo:
    """Keeps nothing, so that what came with the message can be collected."""

    def __call__(self, *args):
        return args


@actor
class Greeter:
    def __call__(self, guest):
        send(guest)("Hello")  # with an answer that nobody waits for


@actor
class PromiseMaker:
    def __call__(self):
        return make_promise()  # the promise and its resolver


@actor
class Enlivener:
    _mycapn: object

    def __call__(self, sturdyref: Sturdyref):
        return send(self._mycapn).enliven(sturdyref)


def spawn_objects(mycapn):
    return {
        b"JadQ0++RzsD4M+40uLxTWVaVqM10DcBJ": spawn(CarFactoryBuilder),
        b"IO58l1laTyhcrgDKbEzFOO32MDd6zE5w": spawn(Echo),
        b"VMDDd1voKWarCe2GvgLbxbVFysNzRPzx": spawn(Greeter),
        b"IokCxYmMj04nos2JN1TDoY1bT8dXh6Lr": spawn(PromiseMaker),
        b"gi02I1qghIwPiKGKleCQAOhpy3ZtYRpB": spawn(Enlivener, mycapn),
    }


def start(designator, port, framing):
    """One turn: everything is there when it ends."""
    netlayer = spawn(TcpTestingOnlyNetlayer, designator, port=port or None, framing=framing)
    mycapn = spawn_mycapn(netlayer)
    registry = mycapn.get_registry()
    for swiss_num, ref in spawn_objects(mycapn).items():
        registry.register(ref, swiss_num)
    return mycapn


async def serve(options):
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_vat("test suite", verbose=True) as vat:
            mycapn = await vat.run(start, options.designator, options.port, options.framing)
            location = await vat.send(mycapn).self_location("tcp-testing-only")
            print(location.uri, flush=True)
            with trio.move_on_after(options.seconds):
                await anext(aiter(signals))


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--framing", choices=["none", "syrup"], default="none", help="of what we dial")
    parser.add_argument("--designator", default=secrets.token_hex(16))
    parser.add_argument("--seconds", type=float, default=3600.0, help="after which it stops by itself")
    return parser.parse_args()


if __name__ == "__main__":
    trio.run(serve, read_options())
