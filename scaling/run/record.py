"""What a run leaves in its folder, all under one lease: journal, state, checkpoints.

Torch is loaded with the first checkpoint: runs of programs have none of ours.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.base import note, read_json, stated, write_atomic
from scaling.run.folded import state_of
from scaling.run.host import node_name, oom_kills, slurm_job
from scaling.run.journal import SPEC, STATE, Journal, SupersededError, first_epoch
from scaling.run.weights import (
    WeightFile,
    digest_of,
    kept,
    remove_weights,
    share,
    weight_files,
    weights_bytes,
    write_weights,
)
from scaling.schedule import cooldown_start
from scaling.spec import RunSpec
from scaling.specs import Spec
from scaling.world import os, time

if TYPE_CHECKING:
    from torch import Tensor


class Record:
    """The folder of one run, as the process that writes there sees it.

    Parameters
    ----------
    spec : RunSpec or ProgramSpec
    run_dir : Path
    trunk_dir : Path, optional
        Where runs with the same trunk share checkpoints.
    epoch, held
        See :class:`scaling.run.journal.Journal`. Every method that writes asks first whether the
        lease is still held.

    Attributes
    ----------
    attempt : int
        How often the run was begun, this time included.
    spent_tokens : int
        Tokens computed for it in the attempts before, those lost to a kill too.
    spent_seconds, stated_step : float, int
        Time that the attempts before took, and where they were, by their last heartbeat.
    """

    def __init__(
        self,
        spec: Spec,
        run_dir: Path,
        trunk_dir: Path | None,
        epoch: int | None,
        held: Callable[[], bool],
    ) -> None:
        self.spec, self.run_dir, self.trunk_dir = spec, run_dir, trunk_dir
        self.journal = Journal(run_dir, epoch, held)
        write_atomic(run_dir / SPEC, _json(spec.to_dict()))
        before = state_of(run_dir)
        self.attempt = int(before.get("attempt", 0)) + 1
        self.spent_tokens = int(before.get("spent_tokens", 0))
        self.spent_seconds = float(before.get("seconds") or 0.0)
        self.stated_step = int(before.get("step") or 0)

    def state(self, state: str, **values: Any) -> None:
        """Say how far the run is: its heartbeat."""
        record = {
            "state": state,
            **values,
            "attempt": self.attempt,
            "pid": os.getpid(),
            "host": node_name(),
            "job": slurm_job(),
            "oom_kills": oom_kills(),
            "time": time.time(),
        }
        self.journal.check()
        write_atomic(self.run_dir / STATE, _json(record))

    def fail(self, error: BaseException) -> None:
        """Say in journal and state why the run failed, as far as that can be written."""
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        with contextlib.suppress(OSError, SupersededError):
            self.journal.append("end", status="failed", reason=reason, time=time.time())
        with contextlib.suppress(OSError, SupersededError):
            self.journal.check()
            before = read_json(self.run_dir / STATE) or {}
            now = {**before, "state": "failed", "time": time.time()}
            write_atomic(self.run_dir / STATE, _json(now))

    def save(self, state: dict[str, Any]) -> None:
        """Write the run's checkpoint."""
        from scaling.run import checkpoint

        self.journal.check()
        state = {"run_id": self.spec.run_id, **state}
        checkpoint.save_latest(self.run_dir, state, self.journal.epoch)

    def save_trunk(self, path: Path, state: dict[str, Any]) -> None:
        """Write a checkpoint that runs of the same trunk share."""
        from scaling.run import checkpoint

        self.journal.check()
        epoch = self.journal.epoch
        checkpoint.save(path, {"run_id": self.spec.trunk_id, "epoch": epoch, **state})

    def find(self, keeps: Set[int] = frozenset()) -> tuple[Path, dict[str, Any]] | None:
        """The run's own checkpoint, else the trunk's last one before the cooldown.

        Of the trunk's only one up to which all weights are there that the run ``keeps``, by step.
        """
        from scaling.run import checkpoint

        first = first_epoch(self.run_dir)
        found = checkpoint.load_latest(self.run_dir, first)
        if found is not None or self.trunk_dir is None or not isinstance(self.spec, RunSpec):
            return found
        missing = keeps - self._kept_steps() - self._in_trunk().keys()
        last = min([self._branch, *(step - 1 for step in missing)])
        for path in sorted(self.trunk_dir.glob("[0-9]*.pt"), reverse=True):
            if int(path.stem) <= last:
                try:
                    state = checkpoint.load(path)
                except (checkpoint.CheckpointError, OSError, RuntimeError):
                    path.unlink(missing_ok=True)
                    continue
                if state.get("epoch", first) >= first:
                    return path, state
        return None

    def keep(self, step: int, tensors: dict[str, Tensor]) -> Callable[[], None]:
        """What keeps the weights after ``step`` optimiser steps, of which it has its own copy.

        Runs of the trunk share the run's.
        """
        self.journal.check()
        file = WeightFile(step, self.journal.epoch)
        num_tokens = step * self.spec.units_per_step
        assert isinstance(self.spec, RunSpec)
        model = json.dumps({"family": self.spec.family, **stated(self.spec.model)})
        path = file.within(self.run_dir)
        data = weights_bytes(tensors, model=model)

        def write() -> None:
            self.journal.check()
            sha256 = write_weights(path, data)
            self.journal.append("kept", step=num_tokens, file=path.name, sha256=sha256)
            if self.trunk_dir is not None and step <= self._branch:
                share(path, file.within(self.trunk_dir))

        return write

    def adopt(self, keeps: Set[int], start: int) -> None:
        """Take over from the trunk what the run ``keeps`` of the steps before its ``start``."""
        there, shared = self._kept_steps(), self._in_trunk()
        for step in sorted(step for step in keeps - there if step <= start):
            if step not in shared:
                note(f"step {step} was passed before its weights were asked for: not kept")
                continue
            path = WeightFile(step, self.journal.epoch).within(self.run_dir)
            self.journal.check()
            share(shared[step], path)
            num_tokens = step * self.spec.units_per_step
            self.journal.append("kept", step=num_tokens, file=path.name, sha256=digest_of(path))

    def _kept_steps(self) -> frozenset[int]:
        """The steps whose weights the run has already."""
        units = self.spec.units_per_step
        return frozenset(weights.step // units for weights in kept(self.run_dir))

    def _in_trunk(self) -> dict[int, Path]:
        """The weights that the trunk has, by step."""
        if self.trunk_dir is None:
            return {}
        first, files = first_epoch(self.run_dir), weight_files(self.trunk_dir)
        return {f.step: f.within(self.trunk_dir) for f in files if f.epoch >= first}

    @property
    def _branch(self) -> int:
        """The step at which the run leaves its trunk."""
        assert isinstance(self.spec, RunSpec)
        return cooldown_start(self.spec.schedule, self.spec.num_steps)

    def tidy_up(self) -> None:
        """Remove the run's checkpoints, and weights that it does not name; not later epochs'."""
        from scaling.run import checkpoint

        checkpoint.remove(self.run_dir, self.journal.epoch)
        named = {weights.path.name for weights in kept(self.run_dir)}
        remove_weights(self.run_dir, named, self.journal.epoch)

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()


def as_begun(spec: RunSpec, run_dir: Path) -> RunSpec:
    """``spec`` as its folder says that it was begun: ids do not tell default curves apart."""
    try:
        begun = RunSpec.from_dict(read_json(run_dir / SPEC) or {})
    except ValueError:
        return spec
    return begun if begun.run_id == spec.run_id else spec


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1)
