"""Seconds of one global Chinchilla fit and of 4,000 bootstrap draws, beside others' ways.

Run: ``OMP_NUM_THREADS=1 python benchmarks/fit_speed.py [--chinchilla PYTHON]
[--simple-scaling-laws PYTHON]`` (about a minute on an idle machine). The published procedure
(Hoffmann et al. 2022; Besiroglu et al. 2024) is L-BFGS from 4,500 starts; some are run here and
the time is scaled. The PyPI packages ``chinchilla`` and ``simple-scaling-laws`` (Python 3.12)
pin other versions than we do: install each in an environment of its own and name its
interpreter. The best of several times, wall and processor, and, to compare machines, the speed
of a matrix product in the same process: on a busy machine only processor time and ratios say
something.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp

from analysis import Estimand, fit

HERE = Path(__file__).parent
TABLE = Path(__file__).parents[1] / "tests" / "published" / "data" / "chinchilla.csv"
GRID = list(
    product(
        np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5), np.arange(-1, 1.5, 0.5),
        np.arange(0, 30, 5), np.arange(0, 30, 5),
    )
)  # fmt: skip


def clock(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Least wall and processor seconds of ``work`` in ``times`` runs, after one to warm up."""
    work()
    spent = []
    for _ in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        spent.append((time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = np.min(spent, axis=0)
    return float(wall), float(processor)


def published(runs: pd.DataFrame, starts: int = 20) -> tuple[float, float]:
    """Seconds that all 4,500 starts would take, and the best objective of those run."""
    n, d, y = (np.log(runs[c].to_numpy()) for c in ("num_params", "num_tokens", "loss"))

    def objective(x: np.ndarray) -> float:
        alpha, beta, e, a, b = x
        terms = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
        r = np.abs(logsumexp(terms, axis=0) - y)
        return float(np.where(r <= 1e-3, 0.5 * r * r, 1e-3 * (r - 0.5e-3)).sum())

    chosen = np.random.default_rng(0).choice(len(GRID), starts, replace=False)
    begin, best = time.process_time(), np.inf
    for i in chosen:
        best = min(best, minimize(objective, np.array(GRID[i]), method="L-BFGS-B").fun)
    return (time.process_time() - begin) * len(GRID) / starts, best


def main(arguments: argparse.Namespace) -> None:
    runs = pd.read_csv(TABLE)
    runs = runs[~runs["excluded"]].reset_index(drop=True)
    square = np.random.default_rng(0).random((800, 800))
    _, processor = clock(lambda: square @ square, 20)
    print(f"{'matrix product of 800 x 800':45s} {2 * 0.8**3 / processor:10.1f} GFLOP/s")
    rows = {
        "one global fit": (lambda: fit("chinchilla", runs, starts=0), 50),
        "one global fit with its certificate": (lambda: fit("chinchilla", runs), 20),
        "4,000 bootstrap draws, each global": (
            lambda: fit("chinchilla", runs, bootstrap=4000, starts=0),
            3,
        ),
        "one global fit, least absolute deviation": (
            lambda: fit("chinchilla", runs, Estimand("lad"), starts=0),
            20,
        ),
    }
    spent = {}
    for name, (work, times) in rows.items():
        wall, spent[name] = clock(work, times)
        print(f"{name:45s} {wall * 1e3:10.1f} ms wall {spent[name] * 1e3:10.1f} ms processor")
    one = spent["one global fit"]
    many = spent["4,000 bootstrap draws, each global"]
    seconds, best = published(runs)
    ours = fit("chinchilla", runs, starts=0).objective
    print(f"{'published: L-BFGS from 4,500 starts (scaled)':45s} {against(seconds, one)}")
    print(f"{'the same for 4,000 draws':45s} {against(seconds * 4000, many)}")
    print(f"objective: ours {ours:.13f}, best of 20 published starts {best:.13f}")
    if arguments.chinchilla:
        found = peer(arguments.chinchilla, "peer_chinchilla.py")
        name = f"chinchilla (PyPI), BFGS from {found['starts']} starts"
        print(f"{name:45s} {against(found['seconds'], one)}")
    else:
        print("chinchilla (PyPI): not measured, no --chinchilla")
    if arguments.simple_scaling_laws:
        found = peer(arguments.simple_scaling_laws, "peer_simple_scaling_laws.py", "400")
        name = "simple-scaling-laws (PyPI), least squares"
        print(f"{name:45s} {against(found['seconds'], one)}")
        draws = (found["seconds_draws"] - found["seconds"]) * 10
        print(f"{'its 4,000 draws, warm-started (400, scaled)':45s} {against(draws, many)}")
    else:
        print("simple-scaling-laws (PyPI): not measured, no --simple-scaling-laws")


def against(seconds: float, ours: float) -> str:
    """Processor seconds of another way, and how many times ours that is."""
    return f"{seconds:10.2f} s processor, {seconds / ours:,.0f} times ours"


def peer(python: str, script: str, *extra: str) -> dict[str, float]:
    """What the script of a peer prints under its own interpreter."""
    command = [python, str(HERE / script), str(TABLE), *extra]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--chinchilla", metavar="PYTHON")
    parser.add_argument("--simple-scaling-laws", metavar="PYTHON")
    main(parser.parse_args())
