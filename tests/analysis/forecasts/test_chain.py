"""Two steps to a metric: the error that goes through both, and shares that stay shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import LAWS, Bootstrap, Estimand, fit, forecast
from analysis.forecasts import Chain, chain

SIZES = np.repeat(np.geomspace(5e7, 1.3e9, 6), 3)
LARGE = {"num_params": np.array([7e9])}


def curve(top: float, loss: np.ndarray) -> np.ndarray:
    """A share that goes from a quarter at high loss to ``top``."""
    return LAWS["sigmoid"].predict(np.array([0.25 - top, 8.0, 0.75, top]), loss)


def runs(seed: int, top: float, sizes: np.ndarray = SIZES, answers: int = 500) -> pd.DataFrame:
    """Runs whose metric is the share of right answers."""
    rng = np.random.default_rng(seed)
    loss = (0.35 + 900 * sizes**-0.38) * np.exp(0.01 * rng.standard_normal(len(sizes)))
    right = rng.binomial(answers, curve(top, loss)) / answers
    return pd.DataFrame({"num_params": sizes, "task_loss": loss, "accuracy": right})


def gauss_newton(slopes: np.ndarray, at: np.ndarray, scatter: float) -> float:
    """The variance of a new observation by the delta method, ``slopes (p, n)``, ``at (p,)``."""
    return scatter**2 * (1 + at @ np.linalg.solve(slopes @ slopes.T, at))


def test_the_error_of_both_steps_is_that_of_the_delta_method() -> None:
    """Independent steps: V[m] = (dm/dL)^2 V[L] + V[m | L], each from its Jacobian alone."""
    rng = np.random.default_rng(4)
    n = np.geomspace(1e7, 1e10, 80)
    loss = 30 * n**-0.17 * np.exp(0.02 * rng.standard_normal(80))
    metric = curve(0.9, loss) + 0.004 * rng.standard_normal(80)
    table = pd.DataFrame({"num_params": n, "task_loss": loss, "accuracy": metric})
    how = Bootstrap(300)
    steps = Chain(
        fit("power", table, Estimand("mse", y_col="task_loss"), bootstrap=how),
        fit("sigmoid", table, Estimand("mse", x_col="task_loss", y_col="accuracy"), bootstrap=how),
    )
    at = np.array([2e9])  # where the curve is steep
    low, high = steps.predict_ci({"num_params": at})
    one, two = steps.first, steps.second
    size = one.law.predict(one.vector, at)
    by_log = one.law.gradient(one.vector, n) / one.fitted
    own = one.law.gradient(one.vector, at)[:, 0] / size[0]
    first = gauss_newton(by_log, own, np.sqrt(np.sum(one.residuals**2) / 78))
    by_row, here = two.law.gradient(two.vector, loss), two.law.gradient(two.vector, size)[:, 0]
    second = gauss_newton(by_row, here, np.sqrt(np.sum(two.residuals**2) / 76))
    step = 1e-5 * size
    slope = (
        two.law.predict(two.vector, size + step) - two.law.predict(two.vector, size - step)
    ) / (2 * np.log1p(1e-5))
    assert slope[0] ** 2 * first > 2 * second  # the first step's error is most of it
    expected = 1.645 * np.sqrt(slope[0] ** 2 * first + second)
    assert (high - low)[0] / 2 == pytest.approx(expected, rel=0.12)


def test_a_share_and_its_interval_stay_within_0_and_1() -> None:
    table = runs(0, 0.97)
    steps = chain(table, "task_loss", "accuracy", first="power_floor", bootstrap=50)
    low, high = steps.predict_ci(LARGE)
    assert 0.0 <= low[0] < steps.predict(LARGE)[0] <= high[0] <= 1.0
    percent = chain(
        table.assign(acc=100 * table.accuracy),
        "task_loss",
        "acc",
        first="power_floor",
        bootstrap=50,
    )
    assert percent.whole == 100.0
    low, high = percent.predict_ci(LARGE)
    assert 1.0 < low[0] < high[0] <= 100.0


def test_a_curve_that_goes_on_above_1_predicts_1() -> None:
    loss = np.linspace(1.0, 2.0, 12)
    table = pd.DataFrame(
        {"num_params": 1e9 / loss, "task_loss": loss, "accuracy": curve(1.2, loss)}
    )
    steps = chain(table, "task_loss", "accuracy", first="power")
    assert steps.second.predict({"task_loss": np.array([0.4])})[0] > 1.1
    assert steps.predict({"num_params": np.array([1e10])})[0] == 1.0


def test_what_is_no_share_is_as_large_as_the_curve_says() -> None:
    table = runs(0, 0.97).assign(seconds=lambda t: 30 * t.accuracy)
    assert chain(table, "task_loss", "seconds", first="power_floor").whole is None


def test_a_forecast_of_a_score_by_its_sigmoid_is_a_share_too() -> None:
    found = forecast(runs(0, 0.97), "sigmoid", x_col="task_loss", y_col="accuracy")
    at = {"task_loss": np.array([0.45, 0.2])}
    low, high = found.predict_ci(at)
    assert (low >= 0.0).all() and (low < found.predict(at)).all()
    assert (found.predict(at) <= high).all() and (high <= 1.0).all()
    assert (found.sample(at) <= 1.0).all()


@pytest.mark.slow
@pytest.mark.parametrize("top", [0.97, 0.75])
def test_intervals_hold_new_models_as_often_as_they_say(top: float) -> None:
    inside = []
    for seed in range(40):
        steps = chain(runs(seed, top), "task_loss", "accuracy", first="power_floor", bootstrap=50)
        low, high = steps.predict_ci(LARGE)
        new = runs(1000 + seed, top, LARGE["num_params"]).accuracy[0]
        inside.append(low[0] <= new <= high[0])
    assert 0.75 <= np.mean(inside) <= 1.0
