"""Laws from a formula or a callable."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import Estimand, Fit, fit, formula_law
from analysis.laws import Law, callable_law
from tests.analysis.planted import PARAMS, table


def test_a_formula_fits_as_the_registered_law_does() -> None:
    runs = table("chinchilla", noise=0.01)
    own = fit("L = E + A / N**alpha + B / num_tokens^beta", runs)
    named = fit("chinchilla", runs)
    assert own.objective == pytest.approx(named.objective, rel=1e-9)
    for name, value in named.params.items():
        assert own.params[name] == pytest.approx(value, rel=1e-4)


def test_a_formula_survives_json() -> None:
    law = formula_law("err = a + b / width**c", inputs=("width",))
    width = np.geomspace(8, 1024, 12)
    f = fit(law, pd.DataFrame({"width": width, "err": 0.1 + 3 / width**0.7}))
    assert f.params == pytest.approx({"a": 0.1, "b": 3.0, "c": 0.7}, rel=1e-7)
    again = Fit.from_dict(f.to_dict())
    assert again.predict({"width": 50}) == f.predict({"width": 50})


@given(
    a=st.floats(0.1, 5), b=st.floats(0.1, 2), x=st.lists(st.floats(0.2, 9), min_size=2, max_size=5)
)
@settings(max_examples=40, deadline=None)
def test_derivatives_of_formulas(a: float, b: float, x: list[float]) -> None:
    law = formula_law("y = exp(-a*N) + sqrt(a/N) - log(b + N)*tanh(b) + (a*N)**b - -a/2 + N^2")
    params, n = np.array([a, b]), np.array(x)
    gradient = law.gradient(params, n)
    for i in range(2):
        step = np.eye(2)[i] * 1e-6
        numeric = (law.predict(params + step, n) - law.predict(params - step, n)) / 2e-6
        np.testing.assert_allclose(gradient[i], numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("L = __import__('os').system('true')", "not allowed"),
        ("L = E + A.real / N", "A.real"),
        ("L = E + A[0] / N", "not allowed; in brackets"),
        ("L = E if N else A", "not allowed"),
        ("L = max(E, A / N)", "not allowed"),
        ("L = E + max(A) / N", "the function 'max', which is not known; use log, exp, sqrt, tanh"),
        ("exp(L) = E + A / N", "one name left of '=', or log"),
        ("1 - L = E + A / N", "one name left of '='"),
        ("L = E[family + N] / N", "the name of a column of groups, as in E.family."),
        ("L = E[a] + E[b] / N", "E with two different brackets"),
        ("L = E[a] + E / N", "E without .a. too"),
        ("L = E + A / N[a]", "N is the input num_params"),
        ("L = E[family] + A / N", "family is no column of the table"),
        ("L = E + 'x' / N", "not allowed"),
        ("L = E + True * A / N", "not allowed"),
        ("L = E + A /", "cannot be read"),
        ("L = E + A", "0 inputs"),
        ("L = 1 / N", "0 parameters"),
        ("L = loss + A / N", "has loss on both sides"),
        ("a b = E + A / N", "one name left"),
        ("L = " + "+".join(["A/N"] * 101), "nested too deep: at most 100 terms"),
        ("L = " + "+".join(["A/N"] * 5000), "nested too deep"),
    ],
)
def test_what_a_formula_may_not_hold(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        formula_law(text)


def test_signed_parameters_and_starts() -> None:
    n = np.geomspace(1e6, 1e9, 20)
    runs = pd.DataFrame({"num_params": n, "loss": 5.0 - 0.2 * np.log(n)})
    f = fit(formula_law("L = a + b*log(N)", signed=("b",)), runs)
    assert f.params == pytest.approx({"a": 5.0, "b": -0.2}, rel=1e-9)


def test_signed_parameters_and_starts_survive_json() -> None:
    runs = table("power_floor", n=30, noise=0.003)
    law = formula_law("L = E + A*log(N)", signed=("A",), start={"A": (-1.0, 3.0)})
    f = fit(law, runs)
    again = Fit.from_dict(json.loads(json.dumps(f.to_dict())))
    assert again.law.parameters == f.law.parameters
    assert again.profile("A", points=4)[2] == f.profile("A", points=4)[2]
    held = fit(law.hold({"A": -0.2}), runs)
    again = Fit.from_dict(json.loads(json.dumps(held.to_dict())))
    assert again.law.parameters == held.law.parameters


def offset_runs() -> pd.DataFrame:
    n = np.geomspace(1e6, 1e9, 20)
    return pd.DataFrame({"num_params": n, "loss": 2 + 300 / (n + 5e7) ** 0.3})


def test_a_parameter_that_is_no_exponent_needs_a_start() -> None:
    text = "L = E + A / (N + N0)**a"
    assert "--start N0=LOW,HIGH" in fit(text, offset_runs()).status
    f = fit(formula_law(text, start={"N0": (1e6, 1e9)}), offset_runs())
    assert f.params == pytest.approx({"E": 2, "A": 300, "N0": 5e7, "a": 0.3}, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signed": ("B",)}, "unknown parameter of the law 'B'"),
        ({"start": {"N": (1.0, 2.0)}}, "N of the formula .* is the column 'num_params', an input"),
        ({"start": {"A": (2.0, 1.0)}}, "start of A is 2 to 1"),
        ({"start": {"A": (-1.0, 1.0)}}, "positive unless the parameter is signed"),
    ],
)
def test_ranges_that_no_parameter_has(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        formula_law("L = E + A / N", **options)


@pytest.mark.parametrize("loss_fn", ["huber", "tukey"])
@pytest.mark.parametrize(
    "law",
    [
        "L = exp(A*N)",
        "L = log(-A*N)",
        "L = A*N**(1e400)",
        callable_law(lambda num_params, A: A * num_params * np.nan),
    ],
)
def test_a_law_without_values_is_refused(law: str | Law, loss_fn: str) -> None:
    with pytest.raises(ValueError, match=r"no finite positive value at 20 of 20 runs"):
        fit(law, offset_runs(), Estimand(loss_fn))


def test_a_callable_is_a_law() -> None:
    def chinchilla(num_params, num_tokens, E, A, B, alpha, beta):
        return E + A * num_params**-alpha + B * num_tokens**-beta

    law = callable_law(chinchilla)
    assert law.linear == ("E", "A", "B")
    f = fit(law, table("chinchilla"))
    assert f.params == pytest.approx(PARAMS["chinchilla"], rel=1e-4)
    with pytest.raises(ValueError, match="law="):
        Fit.from_dict(f.to_dict())
    assert Fit.from_dict(f.to_dict(), law=law).params == f.params


def test_a_callable_without_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="0 inputs"):
        callable_law(lambda E, A: E + A)


def test_the_columns_of_the_table_are_inputs_of_a_formula() -> None:
    rng = np.random.default_rng(0)
    runs = pd.DataFrame({"width": rng.uniform(16, 256, 40), "depth": rng.uniform(2, 30, 40)})
    runs["loss"] = 1.5 + 8 / runs.width**0.5 + 2 / runs.depth**0.8
    law = fit("L = E + A / width**p + B / depth**q", runs)
    assert law.x_cols == ("width", "depth")
    assert law.params == pytest.approx({"E": 1.5, "A": 8, "p": 0.5, "B": 2, "q": 0.8}, rel=1e-4)
    again = Fit.from_dict(json.loads(json.dumps(law.to_dict())))
    np.testing.assert_allclose(again.predict(runs), runs["loss"], rtol=1e-6)
