"""What a sweep of near-empty runs costs on the test cluster: time a run, files, controller load.

    python -m tests.slurm.cluster up && eval "$(python -m tests.slurm.cluster env)"
    python -m benchmarks.slurm_overhead [--runs 1000] [--workers 4]

Each run trains 4 steps of a model of 1,500 parameters, so what is measured is everything else:
submission, start of workers, leases, journals, checkpoints, the queue.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

from cluster.launch.place import Order
from cluster.launch.slurm import Slurm
from cluster.launch.submit import _write_sweep
from cluster.status.sweep import sweep_status
from cluster.work.tasks import make_tasks
from scaling.base import Store
from scaling.run.journal import end, read_journal
from scaling.spec import RunSpec
from sweeps.resources import ResourceRules
from sweeps.sweep import Sweep


def small_sweep(runs: int) -> Sweep:
    options = {"depth": 1, "width": 8, "context": 32, "batch_size": 4, "schedule": "cosine"}
    fixed = {**options, "num_tokens": 4 * 128, "curve_tokens": 512, "final_tokens": 512, "lr": 0.01}
    return Sweep.of("overhead", [RunSpec.resolve(seed=seed, **fixed) for seed in range(runs)])


class ControllerLoad(threading.Thread):
    """The share of a processor that slurmctld and slurmdbd take, second by second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.total, self.over = 0.0, 0.0, threading.Event()

    def run(self) -> None:
        began, before = time.monotonic(), _controller_seconds()
        first = before
        while not self.over.wait(1.0):
            now, spent = time.monotonic(), _controller_seconds()
            self.peak = max(self.peak, (spent - before) / (now - began))
            began, before = now, spent
        self.total = before - first


def _controller_seconds() -> float:
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, fields = path.read_text().rpartition(")")
        except OSError:
            continue
        if head.endswith(("(slurmctld", "(slurmdbd")):
            ticks += sum(int(value) for value in fields.split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="a job for each run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, sweep = Store.at(folder), small_sweep(args.runs)
        tasks = make_tasks((entry.run_id, entry.spec) for entry in sweep)
        _write_sweep(store, sweep)
        resources = {"minutes": 60, "memory": "1GB", "alone": args.alone}
        load = ControllerLoad()
        load.start()
        began = time.monotonic()
        rules = ResourceRules.parse(resources)
        ends = {entry.run_id: 0 for entry in sweep}
        order = Order(store, sweep, tasks, ends, "", args.workers, rules, rules.of(0))
        place = Slurm.plan(order)
        queues = place.send_all()
        sent = time.monotonic() - began
        while sweep_status("overhead", folder).counts.get("done", 0) < len(sweep):
            time.sleep(2.0)
        wall = time.monotonic() - began
        place.see_through(queues)
        load.over.set()
        load.join()
        ends = [end(read_journal(store.run_dir(entry.run_id))) or {} for entry in sweep]
        training = sum(float(last["seconds"]) for last in ends)
        files = [path for path in store.root.rglob("*") if path.is_file()]
        logs = sum("logs" in path.parts for path in files)
        code = sum("code" in path.parts for path in files)
        print(
            f"{args.runs} runs, {args.workers} workers: sent in {sent:.1f} s, done in {wall:.0f} s"
        )
        print(
            f"per run: {1000 * wall * args.workers / args.runs:.0f} ms of a worker, "
            f"{1000 * training / args.runs:.0f} ms of them training"
        )
        print(f"files: {len(files)}, {logs} of jobs, {code} of code")
        print(
            f"slurmctld + slurmdbd: peak {load.peak:.0%} of a processor, {load.total:.1f} s in all"
        )


if __name__ == "__main__":
    main()
