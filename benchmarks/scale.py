"""How the steps of a launcher grow with the number of runs: from 1,000 to 10,000.

Run: ``OMP_NUM_THREADS=1 python benchmarks/scale.py [RUNS ...]``. Each step is timed in processor
seconds of one process, as others may use the machine; a tracking store is made before. Of a
submission all is done but to start the workers. The runs are then given folders as real ones leave
them, a fifth of them failed. The last step has nothing of ours: it is what the file system makes of
more files. ``TMPDIR=/dev/shm`` leaves the disk out.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.launch import archive, local, submit
from cluster.launch.place import Started
from cluster.status import sweep_status, usage
from cluster.work.submission import read_queues
from cluster.work.worker import run_queue
from scaling.base import Store
from scaling.run.journal import JOURNAL, SPEC, STATE
from scaling.tracking.ready import connect
from sweeps.load import load_sweep
from sweeps.resources import Resources

SEEDS = 5
FILE = """\
name: big
fixed: {{family: mlp, data: "teacher:examples=64,heldout=32", depth: 1, num_examples: 640,
         batch_size: 32}}
grid: {{product: {{width: [4, 8], lr: [{rates}]}}}}
seeds: [0, 1, 2, 3, 4]
"""
STEPS = (
    *("read the sweep file", "submit", "status, none begun", "status, four fifths done"),
    *("a worker finds nothing to do", "usage", "retry of the failed", "archive"),
    *("status from the archive", "as many files made and removed, no code of ours"),
)


def queued(self: local.Local) -> Started:
    """A submission without its workers."""
    queue = self.order.new_queue()
    queue.write()
    return Started((), (queue,))


def leave(folder: Path, spec: dict[str, Any], failed: bool) -> None:
    """The folder of a run that has ended, its curve of 20 points."""
    folder.mkdir(parents=True, exist_ok=True)
    points = [
        {
            "event": "point",
            "step": 32 * i,
            "loss": 2.0,
            "train_loss": 2.0,
            "lr": 0.1,
            "seconds": 0.1,
        }
        for i in range(20)
    ]
    word = "failed" if failed else "done"
    end = {"event": "end", "status": word, "loss": 2.0, "tokens": 640, "seconds": 1.0, "time": 2.0}
    if failed:
        end["reason"] = "ValueError: no"
    events = [{"event": "start", "attempt": 1, "time": 1.0}, *points, end]
    (folder / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / SPEC).write_text(json.dumps(spec))
    state = {"state": word, "step": 640, "spent_tokens": 640, "seconds": 1.0, "gpus": 0}
    (folder / STATE).write_text(json.dumps({**state, "loss": 2.0, "host": "n", "time": 2.0}))


def files_alone(folder: Path, runs: int) -> None:
    """Make and remove a folder of three files for each run."""
    for i in range(runs):
        (folder / str(i)).mkdir(parents=True)
        for name in (JOURNAL, SPEC, STATE):
            (folder / str(i) / name).write_bytes(bytes(2000))
    for i in range(runs):
        for name in (JOURNAL, SPEC, STATE):
            (folder / str(i) / name).unlink()
        (folder / str(i)).rmdir()


def measure(runs: int) -> list[float]:
    """Processor seconds of each step."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        os.environ["SCALING_HOME"] = str(root)
        connect(f"sqlite:///{root / 'mlflow.db'}")
        rates = ", ".join(f"{1e-4 * (i + 1):.4f}" for i in range(runs // (2 * SEEDS)))
        (root / "big.yaml").write_text(FILE.format(rates=rates))
        times: list[float] = []

        def timed(step: Callable[[], Any]) -> Any:
            began = time.process_time()
            with contextlib.redirect_stderr(None):
                found = step()
            times.append(time.process_time() - began)
            return found

        store = Store.at(root)
        sweep = timed(lambda: load_sweep(root / "big.yaml"))
        timed(lambda: submit(sweep))
        timed(lambda: sweep_status("big"))
        for i, entry in enumerate(sweep):
            leave(store.run_dir(entry.run_id), entry.spec.to_dict(), failed=i % 5 == 0)
        timed(lambda: sweep_status("big"))
        (queue,) = read_queues(store.sweep_dir("big"))
        timed(lambda: run_queue(store, "big", queue, Resources(), lambda: False))
        timed(lambda: usage(store, "big"))
        timed(lambda: submit(sweep, rerun="failed", dry_run=True))
        timed(lambda: archive(store, "big"))
        timed(lambda: sweep_status("big"))
        timed(lambda: files_alone(root / "alone", runs))
        shutil.rmtree(root / "runs", ignore_errors=True)
    return times


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or [1000, 10_000]
    local.Local.start = queued  # type: ignore[method-assign]
    measure(100)  # imports
    found = [measure(count) for count in counts]
    for i, step in enumerate(STEPS):
        row = " | ".join(f"{times[i]:.2f} s" for times in found)
        growth = found[-1][i] / max(found[0][i], 1e-3) / (counts[-1] / counts[0])
        print(f"| {step} | {row} | {growth:.2f} |")


if __name__ == "__main__":
    main()
