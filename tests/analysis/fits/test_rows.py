"""Which rows a law can be fitted to: responses and inputs of any sign."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import LAWS, Estimand, fit, formula_law
from analysis.fits import observe
from analysis.laws import law_for, scales

LINE = "y = a + b*x"


def line_runs() -> pd.DataFrame:
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    return pd.DataFrame({"x": x, "y": np.array([-3.1, -0.9, 0.0, 2.9, 5.2, 6.9])})


def test_inputs_and_responses_of_any_sign_are_fitted_where_no_log_is_taken() -> None:
    runs = line_runs()
    f = fit(law_for(LINE, runs, signed=("a", "b")), runs, Estimand("mse"))
    slope, intercept = np.polyfit(runs["x"], runs["y"], 1)
    assert [f.params["a"], f.params["b"]] == pytest.approx([intercept, slope], rel=1e-9)
    assert f.n_runs == 6
    assert f.space == "linear"
    assert "residuals are linear: y is negative in 2 of 6 rows" in f.diagnostics["notes"][0]


@pytest.mark.parametrize(
    ("zeros", "asked", "space", "used"),
    [
        (1, None, "log", 29),
        (4, None, "linear", 30),
        (4, "log", "log", 26),
        (1, "linear", "linear", 30),
    ],
)
def test_zeros_are_runs_that_went_wrong_while_they_are_few(zeros, asked, space, used) -> None:
    x = np.geomspace(1, 100, 30)
    runs = pd.DataFrame({"x": x, "y": 3 / x})
    runs.loc[: zeros - 1, "y"] = 0.0
    seen = observe(law_for("y = a/x^b", runs), runs, Estimand(space=asked))
    assert (seen.space, len(seen.observed)) == (space, used)
    assert {line["reason"] for line in seen.excluded} <= {"y is 0"}


def test_a_named_law_keeps_its_space() -> None:
    runs = pd.DataFrame({"num_params": [1e6, 1e7, 1e8, 1e9], "loss": [3.0, -1.0, 2.5, 2.0]})
    seen = observe(LAWS["power"], runs, Estimand())
    assert (seen.space, [line["row"] for line in seen.excluded]) == ("log", [1])


@pytest.mark.parametrize(
    ("law", "left_out"),
    [
        ("y = E + A/x^a", ["x is 0", "x is -1"]),
        ("y = E + A*x^a", ["x is -1"]),
        ("y = E + A*exp(-a*x)", []),
        ("y = E + A*log(1 + x)^2", ["x is -1"]),
    ],
)
def test_the_formula_says_where_it_has_no_value(law: str, left_out: list[str]) -> None:
    x = np.array([0.0, -1.0, 1.0, 2.0, 3.0, 5.0, 8.0])
    runs = pd.DataFrame({"x": x, "y": 1.0 + np.exp(-0.5 * np.abs(x))})
    f = fit(law, runs)
    said = [line["reason"] for line in f.excluded]
    assert said == [f"{where}, where formula has no value" for where in left_out]


def test_a_zero_under_a_positive_power_is_a_row_like_any_other() -> None:
    x = np.array([0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0])
    runs = pd.DataFrame({"x": x, "y": 1.5 + 2 * x**0.3})
    f = fit("y = E + A*x^a", runs)
    assert f.n_runs == 7
    assert f.params == pytest.approx({"E": 1.5, "A": 2.0, "a": 0.3}, rel=1e-6)


def test_the_unit_of_an_input_is_the_size_of_what_is_not_zero() -> None:
    law = LAWS["power"]
    assert scales((np.array([0.0, 1e6, 1e8]),), law) == pytest.approx([1e7])
    assert scales((np.array([-1e6, 1e8]),), law) == pytest.approx([1e7])
    assert scales((np.zeros(3),), law) == pytest.approx([1.0])


def test_a_coefficient_that_would_be_negative_is_said() -> None:
    x = np.geomspace(1, 100, 20)
    runs = pd.DataFrame({"x": x, "loss": 5 - 0.5 * np.log(x)})
    assert "b is" in (status := fit("L = a + b*log(x)", runs).status)
    assert "if it may be negative, say --signed b" in status


def test_a_parameter_that_is_a_column_is_refused_where_it_is_named() -> None:
    with pytest.raises(ValueError, match=r"A of the formula .* is the column 'A', an input"):
        formula_law("L = E + A/N", inputs=("A",), signed=("A",))
