"""What the kill test serves: `goblins serve tests/kill_counter.py:Counter`."""

from goblins_py import actor


@actor
class Counter:
    """Counts, in two fields that must always agree."""

    value: int = 0
    history: tuple = ()

    def increment(self):
        """One more; the new value."""
        self.value += 1
        self.history = (*self.history[-9:], self.value)
        return self.value

    def read(self):
        """The value and the last ten."""
        return (self.value, self.history)
