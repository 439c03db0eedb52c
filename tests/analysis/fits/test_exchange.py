"""Terms that may trade places."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import LAWS, Estimand, fit, formula_law
from analysis.fits.exchange import exchanges


@pytest.mark.parametrize(
    ("law", "found"),
    [
        ("y = a*exp(-b*N) + c*exp(-d*N)", {(2, 3, 0, 1)}),
        ("y = E + A/N^a + B/D^b", set()),
        ("y = E + A/N^a + B/N^b", {(0, 3, 4, 1, 2)}),
        ("y = a*N*b", {(1, 0)}),
    ],
)
def test_orders_that_leave_the_law_what_it_is(law: str, found: set) -> None:
    assert set(exchanges(formula_law(law))) == found
    assert exchanges(LAWS["chinchilla"]) == ()


def test_draws_are_named_as_the_estimate_is() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0, 20, 80)
    y = -5 * np.exp(-0.1 * x) + 3 * np.exp(-0.6 * x) + 0.05 * rng.normal(size=80)
    law = formula_law("y = a*exp(-x*b) + c*exp(-x*d)", ("x",), signed=("a", "c"))
    f = fit(law, pd.DataFrame({"x": x, "y": y}), Estimand("mse"), bootstrap=60)
    slow, fast = ("b", "d") if f.params["b"] < f.params["d"] else ("d", "b")
    ci = f.ci()
    assert ci[slow][0] < 0.1 < ci[slow][1] < ci[fast][0] < 0.6 < ci[fast][1]
