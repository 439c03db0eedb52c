"""Small runs on a CPU: batches in the step or by a thread, threads or workers, starts.

    python benchmarks/small_runs.py batches|workers|starts [--rounds 7]

``batches``: steps of an MLP whose batches are made in the step, and by a thread, in turn (processor
time, one thread). ``workers``: two runs side by side, each with one thread, and one after another,
each with two threads, in turn (wall time: it needs two idle cores). ``starts``: of a worker's
process, the wall and processor time to its first run's first step, and to a later run's first step
from the end of the run before it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

STEPS = {"transformer": 150, "mlp": 1500}


def spec_of(family: str, seed: int = 0, steps: int | None = None):
    """A small run."""
    from scaling.spec import RunSpec

    if family == "mlp":
        options = {"data": "teacher:features=64", "width": 64, "batch_size": 64}
        options |= {"curve_examples": 64, "final_tokens": 64}
    else:
        options = {"data": "python-source", "depth": 2, "width": 64, "context": 64}
        options |= {"batch_size": 8, "curve_tokens": 512, "final_tokens": 512}
    per_step = 64 if family == "mlp" else 512
    tokens = per_step * (steps or STEPS[family])
    return RunSpec.resolve(family=family, **options, num_tokens=tokens, lr=0.01, seed=seed)


def one(family: str, seed: int, threads: int, steps: int | None = None) -> float:
    """Train a run; its processor seconds."""
    from scaling.training import train

    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        train(spec_of(family, seed, steps), Path(folder), threads=threads)
        return time.process_time() - began


def batches(rounds: int) -> None:
    """Batches in the step against batches by a thread."""
    import scaling.training.task as task

    ours, found = task.batch_threads, []
    one("mlp", 0, 1, 50)
    for _ in range(rounds):
        task.batch_threads = lambda device, changed: 1
        thread = one("mlp", 0, 1)
        task.batch_threads = ours
        found.append((thread, one("mlp", 0, 1)))
    ratios = sorted(a / b for a, b in found)
    thread, step = (median(column) / STEPS["mlp"] * 1e6 for column in zip(*found, strict=True))
    print(f"by a thread {thread:.0f} us a step, in the step {step:.0f}: ratio {median(ratios):.2f}")
    print(f"ratios of {rounds} rounds: {ratios[0]:.2f} to {ratios[-1]:.2f}")


def spawn(*arguments: str, threads: int = 1) -> subprocess.Popen[str]:
    """This file in a process of its own, which waits for a line before it begins."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def serve(family: str, threads: int) -> None:
    """Train a run for each line of the input, and say when it is done."""
    one(family, 0, threads, 10)
    print("ready", flush=True)
    for line in sys.stdin:
        one(family, int(line), threads)
        print("done", flush=True)


def workers(rounds: int) -> None:
    """Two workers of one thread against one of two, by runs a second."""
    for family in STEPS:
        pair = [spawn("serve", family, "1") for _ in range(2)]
        wide = spawn("serve", family, "2", threads=2)
        for process in (*pair, wide):
            process.stdout.readline()
        found = []
        for seed in range(rounds):
            times = []
            for chosen in (pair, [wide, wide]):
                began = time.perf_counter()
                for process in chosen:
                    process.stdin.write(f"{seed}\n")
                    process.stdin.flush()
                for process in chosen:
                    process.stdout.readline()
                times.append(time.perf_counter() - began)
            found.append(times[1] / times[0])
        for process in (*pair, wide):
            process.stdin.close()
            process.wait()
        print(f"{family}: {median(found):.2f} ({min(found):.2f} to {max(found):.2f})", flush=True)


def started() -> None:
    """A worker's process: three runs inline; from where to where each start takes."""
    from cluster.work import Queue, run_queue
    from scaling.base import Store
    from scaling.run import read_journal
    from sweeps import Resources, Sweep

    root = Path(tempfile.mkdtemp())
    store = Store.at(root)
    sweep = Sweep.of("starts", [spec_of("transformer", seed, 20) for seed in range(4)])
    sweep.write(store.sweep_dir("starts") / "sweep.jsonl")
    queue = Queue.new(store.sweep_dir("starts"), [(entry.run_id,) for entry in sweep], {})
    run_queue(store, "starts", queue, Resources(), lambda: False)
    events = [read_journal(store.run_dir(entry.run_id)) for entry in sweep]
    begins = [of_run[0]["time"] for of_run in events]
    ends = [of_run[-1]["time"] for of_run in events]
    later = [b - a for a, b in zip(ends, begins[1:], strict=False)]
    print(json.dumps({"first": begins[0], "later": later}))


def starts(rounds: int) -> None:
    """The first run's start, from the process's, and the later ones'."""
    firsts, later = [], []
    for _ in range(rounds):
        began = time.time()
        told = spawn("started").communicate()[0]
        found = json.loads(told.splitlines()[-1])
        firsts.append(found["first"] - began)
        later += found["later"]
    print(f"process to its first run's start: {median(firsts):.2f} s ({min(firsts):.2f} at best)")
    print(f"a later run's start: {median(later):.3f} s ({min(later):.3f} at best)")


def main() -> None:
    """What was asked for."""
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2], int(sys.argv[3]))
    if sys.argv[1:2] == ["started"]:
        return started()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("batches", "workers", "starts"))
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    return {"batches": batches, "workers": workers, "starts": starts}[given.what](given.rounds)


if __name__ == "__main__":
    main()
