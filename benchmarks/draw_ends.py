"""How much worse bootstrap draws end than descents from the estimate, by law, on public tables.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.draw_ends [DRAWS] [LAW ...]`` (60 draws and all laws
unless given). Each draw is descended to again from the fit of all rows, in double precision, from
far (twice the residuals) and from near (2 % of them), and held against the better of both.
"""

from __future__ import annotations

import sys

import numpy as np

from analysis import Bootstrap, fit
from analysis.fits.newton import minimise
from benchmarks.draw_speed import tables


def main(draws: int, laws: list[str]) -> None:
    """A line for each law."""
    for law, (name, runs, estimand) in tables().items():
        if laws and law not in laws:
            continue
        alone = fit(law, runs, estimand)
        n = alone.n_runs
        counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), draws)
        f = fit(law, runs, estimand, bootstrap=Bootstrap(draws, resample=counts))
        failed = draws - (0 if f.draws is None else len(f.draws))
        if f.draws is None or failed:
            print(f"{law:22s} {name:24s} {failed} draws failed", flush=True)
            continue
        drawn = f.problem.with_weights(f.weights * counts)
        with np.errstate(all="ignore"):
            start = np.repeat(f.problem.from_original(f.vector)[None], draws, axis=0)
            other = np.minimum(*(minimise(drawn, start, reach=x)[1] for x in (2.0, 0.02)))
            worse = drawn.objective(f.problem.from_original(f.draws)) / other - 1
        print(
            f"{law:22s} {name:24s} worse by over 1e-6: {(worse > 1e-6).mean():.3f}, at most "
            f"{max(worse.max(), 0):.1g}; better: {(worse < -1e-6).mean():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60, sys.argv[2:])
