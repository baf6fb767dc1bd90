"""Two peers with much to say to each other at once: neither waits for the other to read, for ever."""

from runtime_kit import Greeter, alice_and_bob

SIZE = 100_000


async def test_much_both_ways_at_once_gets_through(autojump_clock):
    """Both queues are over the soft limit, and the way between holds little: all arrives."""
    async with alice_and_bob() as (alice, bob, _):
        _, sturdyref = await alice.share(Greeter, "Alice")
        greeter = await bob.enliven(sturdyref)
        promises = [bob.vat.send(greeter).echo(bytes(SIZE)) for _ in range(100)]
        assert [SIZE] * 100 == [len((await promise)[0]) for promise in promises]
