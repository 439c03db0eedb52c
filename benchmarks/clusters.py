"""How often 90 % intervals from checkpoints of few runs hold the truth, by what is drawn.

Run: ``OMP_NUM_THREADS=1 python benchmarks/clusters.py [TRIALS]`` (60 trials: some ten minutes).
Chinchilla's law is planted in 4 to 20 runs of 10 checkpoints each, equally spaced, of sizes from
5e7 to 5e9 and at about 20 tokens a parameter (a factor of 2 to each side). A run deviates by 1 % as
a whole, its checkpoints by 0.3 %, correlated by 0.7 from one to the next.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from analysis import Bootstrap, fit

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
EACH = 10


def checkpoints(runs: int, rng: np.random.Generator) -> pd.DataFrame:
    """The table of one trial."""
    n = np.geomspace(5e7, 5e9, runs)
    last = 20 * n * np.exp(rng.normal(0, 0.7, runs))
    deviation = rng.normal(0, 0.003, (runs, EACH))
    for i in range(1, EACH):
        deviation[:, i] = 0.7 * deviation[:, i - 1] + np.sqrt(1 - 0.49) * deviation[:, i]
    table = pd.DataFrame(
        {
            "run": np.repeat(np.arange(runs), EACH),
            "num_params": np.repeat(n, EACH),
            "num_tokens": (last[:, None] * np.linspace(0.1, 1, EACH)).ravel(),
        }
    )
    law = (
        TRUTH["E"]
        + TRUTH["A"] / table["num_params"] ** TRUTH["alpha"]
        + TRUTH["B"] / table["num_tokens"] ** TRUTH["beta"]
    )
    noise = np.repeat(rng.normal(0, 0.01, runs), EACH) + deviation.ravel()
    return table.assign(loss=law * np.exp(noise))


def main(trials: int) -> None:
    """A line for each number of runs and each way of drawing."""
    a = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    for runs in (4, 6, 8, 12, 20):
        hits = {"auto": np.zeros(6), "pairs": np.zeros(6)}
        for trial in range(trials):
            table = checkpoints(runs, np.random.default_rng([runs, trial]))
            for how, held in hits.items():
                f = fit("chinchilla", table, bootstrap=Bootstrap(150, how), starts=0, seed=trial)
                ends = [*f.ci().values(), f.exponents_ci()["a"]]
                truth = [*TRUTH.values(), a]
                held += [low <= x <= high for (low, high), x in zip(ends, truth, strict=True)]
        for how, held in hits.items():
            shares = "  ".join(f"{share:.2f}" for share in held / trials)
            print(f"{runs:3d} runs drawn by {how:6s} E A B alpha beta a: {shares}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
