"""What differs after each change of a store, where that can be asked for at next to no cost.

A SQLite file has a counter in its header, to which each transaction that changes the file adds, and
by which SQLite itself tells whether what it has read still holds. With a log of writes beside it
(WAL) the header stands still, but each commit writes to the log: its time tells once it is some
seconds old. Of PostgreSQL a snapshot names the transactions that can be seen: while it is the same,
so is all that they wrote.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from scaling.tracking.errors import TrackingError
from scaling.tracking.ready import reported, sqlite_path
from scaling.tracking.sql import snapshot_in

State = list[int | str]

# Seconds: of two writes in one tick of a clock, or in 2 s of FAT's, times say nothing.
SETTLED = 3.0
_HEADER, _MODES, _COUNTER = 100, slice(18, 20), slice(24, 28)  # of SQLite's file format
_LOG_HEADER = 32  # with salts that differ each time that the log is begun again
_ROLLBACK, _WAL = b"\x01\x01", b"\x02\x02"


def store_state(tracking_uri: str) -> State | None:
    """What differs after each change of a store; None where nothing cheap tells."""
    if path := sqlite_path(tracking_uri):
        return state_of(path.resolve())
    try:
        with reported(tracking_uri):
            return snapshot_in(tracking_uri)
    except TrackingError:  # whoever reads it says what is wrong
        return None


def state_of(store: Path) -> State | None:
    """What differs after each change of a SQLite file; None where nothing cheap tells.

    With the file's identity, size and times copies and backups put back are told from it as well:
    one may have the counter of before, but the time of its inode cannot be set.
    """
    try:
        header, found = _read(store, _HEADER)
        state = [*_identity(found), found.st_ctime_ns, int.from_bytes(header[_COUNTER], "big")]
        if header[_MODES] == _ROLLBACK:
            return None if store.with_name(f"{store.name}-journal").exists() else state
        if header[_MODES] != _WAL:
            return None
        newest, log = found.st_mtime, store.with_name(f"{store.name}-wal")
        if log.exists():
            salt, written = _read(log, _LOG_HEADER)
            newest = max(newest, written.st_mtime)
            # Not the time of its inode: SQLite sets its owner at each look that root takes.
            state += [*_identity(written), salt.hex()]
    except OSError:
        return None
    return state if abs(time.time() - newest) > SETTLED else None


def _read(file: Path, size: int) -> tuple[bytes, os.stat_result]:
    with file.open("rb") as opened:
        return opened.read(size), os.fstat(opened.fileno())


def _identity(found: os.stat_result) -> State:
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]
