"""What a pump makes of many messages, and of a system that takes a little at a time."""

import pytest
import trio

from goblins_py.abc import WITHOUT_IDENTITIES, Connection
from goblins_py.runtime._pump import _AT_ONCE, _BIG_SLICE, _SLICE, Pump, _joined


class Narrow(Connection):
    """Takes so many bytes at once, then none; `send` takes all."""

    def __init__(self, room):
        self.room = room
        self.taken = []
        self.sends = 0

    proof = WITHOUT_IDENTITIES

    async def send(self, data):
        await trio.lowlevel.checkpoint()
        self.sends += 1
        self.taken.append(data)

    def send_nowait(self, data):
        count = min(self.room, len(data))
        self.room -= count
        self.taken.append(data[:count])
        return count

    async def receive(self):
        await trio.sleep_forever()

    async def aclose(self):
        await trio.lowlevel.checkpoint()


class Talk:
    """As much of a session as a pump writes for."""

    congested = False

    def __init__(self, *messages):
        self.messages = list(messages)
        self.gone = 0
        self.on_output = None

    def messages_to_send(self, *, in_pieces):
        taken, self.messages = self.messages, []
        return taken

    def sent(self, count):
        self.gone += count


def pumped(talk, connection):
    return Pump(None, talk, connection, notice=None, handshake=1.0)


@pytest.mark.parametrize("room", [0, 1, 1000, _BIG_SLICE - 1, _BIG_SLICE, _BIG_SLICE + 1, 10 * _BIG_SLICE])
async def test_whatever_the_system_takes_at_once_the_rest_follows_in_order(room):
    """What is counted as sent is what has left."""
    messages = [b"a" * 10, b"b" * _SLICE, bytes(range(256)) * 3 * 1024, b"c", b"d" * (_BIG_SLICE + 7), b"e"]
    talk, connection = Talk(*messages), Narrow(room)
    pump = pumped(talk, connection)
    pump.flush()
    assert min(room, len(b"".join(messages))) == talk.gone == len(b"".join(connection.taken))
    await pump._write_all()
    assert b"".join(messages) == b"".join(connection.taken)
    assert len(b"".join(messages)) == talk.gone


async def test_who_is_waited_for_is_given_little_at_a_time():
    """Each slice must be accepted in time, so none is big."""
    connection = Narrow(0)
    pump = pumped(Talk(bytes(5 * _SLICE)), connection)
    pump.flush()
    await pump._write_all()
    assert [_SLICE] * 5 == [len(data) for data in connection.taken if data]


async def test_a_fast_peer_does_not_keep_others_from_writing():
    """However much it takes, the loop is let go of after some slices."""
    connection = Narrow(10**9)
    pump = pumped(Talk(bytes(2 * _AT_ONCE)), connection)
    pump.flush()
    assert _AT_ONCE == len(b"".join(connection.taken))
    await pump._write_all()
    assert connection.sends


def test_small_messages_are_joined_and_big_ones_left_alone():
    """In order, and a big one is the very same object."""
    big = bytes(_SLICE + 1)
    assert [b"ab", big, b"c"] == list(_joined([b"a", b"b", big, b"c"]))
    assert big is list(_joined([b"a", big]))[1]
    assert [big, big] == list(_joined([big, big]))
