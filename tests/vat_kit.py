"""Vats without an event loop, with a log and a disk that tests can look at."""

import logging
from typing import Self

from goblins_py.actors import Delta, GraphKeeper, PersistenceEnv, RootsPlan, Snapshot
from goblins_py.testing import SyncVat, SyncVats


class Log(logging.Handler):
    """What the vats have logged while this was attached."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._logger = logging.getLogger("goblins_py.actors")

    def emit(self, record: logging.LogRecord) -> None:
        record.text = logging.Formatter("%(levelname)s %(message)s").format(record)
        record.exc_info = None  # it would hold on to frames
        record.args = ()
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.text for record in self.records]

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False  # pytest's own handler holds on to frames
        return self

    def __exit__(self, *exc) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
        self._logger.propagate = True


class Disk:
    """What a store would hold after the deltas that it was given."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def write(self, delta: Delta) -> None:
        before = self.snapshot or Snapshot(delta.vat_id, delta.roots_version, delta.roots, {})
        portraits = {**before.portraits, **delta.portraits}
        for slot in delta.removed:
            portraits.pop(slot, None)
        roots = before.roots if delta.roots is None else delta.roots
        version = before.roots_version if delta.roots_version is None else delta.roots_version
        self.snapshot = Snapshot(before.vat_id, version, roots, portraits)

    @property
    def states(self) -> dict[int, dict[str, object]]:
        return {slot: dict(portrait.state) for slot, portrait in self.snapshot.portraits.items()}


class Persistent:
    """A vat whose deltas go to a disk; made again from the same disk it is a restart."""

    def __init__(
        self,
        env: PersistenceEnv,
        disk: Disk,
        roots=None,
        *,
        version=0,
        upgrade=None,
        name="kept",
        vats=None,
        registry=None,
    ) -> None:
        self.vats: SyncVats = vats or SyncVats()
        self.vat: SyncVat = self.vats.open(name)
        self.disk = disk
        self.keeper = GraphKeeper(env, self.vat.vat, registry=registry)
        if disk.snapshot is None:

            def first() -> None:
                self.keeper.adopt(roots(), name.encode().ljust(32), version)
                self.vat.keep(self.keeper)

            self.vat.run(first)
        else:
            self.vat.run(self.keeper.restore, disk.snapshot, RootsPlan(roots, version, upgrade))
        self.save()

    @property
    def roots(self):
        return self.keeper.roots

    def save(self) -> list[Delta]:
        """Let the vat be quiet, and write what it has to save."""
        self.vat.run(lambda: None)
        deltas, self.vat.deltas = self.vat.deltas, []
        for delta in deltas:
            self.disk.write(delta)
        return deltas

    def run(self, function, *args):
        result = self.vat.run(function, *args)
        self.save()
        return result
