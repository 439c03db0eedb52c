"""Errors of ln N* and ln L at 100 x the compute after proposed runs, beside an iso-FLOP grid's.

Run: ``OMP_NUM_THREADS=1 python benchmarks/next_runs.py [TRIALS]`` (half an hour for 50). A law is
planted (Besiroglu et al. 2024), exactly or times a random smooth function of ln N and ln D whose
logarithm has a standard deviation of 1 or 2 %; a pilot of 16 runs is drawn and fitted. For ten
times the pilot's FLOPs ``scaling next`` proposes runs by the forecast, and by the law as if it
were true; the third arm is an iso-FLOP grid of the same cost: four budgets a factor of four apart,
seven sizes each, evenly spaced over a factor of 64 around the pilot's N*. With the pilot each is
fitted and foretold (``forecast_of``, ``plan``) in the same way.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd

from analysis import LAWS, Estimand, fit
from analysis.compute import AsFitted, plan
from analysis.compute.next_runs import next_runs
from analysis.forecasts import forecast_of
from analysis.laws.optimum import optimal

TRUTH = np.array([1.81686, 482.0, 2085.4, 0.34781, 0.36585])
LAW = LAWS["chinchilla"]
AT, NOISE = 100.0, 0.003
WAVES = 400
LENGTHS = (3.0, 4.0)
"""Log distances over which the planted functions change, of standard deviations 1 and 2 %."""


@dataclass(frozen=True)
class World:
    """A law with what it leaves out: a sum of random waves, so that it is known anywhere."""

    amplitude: float
    length: float
    seed: int
    law: np.ndarray = field(default_factory=lambda: TRUTH)

    def log_loss(self, n: np.ndarray, d: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng((self.seed, 99))
        waves = rng.standard_normal((WAVES, 2)) / self.length
        phases, sizes = rng.uniform(0, 2 * np.pi, WAVES), rng.standard_normal(WAVES)
        left_out = np.cos(np.log(np.stack([n, d], -1)) @ waves.T + phases) @ sizes
        return np.log(LAW.predict(self.law, n, d)) + self.amplitude * np.sqrt(2 / WAVES) * left_out

    def optimum(self, flops: float) -> dict[str, float]:
        log_n = np.log(optimal(LAW, self.law, flops)[0]) + np.linspace(-2, 2, 801)
        losses = self.log_loss(np.exp(log_n), flops / 6 / np.exp(log_n))
        return {"num_params": log_n[losses.argmin()], "loss": losses.min()}

    def table(
        self, n: np.ndarray, d: np.ndarray, rng: np.random.Generator, noise: float = NOISE
    ) -> pd.DataFrame:
        """Runs of these sizes with their noisy losses."""
        loss = np.exp(self.log_loss(n, d) + noise * rng.standard_normal(len(n)))
        return pd.DataFrame({"num_params": n, "num_tokens": d, "loss": loss})


def isoflop_grid(found: np.ndarray, flops: float) -> tuple[np.ndarray, np.ndarray]:
    """Four budgets, seven sizes each, that cost ``flops`` in all."""
    budgets = 4.0 ** np.arange(4)
    budgets *= flops / (7 * budgets.sum())
    middle = np.array([optimal(LAW, found, c)[0] for c in budgets])
    n = (middle[:, None] * np.geomspace(1 / 8, 8, 7)).ravel()
    return n, np.repeat(budgets, 7) / (6 * n)


def trial(world: World, target: str) -> dict[str, float]:
    """Errors of the logarithm of the target by arm."""
    rng = np.random.default_rng(world.seed)
    n, ratio = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e8, 4), np.geomspace(5, 80, 4)))
    first = world.table(n, n * ratio, rng)
    known = fit("chinchilla", first, Estimand("mse"), starts=0)
    spent = 6 * n**2 * ratio
    budget, at = 10 * float(spent.sum()), AT * float(spent.max())
    arms = {"grid": isoflop_grid(known.vector, budget)}
    for arm, expected in (("forecast", forecast_of(known)), ("law", AsFitted(known))):
        chosen = next_runs(known, budget, target, expected=expected, at=at, most=28)
        pairs = [(r.num_params, r.num_tokens) for r in chosen.runs for _ in range(r.seeds)]
        arms[arm] = tuple(np.array(pairs).T)
        assert 6 * arms[arm][0] @ arms[arm][1] <= budget * 1.001
    errors, true = {}, world.optimum(at)[target]
    for arm, sizes in arms.items():
        more = world.table(*sizes, np.random.default_rng((world.seed, 5)))
        again = fit(
            "chinchilla", pd.concat([first, more], ignore_index=True), Estimand("mse"), starts=0
        )
        [best] = plan(forecast_of(again), [at])
        errors[arm] = float(np.log(getattr(best, target)) - true)
    return errors


def ratio_of(errors: pd.DataFrame, arm: str) -> str:
    """Mean square error of an arm over that by the forecast, with a bootstrap interval."""
    square = errors[[arm, "forecast"]].to_numpy() ** 2
    drawn = square[np.random.default_rng(0).integers(0, len(square), (2000, len(square)))]
    low, high = np.quantile(np.divide(*drawn.mean(axis=1).T), [0.05, 0.95])
    return f"{np.divide(*square.mean(axis=0)):.2f} (90 %: {low:.2f} to {high:.2f})"


def main(trials: int) -> None:
    """Print errors by arm, and ratios of variances."""
    kinds = [(0.0, 3.0), *zip((0.01, 0.02), LENGTHS, strict=True)]
    for (amplitude, length), target in product(kinds, ("num_params", "loss")):
        rows = [trial(World(amplitude, length, seed), target) for seed in range(trials)]
        errors = pd.DataFrame(rows)
        root = ", ".join(f"{arm} {np.sqrt(np.mean(errors[arm] ** 2)):.4f}" for arm in errors)
        print(f"left out {amplitude:.0%}, ln {target} at {AT:g} x: root mean square {root}; mean "
              f"square over the forecast's: law {ratio_of(errors, 'law')}, grid "
              f"{ratio_of(errors, 'grid')}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
