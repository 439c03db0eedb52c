"""``Estimand`` and ``Bootstrap``: values that are complete, comparable and checked at once."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from analysis import LAWS, Bootstrap, Estimand, Fit, fit
from analysis.fits import TooFewRowsError
from tests.analysis.planted import table


def test_it_is_a_value() -> None:
    one, same = (Estimand("lad", weights=np.array([1.0, 2.0])) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != Estimand("lad", weights=[1.0, 3.0])
    with pytest.raises(FrozenInstanceError):
        one.delta = 1.0


def test_a_law_fills_in_what_is_left_to_it() -> None:
    sigmoid = Estimand().of(LAWS["sigmoid"])
    assert (sigmoid.space, sigmoid.x_col, sigmoid.y_col) == ("linear", "loss", "accuracy")
    plane = Estimand(space="linear", y_col="loss_c4").of(LAWS["chinchilla"])
    assert (plane.space, plane.x_col, plane.y_col) == ("linear", None, "loss_c4")
    assert plane.x_cols(LAWS["chinchilla"]) == ("num_params", "num_tokens")
    assert plane.of(LAWS["chinchilla"]) == plane


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Estimand("hubber"), "did you mean 'huber'"),
        (lambda: Estimand(delta=0.0), "delta 0.0 is not a positive number"),
        (lambda: Estimand(space="sqrt"), "neither 'log' nor 'linear'"),
        (lambda: Bootstrap(-1), "bootstrap is -1"),
        (lambda: Bootstrap(10, "jackknife"), "unknown resample"),
        (lambda: Bootstrap(10, "cluster"), "needs cluster="),
        (lambda: Bootstrap(10, "residual", "run_id"), "give one"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_run_is_looked_at(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_fit_holds_its_estimand_and_its_document_gives_it_back() -> None:
    runs = table("power", n=20, noise=0.01).rename(columns={"num_params": "width"})
    asked = Estimand("tukey", 0.02, 0.5, x_col="width")
    f = fit("power", runs, asked)
    assert f.estimand == asked.of(LAWS["power"])
    assert f.x_cols == ("width",)
    again = Fit.from_dict(json.loads(json.dumps(f.to_dict())))
    assert again.estimand == f.estimand
    np.testing.assert_array_equal(again.problem.target, f.problem.target)
    assert again.problem.penalty == f.problem.penalty
    assert float(again.problem.objective(again.problem.from_original(again.vector)[None])[0]) == (
        pytest.approx(f.objective, rel=1e-12)
    )


def test_too_few_rows_are_an_error_of_their_own() -> None:
    with pytest.raises(TooFewRowsError, match="5 parameters and the table 4 usable rows of 4"):
        fit("chinchilla", table("chinchilla", n=4))


def test_a_cluster_is_what_is_drawn() -> None:
    assert Bootstrap(5, cluster="run_id") == Bootstrap(5, "cluster", "run_id")
    assert Bootstrap(2, np.ones((2, 3))).drawn == "given"
