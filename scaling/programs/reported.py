"""What a run's program has reported so far, and its points in the journal."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.program_spec import ProgramSpec
from scaling.programs.readers import Places, Reading, Report, Reports
from scaling.programs.setting import Setting
from scaling.run import PROGRAM_METRIC, Record, points, read_journal

OURS = ("train_loss", "lr", "error")  # columns of the curve table that are a program's too


class Reported:
    """Reads the reports of a run; those of one step are one point of its journal.

    A source is read from its beginning in each attempt: what an attempt before left there unread
    counts, and the journal leaves out what it has.

    Attributes
    ----------
    known : int
        Tokens (examples) that were reported before this attempt.
    step : int
        Those that the last report says; 0 before the first.
    loss : float or None
        The last that was reported.
    count : int
        Reports of this attempt.
    """

    def __init__(self, spec: ProgramSpec, record: Record) -> None:
        self.spec, self.record = spec, record
        curve = points(read_journal(record.run_dir))
        losses = [point["loss"] for point in curve if point.get("loss") is not None]
        self.step = int(curve[-1]["step"]) if curve else 0
        self.loss: float | None = losses[-1] if losses else None
        self.known, self.count = self.step, 0
        self.metrics: dict[str, float] = {}
        self._first: int | None = None
        self._has_step = bool(curve)
        self._point: dict[str, Any] = {}
        self._reading: Reading | None = None
        self._said = False
        self._began = time.monotonic()

    def open(self, setting: Setting, log: Path, values: Mapping[str, Any]) -> None:
        """Open the source, and read what attempts before left in it.

        Raises
        ------
        ValueError
            If it cannot be opened.
        """
        self._log = log
        places = Places(setting.folder, log, setting.report_file, values)
        reports = Reports.parse(self.spec.program.reports)
        self._reading = Reading(reports, places, self.spec.tokens_per_step)
        for report in self._reading.new():
            self._take(report)
        self.flush()
        self.known = max(self.known, self.step)

    def environment(self) -> dict[str, str]:
        """What the source tells the program."""
        assert self._reading is not None
        return self._reading.source.environment()

    def hear(self, *, last: bool) -> float | None:
        """Take what was reported since; the loss that is not finite, if there is one."""
        assert self._reading is not None
        for report in self._reading.new(last=last):
            self.count += 1
            if report.step is not None and self._first is None:
                self._first = min(report.step, self.known)
            self._take(report)
            if report.loss is not None and not math.isfinite(report.loss):
                return report.loss
        if self.problem and not self._said:
            self._said = True
            with self._log.open("a", encoding="utf-8") as log:
                print(f"scaling: {self.problem}", file=log)
        return None

    def _take(self, report: Report) -> None:
        named = {k if k in OURS else f"{PROGRAM_METRIC}{k}": v for k, v in report.metrics.items()}
        self.metrics |= named
        if report.loss is not None:
            self.loss = report.loss
        if report.step is None:
            return
        if self._point and self._point["step"] != report.step:
            self.flush()
        self._has_step, self.step = True, report.step
        seconds = round(self.record.spent_seconds + time.monotonic() - self._began, 3)
        loss = {} if report.loss is None else {"loss": report.loss}
        self._point |= {"step": report.step, **loss, **named, "seconds": seconds}

    def flush(self) -> None:
        """Write the point of the last step."""
        if self._point:
            self.record.journal.append("point", **self._point)
            self._point = {}

    @property
    def problem(self) -> str:
        """What could not be read, in one line."""
        return self._reading.problem if self._reading else ""

    @property
    def has_ended(self) -> bool:
        """Whether the last token was reported."""
        return self._has_step and self.step >= self.spec.num_tokens

    @property
    def computed(self) -> int:
        """Tokens computed in this attempt, and after the last heartbeat of the attempt before.

        From where this one began again, which its first report tells: it may have gone on from
        before the last report of the other.
        """
        unstated = max(0, self.known - self.record.stated_step)
        return unstated + (0 if self._first is None else max(0, self.step - self._first))

    def final(self, status: str) -> dict[str, Any]:
        """The values of the ``end`` event."""
        if status == "failed":
            return {}
        loss = self.loss if status == "done" else None
        tokens = self.step if self._has_step else self.spec.num_tokens
        return {"loss": loss, **self.metrics, "tokens": tokens}
