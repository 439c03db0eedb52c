"""Axes at equal FLOPs and the balance of coefficients, against planted curves and surfaces."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.designs.coefficients import pick_coefficients
from analysis.designs.scaling_axes import compare_axes

SLOPES = {"compound": (-0.20, 0.0), "depth": (-0.15, 0.03), "width": (-0.20, 0.0)}


def axis_runs(noise=0.0, seeds=2, base=1e6):
    rng = np.random.default_rng(0)
    rows = [{"axis": "base", "macs_forward": base, "error": 0.2} for _ in range(seeds)]
    for axis, (slope, bend) in SLOPES.items():
        for ratio in (2, 4, 8):
            x = math.log(ratio)
            error = 0.2 * math.exp(slope * x + bend * x * x)
            rows += [{"axis": axis, "macs_forward": base * ratio, "error": error}] * seeds
    runs = pd.DataFrame(rows)
    runs["error"] *= np.exp(noise * rng.standard_normal(len(runs)))
    return runs.assign(exclude_reason="", loss=1.0)


def test_planted_curves_are_found():
    found = compare_axes(axis_runs())
    assert found.metric == "error" and found.status == "ok"
    assert found.base_value == pytest.approx(0.2)
    for curve in found.curves:
        slope, bend = SLOPES[curve.axis]
        assert curve.slope_small == pytest.approx(slope, abs=1e-9)
        assert curve.slope_large == pytest.approx(slope + 2 * bend * math.log(8), abs=1e-9)
    at = {(row.axis, row.flops_ratio): row for row in found.equal_flops}
    gap = 0.05 * math.log(8) + 0.03 * math.log(8) ** 2
    assert at["depth", 8].ratio == pytest.approx(math.exp(gap))
    assert at["width", 4].ratio == pytest.approx(1.0)
    assert at["compound", 4].value == pytest.approx(0.2 * 4**-0.2)
    assert at["compound", 4].flops_forward == pytest.approx(2 * 4e6)


def test_intervals_tell_a_worse_axis_from_an_equal_one():
    found = compare_axes(axis_runs(noise=0.01), seed=1)
    at = {(row.axis, row.flops_ratio): row for row in found.equal_flops}
    assert at["depth", 8].ratio_ci[0] > 1
    assert at["width", 8].ratio_ci[0] < 1 < at["width", 8].ratio_ci[1]
    assert {c.axis: c.saturates for c in found.curves}["depth"] is True


def test_coverage_of_the_intervals():
    """90 % intervals of the planted gap hold it about nine times in ten."""
    truth = math.exp(0.05 * math.log(4) + 0.03 * math.log(4) ** 2)
    held = 0
    for seed in range(30):
        runs = axis_runs()
        runs["error"] *= np.exp(0.02 * np.random.default_rng(seed).standard_normal(len(runs)))
        found = compare_axes(runs, draws=200, seed=seed)
        low, high = next(
            r.ratio_ci for r in found.equal_flops if (r.axis, r.flops_ratio) == ("depth", 4)
        )
        held += low <= truth <= high
    assert 22 <= held <= 30


def test_few_runs_have_curves_without_intervals():
    found = compare_axes(
        axis_runs(seeds=1).query("axis in ['base', 'depth'] and macs_forward < 5e6")
    )
    assert found.status == "no intervals: 3 runs for 2 coefficients"
    assert np.isnan(found.curves[0].slope_large_ci).all() and found.curves[0].saturates is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.drop(columns="axis"), "no column 'axis'"),
        (lambda r: r[r["axis"] != "base"], "no finished run of the base model"),
        (lambda r: r[r["macs_forward"] < 3e6], "no axis has 2 scales beyond the base model"),
        (lambda r: r.drop(columns=["error", "loss"]), "no run of 20 has an error or a loss"),
    ],
)
def test_refused(change, message):
    with pytest.raises(ValueError, match=message):
        compare_axes(change(axis_runs()))


def search_runs(best=(0.3, 0.3, 0.4), noise=0.0, curvature=0.3, seeds=2, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(6):
        for j in range(6 - i):
            s = np.array([i, j, 5 - i - j]) / 5
            y = 0.1 * math.exp(curvature * float(((s - best) ** 2).sum()))
            flops = dict(zip(("depth", "width", "resolution"), 2**s, strict=True))
            row = {f"flops_{axis}": value for axis, value in flops.items()}
            rows += [{"axis": "search", "macs_forward": 2e6, "error": y, **row}] * seeds
    runs = pd.DataFrame(rows)
    runs["error"] *= np.exp(noise * rng.standard_normal(len(runs)))
    return runs.assign(exclude_reason="")


def test_the_surface_finds_a_planted_balance():
    """Shares (0.3, 0.3, 0.4) of ln 2: alpha = 2^0.3, beta = 2^0.15, gamma = 2^0.2."""
    found = pick_coefficients(search_runs())
    assert found.status == "ok" and found.factor == pytest.approx(2)
    assert found.params["alpha"] == pytest.approx(2**0.3, rel=1e-6)
    assert found.params["beta"] == pytest.approx(2**0.15, rel=1e-6)
    assert found.params["gamma"] == pytest.approx(2**0.2, rel=1e-6)
    assert found.value == pytest.approx(0.1, rel=1e-6)
    p = found.params
    assert p["alpha"] * p["beta"] ** 2 * p["gamma"] ** 2 == pytest.approx(2)


def test_intervals_hold_the_planted_balance():
    held = 0
    for seed in range(20):
        found = pick_coefficients(search_runs(noise=0.01, seed=seed), draws=200, seed=seed)
        low, high = found.ci["alpha"]
        held += low <= 2**0.3 <= high
    assert 14 <= held <= 20


def test_cells_off_the_factor_do_not_bend_the_surface():
    runs = search_runs()
    off = np.random.default_rng(0).uniform(0.9, 1.1, len(runs))
    runs["macs_forward"] *= off
    runs["error"] *= off**-0.2
    assert pick_coefficients(runs).params["alpha"] == pytest.approx(2**0.3, rel=0.01)


def test_without_exact_flops_the_multipliers_serve():
    runs = search_runs()
    renamed = pd.DataFrame(
        {
            "axis": "search",
            "error": runs["error"],
            "depth_multiplier": runs["flops_depth"],
            "width_multiplier": runs["flops_width"] ** 0.5,
            "resolution_multiplier": runs["flops_resolution"] ** 0.5,
        }
    )
    assert pick_coefficients(renamed).params == pytest.approx(pick_coefficients(runs).params)


def test_status_says_what_the_surface_cannot():
    assert pick_coefficients(search_runs(best=(-0.5, 0.7, 0.8))).status == "edge"
    assert pick_coefficients(search_runs(curvature=0.0, noise=0.05)).status == "flat"


def test_too_few_cells():
    with pytest.raises(ValueError, match=r"5 different cells, .* needs 8: refine the grid"):
        pick_coefficients(search_runs().iloc[:10])
