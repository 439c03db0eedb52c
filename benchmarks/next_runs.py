"""Variance of ln N* at 100 x the compute after proposed runs, beside that after an iso-FLOP grid.

Run: ``OMP_NUM_THREADS=1 python benchmarks/next_runs.py [TRIALS]`` (a minute for 200). A law is
planted (Besiroglu et al. 2024), a pilot of 16 runs is drawn and fitted; for ten times the
pilot's FLOPs one arm takes what ``scaling next`` proposes from that fit, the other an iso-FLOP
grid of the same cost: four budgets a factor of four apart, seven sizes each, evenly spaced over a
factor of 64 around the pilot's N*. Both are fitted with the pilot, in the same way.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from analysis import LAWS, Estimand, fit
from analysis.compute.next_runs import next_runs
from analysis.laws.optimum import optimal

TRUTH = np.array([1.81686, 482.0, 2085.4, 0.34781, 0.36585])
LAW = LAWS["chinchilla"]
AT = 100.0


def table(n: np.ndarray, d: np.ndarray, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """Runs of these sizes with their noisy losses."""
    loss = LAW.predict(TRUTH, n, d) * np.exp(noise * rng.standard_normal(len(n)))
    return pd.DataFrame({"num_params": n, "num_tokens": d, "loss": loss})


def pilot(noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """Four sizes x four ratios of tokens to parameters."""
    n, ratio = np.meshgrid(np.geomspace(1e7, 1e8, 4), np.geomspace(5, 80, 4))
    return table(n.ravel(), (n * ratio).ravel(), noise, rng)


def isoflop_grid(found: np.ndarray, flops: float) -> tuple[np.ndarray, np.ndarray]:
    """Four budgets, seven sizes each, that cost ``flops`` in all."""
    budgets = 4.0 ** np.arange(4)
    budgets *= flops / (7 * budgets.sum())
    middle = np.array([optimal(LAW, found, c)[0] for c in budgets])
    n = (middle[:, None] * np.geomspace(1 / 8, 8, 7)).ravel()
    return n, np.repeat(budgets, 7) / (6 * n)


def main(trials: int) -> None:
    """Print the ratio of variances for some noises and loss functions."""
    for noise in (0.003, 0.01):
        for target in ("num_params", "loss"):
            errors = np.array([trial(noise, target, seed) for seed in range(trials)])
            ratio, low, high = compare(errors)
            print(f"noise {noise:.1%}, ln {target} at {AT:g} x: standard deviation "
                  f"{errors[:, 0].std():.4f} proposed, {errors[:, 1].std():.4f} iso-FLOP grid, "
                  f"{errors[:, 2].std():.4f} pilot alone; variance of the grid over that of the "
                  f"proposed {ratio:.2f} (90 %: {low:.2f} to {high:.2f})", flush=True)  # fmt: skip


def trial(noise: float, target: str, seed: int) -> tuple[float, float, float]:
    """Errors of the logarithm of the target: proposed runs, iso-FLOP grid, pilot alone."""
    rng = np.random.default_rng(seed)
    first = pilot(noise, rng)
    known = fit("chinchilla", first, Estimand("mse"), starts=0)
    spent = 6 * first["num_params"] * first["num_tokens"]
    budget, at = 10 * float(spent.sum()), AT * float(spent.max())
    chosen = next_runs(known, budget, target, at=at, most=28)
    n, d = np.array([(r.num_params, r.num_tokens) for r in chosen.runs for _ in range(r.seeds)]).T
    assert 6 * n @ d <= budget * 1.001
    index = ("num_params", "num_tokens", "loss").index(target)
    true = np.log(optimal(LAW, TRUTH, at)[index])
    grid_n, grid_d = isoflop_grid(known.vector, budget)
    errors = []
    for more in ([table(n, d, noise, rng)], [table(grid_n, grid_d, noise, rng)], []):
        runs = pd.concat([first, *more], ignore_index=True)
        again = fit("chinchilla", runs, Estimand("mse"), starts=0)
        errors.append(float(np.log(optimal(LAW, again.vector, at)[index]) - true))
    return errors[0], errors[1], errors[2]


def compare(errors: np.ndarray) -> tuple[float, float, float]:
    """Ratio of variances about the truth, grid over proposed, with a bootstrap interval."""
    square = errors[:, :2] ** 2
    rng = np.random.default_rng(0)
    drawn = square[rng.integers(0, len(square), (2000, len(square)))].mean(axis=1)
    low, high = np.quantile(drawn[:, 1] / drawn[:, 0], [0.05, 0.95])
    mean = square.mean(axis=0)
    return float(mean[1] / mean[0]), float(low), float(high)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
