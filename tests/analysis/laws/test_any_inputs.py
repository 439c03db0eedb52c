"""Laws in any inputs: derivatives by differences, units, planted parameters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import fit, forecast
from analysis.laws import laws_in

RNG = np.random.default_rng(0)
INPUTS = ("experts", "share", "width")
ARRAYS = (RNG.uniform(1, 64, 20), RNG.uniform(0, 1, 20), RNG.uniform(64, 1024, 20))
LOGS = (True, False, True)
LAWS = [*laws_in(INPUTS, LOGS, "loss", positive=True), *laws_in(INPUTS, LOGS, "y", positive=False)]
POINTS = {
    "product": [3.0, -0.1, 0.4, -0.2],
    "product_floor": [1.5, 3.0, -0.1, 0.4, -0.2],
    "sum_floor": [1.5, 2.0, -0.3, 4.0, -0.5, -0.2],
    "plane": [0.5, -0.1, 0.4, 2.0],
    "sum_offset": [-1.5, 2.0, -0.3, 4.0, -0.5, -0.2],
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_gradient_is_that_of_differences(law):
    params = np.array(POINTS[law.name])
    steps = 1e-6 * np.eye(len(params))
    moved = (law.predict(params + steps, *ARRAYS) - law.predict(params - steps, *ARRAYS)) / 2e-6
    assert law.gradient(params, *ARRAYS) == pytest.approx(moved, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_other_units_change_parameters_alone(law):
    params, units = np.array(POINTS[law.name]), np.array([3.0, 0.5, 100.0])
    scaled = tuple(x / u for x, u in zip(ARRAYS, units, strict=True))
    assert law.predict(law.rescale(params, units), *scaled) == pytest.approx(
        law.predict(params, *ARRAYS)
    )


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_planted_law_is_found(law):
    params = np.array(POINTS[law.name])
    table = pd.DataFrame(dict(zip(INPUTS, ARRAYS, strict=True)))
    table[law.output] = law.predict(params, *ARRAYS)
    found = fit(law, table)
    assert found.vector == pytest.approx(params, rel=1e-3, abs=1e-4)


def test_auto_in_named_columns_predicts_what_a_product_of_powers_says():
    """Nobody names the law; y is 5 a^-.2 b^-.3 to .2 %, asked for 4 times beyond in a and b."""
    a, b = (x.ravel() for x in np.meshgrid(np.geomspace(1, 64, 7), np.geomspace(10, 1000, 6)))
    y = 5 * a**-0.2 * b**-0.3 * np.exp(0.002 * RNG.standard_normal(len(a)))
    found = forecast(pd.DataFrame({"a": a, "b": b, "loss": y}), x_col="a,b")
    at = {"a": np.array([256.0]), "b": np.array([4000.0])}
    truth = 5 * 256**-0.2 * 4000**-0.3
    assert found.predict(at) == pytest.approx(truth, rel=0.02)
    low, high = found.predict_ci(at)
    assert low < truth < high


def test_auto_takes_a_response_of_any_sign_in_its_own_unit():
    a = np.linspace(-3, 3, 30)
    runs = pd.DataFrame({"a": a, "gain": 2 * a - 1 + 0.01 * RNG.standard_normal(30)})
    found = forecast(runs, x_col="a", y_col="gain")
    assert found.space == "linear"
    assert found.predict({"a": np.array([4.0])}) == pytest.approx(7.0, abs=0.05)
