"""Runs of every kind that ends, with odd values and names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.run.journal import Journal
from scaling.spec import RunSpec
from sweeps.sweep import Sweep


def ended_runs(
    options: Mapping[str, Any], folder: Path, runs: int
) -> list[tuple[Path, dict[str, Any]]]:
    """Their folders, with journals, and lines of a sweep; six runs or more."""
    specs = [RunSpec.resolve(**{**options, "seed": n}) for n in range(runs)]
    found = []
    for number, text in enumerate(Sweep.of("s", specs).to_jsonl().splitlines()):
        _write(folder / str(number), number)
        found.append((folder / str(number), json.loads(text)))
    found[3][1]["flops_asked"] = 1e15
    found[4][1]["name"] = 'é\' "quoted"\n' + "long " * 40
    return found


def _write(run_dir: Path, number: int) -> None:
    born = 1000.0 + number / 7
    journal = Journal(run_dir)
    journal.append(event="start", attempt=1, time=born, host="h", device="cpu")
    for step in range(1, 700 if number == 5 else 12):
        loss = (math.inf, math.nan)[step % 2] if number % 4 == 1 and step > 8 else 6 - step / 9
        extra = {"program/acc@5": step / 3, "eval/other/loss": -0.0} if number % 3 else {}
        # Equal steps and times again and again: which is the latest is MLflow's to say.
        at = {"step": 128 * (step if step < 11 else 10), "seconds": min(step, 10) / 3}
        journal.append(event="point", loss=loss, train_loss=5.0, lr=1e-3, **at, **extra)
    if number % 3 == 2:
        journal.append(event="eval", step=64, time=born + 9, **{"eval/other/loss": 1.5})
    status = {1: "diverged", 6: "failed"}.get(number % 8, "done")
    reason = {} if status == "done" else {"reason": f"loss inf {number}"}
    values = {"loss": None if status == "diverged" else 3.0, "tokens": 1408, "seconds": 4.5}
    journal.append(event="end", status=status, time=born + 50, **values, **reason)
    journal.close()
