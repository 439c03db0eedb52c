"""The one training loop: ``train(spec, run_dir)`` for every family, resumable to the bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from scaling.base import WorkerLostError
from scaling.families import get_family
from scaling.run import (
    NOTHING,
    Keep,
    Outcome,
    Record,
    SupersededError,
    as_begun,
    checkpoint,
    end,
    here,
    read_journal,
)
from scaling.schedule import (
    cooldown_start,
    curve_size,
    curve_steps,
    ends_apart,
    evaluated_again,
    lr_factor,
)
from scaling.spec import RunSpec
from scaling.training.meter import Meter, Watch
from scaling.training.optim import averaged, clip_adaptively, make_optimizer, set_lr
from scaling.training.precision import computed_in, set_arithmetic
from scaling.training.saving import Saver
from scaling.training.spread import Layout, Spread
from scaling.training.task import Task, make_task
from scaling.training.team import Team

HEARTBEAT_SECONDS = 2.0
TRAINED = {"loss_se": "loss_train_se"}  # others have _train at their end
CHECKPOINT_COST = 0.01  # steps wait for checkpoints at most this share of the time
# And the thread that writes them takes at most this share: on a CPU it takes from the model.
WRITING_COST = {"cpu": 0.01, "cuda": 0.1}


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
    epoch: int | None = None,
    held: Callable[[], bool] = lambda: True,
    micro_batch: int = 0,
    shard: str = "auto",
    compile: str = "auto",
    team: Team | None = None,
    keep: Keep = NOTHING,
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
        Least time between checkpoints, which are written while training goes on; longer where
        steps would wait for them over 1 % of the time, or writing would take over 10 % (1 % on a
        CPU).
    should_stop : callable, optional
        Asked after every step; when true the run is checkpointed and returns ``stopped``.
    epoch : int, optional
        That of the lease under which the run is trained: what earlier epochs write later does
        not count. By default the last one's that wrote.
    held : callable, optional
        Whether the lease is still held; asked after every step and before each write.
    micro_batch, shard, compile : int, str, str
        How it is computed: :class:`scaling.training.spread.Layout`. The gradient is that of the
        whole batch.
    team : Team, optional
        The processes that train together, each of which makes this call; this one alone by
        default.
    keep : Keep
        Which weights last, in ``weights`` of the run's folder.

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        If the data are not those of the spec.
    OSError
        If the folder cannot be written; the run's past is kept.
    WorkerLostError
        If another process of the team died; the run can be resumed.
    """
    team = team or Team()
    record: Record | None = None
    run: _Run | None = None
    try:
        # Rank 0 looks and writes; what it found is the others' too, whatever they see by now.
        finished = team.say(end(read_journal(run_dir)) if team.leads else None)
        if finished and finished["status"] in ("done", "diverged"):
            return Outcome(finished["status"], finished)
        asked, spec = spec, team.say(as_begun(spec, run_dir) if team.leads else None)
        if spec.trunk_id is None or spec.trunk_id != asked.trunk_id:
            trunk_dir = None
        if team.leads:
            record = Record(spec, run_dir, trunk_dir, epoch, held)
        run = _Run(spec, record, team, trunk_dir, checkpoint_seconds, keep, run_dir)
        layout = Layout(micro_batch, shard, compile)
        return run.run(data_dir, device, threads, layout, should_stop or (lambda: False))
    except KeyboardInterrupt:
        team.broken = team.size > 1
        raise
    except SupersededError:
        if team.size == 1:
            return Outcome("stopped", {})
        team.broken = True  # the others wait for this process in the middle of a step
        raise
    except BaseException as original:
        error = team.explain(original)
        if record is not None and not isinstance(error, WorkerLostError):
            record.fail(error)
        if error is original:
            raise
        raise error from original
    finally:
        if run is not None and run.saver is not None:
            run.saver.close()
        if record is not None:
            record.close()


class _Run:
    """The state of one run in this process."""

    def __init__(
        self,
        spec: RunSpec,
        record: Record | None,
        team: Team,
        trunk_dir: Path | None,
        checkpoint_seconds: float,
        keep: Keep,
        run_dir: Path,
    ) -> None:
        self.spec, self.record, self.team, self.run_dir = spec, record, team, run_dir
        self.saver: Saver | None = None  # None in an ensemble
        self.trunk_dir, self.keep, self.keeps = trunk_dir, keep, keep.steps(spec)
        self.checkpoint_seconds = checkpoint_seconds
        self.task: Any = None
        self.step = 0
        self.curve: list[dict[str, Any]] = []
        self.loss_sum, self.loss_count = 0.0, 0
        self.seconds = 0.0
        self.ensemble = 0  # how many trained as one computation, now or in what it goes on from

    def run(
        self,
        data_dir: Path | None,
        device: str,
        threads: int,
        layout: Layout,
        should_stop: Callable[[], bool],
    ) -> Outcome:
        spec, team = self.spec, self.team
        self.device = team.device(device)
        set_arithmetic(self.device)
        torch.set_num_threads(threads)
        spec.check_code()
        task = self.task = make_task(spec, data_dir, self.device)
        if hasattr(task, "carried") and team.size > 1:
            raise ValueError(
                f"windows: carried keeps its state in one process, and these are {team.size}: "
                "use one GPU a run, or windows: offset"
            )
        self.epoch_size = task.epoch_size
        torch.manual_seed(spec.seed)
        build = partial(get_family(spec.family).build, spec.model)
        self.spread = Spread(build, spec, team, self.device, layout)
        self.model = self.spread.model
        self.saver = Saver(self.record, self.run_dir, team, sharded=self.spread.sharded)
        self.optimizer = make_optimizer(spec, self.model)
        self.watch, self.meter = Watch(self.device), Meter(spec, self.device, team.size)
        self._restore()
        self._begin(threads)
        with closing(task):
            return self._steps(task, should_stop)

    def _begin(self, threads: int) -> None:
        """Say in the journal that this attempt begins, where it is and what it knows."""
        self.first_step = self.step
        self._append(
            "start",
            attempt=self.record.attempt if self.record else 0,
            step=self.step * self.spec.units_per_step,
            time=time.time(),
            **here(),
            device=str(self.device),
            threads=threads,
            torch=torch.__version__,
            **({"processes": self.team.size} if self.team.size > 1 else {}),
            **computed_in(self.spec, self.device),
            **self.spread.told(),
            **self._marks(),
        )
        for point in self.curve:
            self._append("point", **point)
        if self.record is not None:
            self.record.adopt(self.keeps, self.first_step)

    def _marks(self) -> dict[str, int]:
        """What says that the run's last bits are not those of a run alone."""
        return {"ensemble": self.ensemble} if self.ensemble else {}

    def _elapsed(self) -> float:
        """Seconds spent on the run so far, pauses left out."""
        return time.monotonic() - self.started

    def _steps(self, task: Task, should_stop: Callable[[], bool]) -> Outcome:
        spec, team, saver = self.spec, self.team, self.saver
        assert saver is not None
        self.started = time.monotonic() - self.seconds
        heartbeat = saved = -math.inf
        save_seconds, writing = 0.0, WRITING_COST.get(self.device.type, CHECKPOINT_COST)
        branch = cooldown_start(spec.schedule, spec.num_steps)
        grid = curve_steps(spec.num_steps)
        saved = time.monotonic()
        self.meter.began(self.step)
        while self.step < spec.num_steps:
            if self.step == branch > self.first_step and self.trunk_dir:
                self._save_trunk()
            loss = self._one_step(task)
            self.loss_sum = self.loss_sum + loss
            self.loss_count += 1
            if reason := self.watch.see(self.step, loss):
                return self._diverged(reason)
            if self.step in grid and not self._point(task):
                break
            if self.step in self.keeps:
                self._keep_weights()
            now = time.monotonic()
            if now - heartbeat > HEARTBEAT_SECONDS:
                heartbeat = now
                self._heartbeat("running")
            pause = max(save_seconds / CHECKPOINT_COST, saver.seconds / writing)
            due = now - saved > max(self.checkpoint_seconds, pause) and not saver.is_half
            lost = self.record is not None and not self.record.journal.held()
            wishes = should_stop(), due and team.leads, lost, saver.is_busy()
            stop, due, lost, busy = team.agree(*wishes)
            if lost:
                return Outcome("stopped", {})
            if not busy:
                saver.go_on()
            if self.step == spec.num_steps:
                break
            if stop:
                saver.finish()
            if stop or (due and not busy):
                saver.begin(self._snapshot(self.spread.references(self.optimizer)))
                saved = time.monotonic()
                save_seconds = saved - now
            if stop:
                saver.finish()
                self._heartbeat("stopped")
                return Outcome("stopped", {})
        return self._finish(task)

    def _one_step(self, task: Task) -> Any:
        spec = self.spec
        factor = lr_factor(spec.schedule, self.step, spec.num_steps, spec.units_per_step)
        self.lr = spec.optim.lr * factor
        set_lr(self.optimizer, self.lr)
        loss = self.spread.backward(task, self.step)
        if spec.optim.adaptive_clip:
            clip_adaptively(self.model, spec.optim.adaptive_clip)
        if spec.optim.grad_clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), spec.optim.grad_clip)
        self.optimizer.step()
        if hasattr(self.model, "after_step"):
            self.model.after_step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss) if self.device.type == "cpu" else loss

    def _evaluate(self, task: Task, limit: int) -> dict[str, float]:
        with self._judged():
            values = task.evaluate(self.model, limit, self.team.share)
        self.inference_seconds = values.pop("inference_seconds", None)
        return values

    def _limit_of_training(self, task: Any) -> int:
        """Training tokens (examples) that the loss is taken on; 0 where a task can't."""
        if not hasattr(task, "evaluate_training"):
            return 0
        spec = self.spec
        return evaluated_again(spec.train, task.heldout_size, spec.units_per_step)

    def _evaluate_training(self, task: Any, limit: int) -> dict[str, float]:
        with self._judged():
            values: dict[str, float] = task.evaluate_training(
                self.model, limit, self.step, self.team.share
            )
        return values

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """The model as it is evaluated: nothing dropped, no gradients, no time of training."""
        self.model.eval()
        weights = averaged(self.optimizer)
        with torch.no_grad(), self.meter.paused(), self.spread.not_compiled(), weights:
            yield
        self.model.train()

    def _point(self, task: Task) -> bool:
        """Add a point to the curve; False when early stopping says that it was the last."""
        spec = self.spec
        self._record(self._evaluate(task, curve_size(spec.train, spec.units_per_step)))
        patience = spec.train.early_stopping
        losses = [point["loss"] for point in self.curve]
        return not patience or len(losses) - 1 - losses.index(min(losses)) < patience

    def _record(self, values: dict[str, float]) -> None:
        self.seconds = self._elapsed()
        point = {
            "step": self.step * self.spec.units_per_step,
            **values,
            "train_loss": float(self.loss_sum / self.loss_count) if self.loss_count else math.nan,
            "lr": self.lr,
            "seconds": round(self.seconds, 3),
            **self.meter.since(self.step),
        }
        self.loss_sum, self.loss_count = 0.0, 0
        self.curve.append(point)
        self._append("point", **point)

    def _append(self, event: str, **values: Any) -> None:
        if self.record is not None:
            self.record.journal.append(event, **values)

    def _finish(self, task: Task) -> Outcome:
        if reason := self.watch.settle():
            return self._diverged(reason)
        values = self._evaluate(task, self.spec.train.final_tokens)
        if not math.isfinite(values["loss"]):
            return self._diverged(f"held-out loss {values['loss']} at the end")
        pace = self.inference_seconds
        timed = {} if pace is None else {"inference_seconds": pace}
        if limit := self._limit_of_training(task):
            again = self._evaluate_training(task, limit)
            values |= {TRAINED.get(name, f"{name}_train"): again[name] for name in again}
        if not self.curve or self.curve[-1]["step"] < self.step * self.spec.units_per_step:
            if ends_apart(self.spec.train, task.heldout_size, self.spec.units_per_step):
                self._point(task)
            else:
                self._record(values)
        if self.keep:
            self._keep_weights()
        told = task.found(self.model) if hasattr(task, "found") else {}
        return self._end("done", **values, **timed, **told)

    def _diverged(self, reason: str) -> Outcome:
        return self._end("diverged", loss=None, reason=reason)

    def _end(self, status: str, **values: Any) -> Outcome:
        units = self.spec.units_per_step
        self.seconds = self._elapsed()
        event = {
            "status": status,
            **values,
            "tokens": self.step * units,
            "num_unique_tokens": min(self.step * units, self.epoch_size),
            "epochs": self.step * units / self.epoch_size,
            "flops_spent": self._spent() * self.spec.cost.flops_train,
            "seconds": round(self.seconds, 3),
            **self.meter.overall(self.step),
            "time": time.time(),
            **self._marks(),
        }
        if self.saver is not None and self.keep:
            self.saver.finish()  # an end says that all weights are kept
        self._append("end", **event)
        self._heartbeat(status, event["loss"])
        if self.saver is not None:
            self.saver.close()  # nobody needs what it writes
            if self.spread.sharded:
                self.team.agree(False)  # all ranks have
        if self.record is not None:
            self.record.tidy_up()
        return Outcome(status, event)

    def _spent(self) -> int:
        """Tokens computed for this run in all attempts, those lost to a kill too."""
        before = self.record.spent_tokens if self.record else 0
        return before + (self.step - self.first_step) * self.spec.units_per_step

    def _heartbeat(self, state: str, final: float | None = None) -> None:
        if self.record is None:
            return
        units = self.spec.units_per_step
        last = self.curve[-1]["loss"] if self.curve and final is None else final
        self.record.state(
            state,
            step=self.step * units,
            num_tokens=self.spec.train.num_tokens,
            loss=last if last is not None and math.isfinite(last) else None,
            gpus=self.team.size if self.device.type == "cuda" else 0,
            started_step=self.first_step * units,
            seconds=round(self._elapsed(), 3),
            spent_tokens=self._spent(),
        )

    def _snapshot(self, state: dict[str, Any] | None = None) -> dict[str, Any]:
        """All of the run as a checkpoint has it, with weights and optimiser as ``state`` has."""
        self.seconds = self._elapsed()
        self.watch.settle()
        found = {
            "step": self.step,
            **(state or self.spread.state(self.optimizer)),
            "curve": self.curve,
            "loss_sum": float(self.loss_sum),
            "loss_count": self.loss_count,
            "first_loss": self.watch.first,
            "seconds": self.seconds,
            "rng": torch.get_rng_state(),
            **self._marks(),
        }
        if carried := getattr(self.task, "carried", ()):
            found["carried"] = [part.cpu() for part in carried]
        if self.device.type == "cuda":
            found["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        return found

    def _keep_weights(self) -> None:
        with averaged(self.optimizer):
            weights = self.spread.weights()
            if self.saver is not None:
                self.saver.begin_weights(self.step, weights)
            elif self.record is not None:
                self.record.keep(self.step, weights)()

    def _save_latest(self) -> None:
        state = self._snapshot()
        if self.record is not None:
            self.record.save(state)

    def _save_trunk(self) -> None:
        assert self.trunk_dir is not None
        path = self.trunk_dir / f"{self.step:012d}.pt"
        if self.team.say(path.exists()):
            return
        state = self._snapshot()
        if self.saver is not None:
            self.saver.begin_trunk(path, state)
        elif self.record is not None:
            self.record.save_trunk(path, state)

    def _restore(self) -> None:
        """Continue from the checkpoint that rank 0 finds, else from the start."""
        path, state = (self.record.find(self.keeps) if self.record else None) or (None, None)
        path = self.team.say(path)
        if state is None and path is not None:
            state = checkpoint.load(path)
        if state is None:
            return
        if state["run_id"] not in (self.spec.run_id, self.spec.trunk_id):
            raise ValueError(
                f"{path}: this checkpoint is of run {state['run_id']}, not of "
                f"{self.spec.run_id}: use another folder"
            )
        self.spread.load(state, self.optimizer)
        self.step, self.curve = state["step"], state["curve"]
        self.loss_sum, self.loss_count = state["loss_sum"], state["loss_count"]
        self.watch.first, self.seconds = state["first_loss"], state["seconds"]
        self.ensemble = max(self.ensemble, state.get("ensemble", 0))
        if "carried" in state:
            self.task.carried = tuple(state["carried"])
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda" and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
