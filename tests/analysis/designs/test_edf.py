"""Error distributions and best values, against scipy and against the paper's own procedure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import plotting
from analysis.designs.edf import best_values, compare, describe_spaces, edf
from analysis.plotting import draw, parameters
from analysis.tables.designs import block_widths, fit_line, quantised_line, with_design
from scaling.families import get_family
from scaling.families.vision.zoo.regnet import quantised_widths
from sweeps.kinds.spaces import SPACES

ERRORS = st.lists(st.floats(0.01, 0.9), min_size=5, max_size=60)


@settings(max_examples=50, deadline=None)
@given(ERRORS)
def test_edf_is_scipys(errors):
    found = edf(errors, draws=50)
    expected = stats.ecdf(errors).cdf
    assert found.at.tolist() == expected.quantiles.tolist()
    assert found.share == pytest.approx(expected.probabilities)
    assert (found.low <= found.high).all() and found.share[-1] == 1
    assert found.best == min(errors) and found.median == pytest.approx(np.median(errors))


def test_band_of_the_edf_is_binomial():
    """F(e) of n models has standard deviation sqrt(F (1 - F) / n)."""
    found = edf(np.linspace(0.1, 0.5, 200), draws=4000)
    i = int(np.searchsorted(found.share, 0.3))
    half = (found.high[i] - found.low[i]) / 2
    assert half == pytest.approx(stats.norm.ppf(0.95) * np.sqrt(0.3 * 0.7 / 200), rel=0.12)


def test_comparison_is_scipys_and_names_the_better_one():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.30, 0.02, 60), rng.normal(0.28, 0.02, 50)
    found = compare(a, b, ("a", "b"))
    test = stats.ks_2samp(a, b)
    assert (found.statistic, found.p_value) == (test.statistic, test.pvalue)
    assert found.better == "b" and found.median_gap_ci[0] > 0
    assert compare(a, a + 1e-6, ("a", "c")).better == ""


def test_best_values_are_the_limit_of_the_papers_bootstrap():
    """A quarter with replacement, its best model's value, ten thousand times."""
    rng = np.random.default_rng(3)
    depth = rng.integers(5, 30, 80)
    error = 0.2 + 0.0005 * (depth - 15) ** 2 + 0.02 * rng.standard_normal(80)
    samples = rng.integers(80, size=(20000, 20))
    best = depth[samples[np.arange(20000), error[samples].argmin(axis=1)]]
    low, middle, high = np.percentile(best, [2.5, 50, 97.5])
    assert best_values(depth, error) == pytest.approx((low, middle, high), abs=1.01)


def test_equal_errors_share_their_weight():
    low, middle, high = best_values([1, 2, 3, 4], [0.1] * 4)
    assert (low, high) == (1, 4) and middle in (2, 3)


def test_spaces_are_told_apart_by_column_and_by_source():
    runs = pd.DataFrame(
        {"error": np.linspace(0.1, 0.3, 20), "space": ["a"] * 10 + ["b"] * 10, "exclude_reason": ""}
    )
    found = describe_spaces({"one": runs})
    assert [s.name for s in found.spaces] == ["a", "b"]
    assert len(found.comparisons) == 1 and found.comparisons[0].better == "a"
    plain = runs.drop(columns="space")
    found = describe_spaces({"one": plain.iloc[:10], "two": plain.iloc[10:]})
    assert [s.name for s in found.spaces] == ["one", "two"]
    with pytest.raises(ValueError, match=r"one has 4 finished models, and .* needs 5"):
        describe_spaces({"one": plain.iloc[:4]})


def test_without_draws_there_are_no_bands():
    errors = np.linspace(0.1, 0.3, 20)
    found = edf(errors, draws=0)
    assert found.share[-1] == 1 and found.median == pytest.approx(0.2)
    assert np.isnan([*found.low, *found.high, *found.median_ci, *found.mean_ci]).all()
    assert np.isnan(compare(errors, errors + 0.5, draws=0).median_gap_ci).all()


@pytest.mark.parametrize("names", [("depth",), ("depth", "width")])
def test_the_words_of_a_figure_are_whole(names):
    rng = np.random.default_rng(0)
    runs = pd.DataFrame(rng.random((20, 3)), columns=["error", "depth", "width"])
    found = describe_spaces({"wide": runs, "narrow": runs}, names, draws=0)
    figure = draw(parameters(found))
    figure.draw_without_rendering()
    [said] = figure.texts
    assert "the best of a random quarter" in said.get_text()
    for thing in (said, *figure.legends):
        extent = thing.get_window_extent()
        assert 0 <= extent.x0 < extent.x1 <= figure.bbox.width


def test_a_measured_loss_has_its_unit_on_each_axis():
    runs = pd.DataFrame({"loss": np.linspace(2, 3, 20), "depth": range(20), "data_unit": "token"})
    found = describe_spaces({"one": runs}, ("depth",), draws=0, metric="loss")
    for axis in (parameters(found).panels[0].y, plotting.edf(found).panels[0].x):
        assert axis.label == "Held-out loss (nats/token)"


def test_a_failed_model_is_not_counted():
    runs = pd.DataFrame(
        {"error": [0.1, 0.2, 0.3, 0.4, 0.5, 0.9], "exclude_reason": [""] * 5 + ["x"]}
    )
    assert describe_spaces({"one": runs}).spaces[0].n_models == 5


PRESETS = json.loads(
    (Path(__file__).parents[2] / "published" / "data" / "regnet_parameters.json").read_text()
)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_regnet_is_on_its_line(name):
    """e_fit is 0 for the widths of the rule (Radosavovic et al. 2020, eqs. 2 to 4)."""
    p = PRESETS[name]
    widths = np.array(quantised_widths(p["depth"], p["w0"], p["wa"], p["wm"]), dtype=float)
    assert quantised_line(p["depth"], p["w0"], p["wa"], p["wm"]).tolist() == widths.tolist()
    assert fit_line(widths)["e_fit"] == 0


def test_constrained_spaces_are_nearer_to_a_line():
    """Sec. 3.3: the line was found in the best models of AnyNetX E, whose widths increase."""
    rng = np.random.default_rng(0)
    mean = {}
    for name in ("anynetx-a", "anynetx-e"):
        drawn = SPACES[name].draw(rng, 20)
        fits = [fit_line(block_widths(o["depths"], o["widths"]))["e_fit"] for o in drawn]
        mean[name] = np.mean(fits)
    assert mean["anynetx-e"] < 0.5 * mean["anynetx-a"]


def test_design_parameters_of_a_model():
    config = get_family("regnetx").resolve({**get_family("regnetx").presets["200mf"]})
    runs = pd.DataFrame({"run_id": ["r", "unknown"], "error": [0.1, 0.2]})
    table = with_design(runs, {"r": config.to_dict()})
    row = table.iloc[0]
    assert row["depth"] == 13 and row["width"] == 368 and row["group_width"] == 8
    assert row["e_fit"] == 0 and row["w0"] == 24
    assert table.iloc[1][["depth", "e_fit"]].isna().all()
