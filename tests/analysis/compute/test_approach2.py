"""Approach 2 against closed forms, and its own bias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import fit, load_runs
from analysis.compute.approach2 import isoflop
from analysis.compute.approach2_bias import parabola_bias
from analysis.compute.approach2_budgets import group_budgets
from scaling.base.errors import NoAnswerError

DATA = Path(__file__).parents[2] / "published" / "data"
BUDGETS = np.geomspace(1e18, 1e21, 4)


def law_runs(alpha, beta, centre=1.0, width=8.0, sizes=9, budgets=BUDGETS, noise=0.0, seed=0):
    """Noise-free or noisy runs of L = 1.8 + 400 / N^alpha + 400 / D^beta about ``centre`` N*."""
    best = (alpha / beta) ** (1 / (alpha + beta)) * (budgets / 6) ** (beta / (alpha + beta))
    n = (best[:, None] * centre * np.geomspace(1 / width, width, sizes)).ravel()
    c = np.repeat(budgets, sizes)
    d = c / (6 * n)
    loss = 1.8 + 400 / n**alpha + 400 / d**beta
    loss *= np.exp(noise * np.random.default_rng(seed).standard_normal(len(loss)))
    return pd.DataFrame({"flops": c, "num_params": n, "num_tokens": d, "loss": loss}), best


@pytest.mark.parametrize("method", ["parabola", "akima"])
def test_a_symmetric_centred_grid_gives_the_closed_form(method):
    runs, best = law_runs(0.34, 0.34)
    found = isoflop(runs, method=method, noise=1e-6)
    assert found.a == pytest.approx(0.5, abs=2e-3)
    assert found.b == pytest.approx(0.5, abs=2e-3)
    for minimum, n in zip(found.minima, best, strict=True):
        assert minimum.status == "ok"
        assert minimum.num_params == pytest.approx(n, rel=0.02)
        assert minimum.num_tokens == pytest.approx(minimum.flops / (6 * n), rel=0.02)


@settings(max_examples=25, deadline=None)
@given(
    curvature=st.floats(0.01, 0.3),
    a=st.floats(0.2, 0.8),
    floor=st.floats(1.5, 3.0),
)
def test_exact_parabolas_are_recovered_exactly(curvature, a, floor):
    n_best = 1e8 * (BUDGETS / 1e18) ** a
    x = np.linspace(-1.5, 2.0, 7)
    n = n_best[:, None] * np.exp(x)
    loss = floor + curvature * x**2 + np.zeros_like(n)
    runs = pd.DataFrame(
        {"flops": np.repeat(BUDGETS, 7), "num_params": n.ravel(), "loss": loss.ravel()}
    )
    found = isoflop(runs, noise=1e-4, draws=0)
    assert found.a == pytest.approx(a, abs=1e-8)
    assert [m.loss for m in found.minima] == pytest.approx([floor] * 4)


def test_the_interval_of_a_covers_the_truth_as_often_as_it_says():
    inside = 0
    for seed in range(30):
        runs, _ = law_runs(0.34, 0.34, width=4.0, noise=0.002, seed=seed)
        low, high = isoflop(runs, draws=300, seed=seed).ci(0.9)["a"]
        inside += low <= 0.5 <= high
    assert 23 <= inside <= 30  # 27 expected, 2.4 standard deviations below


def test_each_budget_has_a_status():
    good, _ = law_runs(0.34, 0.34)
    right, _ = law_runs(0.34, 0.34, centre=40.0, width=3.0, budgets=np.array([1e22]))
    few = right.head(2).assign(flops=1e23)
    bent = right.assign(flops=1e24, loss=4.0 - 0.1 * np.linspace(-1, 1, 9) ** 2)
    found = isoflop(pd.concat([good, right, few, bent]))
    assert [m.status for m in found.minima] == [
        "ok",
        "ok",
        "ok",
        "ok",
        "at the edge",
        "too few sizes (parabola needs 3)",
        "not convex",
    ]
    assert [m.too_few for m in found.minima].index(True) == 5
    assert sum(m.too_few for m in found.minima) == 1
    assert np.isnan(found.minima[4].num_params)
    assert found.a == pytest.approx(0.5, abs=2e-3)


def test_a_ladder_of_compute_is_not_taken_for_a_budget():
    runs, _ = law_runs(0.34, 0.34, budgets=np.geomspace(1e18, 1e19, 30))
    with pytest.raises(NoAnswerError, match="no one budget: FLOPs differ 10-fold"):
        isoflop(runs)


def test_no_exponent_without_two_minima():
    runs, _ = law_runs(0.34, 0.34, centre=40.0, width=3.0)
    with pytest.raises(NoAnswerError, match="0 of 4 budgets have an interior minimum") as stop:
        isoflop(runs)
    assert [m.status for m in stop.value.minima] == ["at the edge"] * 4
    one, _ = law_runs(0.34, 0.34, budgets=np.array([1e20]))
    with pytest.raises(NoAnswerError, match=r"1 of 1 .* \(1 ok\): run more budgets"):
        isoflop(one)


@pytest.mark.parametrize("noise", [-1.0, 1.0, float("nan"), float("inf")])
def test_noise_is_a_share(noise):
    with pytest.raises(ValueError, match=f"noise {noise:g} is no relative error from 0 to 1"):
        isoflop(law_runs(0.34, 0.34)[0], noise=noise)


def test_repeats_estimate_the_noise_and_excluded_rows_do_not_count():
    runs = pd.concat([law_runs(0.34, 0.34, noise=0.004, seed=s)[0] for s in range(6)])
    runs["exclude_reason"] = ""
    spoiled = runs.head(3).assign(loss=0.5, exclude_reason="diverged")
    found = isoflop(pd.concat([runs, spoiled]))
    assert found.noise == pytest.approx(0.004, rel=0.2)
    assert all(m.n_sizes == 9 for m in found.minima)


@pytest.mark.parametrize("method", ["parabola", "akima"])
def test_sizes_within_one_percent_are_one(method):
    runs, _ = law_runs(0.34, 0.34)
    twins = runs.iloc[::3].copy()
    twins["num_params"] *= 1 + 1e-6
    twins["loss"] *= 1.002
    found, alone = (isoflop(r, method=method) for r in (pd.concat([runs, twins]), runs))
    assert all(m.status == "ok" and m.n_sizes == 9 for m in found.minima)
    for minimum, expected in zip(found.minima, alone.minima, strict=True):
        assert minimum.loss == pytest.approx(expected.loss, rel=3e-3)


def test_a_minimum_far_below_every_loss_is_unstable():
    """A gap of sizes between two steep sides."""
    good, _ = law_runs(0.34, 0.34)
    x = np.array([-3.0, -2.9, -2.8, 2.8, 2.9, 3.0])
    bent = pd.DataFrame(
        {"flops": 1e24, "num_params": 1e10 * np.exp(x), "num_tokens": 1e13, "loss": 2 + 0.1 * x**2}
    )
    found = isoflop(pd.concat([good, bent]), noise=1e-4).minima[-1]
    assert (found.status, found.n_sizes) == ("unstable", 6)


@pytest.mark.parametrize("name", ["num_params", "num_tokens", "flops", "loss"])
def test_a_row_without_a_size_does_not_count(name):
    runs, best = law_runs(0.34, 0.34)
    runs.loc[runs.index[[1, 12]], name] = np.nan
    found = isoflop(runs, noise=1e-6)
    assert [m.n_sizes for m in found.minima] == [8, 8, 9, 9]
    tokens = [m.num_tokens for m in found.minima]
    assert tokens == pytest.approx(BUDGETS / (6 * best), rel=0.05)
    assert found.b == pytest.approx(0.5, abs=0.01)


def test_the_same_seed_gives_the_same_draws():
    runs, _ = law_runs(0.34, 0.28, noise=0.003)
    one, two, other = (isoflop(runs, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.draws, two.draws)
    assert not np.array_equal(one.draws, other.draws)


def test_budgets_are_grouped_by_gaps():
    flops = np.array([1e18, 3e18, 1.02e18, 0.99e18, 3.1e18])
    assert [g.tolist() for g in group_budgets(flops)] == [[3, 0, 2], [1, 4]]


def test_bias_is_none_on_the_symmetric_grid_and_known_off_it():
    """A parabola's vertex moves with the third derivative and with the grid's centre."""
    symmetric, _ = law_runs(0.34, 0.34)
    law = fit("chinchilla", symmetric)
    none = parabola_bias(law, symmetric, [1e22, 1e24])
    assert none.num_params_ratio == pytest.approx((1.0, 1.0), abs=0.03)
    assert max(none.misallocated) < 1e-3

    skewed, best = law_runs(0.5, 0.25, centre=2.0, width=20.0)
    law = fit("chinchilla", skewed)
    bias = parabola_bias(law, skewed, [1e21, 1e24])
    assert bias.a_law == pytest.approx(0.25 / 0.75, abs=1e-4)
    exact = isoflop(skewed, noise=1e-6)
    assert bias.a == pytest.approx(exact.a, abs=1e-4)
    ratio = exact.num_params(1e21) / best[-1]
    assert bias.num_params_ratio[0] == pytest.approx(ratio, rel=1e-3)
    assert abs(ratio - 1) > 0.05
    # A power law's optimum is missed by the same factor at every budget, and so is its loss.
    assert 0.01 < bias.misallocated[0] < 0.03
    assert bias.misallocated[1] == pytest.approx(bias.misallocated[0], rel=1e-6)


def test_the_wasted_share_is_what_the_law_says():
    runs, _ = law_runs(0.5, 0.25, centre=2.0, width=20.0)
    law = fit("chinchilla", runs)
    bias = parabola_bias(law, runs, [1e23])
    n = isoflop(runs, noise=1e-6).num_params(1e23)
    table = {"num_params": [float(n)], "num_tokens": [1e23 / 6 / float(n)]}
    same_loss = law.optimal(1e23 * (1 - bias.misallocated[0]))["loss"]
    assert same_loss == pytest.approx(float(law.predict(table)[0]), rel=1e-6)


def test_hoffmanns_runs_give_about_half():
    """Hoffmann et al. 2022, table 2, approach 2: a = 0.49 (0.462 to 0.534)."""
    runs = load_runs(DATA / "isoflop_chinchilla.csv", where="not outlier")
    found = isoflop(runs)
    assert len(found.minima) == 7
    assert {m.status for m in found.minima} == {"ok"}
    assert 0.46 < found.a < 0.58


def test_missing_columns_and_methods_are_named():
    with pytest.raises(ValueError, match="needs the column num_params"):
        isoflop(pd.DataFrame({"flops": [1.0], "loss": [1.0]}))
    with pytest.raises(ValueError, match="not one of parabola, akima"):
        isoflop(law_runs(0.3, 0.3)[0], method="cubic")
