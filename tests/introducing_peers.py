"""Three still peers that introduce their objects to each other: real certificates, desks and bootstraps."""

from functools import partial
from itertools import chain

from captp_kit import Side, StillHost, run_vats
from goblins_py.actors import HandlerTurn, Vat, actor, implant, live, make_promise
from goblins_py.captp import Introduced, SessionState, Severed, Started
from goblins_py.errors import ConnectFailedError
from goblins_py.locators import PeerLocator
from goblins_py.runtime._introductions import Introductions
from goblins_py.runtime._mycapn import Bootstrap
from trio_of_peers import NAMES, Peers


class ClockedHost(StillHost):
    """And time passes when it is told to.

    Attributes:
        timers: what is to be posted where, later.
    """

    def __init__(self):
        self.timers = []

    def post_later(self, seconds, home, item):
        self.timers.append((home, item))


def new_vat(name):
    """A vat whose time passes when it is told to."""
    return Vat(ClockedHost(), name)


@actor
class Front(Bootstrap):
    """The bootstrap object of a session, which is also an object that does what a function says."""

    _function: object = live()

    def __call__(self, *args):
        """Whatever it is."""
        return self._function(*args)


class Introducer(Side):
    """One end of a session that takes part in introductions.

    Args:
        front: its bootstrap object's behaviour.
        arrived: called when the session has started.
    """

    __slots__ = ("_arrived", "_introductions")

    def __init__(self, name, keys, *, vat, front, arrived):
        super().__init__(name, PeerLocator("fake", name), keys, vat=vat, bootstrap=implant(vat, front))
        front._session = self.session
        self._introductions = front._introductions
        self._arrived = arrived

    def take(self, events):
        """As the runtime: first what concerns the session, then what is for the vat."""
        for event in events:
            match event:
                case Introduced():
                    self._introductions.receive(self.session, event)
                case Started():
                    self._introductions.open(self.session)
                    self.session.believe(verified=True)
                    self.session.reachable = True
                    self._arrived(self)
                case Severed():
                    self._introductions.close(self.session)
        super().take(events)


class IntroducingPeers(Peers):
    """Alice, Bob and Carol, who know where the others are.

    Whom they cannot reach they wait for, until there is a new session (`connect`) or they `give_up`.

    Args:
        act: what an object at position 0 does: a function of the vat's name, and then of the message.
    """

    def __init__(self, act):
        self._act = act
        self._dials = []
        self._introductions = {}
        super().__init__(self._new_vat)

    def _new_vat(self, name):
        vat = new_vat(name)
        connect = partial(self._dial, name)
        self._introductions[name] = Introductions(vat, connect, PeerLocator("fake", name).__eq__)
        return vat

    def make_end(self, name, keys):
        """One end of a new session, with a bootstrap object of its own."""
        front = Front(None)
        front._introductions = self._introductions[name]
        front._function = partial(self._act, name)
        return Introducer(name, keys, vat=self.vats[name], front=front, arrived=self._use)

    def _dial(self, name, locator, asked_by=None):
        """In a turn: a promise of the peer's bootstrap object."""
        promise, resolver = make_promise()
        end = self.ends[name, locator.designator]
        if end.session.state is SessionState.ESTABLISHED:
            resolver.fulfill(end.remote)
        else:
            self._dials.append((name, locator.designator, resolver))
        return promise

    def _use(self, end):
        """The session has started that others may wait for."""
        wanted = (end.vat.name, end.session.peer.designator)
        for name, peer, resolver in self._dials:
            if (name, peer) == wanted:
                end.vat.post(HandlerTurn(resolver.fulfill, (end.remote,)))
        self._dials = [dial for dial in self._dials if dial[:2] != wanted]

    def give_up(self):
        """Nobody can be reached with whom there is no session."""
        dials, self._dials = self._dials, []
        for name, _, resolver in dials:
            self.vats[name].post(HandlerTurn(resolver.break_, (ConnectFailedError("not there"),)))
        run_vats(*self.vats.values())

    def wait(self):
        """So much time passes that nobody waits any more for a gift."""
        for vat in self.vats.values():
            timers, vat.host.timers = vat.host.timers, []
            for home, item in timers:
                home.post(item)
        run_vats(*self.vats.values())

    @property
    def gifts(self):
        """How many gifts lie on desks, and how many withdrawals wait."""
        sessions = chain.from_iterable(self._introductions[name]._sessions.values() for name in NAMES)
        return sum(len(desk._gifts) + len(desk._waits) for _, desk in sessions)
