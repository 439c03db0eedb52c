"""Sigmoids of scores, levels of groups, and what is said of a group that no row was of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from analysis import Estimand, fit, forecast
from analysis.laws import by_group, find_law, laws_in, score_laws, shifted

RNG = np.random.default_rng(0)
INPUTS, LOGS = ("width", "share"), (True, False)
ARRAYS = (RNG.uniform(64, 1024, 20), RNG.uniform(0, 1, 20))
SCORES = score_laws(INPUTS, LOGS, "acc")
POINTS = {"logistic": [-2.0, 0.4, 1.0], "logistic_floor": [-2.0, 0.4, 1.0, 0.25]}


@pytest.mark.parametrize("law", SCORES, ids=lambda law: law.name)
def test_a_sigmoid_has_its_formula_gradient_and_units(law):
    params = np.array(POINTS[law.name])
    least = params[3] if len(params) > 3 else 0.0
    share = expit(-2.0 + 0.4 * np.log(ARRAYS[0]) + ARRAYS[1])
    assert law.predict(params, *ARRAYS) == pytest.approx(least + (1 - least) * share)
    steps = 1e-6 * np.eye(len(params))
    moved = (law.predict(params + steps, *ARRAYS) - law.predict(params - steps, *ARRAYS)) / 2e-6
    assert law.gradient(params, *ARRAYS) == pytest.approx(moved, rel=1e-5, abs=1e-8)
    units = np.array([3.0, 0.5])
    scaled = tuple(x / u for x, u in zip(ARRAYS, units, strict=True))
    again = law.predict(law.rescale(params, units), *scaled)
    assert again == pytest.approx(law.predict(params, *ARRAYS))


@pytest.mark.parametrize(
    ("law", "level", "params"),
    [
        (laws_in(INPUTS, LOGS, "loss", positive=True)[1], "K", [1.5, 3.0, -0.4, 0.2]),
        (SCORES[0], "c", [-2.0, 0.4, 1.0]),
    ],
    ids=["a factor", "a term"],
)
def test_a_shift_moves_the_level_of_its_group_alone(law, level, params):
    moved = shifted(law, level, "family", ["a", "b"])
    codes = np.arange(20.0) % 2
    at = np.array([*params, 0.0, 0.3])
    plain = list(params)
    i = law.names.index(level)
    plain[i] = plain[i] * np.exp(0.3) if level == "K" else plain[i] + 0.3
    expected = np.where(codes == 1, law.predict(np.array(plain), *ARRAYS),
                        law.predict(np.array(params), *ARRAYS))  # fmt: skip
    assert moved.predict(at, *ARRAYS, codes) == pytest.approx(expected)
    steps = 1e-6 * np.eye(len(at))
    by_steps = (moved.predict(at + steps, *ARRAYS, codes)
                - moved.predict(at - steps, *ARRAYS, codes)) / 2e-6  # fmt: skip
    assert moved.gradient(at, *ARRAYS, codes) == pytest.approx(by_steps, rel=1e-5, abs=1e-7)


def families(slope: float = 0.3) -> pd.DataFrame:
    """Accuracies of six families, sigmoids of log FLOPs whose levels differ."""
    flops = np.geomspace(1e20, 1e23, 6)
    levels = dict(zip("abcdef", (-0.6, -0.3, 0.0, 0.1, 0.3, 0.5), strict=True))
    rows = [
        {"family": name, "flops": c, "acc": expit(slope * np.log(c / 1e22) + level)}
        for name, level in levels.items()
        for c in flops
    ]
    return pd.DataFrame(rows)


def test_auto_takes_a_column_of_text_for_groups_with_levels_of_their_own():
    runs = families()
    found = forecast(runs, x_col="flops,family", y_col="acc")
    assert found.space == "linear"
    at = pd.DataFrame({"flops": [1e24, 1e24, 1e24], "family": ["a", "f", "nobody's"]})
    truth = expit(0.3 * np.log(100) + np.array([-0.6, 0.5, 0.0]))
    assert found.predict(at) == pytest.approx(truth, abs=0.03)
    with pytest.raises(ValueError, match="one column of groups, beside columns of numbers"):
        forecast(runs.assign(name="x"), x_col="family,name", y_col="acc")


def test_a_pooled_fit_predicts_a_group_that_it_has_not_seen():
    """By the mean of the groups' levels, as wide as they differ; free levels are refused."""
    rng = np.random.default_rng(3)
    levels = rng.normal(1.0, 0.2, 8)
    x = np.geomspace(1e6, 1e9, 5)
    rows = [
        {"family": f"f{i}", "num_params": n, "loss": np.exp(level) * n**-0.1}
        for i, level in enumerate(levels)
        for n in x
    ]
    runs = pd.DataFrame(rows)
    runs["loss"] *= np.exp(rng.normal(0.0, 0.005, len(runs)))
    power = find_law("power")
    asked = Estimand("mse", x_col="num_params")
    f = fit(by_group(power, "family", runs), runs, asked, starts=1, bootstrap=40)
    new = {"num_params": [1e10], "family": ["new"]}
    centre = np.exp(np.mean(levels)) * 1e10**-0.1
    assert f.predict(new) == pytest.approx(centre, rel=0.02)
    (low, high), (own_low, own_high) = (
        np.array(f.predict_ci({"num_params": [1e10], "family": [name]})).ravel()
        for name in ("new", "f0")
    )
    assert np.log(high / low) > 4 * np.log(own_high / own_low)
    inside = np.exp(levels) * 1e10**-0.1
    assert 0.7 <= np.mean((inside > low) & (inside < high)) <= 1.0
    free = fit(by_group(power, "family", runs, pooled=False), runs, asked, starts=0)
    with pytest.raises(ValueError, match="unknown group of family 'new'"):
        free.predict(new)
