"""Runs of one shape trained as one batched computation, each with a journal of its own.

What a member does at which step is decided by the loop of runs alone, whose class it is; only
its forward and backward passes and its optimiser's steps are those of all. So a run may begin in
an ensemble and go on alone, or in another one. In float32 its loss is that of the run alone but for
rounding, not bit for bit, and so each attempt, checkpoint and result that came of an ensemble has
a mark, ``ensemble``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scaling.families import get_family, stacked_forward
from scaling.run import (
    NOTHING,
    Keep,
    Outcome,
    Record,
    SupersededError,
    as_begun,
    end,
    read_journal,
)
from scaling.schedule import cooldown_start, curve_size, curve_steps, ends_apart, lr_factor
from scaling.spec import RunSpec
from scaling.training.alike import ensemble_key, members_at_once
from scaling.training.ensemble_stack import Stack
from scaling.training.ensemble_task import Logits, Order, losses, shared, stacked_batch
from scaling.training.loop import CHECKPOINT_COST, HEARTBEAT_SECONDS, _Run
from scaling.training.meter import Meter, Watch
from scaling.training.optim import make_optimizer, set_lr
from scaling.training.precision import set_arithmetic
from scaling.training.replay import Recorded
from scaling.training.task import EVAL_EXAMPLES, EVAL_TOKENS, make_task
from scaling.training.team import Team

LOOK_SECONDS = 0.2  # between looks at leases, wishes to stop and what is due
HEARTBEAT_COST = 0.02  # heartbeats of all members take at most this share of the time


@dataclass(frozen=True)
class Entry:
    """One member: what :func:`scaling.training.train` is told of one run."""

    spec: RunSpec
    run_dir: Path
    trunk_dir: Path | None = None
    epoch: int | None = None
    held: Callable[[], bool] = lambda: True
    should_stop: Callable[[], bool] = lambda: False
    keep: Keep = NOTHING


def train_ensemble(
    entries: Sequence[Entry],
    *,
    data_dir: Path | None = None,
    device: str = "auto",
    threads: int = 1,
    checkpoint_seconds: float = 60.0,
) -> list[Outcome]:
    """Train runs that have one ``ensemble_key`` together, each from wherever its folder is.

    Members diverge, stop early, reach their end and are stopped each by themselves; the others
    go on. An error ends all, and says nothing in their journals: each can be begun again from its
    last checkpoint, alone too.

    Returns
    -------
    list of Outcome
        In the order of ``entries``, as :func:`scaling.training.train` gives them.

    Raises
    ------
    ValueError
        If the runs are not of one shape, or one of them has to train alone.
    """
    keys = {ensemble_key(entry.spec) for entry in entries}
    if len(keys) != 1 or None in keys:
        raise ValueError(
            f"{len(entries)} runs of {len(keys)} shapes: an ensemble has one, which ensemble_key "
            "tells, and it tells none for what has to train alone"
        )
    outcomes: dict[int, Outcome] = {}
    members: list[Member] = []
    try:
        for i, entry in enumerate(entries):
            finished = end(read_journal(entry.run_dir))
            if finished and finished["status"] in ("done", "diverged"):
                outcomes[i] = Outcome(finished["status"], finished)
                continue
            try:
                members.append(Member(i, entry, checkpoint_seconds))
            except SupersededError:
                outcomes[i] = Outcome("stopped", {})
        if members:
            outcomes |= _Ensemble(members, data_dir, device, threads, checkpoint_seconds).run()
    finally:
        for member in members:
            member.own_record.close()
    return [outcomes[i] for i in range(len(entries))]


class _Row:
    """A member's model and optimiser as its checkpoints have them; see ``spread.Spread``."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def weights(self) -> dict[str, Tensor]:
        """The weights, apart from those of the others."""
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Weights and optimiser."""
        return {"model": self.weights(), "optimizer": optimizer.state_dict()}

    def told(self) -> dict[str, Any]:
        """Nothing of how it is laid out: as a run alone by itself is."""
        return {}

    def load(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        """Take over what :meth:`state`, or that of a run alone, gave."""
        self.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])


class Member(_Run):
    """One run of an ensemble: the state of a run alone, but for its forward and backward passes."""

    def __init__(self, number: int, entry: Entry, checkpoint_seconds: float) -> None:
        spec = as_begun(entry.spec, entry.run_dir)
        same_trunk = spec.trunk_id is not None and spec.trunk_id == entry.spec.trunk_id
        trunk_dir = entry.trunk_dir if same_trunk else None
        self.own_record = Record(spec, entry.run_dir, trunk_dir, entry.epoch, entry.held)
        more = (checkpoint_seconds, entry.keep, entry.run_dir)
        super().__init__(spec, self.own_record, Team(), trunk_dir, *more)
        self.number, self.entry = number, entry
        self.grid = curve_steps(spec.num_steps)
        self.branch = cooldown_start(spec.schedule, spec.num_steps)
        self.curve_limit = curve_size(spec.train, spec.units_per_step)
        self.values: dict[int, dict[str, float]] = {}  # what was evaluated, by its limit
        self.on_training: dict[str, float] = {}

    def begin(self, device: torch.device, threads: int, size: int, epoch_size: int) -> None:
        """Make its model, or take it from a checkpoint, and say that it begins."""
        spec = self.spec
        self.device, self.epoch_size, self.ensemble = device, epoch_size, size
        torch.manual_seed(spec.seed)
        self.model = get_family(spec.family).build(spec.model).to(device)
        self.spread = _Row(self.model)  # type: ignore[assignment]
        self.optimizer = make_optimizer(spec, self.model)
        # Losses come as numbers, and what the device does it does for all.
        host = torch.device("cpu")
        self.watch, self.meter = Watch(host), Meter(spec, host, 1)
        self._restore()
        # Nothing draws from the run's stream while it trains, but a run alone may have to go on.
        self.random = torch.get_rng_state()
        self._begin(threads)

    @property
    def rate(self) -> float:
        """The learning rate of the step to come."""
        spec = self.spec
        factor = lr_factor(spec.schedule, self.step, spec.num_steps, spec.units_per_step)
        return spec.optim.lr * factor

    def moved(self, rate: float, loss: float) -> str | None:
        """Note a step and its loss; why the run has diverged, if it has."""
        self.lr = rate
        self.step += 1
        self.loss_sum += loss
        self.loss_count += 1
        return self.watch.see(self.step, loss)

    def final_limits(self, heldout_size: int) -> set[int]:
        """The evaluations that its end needs."""
        train, units = self.spec.train, self.spec.units_per_step
        at_end = self.curve and self.curve[-1]["step"] == self.step * units
        apart = not at_end and ends_apart(train, heldout_size, units)
        return {train.final_tokens, *({self.curve_limit} if apart else ())}

    def _evaluate(self, task: Any, limit: int) -> dict[str, float]:
        self.inference_seconds = None  # a pass of all says nothing of one
        return dict(self.values[limit])

    def _evaluate_training(self, task: Any, limit: int) -> dict[str, float]:
        return self.on_training

    def _elapsed(self) -> float:
        """Its share of the time that the ensemble took."""
        return self.seconds

    def _snapshot(self, state: dict[str, Any] | None = None) -> dict[str, Any]:
        set_lr(self.optimizer, self.lr)
        return {**super()._snapshot(state), "rng": self.random}


class _Ensemble:
    """The members that still train."""

    def __init__(
        self,
        members: list[Member],
        data_dir: Path | None,
        device: str,
        threads: int,
        checkpoint_seconds: float,
    ) -> None:
        self.members, self.checkpoint_seconds = members, checkpoint_seconds
        self.device = Team().device(device)
        set_arithmetic(self.device)
        torch.set_num_threads(threads)
        spec = members[0].spec
        self.task = make_task(spec, data_dir, self.device)
        self.data = shared(self.task)
        for member in members:
            member.begin(self.device, threads, len(members), self.task.epoch_size)
        self.stack = Stack(
            [m.spec for m in members], [m.model for m in members], [m.optimizer for m in members]
        )
        self.forward = stacked_forward(members[0].model)
        self.orders = [
            Order(m.spec.order_seed, self.data.size, m.spec.train.batch_size) for m in members
        ]
        is_text = get_family(spec.family).unit == "token"
        self.at_once = members_at_once(spec, self.device.type, spec.units_per_step)
        seen = EVAL_TOKENS if is_text else EVAL_EXAMPLES
        self.evaluated_at_once = members_at_once(spec, self.device.type, seen)
        self.recorded: dict[int, Recorded] = {}  # passes on CUDA, by the first of their rows
        self.outcomes: dict[int, Outcome] = {}
        self.clock = time.monotonic()

    def run(self) -> dict[int, Outcome]:
        """Train until every member has an outcome; those by the members' numbers."""
        looked = saved = time.monotonic()
        beaten, beat_seconds, save_seconds = -math.inf, 0.0, 0.0
        with closing(self.task):
            while self.members:
                self._step()
                now = time.monotonic()
                if now - looked < LOOK_SECONDS and self.members:
                    continue
                looked = now
                self._leave_those_asked_to()
                if now - beaten > max(HEARTBEAT_SECONDS, beat_seconds / HEARTBEAT_COST):
                    for member in self.members:
                        member._heartbeat("running")
                    beaten, beat_seconds = now, time.monotonic() - now
                if now - saved > max(self.checkpoint_seconds, save_seconds / CHECKPOINT_COST):
                    self._save(range(len(self.members)))
                    saved, save_seconds = now, time.monotonic() - now
        return self.outcomes

    def _step(self) -> None:
        members = self.members
        for row, member in enumerate(members):
            if member.trunk_dir and member.step == member.branch > member.first_step:
                self.stack.fill(row)
                member._save_trunk()
        rates = [member.rate for member in members]
        found = self._backward(rates)
        self._charge()
        gone: dict[int, Outcome] = {}
        for row, (member, rate, loss) in enumerate(zip(members, rates, found, strict=True)):
            if reason := member.moved(rate, loss):
                gone[row] = member._diverged(reason)
        here = [row for row in range(len(members)) if row not in gone]
        points = {
            row: {members[row].curve_limit}
            for row in here
            if members[row].step in members[row].grid
        }
        self._evaluate(points)
        ended = [row for row in points if not members[row]._point(self.task)]
        ended += [row for row in here if members[row].step == members[row].spec.num_steps]
        for row in here:
            if members[row].step in members[row].keeps and row not in ended:
                members[row]._keep_weights()
        final = {row: members[row].final_limits(self.task.heldout_size) for row in ended}
        self._evaluate(final)
        self._evaluate_training(ended)
        for row in ended:
            gone[row] = members[row]._finish(self.task)
        self._drop(gone)

    def _backward(self, rates: Sequence[float]) -> list[float]:
        """Move all members on by one step; their training losses before it."""
        steps = [member.step for member in self.members]
        gradients, found = [], []
        for low in range(0, len(steps), self.at_once):
            rows = slice(low, low + self.at_once)
            batch = stacked_batch(self.data, self.orders[rows], steps[rows])
            if self.device.type == "cuda" and low not in self.recorded:
                self.recorded[low] = Recorded(partial(self._passes, rows), batch)
            passes = self.recorded.get(low) or partial(self._passes, rows)
            loss, gradient = passes(*batch)
            gradients.append(gradient)
            found.append(loss)
        self.stack.step(gradients[0] if len(gradients) == 1 else torch.cat(gradients), rates)
        values: list[float] = torch.cat(found).tolist()
        return values

    def _passes(self, rows: slice, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Losses ``(k,)`` of members and the gradient ``(k, n)`` of their weights."""
        smoothing = self.members[0].spec.train.label_smoothing
        weights = self.stack.weights[rows].detach().requires_grad_()
        logits = self.forward(self.stack.views(weights), inputs)
        loss = losses(logits, targets, smoothing).flatten(1).mean(1)
        (gradient,) = torch.autograd.grad(loss.sum(), weights)
        return loss.detach(), gradient

    def _evaluate(self, wanted: dict[int, set[int]]) -> None:
        """Evaluate rows on so many held-out tokens (examples); members keep the values."""
        for limit in sorted({limit for limits in wanted.values() for limit in limits}):
            rows = [row for row, limits in wanted.items() if limit in limits]
            for some, logits in self._forwards(rows):
                with torch.no_grad():
                    values = self.data.evaluate(logits, len(some), limit)
                for row, value in zip(some, values, strict=True):
                    self.members[row].values[limit] = value
        if wanted:
            self._charge()

    def _evaluate_training(self, ended: Sequence[int]) -> None:
        """Evaluate rows on what they were trained on, those together that saw as much."""
        alike: dict[tuple[int, int], list[int]] = {}
        for row in ended:
            member = self.members[row]
            if limit := member._limit_of_training(self.task):
                alike.setdefault((limit, member.step), []).append(row)
        for (limit, steps), rows in alike.items():
            for some, logits in self._forwards(rows):
                orders = [self.orders[row] for row in some]
                with torch.no_grad():
                    values = self.data.evaluate_training(logits, orders, limit, steps)
                for row, value in zip(some, values, strict=True):
                    self.members[row].on_training = value
        if alike:
            self._charge()

    def _forwards(self, rows: Sequence[int]) -> Iterator[tuple[Sequence[int], Logits]]:
        """Rows that are evaluated at once, and their forward pass."""
        for low in range(0, len(rows), self.evaluated_at_once):
            some = rows[low : low + self.evaluated_at_once]
            yield some, partial(self.forward, self.stack.views(self.stack.weights[some]))

    def _charge(self) -> None:
        """Give each member its share of the time since the last call."""
        now = time.monotonic()
        share = (now - self.clock) / len(self.members)
        for member in self.members:
            member.seconds += share
        self.clock = now

    def _leave_those_asked_to(self) -> None:
        """End members whose lease is lost; checkpoint and end those that are to stop."""
        gone, stopped = {}, []
        for row, member in enumerate(self.members):
            if not member.own_record.journal.held():
                gone[row] = Outcome("stopped", {})
            elif member.entry.should_stop():
                stopped.append(row)
        self._save(stopped)
        for row in stopped:
            self.members[row]._heartbeat("stopped")
        self._drop({**gone, **{row: Outcome("stopped", {}) for row in stopped}})

    def _save(self, rows: Sequence[int]) -> None:
        for row in rows:
            self.stack.fill(row)
            self.members[row]._save_latest()

    def _drop(self, gone: dict[int, Outcome]) -> None:
        """Go on without some rows."""
        if not gone:
            return
        self.outcomes |= {self.members[row].number: outcome for row, outcome in gone.items()}
        left = [row for row in range(len(self.members)) if row not in gone]
        self.members = [self.members[row] for row in left]
        self.orders = [self.orders[row] for row in left]
        if left:
            self.recorded.clear()  # they read the weights where these were
            self.stack.keep(left)
