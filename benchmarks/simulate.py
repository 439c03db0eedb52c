"""Sweeps in a simulated world: schedules of faults by the thousand, and what struck.

``python benchmarks/simulate.py 10000`` runs the schedules of the seeds 0 ... 9999, on all
processors. A seed that breaks something is printed with its smallest schedule;
``--from SEED`` begins elsewhere, ``--log`` shows what happened in the one schedule of that seed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.simulator.simulation import Schedule, shrink, simulate

CHUNK = 50


def some(seeds: range) -> tuple[Counter[str], list[int], float]:
    """What struck in some schedules, which of them broke something, and how long they were."""
    struck: Counter[str] = Counter()
    bad, hours = [], 0.0
    for seed in seeds:
        result = simulate(seed)
        struck.update(result.struck)
        hours += result.hours
        if result.violations:
            bad.append(seed)
    return struck, bad, hours


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schedules", type=int, nargs="?", default=10_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--log", action="store_true")
    args = parser.parse_args()
    if args.log:
        result = simulate(args.first)
        print(Schedule.of(args.first), *result.log, *result.violations, sep="\n")
        return bool(result.violations)
    last = args.first + args.schedules
    parts = [range(i, min(i + CHUNK, last)) for i in range(args.first, last, CHUNK)]
    began, struck, bad, hours = time.monotonic(), Counter[str](), list[int](), 0.0
    with ProcessPoolExecutor() as pool:
        for one, broken, simulated in pool.map(some, parts):
            struck.update(one)
            bad += broken
            hours += simulated
    seconds = time.monotonic() - began
    print(
        f"{args.schedules} schedules, {sum(struck.values())} faults, {hours:.0f} simulated hours, "
        f"{seconds:.0f} s on {os.cpu_count()} processors"
    )
    for kind, count in struck.most_common():
        print(f"{count:8d} {kind}")
    for seed in bad[:10]:
        small = shrink(Schedule.of(seed))
        print(f"\nseed {seed} breaks something:", *simulate(small).violations, small, sep="\n")
    print(f"{len(bad)} broke something")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
