"""Failed turns of other objects, caught on their way to the log.

The log would tell of them before the REPL tells of the input that they made fail: here they wait, so that
both become one story.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from goblins_py.repl._errors import short_traceback

__all__ = ["FailedTurn", "FailedTurns"]

_LOGGER = "goblins_py.actors"


@attrs.frozen
class FailedTurn:
    """One turn that was undone.

    Attributes:
        label: actor and method.
        text: its frames and error.
    """

    label: str
    error: BaseException
    text: str


class FailedTurns(logging.Filter):
    """Collects the failures that vats report, from any thread.

    Args:
        own: the label of turns that are not worth telling of.
    """

    def __init__(self, own: str) -> None:
        super().__init__()
        self._own = own
        self._caught: deque[FailedTurn] = deque(maxlen=100)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand before the log."""
        logger = logging.getLogger(_LOGGER)
        logger.addFilter(self)
        try:
            yield
        finally:
            logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not isinstance(record.args, tuple) or not record.args:
            return True
        label = str(record.args[0])
        if label != self._own:
            self._caught.append(FailedTurn(label, error, short_traceback(error)))
        return False

    def take(self, error: BaseException) -> FailedTurn | None:
        """The turn that failed with just this error, if it was one."""
        for caught in list(self._caught):
            if caught.error is error:
                self._caught.remove(caught)
                return caught
        return None

    def take_all(self) -> list[FailedTurn]:
        """Those that nobody has asked for."""
        taken = list(self._caught)
        self._caught.clear()
        return taken
