"""Our half of tests/guile/client.scm: one object that understands all that the Guile client asks of it."""

from goblins_py import Refusal, actor, ref_to, send, spawn


@actor
class Adder:
    """Called with a number, adds its own."""

    number: int | float

    def __call__(self, other):
        return self.number + other


@actor
class Playground:
    """The object contract at the top of client.scm, name by name."""

    held: object = None
    asked: int = 0

    def echo(self, *args):
        return args

    def greet(self, guest):
        return send(guest)("Hello")

    def make_adder(self, number):
        return spawn(Adder, number)

    def fail(self, text):
        raise RuntimeError(text)

    def refuse(self, value):
        raise Refusal(value)

    def labelled(self, *, flavour):
        return flavour

    async def later(self, value):
        for _ in range(3):
            await send(ref_to(self)).echo()
        return value

    def count(self):
        self.asked += 1
        return self.asked

    def is_same(self, one, other):
        return one is other

    def hold(self, ref):
        self.held = ref
        return "holding"

    def poke(self, *args):
        return send(self.held)(*args)

    def drop(self):
        self.held = None
        return "dropped"
