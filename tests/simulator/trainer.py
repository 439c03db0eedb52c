"""A trainer without torch: the journal, the state and the checkpoints of a run, by the real code.

What it computes is a chain of hashes, so that a step that is left out, done twice or begun from
another run's checkpoint gives another loss.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scaling.base import replacing
from scaling.run import Outcome, Record, SupersededError, checkpoint, end, read_journal
from scaling.run.checkpoint import CheckpointError
from scaling.run.journal import first_epoch
from scaling.schedule import cooldown_start
from scaling.spec import RunSpec
from scaling.world import time
from tests.simulator.kernel import Kernel, Process, Violation

HEARTBEAT_SECONDS = 2.0


def loss_of(chain: str) -> float:
    return round(1.0 + int(chain[:6], 16) / 2**24, 6)


@dataclass(frozen=True)
class Course:
    """What of a spec decides its course, known once: the spec hashes itself for each."""

    run_id: str
    trunk_id: str | None
    branch: int
    steps: int
    units: int

    @classmethod
    def of(cls, spec: RunSpec) -> Course:
        branch = cooldown_start(spec.schedule, spec.num_steps)
        return cls(spec.run_id, spec.trunk_id, branch, spec.num_steps, spec.units_per_step)

    def chained(self, chain: str, step: int) -> str:
        """The state after one more step; the same for all runs of a trunk up to their cooldown."""
        owner = self.trunk_id if self.trunk_id and step < self.branch else self.run_id
        return hashlib.md5(f"{chain} {owner} {step}".encode()).hexdigest()


@cache
def undisturbed(spec: RunSpec) -> dict[int, float]:
    """The learning curve of a run to which nothing happens; loss by tokens."""
    course, chain, curve = Course.of(spec), "", {}
    for step in range(course.steps):
        chain = course.chained(chain, step)
        curve[(step + 1) * course.units] = loss_of(chain)
    return curve


def write(path: Path, state: dict[str, Any]) -> None:
    text = json.dumps(state)
    with replacing(path) as file:
        file.write(f"{hashlib.md5(text.encode()).hexdigest()} {text}".encode())


def read(path: Path) -> dict[str, Any]:
    digest, _, text = path.read_bytes().partition(b" ")
    if hashlib.md5(text).hexdigest().encode() != digest:
        raise CheckpointError(f"{path}: checkpoint is corrupt ({len(text)} bytes)")
    state: dict[str, Any] = json.loads(text)
    return state


class Holders:
    """Who trains which run; two at once is what leases are for."""

    LIMIT = 75.0  # two beats, a step, a server's clock that jumps: then a holder has to know

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.newest: dict[str, tuple[float, int, Process]] = {}

    def begin(self, run_id: str, epoch: int, process: Process) -> None:
        self.newest[run_id] = (self.kernel.now, epoch, process)

    def step(self, run_id: str, epoch: int, process: Process) -> None:
        since, newest, other = self.newest[run_id]
        if other is process and newest == epoch:
            return
        awake = self.kernel.now - max(since, process.awake_since)
        if awake > self.LIMIT:
            raise Violation(
                f"{process} trains run {run_id} (epoch {epoch}) {awake:.0f} s after {other} took "
                f"it over (epoch {newest})"
            )


def make_trainer(kernel: Kernel, holders: Holders, step_seconds: float) -> Any:
    """What takes the place of :func:`scaling.train`."""

    def train(spec: RunSpec, run_dir: Path, **options: Any) -> Outcome:
        finished = end(read_journal(run_dir))
        if finished and finished["status"] in ("done", "diverged"):
            return Outcome(finished["status"], finished)
        record = None
        try:
            trunk = options["trunk_dir"]
            record = Record(spec, run_dir, trunk, options["epoch"], options["held"])
            return _train(spec, run_dir, record, options)
        except SupersededError:
            return Outcome("stopped", {})
        except Exception as error:
            if record is not None and not isinstance(error, Violation):
                record.fail(error)
            raise
        finally:
            if record is not None:
                record.close()

    def _train(spec: RunSpec, run_dir: Path, record: Record, options: dict[str, Any]) -> Outcome:
        me = kernel.op()
        course, epoch, trunk = Course.of(spec), options["epoch"], options["trunk_dir"]
        run_id, units = course.run_id, course.units
        holders.begin(run_id, epoch, me)
        state = _restore(course, run_dir, trunk)
        first = step = state["step"]
        chain, curve = state["chain"], state["curve"]
        began = time.time()
        record.journal.append(
            "start", attempt=record.attempt, step=step * units, time=began, host="", device="cpu"
        )
        for point in curve:
            record.journal.append("point", **point)
        saved, beaten = time.monotonic(), -1e9
        while step < course.steps:
            if trunk is not None and step == course.branch > first:
                record.journal.check()
                write(trunk / f"{step:012d}.pt", {"step": step, "chain": chain, "curve": curve})
            time.sleep(step_seconds)
            holders.step(run_id, epoch, me)
            chain = course.chained(chain, step)
            step += 1
            now = time.monotonic()
            point = {"step": step * units, "loss": loss_of(chain), "seconds": round(now, 3)}
            curve.append(point)
            record.journal.append("point", **point)
            if now - beaten > HEARTBEAT_SECONDS:
                beaten = now
                record.state("running", step=step * units, loss=point["loss"], seconds=now)
            stop, lost = options["should_stop"](), not record.journal.held()
            if lost:
                return Outcome("stopped", {})
            if step < course.steps and (stop or now - saved > options["checkpoint_seconds"]):
                record.journal.check()
                kept = {"run_id": run_id, "step": step, "chain": chain, "curve": curve}
                checkpoint.save_latest(run_dir, kept, record.journal.epoch, write=write)
                saved = time.monotonic()
                if stop:
                    record.state("stopped", step=step * units, loss=point["loss"])
                    return Outcome("stopped", {})
        values = {
            "status": "done",
            "loss": loss_of(chain),
            "tokens": spec.num_tokens,
            "seconds": 1.0,
            "flops_spent": spec.flops,
            "time": time.time(),
        }
        record.journal.append("end", **values)
        record.state("done", step=spec.num_tokens, loss=values["loss"])
        record.tidy_up()
        return Outcome("done", values)

    return train


def _restore(course: Course, run_dir: Path, trunk: Path | None) -> dict[str, Any]:
    found = checkpoint.load_latest(run_dir, first_epoch(run_dir), read=read)
    if found is not None:
        assert found[1]["run_id"] == course.run_id
        return found[1]
    for path in sorted(trunk.glob("[0-9]*.pt"), reverse=True) if trunk else ():
        if int(path.stem) <= course.branch:
            try:
                return read(path)
            except (CheckpointError, OSError):
                path.unlink(missing_ok=True)
    return {"step": 0, "chain": "", "curve": []}
