"""Seconds of one global Chinchilla fit and of 4,000 bootstrap draws, beside the published way.

Run: ``OMP_NUM_THREADS=1 python benchmarks/fit_speed.py`` (about a minute on an idle machine).
The published procedure (Hoffmann et al. 2022; Besiroglu et al. 2024) is L-BFGS from 4,500
starts; some are run here and the time is scaled. The PyPI package ``chinchilla`` is measured
if it is installed. Medians of wall time, with the processor time beside them: on a busy machine
only the latter says something.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp

from analysis import fit

TABLE = Path(__file__).parents[1] / "tests" / "published" / "data" / "chinchilla.csv"
GRID = list(
    product(
        np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5), np.arange(-1, 1.5, 0.5),
        np.arange(0, 30, 5), np.arange(0, 30, 5),
    )
)  # fmt: skip


def clock(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Median wall and processor seconds of ``work``, after one run to warm up."""
    work()
    spent = []
    for _ in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        spent.append((time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = np.median(spent, axis=0)
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


def main() -> None:
    runs = pd.read_csv(TABLE)
    runs = runs[~runs["excluded"]].reset_index(drop=True)
    rows = {
        "one global fit": (lambda: fit("chinchilla", runs, starts=0), 50),
        "one global fit with its certificate": (lambda: fit("chinchilla", runs), 20),
        "4,000 bootstrap draws, each global": (
            lambda: fit("chinchilla", runs, bootstrap=4000, starts=0),
            3,
        ),
        "one global fit, least absolute deviation": (
            lambda: fit("chinchilla", runs, loss_fn="lad", starts=0),
            20,
        ),
    }
    for name, (work, times) in rows.items():
        wall, processor = clock(work, times)
        print(f"{name:45s} {wall * 1e3:10.1f} ms wall {processor * 1e3:10.1f} ms processor")
    seconds, best = published(runs)
    ours = fit("chinchilla", runs, starts=0).objective
    print(f"{'published: L-BFGS from 4,500 starts (scaled)':45s} {seconds:10.1f} s processor")
    print(f"{'the same for 4,000 draws':45s} {seconds * 4000 / 3600:10.1f} h processor")
    print(f"objective: ours {ours:.13f}, best of 20 published starts {best:.13f}")
    if importlib.util.find_spec("chinchilla") is None:
        print("PyPI's chinchilla is not installed: not measured")
    else:
        wall, processor = clock(lambda: peer(runs), 1)
        print(f"{'chinchilla (PyPI), its default grid':45s} {wall:10.2f} s wall")


def peer(runs: pd.DataFrame) -> object:
    """A fit by PyPI's ``chinchilla`` over a grid of 3^5 starts."""
    import tempfile

    from chinchilla import Chinchilla

    with tempfile.TemporaryDirectory() as folder:
        table = runs.rename(columns={"num_params": "N", "num_tokens": "D"})
        table["C"] = 6 * table["N"] * table["D"]
        table[["C", "N", "D", "loss"]].to_csv(Path(folder) / "df.csv", index=False)
        cc = Chinchilla(
            folder,
            param_grid={
                "E": np.linspace(1.5, 2.0, 3), "A": np.geomspace(100, 1000, 3),
                "B": np.geomspace(500, 5000, 3), "alpha": np.linspace(0.2, 0.5, 3),
                "beta": np.linspace(0.2, 0.5, 3),
            },
        )  # fmt: skip
        cc.fit(parallel=False)
        return cc


if __name__ == "__main__":
    main()
