"""What tracking costs a sweep: the shipper's processor time against the training's.

    python benchmarks/tracking.py [--runs 8] [--tokens 262144]

It trains the same sweep twice with two local workers, without and with a shipper beside them,
each in a fresh root, and prints for both the seconds that the runs trained (their own journals)
and the processor time of workers and shipper. The first is what a user waits for; the second is
the most that tracking could cost where every core is busy. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from cluster import submit
from cluster.tracking.shipper import ship_sweep
from scaling.base import Store
from scaling.run.journal import end, read_journal
from scaling.spec import RunSpec
from sweeps.sweep import Sweep


def cpu_of(process: subprocess.Popen[bytes]) -> float:
    """Processor seconds of a process that still runs."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def trained(store: Store, sweep: Sweep) -> float:
    """Seconds that the runs trained."""
    ends = [end(read_journal(store.run_dir(entry.run_id))) for entry in sweep]
    return sum(float(last["seconds"]) for last in ends if last)


def measure(sweep: Sweep, *, tracked: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.at(folder)
        submission = submit(sweep, root=folder, tracking_uri=f"sqlite:///{folder}/mlflow.db")
        shipper = submission.shipper
        assert shipper is not None
        if not tracked:
            shipper.terminate()
            shipper.wait()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began, spent = time.monotonic(), 0.0
        while not all(job.done() for job in submission.jobs):
            if tracked and shipper.poll() is None:
                spent = cpu_of(shipper)
            time.sleep(0.5)
        wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        workers = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if tracked:
            shipper.terminate()
            shipper.wait()
        began = time.monotonic()
        shipped = ship_sweep(sweep.name, root=folder)
        rest = time.monotonic() - began
        name = "with shipper" if tracked else "without"
        print(
            f"{name:12s}  wall {wall:6.1f} s  trained {trained(store, sweep):7.1f} s  "
            f"workers {workers:6.1f} CPU s  shipper {spent:5.2f} CPU s ({spent / workers:.2%})  "
            f"delivery of {shipped.complete} runs afterwards {rest:.2f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=1 << 18)
    args = parser.parse_args()
    specs = [
        RunSpec.resolve(
            depth=3,
            width=64,
            context=128,
            lr=0.003,
            num_tokens=args.tokens,
            curve_tokens=4096,
            final_tokens=65536,
            seed=seed,
        )
        for seed in range(args.runs)
    ]
    sweep = Sweep.of("tracking-benchmark", specs)
    for tracked in (False, True):
        measure(sweep, tracked=tracked)


if __name__ == "__main__":
    main()
