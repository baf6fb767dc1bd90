"""A room with a guest book and a chat: what the page shows. Whoever has its URI may enter."""

from goblins_py import Map, actor, live, on_sever, ref_to, send_only, spawn

LONGEST = {"name": 40, "words": 1000}
KEPT = {"entries": 500, "lines": 200}
MOST_GUESTS = 500


@actor
class Room:
    """Entries and lines are its state, kept over restarts; who is in it is not: they enter again."""

    title: str
    entries: tuple[Map[str, str], ...] = ()
    lines: tuple[Map[str, str], ...] = ()
    _seats: dict = live()

    def on_start(self, restored):
        """Nobody is here yet."""
        self._seats = {}

    def enter(self, name, listener):
        """Take a seat: what the guest does, it does by that.

        Args:
            listener: is sent `said line`, `signed entry` and `present names`.
        """
        if len(self._seats) >= MOST_GUESTS:
            raise ValueError("the room is full")
        seat = spawn(Seat, ref_to(self), checked("name", name))
        self._seats[seat] = (name, listener)
        on_sever(listener, lambda reason: self._depart(seat))
        self._tell("present", self.names())
        return Map({"seat": seat, "title": self.title, "entries": self.entries, "lines": self.lines})

    def names(self):
        """Who is here."""
        return tuple(name for name, _ in self._seats.values())

    def sign(self, guest, words):
        """Write into the guest book; saved before anybody hears of it."""
        entry = Map({"guest": checked("name", guest), "words": checked("words", words)})
        self.entries = (*self.entries, entry)[-KEPT["entries"] :]
        self._tell("signed", entry)
        return len(self.entries)

    def say(self, guest, words):
        """Say something to all that are here."""
        line = Map({"guest": checked("name", guest), "words": checked("words", words)})
        self.lines = (*self.lines, line)[-KEPT["lines"] :]
        self._tell("said", line)

    def leave(self, seat):
        """The guest has gone."""
        self._depart(seat)

    def _depart(self, seat):
        if self._seats.pop(seat, None):
            self._tell("present", self.names())

    def _tell(self, what, value):
        for _, listener in self._seats.values():
            getattr(send_only(listener), what)(value)


@actor
class Seat:
    """What one guest can do in the room, under the name that it came with."""

    room: object
    name: str

    def sign(self, words):
        """Write into the guest book."""
        return self.room.sign(self.name, words)

    def say(self, words):
        """Say something."""
        self.room.say(self.name, words)

    def leave(self):
        """Go."""
        self.room.leave(ref_to(self))


def checked(what, text):
    """A text of sensible length, without blanks around it."""
    if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST[what]:
        raise ValueError(f"{what}: a text of 1 to {LONGEST[what]} characters")
    return text.strip()
