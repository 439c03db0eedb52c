"""Small runs on a CPU: batches in the step or by a thread, threads or workers, starts.

    python benchmarks/small_runs.py batches|workers|starts [--rounds 7]

``batches``: steps of an MLP whose batches are made in the step, and by a thread, in turn
(processor time, one thread). ``workers``: two runs side by side, each with one thread, and one
after another, each with two threads, in turn: their time by the clock, which says little without
two idle cores, and their work, which is processor time where threads that wait sleep. The ratio
of the work is about the least that the clock could show on idle cores, where two threads do it in
no less than half the time. ``starts``: of a worker's process, the wall and processor time to its
first run's first step, and to a later run's first step from the end of the run before it; what
was loaded by then; and what short commands take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

HEAVY = ("torch._dynamo", "sympy", "mlflow", "pandas", "scipy", "matplotlib", "transformers")
COMMANDS = (("--help",), ("status", "none-of-that-name"))
STEPS = {"mlp": 1500, "transformer": 150}


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


def spawn(
    *arguments: str, threads: int = 1, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """This file in a process of its own, which waits for a line before it begins."""
    environment = {**(environment or os.environ), "OMP_NUM_THREADS": str(threads)}
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
        print(one(family, int(line), threads), flush=True)


def workers(rounds: int) -> None:
    """Two workers of one thread against one of two, by runs a second and by processor time."""
    sleeping = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    for family in STEPS:
        pair = [spawn("serve", family, "1") for _ in range(2)]
        wide = spawn("serve", family, "2", threads=2)
        quiet = spawn("serve", family, "2", threads=2, environment=sleeping)
        for process in (*pair, wide, quiet):
            process.stdout.readline()
        by_clock, by_processor = [], []
        for seed in range(rounds):
            clock, spent = [], []
            for chosen in (pair, [wide, wide], [quiet, quiet]):
                began = time.perf_counter()
                for process in chosen:
                    process.stdin.write(f"{seed}\n")
                    process.stdin.flush()
                spent.append(sum(float(process.stdout.readline()) for process in chosen))
                clock.append(time.perf_counter() - began)
            by_clock.append(clock[1] / clock[0])
            by_processor.append(spent[2] / spent[0])
            print(
                f"{family}: by the clock {by_clock[-1]:.2f}, work {by_processor[-1]:.2f}",
                flush=True,
            )
        for process in (*pair, wide, quiet):
            process.stdin.close()
            process.wait()
        print(f"{family}: by the clock {_range(by_clock)}, work {_range(by_processor)}", flush=True)


def started() -> None:
    """A worker's process: runs inline; when each begins, makes its first step, and ends."""
    from cluster.work import Queue, run_queue
    from scaling import train
    from scaling.base import Store
    from sweeps import Resources, Sweep

    root = Path(tempfile.mkdtemp())
    store = Store.at(root)
    sweep = Sweep.of("starts", [spec_of("transformer", seed, 20) for seed in range(4)])
    sweep.write(store.sweep_dir("starts") / "sweep.jsonl")
    queue = Queue.new(store.sweep_dir("starts"), [(entry.run_id,) for entry in sweep], {})
    firsts, ends, loaded = [], [], []

    def timed(spec, run_dir, *, should_stop, **given):
        seen = False

        def stepped() -> bool:
            nonlocal seen
            if not seen:
                seen = True
                firsts.append((time.time(), time.process_time()))
                loaded[:] = loaded or [name for name in HEAVY if name in sys.modules]
            return should_stop()

        outcome = train(spec, run_dir, should_stop=stepped, **given)
        ends.append((time.time(), time.process_time()))
        return outcome

    run_queue(store, "starts", queue, Resources(), lambda: False, train=timed)
    later = [
        [b - a for a, b in zip(end, first, strict=True)]
        for end, first in zip(ends, firsts[1:], strict=False)
    ]
    print(json.dumps({"first": firsts[0], "later": later, "loaded": loaded}))


def starts(rounds: int) -> None:
    """Of a worker's process, and of a run after another, to the first step; of commands."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    firsts, later = [], []
    for i in range(rounds + 1):
        began = time.time()
        told = spawn("started", environment=environment).communicate()[0]
        found = json.loads(told.splitlines()[-1])
        if i:  # the first one writes what Python compiled
            firsts.append((found["first"][0] - began, found["first"][1]))
            later += found["later"]
    for name, times in (("a worker's first step", firsts), ("a later run's first step", later)):
        wall, cpu = zip(*times, strict=True)
        print(f"{name}: processor {_range(cpu)} s, by the clock {_range(wall)} s")
    print(f"loaded by then, of {', '.join(HEAVY)}: {', '.join(found['loaded']) or 'none'}")
    for words in COMMANDS:
        times = [_command(words, environment) for _ in range(rounds)]
        wall, cpu = zip(*times, strict=True)
        print(
            f"scaling {' '.join(words)}: processor {_range(cpu)} s, by the clock {_range(wall)} s"
        )


def _range(values: Sequence[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _command(words: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds that a command takes by the clock and of the processor."""
    began, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "scaling", *words]
    subprocess.run(command, env=environment, check=False, capture_output=True)
    after = os.times()
    spent = sum(after[2:4]) - sum(before[2:4])
    return time.perf_counter() - began, spent


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
