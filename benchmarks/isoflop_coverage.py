"""How often 90 % intervals of iso-FLOP minima and of their exponent hold the truth: one table.

Run: ``OMP_NUM_THREADS=1 python benchmarks/isoflop_coverage.py [TRIALS] [WORD ...] [--from SEED]``
(16 trials: 8 minutes of processor time). Cells are pooled over laws and noise; with words, as in
``"Kaplan's" x16 off-centre``, only those that bear them all are run.
Five budgets, a factor 1000 apart in all, of 5 or 9 sizes that span N* / s to N* s (s = 4, 16), are
drawn from laws that are known: centred on N*; drifting across it from the smallest budget to the
largest; or off-centre, about sqrt(s) N*. Noise is .1, .3 and 1 % of the loss. Widths are in those
of the oracle: who knows the law's form and the noise, and fits all its parameters to all runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.compute import NoExponentError, isoflop
from analysis.compute.approach2_methods import METHODS, Method

Array = NDArray[np.float64]
Case = tuple["Truth", float, str, int, float]  # law, span, grid, points, noise
BUDGETS = np.geomspace(1e18, 1e21, 5)
SPANS, POINTS, NOISES = (4.0, 16.0), (5, 9), (0.001, 0.003, 0.01)
GRIDS: dict[str, Callable[[float], Array]] = {
    "centred": lambda span: np.zeros(len(BUDGETS)),
    "drifting": lambda span: np.linspace(-0.4, 0.4, len(BUDGETS)) * np.log(span),
    "off-centre": lambda span: np.full(len(BUDGETS), 0.5 * np.log(span)),
}
Z = 1.6449  # of a normal 90 % interval


@dataclass(frozen=True)
class Truth:
    """A law: parameters, ln loss (parameters, N, D), and (ln N* of the budgets, a) of them."""

    name: str
    theta: Array
    log_loss: Callable[[Array, Array, Array], Array]
    optimum: Callable[[Array], Array]

    def oracle(self, n: Array, d: Array, noise: float) -> tuple[float, float]:
        """Mean width of the interval of ln N*, and of a, by least squares with the true form."""
        steps = 1e-5 * np.eye(len(self.theta))

        def slope(of: Callable[[Array], Array]) -> Array:
            return np.stack([(of(self.theta + h) - of(self.theta - h)) / 2e-5 for h in steps], 1)

        j, k = slope(lambda t: self.log_loss(t, n, d)), slope(self.optimum)
        se = noise * np.sqrt(np.diag(k @ np.linalg.pinv(j.T @ j) @ k.T))
        return 2 * Z * float(se[:-1].mean()), 2 * Z * float(se[-1])


def chinchilla(name: str, e: float, a: float, b: float, alpha: float, beta: float) -> Truth:
    """L = E + A / N^alpha + B / D^beta; parameters (E, ln A, ln B, alpha, beta)."""

    def log_loss(t: Array, n: Array, d: Array) -> Array:
        return np.log(t[0] + np.exp(t[1]) / n ** t[3] + np.exp(t[2]) / d ** t[4])

    def optimum(t: Array) -> Array:
        level = t[1] - t[2] + np.log(t[3] / t[4])
        log_n = (level + t[4] * np.log(BUDGETS / 6)) / (t[3] + t[4])
        return np.append(log_n, t[4] / (t[3] + t[4]))

    return Truth(name, np.array([e, np.log(a), np.log(b), alpha, beta]), log_loss, optimum)


def kaplan(name: str) -> Truth:
    """Kaplan et al. 2020, eq. 1.5; parameters (ln N_c, ln D_c, alpha_N / alpha_D, alpha_D)."""

    def log_loss(t: Array, n: Array, d: Array) -> Array:
        return t[3] * np.log((np.exp(t[0]) / n) ** t[2] + np.exp(t[1]) / d)

    def optimum(t: Array) -> Array:
        log_n = (np.log(t[2]) + t[2] * t[0] - t[1] + np.log(BUDGETS / 6)) / (t[2] + 1)
        return np.append(log_n, 1 / (t[2] + 1))

    theta = np.array([np.log(8.8e13), np.log(5.4e13), 0.076 / 0.095, 0.095])
    return Truth(name, theta, log_loss, optimum)


LAWS = (
    chinchilla(".34 = .34", 1.8, 400, 400, 0.34, 0.34),
    chinchilla(".34, .28", 1.69, 406.4, 410.7, 0.34, 0.28),
    chinchilla(".35, .37", 1.82, 478, 2143, 0.347, 0.367),
    chinchilla(".50, .22", 1.8, 3000, 100, 0.50, 0.22),
    kaplan("Kaplan's"),
)


def held(
    case: Case, seeds: Sequence[tuple[int, int]]
) -> Iterator[tuple[Method, float, float, float, float, float]]:
    """Of each method: coverage and relative width of N* and of a, and the share without N*."""
    truth, span, grid, points, noise = case
    *best, a = truth.optimum(truth.theta)
    x = (np.array(best) + GRIDS[grid](span))[:, None] + np.linspace(
        -np.log(span), np.log(span), points
    )
    n, c = np.exp(x).ravel(), np.repeat(BUDGETS, points)
    d = c / (6 * n)
    log_loss, oracle = truth.log_loss(truth.theta, n, d), truth.oracle(n, d, noise)
    for method in METHODS:
        sizes: list[tuple[bool, float]] = []
        exponents: list[tuple[bool, float]] = []
        for seed in seeds:
            off = noise * np.random.default_rng(seed).standard_normal(len(n))
            runs = pd.DataFrame(
                {"num_params": n, "num_tokens": d, "flops": c, "loss": np.exp(log_loss + off)}
            )
            try:
                found = isoflop(runs, method=method, draws=400, seed=seed[0])
            except NoExponentError:
                continue
            for minimum, true in zip(found.minima, best, strict=True):
                if minimum.status == "ok":
                    low, high = np.log(minimum.ci())
                    sizes.append((low <= true <= high, high - low))
            if found.status == "ok":
                low, high = found.ci()["a"]
                exponents.append((low <= a <= high, high - low))
        none = 1 - len(sizes) / (len(seeds) * len(BUDGETS))
        (n_in, n_wide), (a_in, a_wide) = (np.mean(v, axis=0) for v in (sizes, exponents))
        yield method, n_in, n_wide / oracle[0], a_in, a_wide / oracle[1], none


def main(trials: int, words: Sequence[str] = (), first: int = 0) -> None:
    pooled: dict[tuple[str, ...], dict[Method, list[list[float]]]] = {}
    for cell, case in enumerate(product(LAWS, SPANS, GRIDS, POINTS, NOISES)):
        truth, span, grid, points, noise = case
        kind = "Kaplan's" if truth is LAWS[-1] else "Chinchilla's"
        names = (kind, f"x{span:g}", grid, str(points))
        if not {*words} <= {*names}:
            continue
        rows = pooled.setdefault(names, {m: [] for m in METHODS})
        for method, *row in held(case, [(trial, cell) for trial in range(first, first + trials)]):
            rows[method].append(row)
            print(f"{truth.name:10s} x{span:<3g} {grid:10s} {points} sizes, noise {noise:5.1%}, "
                  f"{method:8s}: N* {row[0]:.2f} (x{row[1]:.1f}), a {row[2]:.2f} (x{row[3]:.1f}), "
                  f"{row[4]:.0%} without", flush=True)  # fmt: skip
    header = ["law", "span", "grid", "sizes"]
    header += [f"{method}: {what}" for method in METHODS for what in ("N*", "a", "without")]
    print("\n| " + " | ".join(header) + " |\n" + "| --- " * len(header) + "|")
    for names, rows in pooled.items():
        cells = list(names)
        for found in rows.values():
            n_in, n_wide, a_in, a_wide, none = np.mean(found, axis=0)
            cells += [f"{n_in:.2f} (x{n_wide:.1f})", f"{a_in:.2f} (x{a_wide:.1f})", f"{none:.0%}"]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Coverage of iso-FLOP intervals.")
    parser.add_argument("trials", nargs="?", type=int, default=16)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--from", dest="first", type=int, default=0)
    asked = parser.parse_args()
    main(asked.trials, asked.words, asked.first)
