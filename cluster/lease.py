"""Leases: who works in a folder, so that no two workers do the same run at once.

A claim creates ``lease-<epoch>.json`` with ``O_EXCL``, one above the newest epoch there, and
only if the newest was released or its holder is dead. The newest file is never removed, so of
several claimants exactly one creates the next; its epoch also orders the holders (a fencing
number). No file locks are needed, which shared file systems may not have.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cluster.process import ProcessId
from scaling.store import read_json, write_atomic

BEAT_SECONDS = 10.0
STALE_SECONDS = 90.0  # without a heartbeat, for a holder on another machine


@dataclass
class Lease:
    """A claim that this process holds on ``folder``; its heartbeat is the file's time.

    Attributes
    ----------
    epoch : int
        Larger than that of every earlier holder.
    after_death : int
        How many holders before this one died in a row with the same ``purpose``.
    lost : bool
        Whether somebody took over, believing this process dead.
    """

    folder: Path
    epoch: int
    purpose: str
    after_death: int
    lost: bool = False
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file of this claim."""
        return _path(self.folder, self.epoch)

    def release(self) -> None:
        """Let others claim the folder."""
        self._ended.set()
        self._thread.join()
        if _newest(self.folder) == self.epoch:
            write_atomic(self.path, json.dumps({"released": time.time(), "purpose": self.purpose}))

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                os.utime(self.path)
                self.lost = _newest(self.folder) != self.epoch
            except FileNotFoundError:
                self.lost = True
            except OSError:  # the file system may come back
                continue


def claim(folder: Path, purpose: str = "") -> Lease | None:
    """Claim ``folder``, or return None because a living process holds it.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    purpose : str
        Deaths of holders are counted per purpose; see :attr:`Lease.after_death`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    newest = _newest(folder)
    deaths = 0
    if newest:
        record = read_json(_path(folder, newest))
        if _is_held(_path(folder, newest), record):
            return None
        if record and "released" not in record and record.get("purpose") == purpose:
            deaths = int(record.get("after_death", 0)) + 1
    epoch = newest + 1
    holder = {**ProcessId.of().to_dict(), "purpose": purpose, "after_death": deaths}
    try:
        file = os.open(_path(folder, epoch), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return None
    try:
        os.write(file, json.dumps(holder).encode())
    finally:
        os.close(file)
    # A claimant that looked long ago may create an epoch that others have passed meanwhile.
    epochs = _epochs(folder)
    if max(epochs, default=0) != epoch:
        _path(folder, epoch).unlink(missing_ok=True)
        return None
    for old in epochs:
        if old < epoch:
            _path(folder, old).unlink(missing_ok=True)
    return Lease(folder, epoch, purpose, deaths)


def _is_held(path: Path, record: dict[str, Any] | None) -> bool:
    if record is not None:
        if "released" in record:
            return False
        holder = ProcessId.from_dict(record)
        if holder.is_local:
            return holder.is_alive
    try:
        return time.time() - path.stat().st_mtime < STALE_SECONDS
    except FileNotFoundError:  # a newer epoch has just replaced it
        return True


def _path(folder: Path, epoch: int) -> Path:
    return folder / f"lease-{epoch:06d}.json"


def _epochs(folder: Path) -> list[int]:
    return [int(path.stem[6:]) for path in folder.glob("lease-*.json") if path.stem[6:].isdigit()]


def _newest(folder: Path) -> int:
    return max(_epochs(folder), default=0)
