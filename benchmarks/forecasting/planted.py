"""Plans in planted worlds: what their 90 % intervals hold where the truth is known.

Run: ``OMP_NUM_THREADS=1 python benchmarks/forecasting/planted.py [TRIALS] [--from SEED]`` (12
trials: 216 worlds, 4 minutes of processor time). A law in N and D (Besiroglu et al. 2024, Hoffmann
et al. 2022) is true exactly, or times a smooth random function of ln N and ln D whose logarithm
has a standard deviation of 1 or 2 %. 16 runs of a grid, or 28 or 54 of iso-FLOP budgets, are drawn
with noise of .2 or .6 %, and N* and the loss foretold at 10 and 100 times the largest of them.
Each world has a function and noise of its own. Coverage and interval scores are also given for
intervals that are stretched; where the law is exactly true the widths of its own intervals stand
beside.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from next_runs import LAW, TRUTH, World

from analysis import Bootstrap, fit, forecast
from analysis.compute import AsFitted, plan
from analysis.forecasts.scores import interval_score
from analysis.laws.optimum import optimal
from scaling.base import progress

LEVEL = 0.9
LAWS = (TRUTH, np.array([1.69, 406.4, 410.7, 0.34, 0.28]))
KINDS = ((0.0, 3.0), (0.01, 3.0), (0.02, 4.0))
"""Standard deviation of what the law leaves out, and the log distance over which it changes."""
NOISES, BEYOND = (0.002, 0.006), (10.0, 100.0)
STRETCHED = (0.9, 1.0, 1.12)
TARGETS = ("num_params", "loss")
DRAWS = 100


def designs(law: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, sizes and tokens of the runs."""
    n, ratio = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e8, 4), np.geomspace(5, 80, 4)))
    yield "a grid of 16", n, n * ratio
    for budgets, sizes, span in ((4, 7, 64.0), (6, 9, 30.0)):
        flops = 1e17 * 4.0 ** np.arange(budgets)
        middle = np.array([optimal(LAW, law, c)[0] for c in flops])
        n = (middle[:, None] * np.geomspace(span**-0.5, span**0.5, sizes)).ravel()
        yield f"{budgets} budgets of {sizes}", n, np.repeat(flops, sizes) / (6 * n)


def trial(seed: int) -> Iterator[dict[str, Any]]:
    """One record a world, budget, target and width."""
    law = LAWS[seed % 2]
    for i, ((design, n, d), noise, kind) in enumerate(product(designs(law), NOISES, KINDS)):
        world = World(*kind, 1000 * seed + i, law)
        runs = world.table(n, d, np.random.default_rng((seed, i)), noise)
        budgets = [factor * float((6 * n * d).max()) for factor in BEYOND]
        expected = forecast(runs)
        alone = None
        if not kind[0]:
            alone = plan(AsFitted(fit("chinchilla", runs, bootstrap=Bootstrap(DRAWS))), budgets)
        for factor in STRETCHED:
            found = plan(replace(expected, scale=factor * expected.scale), budgets, level=LEVEL)
            for (j, best), target in product(enumerate(found), TARGETS):
                true = float(world.optimum(budgets[j])[target])
                low, high = np.log(getattr(best, f"{target}_ci"))
                own = np.nan if alone is None else np.ptp(np.log(getattr(alone[j], f"{target}_ci")))
                yield {
                    "design": design, "noise": f"{noise:.1%}", "left out": f"{kind[0]:.0%}",
                    "stretched": factor, "target": target, "held": bool(low <= true <= high),
                    "score": float(interval_score(low, high, true, LEVEL)),
                    "over the law's": (high - low) / own,
                }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Plans in planted worlds.")
    parser.add_argument("trials", nargs="?", type=int, default=12)
    parser.add_argument("--from", dest="first", type=int, default=0)
    asked = parser.parse_args()
    records = []
    with progress("trials", total=asked.trials) as advance:
        for seed in range(asked.first, asked.first + asked.trials):
            records += trial(seed)
            advance(1)
    every = pd.DataFrame(records)
    as_is = every[every["stretched"] == 1.0]
    shown = ["held", "score"]
    print(every.groupby(["stretched", "target"])[shown].mean().unstack().round(4).to_string())
    for by in ("design", "noise", "left out"):
        print(as_is.groupby([by, "target"])[shown].mean().unstack().round(4).to_string())
    true = as_is[as_is["left out"] == "0%"]
    print(true.groupby("target")["over the law's"].describe(percentiles=[0.5, 0.9]).to_string())


if __name__ == "__main__":
    main()
