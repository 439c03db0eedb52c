"""Bootstrap draws, profiles, intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import Bootstrap, Estimand, fit
from analysis.fits.bootstrap import smooth_residuals
from analysis.fits.penalty import Penalty
from tests.analysis.planted import PARAMS, table


def test_the_seed_decides_the_draws() -> None:
    runs = table("chinchilla", n=50, noise=0.01)
    first = fit("chinchilla", runs, bootstrap=150, seed=1, starts=0)
    again = fit("chinchilla", runs, bootstrap=150, seed=1, starts=0)
    other = fit("chinchilla", runs, bootstrap=150, seed=2, starts=0)
    np.testing.assert_array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, other.draws)


def test_each_draw_is_the_global_fit_of_its_sample() -> None:
    """Draws of which the resampled tables are fitted one by one, with many starts."""
    runs = table("chinchilla", n=60, noise=0.02, seed=4)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 60, (12, 60))
    counts = np.array([np.bincount(r, minlength=60) for r in rows])
    f = fit("chinchilla", runs, bootstrap=Bootstrap(12, resample=counts), starts=0)
    for drawn, row in zip(f.draws, rows, strict=True):
        alone = fit("chinchilla", runs.iloc[row].reset_index(drop=True))
        np.testing.assert_allclose(drawn, alone.vector, rtol=2e-3)


def test_bootstrap_of_least_squares_has_the_textbook_standard_error() -> None:
    runs = table("power", n=200, noise=0.05)
    x = np.log(runs.num_params) - np.log(runs.num_params).mean()
    f = fit("power", runs, Estimand("mse"), bootstrap=2000, starts=0)
    textbook = np.sqrt(np.sum(f.residuals**2) / 198 / np.sum(x**2))
    for how in ("pairs", "residual"):
        f = fit("power", runs, Estimand("mse"), bootstrap=Bootstrap(2000, resample=how), starts=0)
        assert f.draws[:, 1].std(ddof=1) == pytest.approx(textbook, rel=0.1)


def test_cluster_bootstrap_is_wider_when_runs_share_their_noise() -> None:
    rng = np.random.default_rng(0)
    runs = table("power", n=120)
    runs["config"] = np.arange(120) // 10
    runs["num_params"] = np.geomspace(1e6, 1e9, 12)[runs.config]
    shared = rng.normal(0, 0.05, 12)[runs.config]
    runs["loss"] = 30 * runs.num_params**-0.12 * np.exp(shared + rng.normal(0, 0.005, 120))
    alone = fit("power", runs, bootstrap=Bootstrap(500, "pairs"), starts=0)
    together = fit("power", runs, bootstrap=Bootstrap(500, cluster="config"), starts=0)
    assert (alone.resample, together.resample) == ("pairs", "cluster")
    ratio = together.draws[:, 1].std() / alone.draws[:, 1].std()
    assert ratio == pytest.approx(np.sqrt(10), rel=0.35)


def test_profile_of_least_squares_is_the_t_interval() -> None:
    runs = table("power", n=60, noise=0.05)
    f = fit("power", runs, Estimand("mse"))
    x = np.log(runs.num_params) - np.log(runs.num_params).mean()
    se = np.sqrt(np.sum(f.residuals**2) / 58 / np.sum(x**2))
    values, objective, (low, high) = f.profile("alpha", level=0.9)
    assert (low, high) == pytest.approx(
        (f.params["alpha"] - 1.645 * se, f.params["alpha"] + 1.645 * se), rel=2e-3
    )
    assert values[np.argmin(objective)] == pytest.approx(f.params["alpha"])
    assert (np.diff(objective[values <= f.params["alpha"]]) <= 1e-12).all()


def test_profile_and_bootstrap_agree_for_huber() -> None:
    f = fit("chinchilla", table("chinchilla", n=150, noise=0.01), bootstrap=600)
    low, high = f.ci()["alpha"]
    _, _, (left, right) = f.profile("alpha")
    assert (right - left) / (high - low) == pytest.approx(1.0, abs=0.3)


def test_profile_of_a_size_is_the_t_interval_of_the_intercept() -> None:
    """ln L = ln A - alpha ln x is a line: its intercept at ln x = 0 has a known standard error."""
    runs = table("power", n=60, noise=0.01)
    f = fit("power", runs, Estimand("mse"))
    x = np.log(runs.num_params)
    spread = np.sum((x - x.mean()) ** 2)
    se = np.sqrt(np.sum(f.residuals**2) / 58 * (1 / 60 + x.mean() ** 2 / spread))
    _, _, (low, high) = f.profile("A", level=0.9)
    log_a = np.log(f.params["A"])
    assert np.log([low, high]) == pytest.approx([log_a - 1.645 * se, log_a + 1.645 * se], rel=2e-3)


@pytest.mark.parametrize("law", ["chinchilla", "bnsl1", "m4"])
def test_every_parameter_has_a_profile_with_its_value_inside(law: str) -> None:
    f = fit(law, table(law, n=80, noise=0.003), starts=4)
    for name, value in f.params.items():
        _, objective, (low, high) = f.profile(name, points=8)
        assert low < value < high
        assert objective[8] <= f.objective * (1 + 1e-9)


def test_prediction_interval_of_a_new_run_is_wider_than_that_of_the_law() -> None:
    f = fit("chinchilla", table("chinchilla", n=80, noise=0.02), bootstrap=300, starts=0)
    at = {"num_params": [1e8, 1e10], "num_tokens": [1e10, 1e12]}
    low, high = f.predict_ci(at)
    inner_low, inner_high = f.predict_ci(at, noise=False)
    assert (low < inner_low).all()
    assert (high > inner_high).all()
    assert (low < f.predict(at)).all()
    assert (f.predict(at) < high).all()


def test_optimum_and_exponents_have_intervals() -> None:
    f = fit("chinchilla", table("chinchilla", n=80, noise=0.01), bootstrap=300, starts=0)
    best, draws = f.optimal(1e22), f.optimal_draws(1e22)
    low, high = np.quantile(draws["num_params"], [0.05, 0.95])
    assert low < best["num_params"] < high
    ci = f.exponents_ci()
    assert ci["a"][0] < f.exponents()[0] < ci["a"][1]
    assert ci["b"][0] == pytest.approx(1 - ci["a"][1])


def coverage(
    law: str, n: int, trials: int, draws: int, resample: str = "pairs"
) -> dict[str, float]:
    """Share of trials in which the 90 % interval holds the truth, and new runs their interval."""
    truth, hits = PARAMS[law], dict.fromkeys((*PARAMS[law], "new run"), 0)
    for trial in range(trials):
        runs = table(law, n=n + 1, noise=0.01, seed=100 + trial)
        f = fit(law, runs.iloc[:n], bootstrap=Bootstrap(draws, resample), seed=trial, starts=0)
        for name, (low, high) in f.ci(0.9).items():
            hits[name] += low <= truth[name] <= high
        low, high = f.predict_ci(runs.iloc[n:])
        hits["new run"] += bool(low[0] <= runs.loss.iloc[n] <= high[0])
    return {name: count / trials for name, count in hits.items()}


def test_intervals_cover_few_trials() -> None:
    # 100 trials at 0.9: standard error 0.03; below 0.8 would be more than three of them
    for share in coverage("power_floor", 60, 100, 150).values():
        assert 0.8 <= share <= 0.98


def test_smoothed_residuals_have_the_kernels_variance_and_no_spike_at_zero() -> None:
    rng = np.random.default_rng(0)
    r = np.concatenate([np.zeros(5), rng.standard_normal(195)])
    drawn = smooth_residuals(r, np.ones(200), 5, 2000, np.random.default_rng(1))
    low, high = np.quantile(r - r.mean(), [0.25, 0.75])
    width = 0.9 * min(r.std(), (high - low) / 1.349) * 200**-0.2
    # 195 residuals of the 200, inflated by n / (n - p), and a normal of Silverman's width
    expected = np.var(r[5:] - r.mean()) * 200 / 195 + width**2
    assert drawn.shape == (2000, 200)
    assert drawn.var() == pytest.approx(expected, rel=0.01)
    near = np.mean(np.abs(drawn) < 0.02)
    assert near == pytest.approx(0.04 * 0.3989 / np.sqrt(1 + width**2), rel=0.25)


@pytest.mark.parametrize(("loss_fn", "gap"), [("huber", 1e-6), ("lad", 1e-4)])
def test_draws_found_in_single_precision_are_the_optima(loss_fn: str, gap: float) -> None:
    """1e-4 of the objective is 0.15 standard errors; corners of ``lad`` lie closer than that."""
    runs = table("chinchilla", n=120, noise=0.01)
    counts = np.stack(
        [np.bincount(np.random.default_rng(i).integers(0, 120, 120), minlength=120)
         for i in range(6)]
    )  # fmt: skip
    f = fit(
        "chinchilla", runs, Estimand(loss_fn), bootstrap=Bootstrap(6, resample=counts), starts=0
    )
    assert f.draws is not None
    for weights, draw in zip(counts, f.draws, strict=True):
        alone = fit("chinchilla", runs, Estimand(loss_fn, weights=weights.astype(float)), starts=6)
        r = np.log(f.law.predict(draw, *f.inputs)) - np.log(f.observed)
        penalty = Penalty(loss_fn).rho(r) @ weights
        assert penalty == pytest.approx(alone.objective, rel=gap)


@pytest.mark.slow  # hundreds of fits: intervals hold what they promise
@pytest.mark.parametrize("resample", ["pairs", "residual"])
def test_intervals_cover(resample: str) -> None:
    # 150 trials at 0.9: standard error 0.025
    found = coverage("chinchilla", 150, 150, 200, resample=resample)
    assert found["new run"] == pytest.approx(0.9, abs=0.05)
    for name in PARAMS["chinchilla"]:
        assert found[name] == pytest.approx(0.9, abs=0.06), (name, found)


@pytest.mark.slow  # hundreds of fits: those of clusters too
def test_cluster_intervals_cover_where_runs_of_a_cluster_move_together() -> None:
    """60 trainings of 3 checkpoints each, with noise of the training: pairs is too narrow."""
    hits = {"pairs": 0, "cluster": 0}
    for trial in range(120):
        rng = np.random.default_rng(trial)
        x = np.geomspace(1e6, 1e9, 60)
        runs = pd.DataFrame(
            {"num_params": np.repeat(x, 3), "training": np.repeat(np.arange(60), 3)}
        )
        noise = np.repeat(rng.normal(0, 0.01, 60), 3) + rng.normal(0, 0.002, 180)
        runs["loss"] = (1.5 + 80 * runs.num_params**-0.3) * np.exp(noise)
        for resample in hits:
            cluster = "training" if resample == "cluster" else None
            f = fit(
                "power_floor",
                runs,
                bootstrap=Bootstrap(200, resample=resample, cluster=cluster),
                starts=0,
                seed=trial,
            )
            low, high = f.ci()["alpha"]
            hits[resample] += low <= 0.3 <= high
    assert hits["cluster"] / 120 == pytest.approx(0.9, abs=0.07)
    assert hits["pairs"] / 120 < 0.8


def test_excluded_rows_take_no_part_in_draws() -> None:
    runs = table("power", n=30, noise=0.02)
    spoiled = pd.concat([runs, runs.iloc[:5].assign(loss=99.0)], ignore_index=True)
    spoiled["exclude_reason"] = ["" if i < 30 else "test" for i in range(35)]
    clean, with_them = (fit("power", t, bootstrap=50, starts=0) for t in (runs, spoiled))
    np.testing.assert_array_equal(clean.draws, with_them.draws)
