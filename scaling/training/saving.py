"""Checkpoints and kept weights, written while training goes on, by each process what it holds.

A step waits until the state is copied to the host's memory, not for the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from scaling.base import note
from scaling.run import Record, checkpoint
from scaling.training.team import Team

Place = tuple[Any, ...]  # the keys that lead to a tensor


@dataclass
class Apart:
    """A copy of nested values that training does not change.

    Attributes
    ----------
    part : dict
        This rank's part of each sharded tensor, by its place; in the state itself it is None.
    axes : dict
        Along which axis the ranks' parts are one tensor.
    """

    part: dict[Place, Tensor] = field(default_factory=dict)
    axes: dict[Place, int] = field(default_factory=dict)

    def copy(self, value: Any, place: Place = ()) -> Any:
        """``value`` with its tensors on the CPU, this rank's parts left out."""
        if isinstance(value, dict):
            return {key: self.copy(one, (*place, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self.copy(one, (*place, i)) for i, one in enumerate(value)]
        if not isinstance(value, Tensor):
            return value
        if not hasattr(value, "placements"):
            return value.detach().to("cpu", copy=True)
        (placement,) = value.placements
        own = value.to_local().detach().to("cpu", copy=True)
        if not placement.is_shard():
            return own
        self.part[place], self.axes[place] = own, placement.dim
        return None


class Saver:
    """Writes a run's checkpoints and kept weights by a thread, one after another.

    Where the model is sharded each rank writes its part first. When every rank's is on the disk,
    rank 0 writes the checkpoint, which names them: before that the one before it counts.

    Parameters
    ----------
    record : Record or None
        None on the ranks that do not lead.
    run_dir : Path
    team : Team
    sharded : bool
        Whether the ranks hold parts.

    Attributes
    ----------
    is_half : bool
        Whether parts were begun and the checkpoint itself was not; the same on each rank.
    seconds : float
        What the last checkpoint took to be written.
    """

    def __init__(self, record: Record | None, run_dir: Path, team: Team, *, sharded: bool) -> None:
        self.record, self.run_dir, self.team, self.sharded = record, run_dir, team, sharded
        self.is_half, self.seconds = False, 0.0
        self.epoch: int = team.say(record.journal.epoch if record else 0) if sharded else 0
        self._pool: ThreadPoolExecutor | None = None
        self._begun: Future[None] | None = None
        self._main: dict[str, Any] = {}

    def is_busy(self) -> bool:
        """Whether this rank is writing; raises what went wrong with what it wrote."""
        if self._begun is None or not self._begun.done():
            return self._begun is not None
        begun, self._begun = self._begun, None
        begun.result()
        return False

    def begin(self, state: dict[str, Any]) -> None:
        """Begin to write the state after a step; every rank calls it, when none is busy."""
        if not (self.record or self.sharded):
            return
        apart = Apart()
        state = apart.copy(state)
        if not self.sharded:
            self._write(lambda: self._save(state))
            return
        step, size = state["step"], self.team.size
        files = [
            checkpoint.part_file(self.run_dir, self.epoch, step, rank, size) for rank in range(size)
        ]
        named = {"files": [file.name for file in files], "axes": apart.axes}
        self._main, self.is_half = {**state, checkpoint.PARTS: named}, True
        own = files[self.team.place.rank]
        self._write(lambda: checkpoint.save(own, {"tensors": apart.part}))

    def begin_trunk(self, path: Path, state: dict[str, Any]) -> None:
        """Begin to write a state that rank 0 has whole, for runs of the same trunk.

        Every rank calls it. What was made whole from parts is written at once: a copy more of a
        model that large would be too much for rank 0.
        """
        self.finish()
        record = self.record
        if record is None:
            return
        if self.sharded:
            record.save_trunk(path, state)
            return
        copied = Apart().copy(state)
        self._write(lambda: record.save_trunk(path, copied))

    def begin_weights(self, step: int, weights: dict[str, Tensor]) -> None:
        """Begin to write weights that rank 0 has whole and that are to last.

        As with :meth:`begin_trunk`, and before any later checkpoint: a run that goes on from one
        has what it was to keep before.
        """
        self.finish()
        if self.record is None:
            return
        write = self.record.keep(step, weights)
        if self.sharded:
            write()
        else:
            self._submit(write)

    def go_on(self) -> None:
        """Begin to write what names the parts; every rank calls it, when none is busy."""
        if not self.is_half:
            return
        main, self._main, self.is_half = self._main, {}, False
        if self.record is not None:
            self._write(lambda: self._save(main))

    def finish(self) -> None:
        """Wait until what was begun is on the disk, on every rank."""
        while True:
            if self._begun is not None:
                begun, self._begun = self._begun, None
                begun.result()
            if self.sharded:
                self.team.agree(False)
            if not self.is_half:
                return
            self.go_on()

    def close(self) -> None:
        """Wait for the file that is being written, whatever comes of it."""
        if self._pool is not None:
            self._pool.shutdown()
        if self._begun is not None and isinstance(error := self._begun.exception(), OSError):
            note(f"the last file was not written: {error}")
        self._begun = None

    def _save(self, state: dict[str, Any]) -> None:
        assert self.record is not None
        self.record.save(state)

    def _write(self, write: Callable[[], None]) -> None:
        def timed() -> None:
            began = time.monotonic()
            try:
                write()
            finally:
                self.seconds = time.monotonic() - began

        self._submit(timed)

    def _submit(self, write: Callable[[], None]) -> None:
        self._pool = self._pool or ThreadPoolExecutor(1, "checkpoint")
        self._begun = self._pool.submit(write)
