"""One run of a program: started, watched, asked to stop, and its end in the journal."""

from __future__ import annotations

import math
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from scaling.base import WorkerLostError
from scaling.program_spec import ProgramSpec
from scaling.programs.means import Means
from scaling.programs.process import Process
from scaling.programs.ranks import Alone, Ranks
from scaling.programs.reported import Reported
from scaling.programs.setting import Setting
from scaling.run import (
    LOG,
    Outcome,
    Record,
    SupersededError,
    end,
    here,
    log_tail,
    oom_kills,
    read_journal,
)

HEARTBEAT_SECONDS = 2.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.5  # between looks at a program, growing
TAIL_LINES = 100
_ERROR = re.compile(r"\b[A-Za-z_][\w.]*(?:Error|Exception|Interrupt): \S.*")


def run(
    spec: ProgramSpec,
    run_dir: Path,
    *,
    means: Means | None = None,
    should_stop: Callable[[], bool] | None = None,
    epoch: int | None = None,
    held: Callable[[], bool] = lambda: True,
    team: Ranks | None = None,
    heard: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run a program to its end, from wherever its folder says that it got to.

    Parameters
    ----------
    spec : ProgramSpec
        What to run; alone decides the result.
    run_dir : Path
        Holds the journal, the state, the log, and the program's folder.
    means : Means, optional
    should_stop : callable, optional
        Asked about twice a second; when true the program is asked to stop.
    epoch, held
        As for :func:`scaling.training.train`.
    team : Ranks, optional
        The processes that start the program together, each of which makes this call.
    heard : callable, optional
        Called at the first report.

    Returns
    -------
    Outcome
        ``failed`` too: what a program does wrong is no error of ours.

    Raises
    ------
    OSError
        If the folder cannot be written; the run's past is kept.
    WorkerLostError
        If another process of the team died; the run can be resumed.
    """
    team = team or Alone()
    record: Record | None = None
    try:
        finished = team.say(end(read_journal(run_dir)) if team.leads else None)
        if finished and finished["status"] in ("done", "diverged"):
            return Outcome(finished["status"], finished)
        if team.leads:
            record = Record(spec, run_dir, None, epoch, held)
        attempt = _Attempt(spec, run_dir, record, team, means or Means())
        return attempt.run(should_stop or (lambda: False), heard)
    except KeyboardInterrupt:
        team.broken = team.size > 1
        raise
    except SupersededError:
        if team.size == 1:
            return Outcome("stopped", {})
        team.broken = True
        raise
    except BaseException as original:
        error = team.explain(original)
        if record is not None and not isinstance(error, WorkerLostError):
            record.fail(error)
        if error is original:
            raise
        raise error from original
    finally:
        if record is not None:
            record.close()


class _End(NamedTuple):
    """How one process of the program ended."""

    status: int
    words: str  # the last of its log that tell something
    by_us: bool  # whether it was killed here


class _Attempt:
    """One attempt at a run, in one of the processes that start it."""

    def __init__(
        self, spec: ProgramSpec, run_dir: Path, record: Record | None, team: Ranks, means: Means
    ) -> None:
        self.spec, self.run_dir, self.record = spec, run_dir, record
        self.team, self.means = team, means
        self.log = run_dir / (LOG if team.leads else f"log-{team.place.rank}.txt")
        self.log_begin = self.log.stat().st_size if self.log.exists() else 0
        self.reported = Reported(spec, record) if record else None
        self.verdict: dict[str, Any] | None = None  # the end that was decided while it ran
        self.asked = self.killed = self.lost = False
        self.kills = oom_kills()
        self.began = time.monotonic()

    def run(self, should_stop: Callable[[], bool], heard: Callable[[], None]) -> Outcome:
        """Start the program on every rank and see it to its end."""
        setting, refusal = self.team.say(self._prepare() if self.team.leads else None)
        process: Process | None = None
        if not refusal:
            try:
                process = self._start(setting)
            except ValueError as error:
                refusal = str(error)
        try:
            refusals = self._all(refusal)
            if any(refusals):
                return self._failed(next(filter(None, refusals)))
            assert process is not None
            status = self._watch(process, should_stop, heard)
        finally:
            if process is not None:
                process.close()
        ends = self._all(_End(status, self._last_words(), self.killed))
        return self._outcome(ends)

    def _all(self, value: Any) -> list[Any]:
        """What every rank has to say, by rank."""
        return self.team.share(lambda _: value, range(self.team.size))

    def _prepare(self) -> tuple[Setting | None, str]:
        """On the leader: the folders, and what reports there are of attempts before."""
        assert self.record is not None and self.reported is not None
        setting = Setting(
            self.spec, self.run_dir, self.means, self.record.attempt, self.team.rendezvous()
        )
        gpu = {"device": "cuda"} if self.means.gpus else {}
        self.record.journal.append(
            "start",
            attempt=self.record.attempt,
            step=self.reported.step,
            time=time.time(),
            **here(),
            threads=self.means.threads,
            **gpu,
            **({"processes": self.team.size} if self.team.size > 1 else {}),
        )
        try:
            setting.prepare()
            self.reported.open(setting, self.log, setting.values(self.team))
        except ValueError as error:
            return None, str(error)
        self._heartbeat("running")
        return setting, ""

    def _start(self, setting: Setting) -> Process:
        told = self.team.say(self.reported.environment() if self.reported else None)
        environment = setting.environment(self.team, told)
        command = setting.command(self.team)
        return Process(command, environment, setting.working_folder, self.log)

    def _watch(
        self, process: Process, should_stop: Callable[[], bool], heard: Callable[[], None]
    ) -> int:
        """See every process of the program to its end; the exit status of this rank's."""
        pause, beaten, kill_at = SHORTEST_PAUSE, 0.0, math.inf
        signs, last_sign = (0, 0), time.monotonic()
        told = False
        while True:
            status = process.wait(pause)
            pause = min(1.3 * pause, LONGEST_PAUSE)
            now = time.monotonic()
            if self.reported is not None and self.record is not None:
                self.lost = self.lost or not self.record.journal.held()
                first = False
                if not self.lost:
                    self._hear(last=status is not None)
                    first = self.reported.count > 0 and not told
                    # At the first report too: what kills the worker next finds progress.
                    if first or now - beaten > HEARTBEAT_SECONDS:
                        beaten = now
                        self._heartbeat("running")
                if first:
                    told = True
                    heard()
                if (seen := (self.reported.count, _size(self.log))) != signs:
                    signs, last_sign = seen, now
                elif now - last_sign > 60 * self.means.silent_minutes and status is None:
                    self._stalled()
            # A guard that did not hear of this worker for long took it for dead: the run goes on.
            self.asked = self.asked or process.abandoned
            stop, over, failed, going = self.team.agree(
                should_stop(),
                self.lost or self.verdict is not None,
                status not in (None, 0),
                status is None,
            )
            if not going:
                assert status is not None
                return status
            if stop and not self.asked:
                self.asked, kill_at = True, now + self.means.stop_seconds
                if status is None:
                    process.signal(self.means.stop_signal)
            if status is None and not self.killed and (over or failed or now > kill_at):
                self.killed = True
                process.kill()

    def _hear(self, *, last: bool) -> None:
        assert self.reported is not None
        loss = self.reported.hear(last=last)
        if loss is not None and self.verdict is None:
            step = self.reported.step
            self.verdict = {"status": "diverged", "reason": f"reported loss {loss} at step {step}"}

    def _stalled(self) -> None:
        if self.verdict is None:
            minutes = f"{self.means.silent_minutes:g} minutes"
            reason = f"no report and no output for {minutes} (silent_minutes): killed"
            self.verdict = {"status": "failed", "reason": reason, "cause": "stalled"}

    def _outcome(self, ends: list[_End]) -> Outcome:
        """What came of it; the same on every rank."""
        assert self.team.leads == (self.reported is not None)
        value = self.team.say(self._conclude(ends) if self.team.leads else None)
        return Outcome(*value)

    def _conclude(self, ends: list[_End]) -> tuple[str, dict[str, Any]]:
        reported = self.reported
        assert reported is not None
        if self.lost:
            return "stopped", {}
        reported.flush()
        bad = [one for one in ends if one.status != 0]
        if self.verdict is not None:
            return self._end(**self.verdict)
        if self.asked and (bad or not reported.has_ended):
            self._heartbeat("stopped")
            return "stopped", {}
        if not bad and reported.loss is not None:
            return self._end("done", exit_code=0)
        if not bad:
            return self._end("failed", reason="reported no loss", exit_code=0)
        first = next((one for one in bad if not one.by_us), bad[0])
        return self._end("failed", reason=self._why(first), exit_code=first.status)

    def _end(self, status: str, *, reason: str = "", **values: Any) -> tuple[str, dict[str, Any]]:
        assert self.record is not None and self.reported is not None
        problem = self.reported.problem
        if problem and status == "failed":
            reason = f"{reason}; {problem}"
        event = {
            "status": status,
            **self.reported.final(status),
            **({"reason": reason} if reason else {}),
            **values,
            **({"note": problem} if problem and status != "failed" else {}),
            "flops_spent": self._spent() * self.spec.cost.flops_train,
            "seconds": self._seconds(),
            "time": time.time(),
        }
        self.record.journal.append("end", **event)
        self._heartbeat(status)
        return status, event

    def _failed(self, reason: str) -> Outcome:
        """The end of a run whose program could not be started."""
        ended = self._end("failed", reason=reason) if self.team.leads else None
        return Outcome(*self.team.say(ended))

    def _why(self, ended: _End) -> str:
        """Why a process of the program ended badly."""
        if ended.status > 0:
            words = f": {ended.words}" if ended.words else ", and it printed nothing"
            return f"exit code {ended.status}{words}"
        killed = f"killed by {signal.Signals(-ended.status).name}"
        if oom_kills() > self.kills:
            killed += ", and the kernel has killed a process here since: out of memory"
        return f"{killed}: {ended.words}" if ended.words else killed

    def _last_words(self) -> str:
        """The last error in what was printed, else the last line."""
        lines = log_tail(self.log, TAIL_LINES, self.log_begin).splitlines()
        errors = [found[0] for line in lines if (found := _ERROR.search(line))]
        return " ".join((errors or lines or [""])[-1].split())[:300]

    def _seconds(self) -> float:
        before = self.record.spent_seconds if self.record else 0.0
        return round(before + time.monotonic() - self.began, 3)

    def _spent(self) -> int:
        """Tokens computed for this run in all attempts, as far as reports tell."""
        assert self.record is not None and self.reported is not None
        return self.record.spent_tokens + self.reported.computed

    def _heartbeat(self, state: str) -> None:
        assert self.record is not None and self.reported is not None
        loss = self.reported.loss
        self.record.state(
            state,
            step=self.reported.step,
            num_tokens=self.spec.num_tokens,
            loss=loss if loss is not None and math.isfinite(loss) else None,
            gpus=self.means.gpus * self.team.place.nodes,
            started_step=self.reported.known,
            seconds=self._seconds(),
            spent_tokens=self._spent(),
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
