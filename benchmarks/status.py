"""How long ``scaling status --json`` takes on a sweep of 10,000 runs in all states.

Run: ``OMP_NUM_THREADS=1 python benchmarks/status.py [RUNS]``. The store is made in a temporary
folder with 1,000 tasks of a job array; ``squeue`` and ``sacct`` are scripts that print what
SLURM would. Times are medians of five: in this process, and of the whole command.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cluster.status.sweep import sweep_status
from cluster.work.submission import Queue
from scaling.base import Store
from scaling.run.journal import JOURNAL, STATE

JOBS = 1000
MIX = {"done": 60, "failed": 8, "diverged": 2, "running": 5, "killed": 2}  # percent; rest queued
SPEC = {f"part{i}": dict.fromkeys(("width", "depth", "lr", "heads", "seed"), 1) for i in range(8)}


def make_store(root: Path, runs: int) -> None:
    """A sweep of ``runs`` runs, their folders, and the commands that stand for SLURM's."""
    store, rows, queued = Store.at(root), [], []
    states = [state for state, share in MIX.items() for _ in range(share)]
    for i in range(runs):
        run_id, job = f"{i:016x}", f"7_{i % JOBS}"
        row = {"run_id": run_id, "name": f"N={i} D=1B", "num_tokens": 1000, "flops": 1e12}
        rows.append(json.dumps({**row, "spec": SPEC}))
        queued.append((run_id,))
        if i % 100 < len(states):
            make_run(store.run_dir(run_id), states[i % 100], job)
    folder = store.sweep_dir("big")
    folder.mkdir(parents=True)
    (folder / "sweep.jsonl").write_text("\n".join(rows))
    Queue(folder / "submissions" / "20260101-000000-x.json", tuple(queued), {}, (), ("7",)).write()
    tasks = range(JOBS)
    words = {i: "OUT_OF_MEMORY" if i % 100 in (75, 76) else "RUNNING" for i in tasks}
    queue = [f"7|{i}|{words[i]}|n{i}|1:00:00|gres:gpu:1|None" for i in tasks]
    past = [f"7_{i}|{words[i]}|3600|1440|gres/gpu=1|n{i}|0:0" for i in tasks]
    for name, lines in {"squeue": queue, "sacct": past}.items():
        (root / f"{name}.txt").write_text("\n".join(lines))
        (root / name).write_text(f"#!/bin/sh\ncat {root}/{name}.txt\n")
        (root / name).chmod(0o755)


def make_run(folder: Path, state: str, job: str) -> None:
    """The folder of a run whose curve has 40 points."""
    folder.mkdir(parents=True)
    point = {"event": "point", "loss": 3.0, "train_loss": 3.0, "lr": 0.01, "seconds": 1.0}
    events = [{"event": "start", "time": 1.0}, *({**point, "step": i} for i in range(40))]
    if state in ("done", "failed", "diverged"):
        events.append({"event": "end", "status": state, "reason": "ValueError: no"})
    (folder / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    word = "running" if state == "killed" else state
    record = {"state": word, "step": 500, "loss": 3.0, "pid": 1, "host": "n1", "job": job}
    (folder / STATE).write_text(json.dumps({**record, "time": time.time(), "seconds": 60.0}))


def median_seconds(action: Callable[[], object]) -> float:
    """The median time of five calls."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        make_store(root, runs)
        os.environ["PATH"] = f"{root}:{os.environ['PATH']}"
        command = [sys.executable, "-m", "scaling", "status", "big", "--root", folder, "--json"]
        print(sweep_status("big", root).counts)
        inside = median_seconds(lambda: sweep_status("big", root))
        whole = median_seconds(lambda: subprocess.run(command, check=True, capture_output=True))
        print(f"{runs} runs, {JOBS} array tasks: {inside:.2f} s, whole command {whole:.2f} s")


if __name__ == "__main__":
    main()
