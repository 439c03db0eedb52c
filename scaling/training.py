"""The one training loop: ``train(spec, run_dir)`` for every family, resumable to the bit."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scaling import checkpoint
from scaling.families import get_family
from scaling.journal import SPEC, STATE, Journal, end, points, read_journal
from scaling.optim import cooldown_start, lr_factor, make_optimizer, set_lr
from scaling.spec import RunSpec
from scaling.store import read_json, write_atomic
from scaling.task import Task, make_task

HEARTBEAT_SECONDS = 2.0
EXPLOSION = 3.0  # a training loss this many times the first one has diverged
CHECKPOINT_COST = 0.01  # checkpoints take at most this share of the time


@dataclass(frozen=True)
class Outcome:
    """How a call of :func:`train` ended.

    Attributes
    ----------
    status : {"done", "diverged", "stopped"}
        ``stopped``: ``should_stop`` asked for it; the run is checkpointed.
    values : dict
        The journal's ``end`` event (empty for ``stopped``).
    """

    status: str
    values: dict[str, Any]

    @property
    def loss(self) -> float | None:
        """The final held-out loss; None when there is none."""
        return self.values.get("loss")


def train(
    spec: RunSpec,
    run_dir: Path,
    *,
    trunk_dir: Path | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    threads: int = 1,
    checkpoint_seconds: float = 60.0,
    should_stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Train one run to its end, from wherever its folder says that it got to.

    Parameters
    ----------
    spec : RunSpec
        What to train; alone decides the result.
    run_dir : Path
        Holds the journal, the state and the checkpoints.
    trunk_dir : Path, optional
        Constant-rate checkpoints that runs with the same ``trunk_id`` share: the run starts
        from the last one at or before its cooldown, and leaves one at its own cooldown.
        A cache: the result is the same bits without it.
    data_dir : Path, optional
        Where prepared data are; the store's by default.
    device : str
        ``auto`` is CUDA where there is one.
    threads : int
        CPU threads; results are the same bits for the same number.
    checkpoint_seconds : float
        Least time between checkpoints; longer where writing one would cost over 1 %.
    should_stop : callable, optional
        Asked after every step; when true the run is checkpointed and returns ``stopped``.

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        If the data are not those of the spec.
    OSError
        If the folder cannot be written; the run's past is kept.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    finished = end(read_journal(run_dir))
    if finished and finished["status"] in ("done", "diverged"):
        return Outcome(finished["status"], finished)
    write_atomic(run_dir / SPEC, _json(spec.to_dict()))
    journal = Journal(run_dir)
    try:
        return _Run(spec, run_dir, journal, trunk_dir, checkpoint_seconds).run(
            data_dir, device, threads, should_stop or (lambda: False)
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        _try(lambda: journal.append("end", status="failed", reason=reason, time=time.time()))
        _try(lambda: write_atomic(run_dir / STATE, _json(_state(run_dir, "failed"))))
        raise
    finally:
        journal.close()


def curve_steps(num_steps: int) -> set[int]:
    """The steps of the learning curve: 2^(k/2) from 16 on, whatever the length of the run."""
    steps, k = set(), 8
    while (step := round(2 ** (k / 2))) < num_steps:
        steps.add(step)
        k += 1
    return steps


class _Run:
    """The state of one run in this process."""

    def __init__(
        self,
        spec: RunSpec,
        run_dir: Path,
        journal: Journal,
        trunk_dir: Path | None,
        checkpoint_seconds: float,
    ) -> None:
        self.spec, self.run_dir, self.journal = spec, run_dir, journal
        self.trunk_dir = trunk_dir if spec.trunk_id else None
        self.checkpoint_seconds = checkpoint_seconds
        self.step = 0
        self.curve: list[dict[str, Any]] = []
        self.loss_sum, self.loss_count, self.first_loss = 0.0, 0, math.nan
        self.seconds = 0.0

    def run(
        self, data_dir: Path | None, device: str, threads: int, should_stop: Callable[[], bool]
    ) -> Outcome:
        spec, units = self.spec, self.spec.units_per_step
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        torch.set_num_threads(threads)
        task = make_task(spec, data_dir, self.device)
        torch.manual_seed(spec.seed)
        self.model = get_family(spec.family).build(spec.model).to(self.device)
        self.optimizer = make_optimizer(spec, self.model)
        before = read_json(self.run_dir / STATE) or {}
        self.attempt = int(before.get("attempt", 0)) + 1
        self.spent_before = int(before.get("spent_tokens", 0))
        self._restore()
        self.first_step = self.step
        self.journal.append(
            "start",
            attempt=self.attempt,
            step=self.step * units,
            time=time.time(),
            host=platform.node(),
            device=str(self.device),
            threads=threads,
            torch=torch.__version__,
        )
        for point in self.curve:
            self.journal.append("point", **point)

        self.started = time.monotonic() - self.seconds
        heartbeat = saved = -math.inf
        save_seconds = 0.0
        branch = cooldown_start(spec.schedule, spec.num_steps)
        grid = curve_steps(spec.num_steps)
        synced = 1 if self.device.type == "cpu" else 16
        saved = time.monotonic()
        while self.step < spec.num_steps:
            if self.step == branch > self.first_step and self.trunk_dir:
                self._save_trunk()
            loss = self._one_step(task)
            self.loss_sum = self.loss_sum + loss
            self.loss_count += 1
            if self.step % synced == 0 or self.step == 1:
                value = float(loss)
                if math.isnan(self.first_loss):
                    self.first_loss = value
                if not value <= EXPLOSION * max(self.first_loss, 1.0):
                    return self._diverged(f"training loss {value:.4g} at step {self.step}")
            if self.step in grid and not self._point(task):
                break
            now = time.monotonic()
            if now - heartbeat > HEARTBEAT_SECONDS:
                heartbeat = now
                self._heartbeat("running")
            stop = should_stop()
            due = max(self.checkpoint_seconds, save_seconds / CHECKPOINT_COST)
            if self.step < spec.num_steps and (stop or now - saved > due):
                self._save_latest()
                saved = time.monotonic()
                save_seconds = saved - now
                if stop:
                    self._heartbeat("stopped")
                    return Outcome("stopped", {})
        return self._finish(task)

    def _one_step(self, task: Task) -> Any:
        spec = self.spec
        factor = lr_factor(spec.schedule, self.step, spec.num_steps, spec.units_per_step)
        self.lr = spec.optim.lr * factor
        set_lr(self.optimizer, self.lr)
        loss = task.loss(self.model, self.step)
        loss.backward()
        if spec.optim.grad_clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), spec.optim.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        detached = loss.detach()
        return float(detached) if self.device.type == "cpu" else detached

    def _evaluate(self, task: Task, limit: int) -> dict[str, float]:
        self.model.eval()
        with torch.no_grad():
            values = task.evaluate(self.model, limit)
        self.model.train()
        return values

    def _point(self, task: Task) -> bool:
        """Add a point to the curve; False when early stopping says that it was the last."""
        self._record(self._evaluate(task, self.spec.train.curve_tokens))
        patience = self.spec.train.early_stopping
        losses = [point["loss"] for point in self.curve]
        return not patience or len(losses) - 1 - losses.index(min(losses)) < patience

    def _record(self, values: dict[str, float]) -> None:
        self.seconds = time.monotonic() - self.started
        point = {
            "step": self.step * self.spec.units_per_step,
            **values,
            "train_loss": float(self.loss_sum / self.loss_count) if self.loss_count else math.nan,
            "lr": self.lr,
            "seconds": round(self.seconds, 3),
        }
        self.loss_sum, self.loss_count = 0.0, 0
        self.curve.append(point)
        self.journal.append("point", **point)

    def _finish(self, task: Task) -> Outcome:
        values = self._evaluate(task, self.spec.train.final_tokens)
        if not math.isfinite(values["loss"]):
            return self._diverged(f"held-out loss {values['loss']} at the end")
        if not self.curve or self.curve[-1]["step"] < self.step * self.spec.units_per_step:
            self._record(values)
        return self._end("done", **values)

    def _diverged(self, reason: str) -> Outcome:
        return self._end("diverged", loss=None, reason=reason)

    def _end(self, status: str, **values: Any) -> Outcome:
        units = self.spec.units_per_step
        self.seconds = time.monotonic() - self.started
        event = {
            "status": status,
            **values,
            "tokens": self.step * units,
            "flops_spent": self._spent() * self.spec.cost.flops_train,
            "seconds": round(self.seconds, 3),
            "time": time.time(),
        }
        self.journal.append("end", **event)
        self._heartbeat(status)
        checkpoint.remove(self.run_dir)
        return Outcome(status, event)

    def _spent(self) -> int:
        """Tokens computed for this run in all attempts, those lost to a kill too."""
        return self.spent_before + (self.step - self.first_step) * self.spec.units_per_step

    def _heartbeat(self, state: str) -> None:
        units = self.spec.units_per_step
        last = self.curve[-1]["loss"] if self.curve else None
        record = {
            "state": state,
            "step": self.step * units,
            "num_tokens": self.spec.train.num_tokens,
            "loss": last if last is not None and math.isfinite(last) else None,
            "attempt": self.attempt,
            "pid": os.getpid(),
            "host": platform.node(),
            "time": time.time(),
            "started_step": self.first_step * units,
            "seconds": round(time.monotonic() - self.started, 3),
            "spent_tokens": self._spent(),
        }
        write_atomic(self.run_dir / STATE, _json(record))

    def _snapshot(self) -> dict[str, Any]:
        self.seconds = time.monotonic() - self.started
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "curve": self.curve,
            "loss_sum": float(self.loss_sum),
            "loss_count": self.loss_count,
            "first_loss": self.first_loss,
            "seconds": self.seconds,
            "rng": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        return state

    def _save_latest(self) -> None:
        checkpoint.save_latest(self.run_dir, {"run_id": self.spec.run_id, **self._snapshot()})

    def _trunk_path(self, step: int) -> Path:
        assert self.trunk_dir is not None
        return self.trunk_dir / f"{step:012d}.pt"

    def _save_trunk(self) -> None:
        path = self._trunk_path(self.step)
        if not path.exists():
            checkpoint.save(path, {"run_id": self.spec.trunk_id, **self._snapshot()})

    def _restore(self) -> None:
        """Continue from the run's own checkpoint, else from the trunk, else from the start."""
        state = checkpoint.load_latest(self.run_dir)
        if state is None and self.trunk_dir is not None:
            branch = cooldown_start(self.spec.schedule, self.spec.num_steps)
            for path in sorted(self.trunk_dir.glob("[0-9]*.pt"), reverse=True):
                if int(path.stem) <= branch:
                    try:
                        state = checkpoint.load(path)
                        break
                    except (checkpoint.CheckpointError, OSError, RuntimeError):
                        path.unlink(missing_ok=True)
        if state is None:
            return
        if state["run_id"] not in (self.spec.run_id, self.spec.trunk_id):
            raise ValueError(
                f"{self.run_dir}: its checkpoint is of run {state['run_id']}, not of "
                f"{self.spec.run_id}: use another folder"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.curve = state["step"], state["curve"]
        self.loss_sum, self.loss_count = state["loss_sum"], state["loss_count"]
        self.first_loss, self.seconds = state["first_loss"], state["seconds"]
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda" and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)


def _state(run_dir: Path, state: str) -> dict[str, Any]:
    return {**(read_json(run_dir / STATE) or {}), "state": state, "time": time.time()}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1)


def _try(action: Callable[[], None]) -> None:
    """Do what can be done while an error is already on its way."""
    with contextlib.suppress(OSError):
        action()


__all__ = ["Outcome", "curve_steps", "points", "train"]
