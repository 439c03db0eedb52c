"""Draws end where they should, few are in memory, and what is drawn is said."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize

from analysis import Bootstrap, Estimand, fit, formula_law
from analysis.fits import bootstrap
from analysis.fits.penalty import Penalty
from tests.analysis.planted import table

ROUTED = "L = K * N**a * experts**b * experts**(c*log(N))"
"""Clark et al. 2022 (arXiv 2202.01169), eq. 1 without saturation: its K lies far from the runs."""


def routed() -> pd.DataFrame:
    n, e = (x.ravel() for x in np.meshgrid(np.geomspace(1.5e7, 1.3e9, 6), 2.0 ** np.arange(10)))
    loss = 12.3 * n**-0.081 * e**-0.094 * e ** (0.0035 * np.log(n))
    noise = np.random.default_rng(0).normal(0, 0.005, len(n))
    return pd.DataFrame({"num_params": n, "experts": e, "loss": loss * np.exp(noise)})


@pytest.fixture(scope="module")
def routed_fit():
    law = formula_law(ROUTED, ("num_params", "experts"), signed=("a", "b", "c"))
    counts = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), 40)
    return fit(law, routed(), bootstrap=Bootstrap(40, resample=counts)), counts


def test_no_draw_ends_worse_than_a_descent_from_the_estimate(routed_fit) -> None:
    f, counts = routed_fit
    assert len(f.draws) == 40
    for weights, draw in zip(counts[:6], f.draws[:6], strict=True):

        def objective(x, weights=weights):
            value = np.concatenate([np.exp(x[:1]), x[1:]])
            r = np.log(f.law.predict(value, *f.inputs)) - np.log(f.observed)
            return Penalty().rho(r) @ weights

        start = np.concatenate([np.log(f.vector[:1]), f.vector[1:]])
        other = minimize(objective, start, method="Nelder-Mead", options={"maxiter": 2000})
        mine = objective(np.concatenate([np.log(draw[:1]), draw[1:]]))
        assert mine <= other.fun * (1 + 1e-6)


def test_intervals_of_an_intercept_far_from_the_runs_hold_it(routed_fit) -> None:
    f, _ = routed_fit
    truth = {"K": 12.3, "a": -0.081, "b": -0.094, "c": 0.0035}
    for name, (low, high) in f.ci().items():
        assert low < f.params[name] < high
        assert low < truth[name] < high
    assert f.identified


def test_an_interval_without_its_estimate_is_no_finding() -> None:
    """The rows above the law count in half of the draws only: all of them lie to one side."""
    x = np.geomspace(0.1, 10, 40)
    noise = np.random.default_rng(0).normal(0, 0.02, 40)
    runs = pd.DataFrame({"num_params": x, "loss": 3 * x**-0.2 * np.exp(noise)})
    counts = np.ones((60, 40))
    above = fit("power", runs).residuals < 0
    counts[:, above] = np.random.default_rng(0).integers(0, 2, (60, above.sum()))
    f = fit("power", runs, Estimand("mse"), bootstrap=Bootstrap(60, resample=counts))
    low, high = f.ci()["A"]
    assert not low <= f.params["A"] <= high
    assert "the interval of A excludes its own estimate" in f.status
    assert "A" in f.diagnostics["unsure"]


def test_failed_draws_are_left_out_and_counted(monkeypatch) -> None:
    real = bootstrap._refit

    def some_fail(*words):
        ends, objectives, at_theta = real(*words)
        objectives[:7] = np.inf
        return ends, objectives, at_theta

    monkeypatch.setattr(bootstrap, "_refit", some_fail)
    f = fit("power", table("power", n=40, noise=0.02), bootstrap=100)
    assert (len(f.draws), f.diagnostics["failed_draws"]) == (93, 7)
    assert "7 of 100 draws failed" in f.status


@pytest.mark.parametrize(
    ("law", "says"),
    [
        ("L = E + A*B / N**alpha", "flat direction: A, B move together"),
        ("L = E + F + A / N**alpha", "flat direction: E, F move together"),
        ("L = A / N**alpha + 0*B", "B"),
    ],
)
def test_a_direction_that_the_runs_do_not_tell_is_named(law: str, says: str) -> None:
    f = fit(law, table("chinchilla", n=60, noise=0.01), bootstrap=10)
    assert says in f.status
    assert not f.identified


def test_a_direction_without_curvature_is_named_and_no_error_of_linear_algebra() -> None:
    """D^C, with C the compute, is beyond floating point: the law is E wherever it has a value."""
    runs = table("chinchilla", n=60, noise=0.01)
    runs["flops"] = 6 * runs["num_params"] * runs["num_tokens"]
    f = fit("L = E + A*exp(-B*exp(C*log(D)))", runs, bootstrap=10)
    assert "singular: no finite curvature in E, B" in f.status


def checkpoints(runs: int, rng: np.random.Generator, each: int = 10) -> pd.DataFrame:
    """Checkpoints of runs that deviate by 1 % as a whole, and by 0.3 % from one to the next."""
    n = np.repeat(np.geomspace(1e7, 1e9, runs), each)
    noise = np.repeat(rng.normal(0, 0.01, runs), each) + rng.normal(0, 0.003, len(n))
    return pd.DataFrame(
        {
            "run_name": np.repeat([f"run-{i}" for i in range(runs)], each),
            "num_params": n,
            "step": np.tile(np.arange(1.0, each + 1), runs),
            "loss": 30 * n**-0.12 * np.exp(noise),
        }
    )


def test_checkpoints_are_drawn_by_run_unless_asked_otherwise() -> None:
    runs = checkpoints(12, np.random.default_rng(2))
    together, alone = (
        fit("power", runs, bootstrap=Bootstrap(300, how), starts=0) for how in ("auto", "pairs")
    )
    assert (together.resample, together.diagnostics["groups"]) == ("cluster", 12)
    assert (
        "120 rows are checkpoints of 12 runs (column run_name)" in together.diagnostics["together"]
    )
    assert (alone.resample, alone.diagnostics["groups"]) == ("pairs", None)
    assert together.draws[:, 1].std() > 2 * alone.draws[:, 1].std()


def test_of_one_run_nothing_is_known_of_others() -> None:
    runs = checkpoints(1, np.random.default_rng(0)).assign(num_tokens=lambda t: 1e9 * t["step"])
    f = fit("power", runs, Estimand(x_col="num_tokens"), bootstrap=20, starts=0)
    assert "all rows are of one run" in f.status
    assert f.resample == "pairs"


def test_draws_of_few_clusters_are_as_wide_as_the_t_interval_of_their_mean() -> None:
    """Means of 5 normal values drawn with replacement have 4/5 of the variance of the mean."""
    means = np.random.default_rng(0).normal(0, np.sqrt(4 / 5 / 5), (200_000, 1))
    low, high = np.quantile(bootstrap.widened(means, np.zeros(1), 5), [0.05, 0.95])
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.95, 4) / np.sqrt(5), rel=0.01)


@pytest.mark.parametrize("groups", [4, 6, 8, 12])
def test_intervals_of_few_clusters_hold(groups: int) -> None:
    """The slope of a line through so many points, which least squares has in closed form."""
    rng, x, hits = np.random.default_rng(groups), np.linspace(-1, 1, groups), np.zeros(2)
    for _ in range(400):
        y = rng.normal(size=groups)
        times = rng.multinomial(groups, np.full(groups, 1 / groups), 300) / groups
        spread = times @ x**2 - (times @ x) ** 2
        times, spread = times[spread > 0], spread[spread > 0]
        slopes = ((times @ (x * y) - (times @ x) * (times @ y)) / spread)[:, None]
        slope = np.array([x @ y / (x @ x)])
        for i, draws in enumerate((slopes, bootstrap.widened(slopes, slope, groups))):
            low, high = np.quantile(draws, [0.05, 0.95])
            hits[i] += low <= 0 <= high
    # standard error 0.015
    assert hits[0] / 400 < 0.88
    assert 0.86 <= hits[1] / 400 <= 0.96


def test_memory_does_not_grow_with_the_number_of_draws(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "ELEMENTS", 2**15)
    runs = table("power", n=2000, noise=0.01)
    peaks = []
    for draws in (60, 360):
        tracemalloc.start()
        fit("power", runs, Estimand("mse"), bootstrap=Bootstrap(draws, "pairs"), starts=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.6 * peaks[0]


@pytest.mark.parametrize(("correlated", "said"), [(0.9, True), (0.0, False)])
def test_rows_that_look_like_checkpoints_and_say_nothing_are_doubted(correlated, said) -> None:
    """Losses read along one training of each size at shared budgets, as Porian et al. did."""
    rng, n, c = np.random.default_rng(3), np.geomspace(1e7, 1e9, 8), np.geomspace(1e18, 1e20, 7)
    noise = rng.normal(0, 0.01, (8, 7))
    for i in range(1, 7):
        noise[:, i] = correlated * noise[:, i - 1] + np.sqrt(1 - correlated**2) * noise[:, i]
    size, budget = (x.ravel() for x in np.meshgrid(n, c, indexing="ij"))
    law = 1.8 + 480 / size**0.35 + 2100 / (budget / 6 / size) ** 0.37
    runs = pd.DataFrame({"num_params": size, "num_tokens": budget / 6 / size})
    f = fit("chinchilla", runs.assign(loss=law * np.exp(noise.ravel())), bootstrap=50, starts=0)
    assert f.resample == "pairs"
    assert ("residuals of neighbours in num_tokens" in f.status) == said
