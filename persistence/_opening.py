"""How a journal is opened for writing: locked, read, judged, cut, and made durable, in this order.

Nothing in the store is changed before all of it was read and found sound.
"""

from __future__ import annotations

import logging
from typing import Final

from goblins_py.abc import Snapshot
from persistence._files import FileLayer
from persistence._frames import VERSION
from persistence._journal import Journal, Options
from persistence._new_file import Sealing, start_new_file, temporary_path
from persistence._reading import Contents, Unlocked, read_contents, unlock
from persistence._sealing import NO_SECRET, Secret, Vault

__all__ = ["open_journal"]

_log = logging.getLogger(__name__)

_KDF_SALT_SIZE: Final = 16
_REWRITE: Final = 1 << 20
_DEFAULTS: Final = Options()


def open_journal(
    path: str, files: FileLayer, options: Options = _DEFAULTS, secret: Secret = NO_SECRET
) -> tuple[Journal, Snapshot | None]:
    """Lock and read the journal at `path`; make an empty one if there is none.

    Returns:
        The journal, and what it holds: None if nothing was ever committed.

    Raises:
        StoreLockedError, StoreCorruptError, StoreKeyError, VersionMismatchError, OSError: it is not open.
    """
    lock = files.lock(path + ".lock")
    try:
        handle = _open_or_create(path, files, secret)
        try:
            journal, contents = _read(path, lock, unlock(files, handle, secret), options)
        except BaseException:
            files.close(handle)
            raise
    except BaseException:
        files.close(lock)
        raise
    try:
        _rewrite_if_needed(journal)
    except BaseException:
        journal.close()
        raise
    return journal, contents.snapshot()


def _open_or_create(path: str, files: FileLayer, secret: Secret) -> int:
    try:
        return files.open(path)
    except FileNotFoundError:
        pass
    vault = Vault.make(secret, files.random(_KDF_SALT_SIZE))
    new = start_new_file(files, path, vault, keep=None)
    try:
        new.sync()
        files.replace(new.path, path)
    except BaseException:
        new.discard()
        raise
    return new.handle


def _read(path: str, lock: int, file: Unlocked, options: Options) -> tuple[Journal, Contents]:
    contents = read_contents(file, keep=options.history)
    files = file.files
    journal = Journal(
        path,
        files,
        lock,
        file.handle,
        vault=file.vault,
        sealing=Sealing(file.header, file.cipher, files),
        index=contents.index,
        graph=contents.graph,
        end=contents.end,
        options=options,
    )
    _settle(journal)
    return journal, contents


def _settle(journal: Journal) -> None:
    """Cut a torn tail; then make durable what was read, for a killed process may not have."""
    files, size = journal.files, journal.files.size(journal.handle)
    if size > journal.end:
        _log.warning(
            "store %s: cut an unfinished commit of %d bytes at byte %d",
            journal.path, size - journal.end, journal.end,
        )  # fmt: skip
        files.truncate(journal.handle, journal.end)
    files.sync(journal.handle)
    files.remove(temporary_path(journal.path))
    files.sync_directory(journal.path)


def _rewrite_if_needed(journal: Journal) -> None:
    """Reading took the time of the whole file: now is when a large waste is got rid of cheaply.

    A file of an old format cannot take all records of this one, so that it must succeed.
    """
    while journal.needs_rewriting() and not journal.compactions:
        try:
            journal.compact(_REWRITE)
        except Exception as error:
            if journal.sealing.header.version < VERSION or journal.failure is not None:
                raise
            journal.put_off_compaction(error)
            return
