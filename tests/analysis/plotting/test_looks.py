"""Figures in any size: their labels never overlap, their colours are seen, their numbers kept."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from analysis import fit, plotting
from analysis.compute import plan
from analysis.designs import compare_axes, pick_coefficients
from analysis.plotting import ON_BLACK, ON_WHITE, Layer, Look, Panel, Picture, draw, log_x, loss_y
from tests.analysis.designs.test_scaling_axes import axis_runs, search_runs


@pytest.fixture(scope="module")
def pictures(planted_runs):
    law = fit("chinchilla", planted_runs, bootstrap=20, starts=0)
    names = ["N = 655K, D = 524K", "N = 1.05M, D = 8.39M"]
    return {
        "frontier": plotting.frontier(planted_runs, None, law),
        "scaling": plotting.scaling(planted_runs, law),
        "residuals": plotting.residuals(planted_runs, law),
        "plan": plotting.plan(plan(law, list(np.geomspace(1e12, 1e18, 5))), planted_runs),
        "predictions": plotting.predictions(
            names, [2.0, 3.0], [(1.9, 2.1), (2.9, 3.2)], [2.0, 3.1]
        ),
        "cloud": plotting.cloud(law),
        "curves": plotting.curves(*learning()),
        "context": plotting.context(places()),
    }


def learning():
    """Runs of six sizes, some ended, and points of their curves."""
    sizes = [1.3e5 * 2.5**k for k in range(6)]
    runs = pd.DataFrame({"run_id": [f"r{k}" for k in range(6)], "num_params": sizes, "loss": 3.0})
    runs["exclude_reason"] = ["", "", "running: not finished"] * 2
    steps = np.geomspace(1e5, 3e8, 30)
    curves = [
        pd.DataFrame({"run_id": run, "step": steps, "loss": 1.7 + 90 / size**0.3 + 60 / steps**0.3})
        for run, size in zip(runs["run_id"], sizes, strict=True)
    ]
    return runs, pd.concat(curves)


def places():
    """Runs of two families and three sizes with losses by place in the context."""
    rows = [
        {"family": family, "num_params": size, "loss": 3.0, "exclude_reason": ""}
        | {f"loss_at_{n}": 2 + drop * size**-0.1 + n**-0.4 for n in (1, 2, 4, 8, 16, 64, 256)}
        for family, drop in (("transformer", 3.0), ("lstm", 4.0))
        for size in (1e6, 4e6, 2e7)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    "look", [Look(), Look(width=3.03), Look("slides"), Look(width=3.25, font_size=10)]
)
def test_no_label_covers_another(pictures, look):
    for name, picture in pictures.items():
        figure = draw(picture, look)
        assert plotting.overlaps(figure) == [], name
        assert figure.get_figwidth() == (
            look.width or (10 if look.style == "slides" else picture.width)
        )


@pytest.mark.parametrize("look", [None, Look(width=3.25), Look("slides")])
def test_compound_scaling_is_drawn_in_any_size(look, tmp_path):
    runs, cells = axis_runs(0.01), search_runs(noise=0.01)
    axes = plotting.axes_at_equal_flops(runs, compare_axes(runs, draws=50))
    assert plotting.overlaps(draw(axes, look)) == []
    assert len(axes.data()) > len(runs)
    surface = plotting.CoefficientSurface(cells, pick_coefficients(cells, draws=50))
    figure = surface(look)
    figure.draw_without_rendering()
    legend, title = figure.legends[0].get_window_extent(), figure.axes[0].title.get_window_extent()
    corners = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(corner.overlaps(box) for corner in corners for box in (legend, title))
    assert title.x1 <= figure.bbox.x1 and legend.x0 >= 0
    numbers = surface.data()
    lowest = numbers[numbers["series"] == "surface"].sort_values("error").iloc[0]
    best = numbers[numbers["series"] == "lowest point"].iloc[0]
    parts = ["depth", "width", "resolution"]
    assert np.allclose(numbers[parts].sum(axis=1), 1)
    assert np.allclose(lowest[parts].astype(float), best[parts].astype(float), atol=0.02)
    assert lowest["error"] == pytest.approx(best["error"], rel=1e-3)
    measured = numbers.loc[numbers["series"] == "runs", "error"]
    assert measured.to_numpy() == pytest.approx(100 * cells["error"].to_numpy())
    width = (look or Look()).scale(5.2)[0]
    path = plotting.save(surface, tmp_path / "s.png", look)
    assert imread(path).shape[1] == pytest.approx(200 * width, abs=1)


def test_crowded_line_ends_and_ticks_are_told_apart():
    x = np.geomspace(1e6, 1e12, 5)
    lines = [Layer("line", x, np.full(5, 2 + 0.001 * i), says=f"D = {i}") for i in range(4)]
    picture = Picture([Panel(lines, log_x("N"), loss_y("Loss", low=1.0, high=4.0))])
    figure = draw(picture, Look(width=1.6))
    assert plotting.overlaps(figure) == []
    ends = sorted(t.get_window_extent().y0 for t in figure.axes[0].texts if t.get_visible())
    assert len(ends) >= 2 and min(np.diff(ends)) > 1


def contrast(one, other):
    """The contrast of two colours, WCAG 2.2."""

    def luminance(colour):
        parts = np.array(to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_every_shade_is_seen_on_its_ground():
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)  # WCAG's own example
    assert min(contrast(shade, "#ffffff") for shade in ON_WHITE) >= 3
    assert min(contrast(shade, "#161b22") for shade in ON_BLACK) >= 3
    for colour in plotting.SERIES:
        assert contrast(colour, "#ffffff") >= 3


def test_one_value_gives_the_figure_the_table_and_the_page(pictures, planted_runs):
    picture = pictures["residuals"]
    figure, data = draw(picture), picture.data()
    told = json.loads(json.dumps(plotting.as_json(picture)))
    for axes, panel in zip(figure.axes, told["panels"], strict=True):
        [layer] = [one for one in panel["layers"] if one["kind"] == "points"]
        drawn = axes.collections[-1].get_offsets()
        np.testing.assert_allclose(np.column_stack([layer["x"], layer["y"]]), drawn, rtol=1e-4)
        assert layer["runs"] == list(planted_runs["run_id"])
        rows = data[(data["panel"] == panel["x"]["label"]) & (data["kind"] == "points")]
        np.testing.assert_array_equal(rows[["x", "y"]], drawn)
        assert list(rows["run_id"]) == layer["runs"]


def test_lengths_and_columns():
    assert plotting.width_of("89mm") == pytest.approx(3.504, abs=1e-3)
    assert plotting.width_of("3.25in") == plotting.width_of("icml") == 3.25
    for text in ("", "mm", "89", "wide", "-x in"):
        with pytest.raises(ValueError, match="write a length"):
            plotting.width_of(text)
