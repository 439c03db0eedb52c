"""Figures: what they draw, in every format, the same each time."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection

from analysis import Estimand, fit, plotting
from analysis.compute.approach2 import isoflop
from analysis.compute.plan import plan
from analysis.forecasts.backtest import backtest
from analysis.plotting import draw
from analysis.plotting.runs import levels
from analysis.plotting.style import power
from analysis.wording import count
from scaling.base.errors import NoAnswerError


@pytest.fixture(scope="module")
def law(planted_runs):
    return fit("chinchilla", planted_runs, bootstrap=60)


def texts(figure):
    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def test_figures_are_written_in_every_format(planted_runs, law, tmp_path):
    budgets = planted_runs.assign(
        flops=np.repeat(np.geomspace(1e12, 1e13, 5), 6),
        loss=np.tile([3.0, 2.5, 2.2, 2.3, 2.6, 3.1], 5),
        num_params=np.tile(np.geomspace(1e4, 1e6, 6), 5),
    )
    figures = {
        "frontier": plotting.frontier(planted_runs, None, law),
        "scaling": plotting.scaling(planted_runs, law),
        "residuals": plotting.residuals(planted_runs, law),
        "isoflop": plotting.isoflop(budgets, isoflop(budgets)),
        "plan": plotting.plan(plan(law, [1e13, 1e14, 1e15]), planted_runs),
        "predictions": plotting.predictions(["a", "b"], [2.0, 3.0], [(1.9, 2.1)] * 2, [2.0, 3.1]),
    }
    for name, figure in figures.items():
        path = plotting.save(figure, tmp_path / "sub" / f"{name}.svg")
        assert path.read_bytes().startswith(b"<?xml")
    for kind, start in {"png": b"\x89PNG", "pdf": b"%PDF"}.items():
        path = plotting.save(figures["residuals"], tmp_path / f"residuals.{kind}")
        assert path.read_bytes().startswith(start)


def iso_runs(budgets):
    """Exact parabolas of seven sizes, and two runs at a budget of their own."""
    n = np.geomspace(1e6, 1e7, 7)
    rows = [(c, m * c**0.5 / 1e9, 2 + np.log(m / 3e6) ** 2) for c in budgets for m in n]
    rows += [(1e21, 1e7, 2.0), (1e21, 2e7, 2.1)]
    return pd.DataFrame(rows, columns=["flops", "num_params", "loss"])


def test_two_sizes_are_no_profile():
    runs = iso_runs([1e18, 1e19, 1e20])
    (axes, *_) = draw(plotting.isoflop(runs, isoflop(runs))).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) > 3]
    assert len(curves) == 3
    grey = axes.collections[-3].get_offsets()
    assert np.asarray(grey).tolist() == [[1e7, 2.0], [2e7, 2.1]]


def test_a_figure_of_two_minima_has_no_exponent():
    runs = iso_runs([1e18, 1e19])
    words = " ".join(texts(draw(plotting.isoflop(runs, isoflop(runs)))))
    assert "No exponent: 2 budgets have a minimum, and it needs 3" in words
    assert "propto" not in words


@pytest.mark.parametrize("kind", plotting.FORMATS)
def test_equal_figures_are_equal_files(planted_runs, tmp_path, kind):
    one, two = (
        plotting.save(plotting.scaling(planted_runs), tmp_path / f"{i}.{kind}") for i in (1, 2)
    )
    assert one.read_bytes() == two.read_bytes()


def test_another_suffix_is_refused(planted_runs, tmp_path):
    with pytest.raises(ValueError, match=r"written as .png, .pdf, .svg"):
        plotting.save(plotting.scaling(planted_runs), tmp_path / "a.gif")


def test_the_scaling_figure_has_a_curve_of_the_law_for_each_d(planted_runs, law):
    figure = draw(plotting.scaling(planted_runs, law))
    axes = figure.axes[0]
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) == 80]
    assert len(curves) == 5
    x, y = curves[0].get_data()
    tokens = planted_runs["num_tokens"].min()
    table = {"num_params": x, "num_tokens": np.full_like(x, tokens)}
    np.testing.assert_allclose(y, law.predict(table), rtol=1e-6)
    assert axes.get_ylabel() == "Held-out loss (nats/token)"
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_the_scaling_figure_of_repeated_data_is_of_the_data_that_the_runs_had(planted_runs):
    most = 2e6
    unique = np.minimum(planted_runs["num_tokens"], most)
    runs = planted_runs.assign(num_unique_tokens=unique)
    law = fit("repeated_data", runs, bootstrap=0)
    figure = draw(plotting.scaling(runs, law))
    curves = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 80]
    for curve, tokens in zip(curves, sorted(set(runs["num_tokens"])), strict=True):
        x, y = curve.get_data()
        seen = {"num_tokens": np.full_like(x, tokens), "num_unique_tokens": min(tokens, most)}
        np.testing.assert_allclose(y, law.predict({"num_params": x, **seen}), rtol=1e-6)


def test_the_frontier_of_a_fit_lies_below_all_that_it_explains(planted_runs, law):
    figure = draw(plotting.frontier(planted_runs, None, law))
    [line] = [li for li in figure.axes[0].get_lines() if "frontier" in str(li.get_label())]
    flops, best = line.get_data()
    fitted = np.asarray(law.predict(planted_runs))
    at = np.interp(np.log(planted_runs["flops"]), np.log(flops), best)
    assert (fitted >= at * (1 - 1e-3)).all()
    assert flops[-1] == pytest.approx(10 * planted_runs["flops"].max())


def test_learning_curves_are_drawn_by_run(planted_runs):
    import pandas as pd

    curves = pd.DataFrame(
        {"run_id": ["0" * 16] * 3, "step": [1e5, 2e5, 5e5], "loss": [6.0, 5.0, 4.0]}
    )
    figure = draw(plotting.frontier(planted_runs, curves))
    drawn = [li.get_ydata() for li in figure.axes[0].get_lines()]
    assert any(list(y) == [6.0, 5.0, 4.0] for y in drawn)


def test_excluded_rows_are_not_drawn(planted_runs):
    table = planted_runs.copy()
    table.loc[:9, "exclude_reason"] = "diverged"
    points = draw(plotting.scaling(table)).axes[0].collections[0].get_offsets()
    assert len(points) == 20


def test_residuals_are_in_percent_of_the_measured_loss(planted_runs, law):
    figure = draw(plotting.residuals(planted_runs, law))
    offsets = figure.axes[0].collections[-1].get_offsets()
    expected = 100 * np.log(planted_runs["loss"] / law.predict(planted_runs))
    np.testing.assert_allclose(offsets[:, 1], expected)


def test_the_band_of_the_law_holds_new_runs(planted_runs, law):
    figure = draw(plotting.scaling(planted_runs, law))
    bands = [c for c in figure.axes[0].collections if isinstance(c, FillBetweenPolyCollection)]
    assert len(bands) == 5
    tokens = planted_runs["num_tokens"].min()
    at = bands[0].get_paths()[0].vertices
    table = {"num_params": [at[:, 0].min()], "num_tokens": [tokens]}
    low, high = law.predict_ci(table)
    edge = at[at[:, 0] == at[:, 0].min(), 1]
    assert (edge.min(), edge.max()) == pytest.approx((low[0], high[0]), rel=5e-3)


def test_profiles_reach_their_limit_at_the_ends_of_the_interval(law):
    figure = draw(plotting.profile(law))
    assert [axes.get_xlabel() for axes in figure.axes] == [r"$\alpha$", r"$\beta$"]
    for axes, name in zip(figure.axes, ("alpha", "beta"), strict=True):
        limit = next(line for line in axes.get_lines() if len(set(line.get_ydata())) == 1)
        curve = max(axes.get_lines(), key=lambda line: len(line.get_xdata()))
        for end in law.profile(name)[2]:
            at = np.interp(end, curve.get_xdata(), curve.get_ydata())
            assert at == pytest.approx(limit.get_ydata()[0], rel=1e-3)


def test_the_cloud_is_one_of_the_draws(planted_runs, law):
    figure = draw(plotting.cloud(law))
    points = figure.axes[0].collections[0].get_offsets()
    alpha, beta = law.draws[:, 3], law.draws[:, 4]
    np.testing.assert_allclose(points[:, 0], beta / (alpha + beta))
    np.testing.assert_allclose(points[:, 1], law.draws[:, 0])
    one = fit("power_floor", planted_runs, Estimand(x_col="num_params"), bootstrap=20)
    drawn = draw(plotting.cloud(one)).axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(drawn[:, 0], one.draws[:, one.law.names.index("alpha")])
    with pytest.raises(NoAnswerError, match="law kaplan has no floor"):
        plotting.cloud(fit("kaplan", planted_runs, bootstrap=2, starts=0))
    with pytest.raises(ValueError, match="bootstrap=1000"):
        plotting.cloud(fit("chinchilla", planted_runs, starts=0))


def test_the_funnel_counts_what_is_inside(planted_runs):
    found = backtest(planted_runs, law="chinchilla")
    title = plotting.funnel(found).panels[0].title
    assert f"interval score {found.groups[0].mean('interval_score'):.3g}" in title
    assert f"CRPS {found.groups[0].mean('crps'):.3g}" in title
    axes = draw(plotting.funnel(found)).axes[0]
    inside, outside = (c.get_offsets() for c in axes.collections[1:])
    total = sum(split.n_test for split in found.groups[0].splits)
    assert len(inside) + len(outside) == total
    assert len(inside) / total == pytest.approx(found.coverage_90)
    n, d = planted_runs["num_params"], planted_runs["num_tokens"]
    split = found.groups[0].splits[0]
    np.testing.assert_allclose(split.beyond * split.size, (n * d).to_numpy()[split.rows])


def test_a_law_in_one_variable_is_drawn_against_it(planted_runs):
    runs = planted_runs.rename(columns={"num_params": "width"})
    runs = runs[runs["num_tokens"] == runs["num_tokens"].max()]
    law = fit("power_floor", runs, Estimand(x_col="width"), bootstrap=30)
    assert draw(plotting.scaling(runs, law)).axes[0].get_xlabel() == "width"


def test_the_legend_of_several_laws_stands_outside_and_many_points_have_no_outline(planted_runs):
    def drawn(runs):
        groups = {
            name: (runs, fit("power_floor", runs, Estimand(x_col="num_params"), starts=0))
            for name in "ab"
        }
        return draw(plotting.compared(groups))

    few, many = drawn(planted_runs), drawn(planted_runs.loc[list(range(30)) * 10])
    for figure in (few, many):
        assert figure.axes[0].get_legend() is None
        assert len(figure.legends[0].get_texts()) == 2
    widths = [f.axes[0].collections[0].get_linewidths()[0] for f in (few, many)]
    assert widths == [0.4, 0]


def test_axes_read_well(planted_runs, law):
    words = texts(draw(plotting.plan(plan(law, list(np.geomspace(1e12, 1e18, 9))), planted_runs)))
    assert "Parameters N*" in words
    assert "Held-out loss (nats/token)" in words
    assert {"100K", "1M"} <= set(words)


def test_svg_is_well_formed_and_needs_no_network(planted_runs, law):
    text = plotting.svg(plotting.scaling(planted_runs, law), "scaling")
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    for element in root.iter():
        for key, value in element.attrib.items():
            assert not key.endswith("href") or value.startswith(("#", "data:"))


def test_numbers_as_people_read_them():
    assert [count(v) for v in (0.5, 640, 1500, 21.4e6, 182.8e9, 1.1e12, 999_600)] == [
        "0.5", "640", "1.5K", "21.4M", "183B", "1.1T", "1M",
    ]  # fmt: skip
    assert power(1e18) == "$10^{18}$"
    assert power(3.2e18) == "$3.2\\times10^{18}$"


def test_levels_are_the_distinct_values_or_a_few_of_them():
    assert levels([1e6, 1.001e6, 2e6, 4e6]) == [1e6, 2e6, 4e6]
    many = levels(np.geomspace(1e6, 1e9, 100))
    assert len(many) == 6
    np.testing.assert_allclose(np.diff(np.log(many)), np.diff(np.log(many))[0])


def test_every_group_is_drawn_however_many(planted_runs):
    law = fit("power", planted_runs, Estimand(x_col="num_params"), starts=0)
    figure = draw(plotting.compared({str(i): (planted_runs, law) for i in range(9)}))
    assert len(figure.axes[0].collections) == len(figure.axes[0].lines) == 9
