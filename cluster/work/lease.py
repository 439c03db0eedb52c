"""Leases: who works in a folder, so that no two workers do the same run at once.

A claim creates ``lease-<epoch>.json`` with ``O_EXCL``, one above the newest epoch there, and
only if the newest was released, or its holder is dead or silent for longer than the lease. The
newest file is never removed, so of several claimants exactly one creates the next; its epoch
also orders the holders. No file locks are needed, which shared file systems may not have.

The heartbeat is the file's time, set and compared by the file system's own clock: clocks of
nodes may differ. A network file system may show a time that is up to a minute old (``acregmax``
of NFS) unless the file is opened, so it is; :data:`STALE_SECONDS` leaves room for it anyway.

A holder that was stopped, or cut off from the file system, may wake up after another took over.
:meth:`Lease.held` tells it so before it writes, and as it may fall asleep again between the
question and the write, all that it writes carries its epoch: readers take the newest.

A folder that was removed and made again begins with the first epoch, which an earlier holder may
have too. What a claim's file holds is therefore drawn by lot, and a holder whose file says
something else has lost it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cluster.work.process import ProcessId
from scaling.base import WorkerLostError, write_atomic
from scaling.run import node_name
from scaling.world import os, secrets, threading, time

BEAT_SECONDS = 10.0
STALE_SECONDS = 90.0  # the lease: without a heartbeat for so long, another may take over
CLOCK_SECONDS = 60.0  # the file system's clock is looked at so often
_OFFSETS: dict[tuple[str, int, int], float] = {}  # what was seen, by file system and period


@dataclass
class Lease:
    """A claim that this process holds on ``folder``; its heartbeat is the file's time.

    Attributes
    ----------
    epoch : int
        Larger than that of every earlier holder.
    after_death : int
        How many holders before this one died in a row with the same ``purpose``.
    content : bytes
        What the file of this claim, and of no other, holds.
    lost : bool
        Whether somebody took over, believing this process dead.
    """

    folder: Path
    epoch: int
    purpose: str
    after_death: int
    content: bytes = field(repr=False)
    lost: bool = False
    _ended: threading.Event = field(default_factory=lambda: threading.Event(), repr=False)

    def __post_init__(self) -> None:
        self._seen = time.monotonic()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file of this claim."""
        return _path(self.folder, self.epoch)

    def held(self) -> bool:
        """Whether this process still holds it; asks the file system after two silent beats.

        A process that was stopped therefore learns of its successor before it does anything.
        """
        if not self.lost and time.monotonic() - self._seen > 2 * BEAT_SECONDS:
            self._look()
        return not self.lost

    def release(self, *, died: bool = False, remove: bool = False) -> None:
        """Let others claim the folder; with ``died`` this counts as one more death.

        With ``remove`` nothing is left of it: for a folder whose journal tells its epoch.
        """
        self._ended.set()
        self._thread.join()
        if _newest(self.folder) == self.epoch and self._is_own():
            if remove:
                self.path.unlink(missing_ok=True)
                return
            deaths = self.after_death + 1 if died else 0
            record = {"released": time.time(), "purpose": self.purpose, "after_death": deaths}
            write_atomic(self.path, json.dumps(record))

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release(died=isinstance(error, WorkerLostError))

    def _is_own(self) -> bool:
        try:
            return self.path.read_bytes() == self.content
        except FileNotFoundError:
            return False

    def _beat(self) -> None:
        while not self.lost and not self._ended.wait(BEAT_SECONDS):
            self._look(beat=True)

    def _look(self, *, beat: bool = False) -> None:
        began = time.monotonic()
        try:
            own = self.path.read_bytes() == self.content  # opened, so that no cache answers
            if own and beat:
                os.utime(self.path)
            if own and _newest(self.folder) == self.epoch:
                self._seen = began
            else:
                self.lost = True
        except FileNotFoundError:
            self.lost = True
        except OSError:  # the file system may come back, but others may have it meanwhile
            self.lost = began - self._seen > STALE_SECONDS


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, and for what; the process is None where the file is not whole yet."""

    process: ProcessId | None
    purpose: str

    def __str__(self) -> str:
        if self.process is None:
            return "a process that has only begun"
        return f"process {self.process.pid} on {self.process.host}"


def holder(folder: Path) -> Holder | None:
    """Who holds ``folder`` at this moment; None if nobody does."""
    newest = _newest(folder)
    if not newest:
        return None
    try:
        record, beaten = _read(_path(folder, newest))
    except OSError:  # a newer one has just replaced it
        return Holder(None, "")
    if not _is_held(folder, record, beaten):
        return None
    process = ProcessId.from_dict(record) if record else None
    return Holder(process, str((record or {}).get("purpose", "")))


def is_silent(folder: Path) -> bool:
    """Whether who holds ``folder`` may be dead, and others may soon have it.

    It gave no sign of life for two beats. Not long after its lease is over: who does not claim it
    then has another reason, a run that hung here, say.
    """
    newest = _newest(folder)
    if not newest:
        return False
    try:
        record, beaten = _read(_path(folder, newest))
    except OSError:  # a newer one has just replaced it
        return False
    if record is not None and "released" in record:
        return False
    return 2 * BEAT_SECONDS < now_of(folder) - beaten < STALE_SECONDS + 2 * BEAT_SECONDS


def claim(folder: Path, purpose: str = "", *, after: int = 0) -> Lease | None:
    """Claim ``folder``, or return None because a living process holds it.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    purpose : str
        Deaths of holders are counted per purpose; see ``Lease.after_death``.
    after : int
        The epoch will be above this too: that of the newest writer in what the lease protects,
        read before the call. It matters only when somebody removed the lease's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    newest = _newest(folder)
    deaths = 0
    if newest:
        try:
            record, beaten = _read(_path(folder, newest))
        except OSError:  # a newer epoch has just replaced it
            return None
        if _is_held(folder, record, beaten):
            return None
        if record and record.get("purpose") == purpose:
            deaths = int(record.get("after_death", 0)) + ("released" not in record)
    epoch = max(newest, after) + 1
    holder = {**ProcessId.of().to_dict(), "purpose": purpose, "after_death": deaths}
    content = json.dumps({**holder, "lot": secrets.token_hex(8)}).encode()
    try:
        file = os.open(_path(folder, epoch), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except (FileExistsError, FileNotFoundError):  # or an archive has just removed the folder
        return None
    try:
        os.write(file, content)
    except OSError:
        _path(folder, epoch).unlink()
        raise
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
    return Lease(folder, epoch, purpose, deaths, content)


def _is_held(folder: Path, record: dict[str, Any] | None, beaten: float) -> bool:
    if record is not None:
        if "released" in record:
            return False
        holder = ProcessId.from_dict(record)
        if holder.is_local and not holder.is_alive:
            return False
    age = time.monotonic() + _clock_offset(folder) - beaten
    return age < STALE_SECONDS


def now_of(folder: Path) -> float:
    """The time by the clock that stamps what is written in ``folder``, in seconds since 1970.

    It is this node's where nothing can be written there.
    """
    try:
        return time.monotonic() + _clock_offset(folder)
    except OSError:
        return time.time()


def _clock_offset(folder: Path) -> float:
    """The file system's clock less this node's monotonic one, which nobody sets, once a period."""
    key = (node_name(), folder.stat().st_dev, int(time.monotonic() / CLOCK_SECONDS))
    if key not in _OFFSETS:
        probe = folder / f".clock.{node_name()}.{os.getpid()}"
        try:
            probe.touch()
            os.utime(probe)  # "now" by the clock that also stamps heartbeats
            _OFFSETS[key] = probe.stat().st_mtime - time.monotonic()
        finally:
            probe.unlink(missing_ok=True)
    return _OFFSETS[key]


def _read(path: Path) -> tuple[dict[str, Any] | None, float]:
    """A lease's record, None when it is not whole, and the time of its last heartbeat."""
    with path.open("rb") as file:
        data, beaten = file.read(), os.fstat(file.fileno()).st_mtime
    try:
        value = json.loads(data)
    except ValueError:
        return None, beaten
    return (value if isinstance(value, dict) else None), beaten


def _path(folder: Path, epoch: int) -> Path:
    return folder / f"lease-{epoch:06d}.json"


def _epochs(folder: Path) -> list[int]:
    return [int(path.stem[6:]) for path in folder.glob("lease-*.json") if path.stem[6:].isdigit()]


def _newest(folder: Path) -> int:
    return max(_epochs(folder), default=0)
