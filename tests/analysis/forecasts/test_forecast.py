"""Forecasts against planted laws, and against what was measured beyond public tables' halves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import Estimand, fit, forecast, load_runs, plan
from analysis.compute import AsFitted, isoflop
from analysis.forecasts import forecast_of, out_of_sample
from analysis.forecasts.cutoffs import cutoffs

DATA = Path(__file__).parents[2] / "published" / "data"

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


def planted(noise: float, seed: int) -> pd.DataFrame:
    """Hoffmann et al.'s law on a grid of 6 sizes and 5 amounts of data."""
    n = np.repeat(np.geomspace(1e7, 1e9, 6), 5)
    d = np.tile(np.geomspace(2e8, 2e10, 5), 6)
    scatter = np.exp(noise * np.random.default_rng(seed).standard_normal(len(n)))
    loss = (1.69 + 406.4 / n**0.34 + 410.7 / d**0.28) * scatter
    return pd.DataFrame({"num_params": n, "num_tokens": d, "flops": 6 * n * d, "loss": loss})


def best(flops: float) -> tuple[float, float]:
    """N* and the loss there (Hoffmann et al. 2022, eq. 4)."""
    g = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62)
    n = g * (flops / 6) ** (0.28 / 0.62)
    return n, 1.69 + 406.4 / n**0.34 + 410.7 / (flops / 6 / n) ** 0.28


def test_losses_below_zero_are_forecast_by_a_sum_about_any_level():
    runs = planted(0.0, 0)
    runs["loss"] += 0.005 * np.random.default_rng(1).standard_normal(len(runs)) - 10
    expected = forecast(runs)
    at = {"num_params": np.array([1e10]), "num_tokens": np.array([2e11])}
    low, high = expected.predict_ci(at)
    true = 1.69 + 406.4 / 1e10**0.34 + 410.7 / 2e11**0.28 - 10
    assert low[0] < true < high[0]
    assert high[0] - low[0] < 0.2
    [found] = plan(expected, [1e21])
    n, loss = best(1e21)
    assert found.loss == pytest.approx(loss - 10, abs=0.05)
    assert 0.5 < found.num_params / n < 2


def test_where_the_law_is_true_a_plan_is_right_and_at_most_twice_as_wide():
    ratios = []
    for seed in range(3):
        runs = planted(0.005, seed)
        flops = 100 * runs["flops"].max()
        [found] = plan(forecast(runs), [flops])
        n, loss = best(flops)
        assert found.num_params_ci[0] < n < found.num_params_ci[1]
        assert found.loss_ci[0] < loss < found.loss_ci[1]
        [alone] = plan(AsFitted(fit("chinchilla", runs, bootstrap=150)), [flops])
        ratios.append(np.ptp(found.loss_ci) / np.ptp(alone.loss_ci))
    assert np.median(ratios) < 2


def test_where_no_run_tells_n_from_d_a_plan_does_not_either():
    """Of tokens in proportion to parameters the law tells the sum of both terms alone."""
    n = np.geomspace(1e6, 1e9, 14)
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(n))
    loss = (1.69 + 406.4 / n**0.34 + 410.7 / (20 * n) ** 0.28) * np.exp(noise)
    runs = pd.DataFrame({"num_params": n, "num_tokens": 20 * n, "loss": loss})
    expected = forecast(runs)
    assert expected.doubt.startswith("num_tokens / num_params is constant")
    [found] = plan(expected, [1e21])
    assert found.status == expected.doubt
    low, high = found.num_params_ci
    assert low < best(1e21)[0] < high
    assert high / low > 10


@pytest.mark.parametrize(
    "table", ["base__short__kaplan__standard__val", "tuned__short__const__standard__val"]
)
def test_from_the_lower_budgets_the_minima_of_the_upper_ones_are_foretold(table):
    """Porian et al. 2024: from 6 of 12 budgets to 64 times the largest of them.

    By the intervals of Chinchilla's parameters N* is missed at each.
    """
    runs = load_runs(DATA / f"porian_rw__{table}.csv")
    budgets = np.sort(runs["flops"].unique())
    found = plan(forecast(runs[runs["flops"] <= budgets[5]]), budgets[6:].tolist())
    measured = {m.flops: m for m in isoflop(runs, method="akima").minima if m.status == "ok"}
    inside = []
    for p in found:
        near = [m for flops, m in measured.items() if abs(flops / p.flops - 1) < 0.01]
        inside += [p.num_params_ci[0] <= m.num_params <= p.num_params_ci[1] for m in near]
        inside += [p.loss_ci[0] <= m.loss <= p.loss_ci[1] for m in near]
    assert len(inside) >= 6
    assert np.mean(inside) >= 0.75


@pytest.mark.parametrize("seed", [0, 1])
def test_of_runs_of_one_ratio_a_given_law_expects_less_loss_of_more_compute(seed):
    """As each law of loss in N and D says, whatever the runs leave untold."""
    n = np.geomspace(1e7, 1e9, 8)
    noise = 0.003 * np.random.default_rng(seed).standard_normal(len(n))
    loss = (1.69 + 406.4 / n**0.34 + 410.7 / (20 * n) ** 0.28) * np.exp(noise)
    runs = pd.DataFrame({"num_params": n, "num_tokens": 20 * n, "loss": loss})
    found = plan(forecast(runs, "chinchilla"), [1.2e21, 1.2e22, 1.2e23])
    assert (np.diff([best.loss for best in found]) < 0).all()
    assert all(best.status.startswith("num_tokens / num_params is constant") for best in found)


def test_far_from_the_runs_a_given_law_is_all_that_is_known():
    runs = planted(0.002, 0)
    law = fit("chinchilla", runs, Estimand(delta=1e-2))
    found = forecast_of(law, runs)
    far = {"num_params": np.array([1e14]), "num_tokens": np.array([1e16])}
    assert found.predict(far) == pytest.approx(law.predict(far), rel=1e-3)
    low, high = found.predict_ci(far)
    assert low < law.predict(far) < high
    assert found.formula == law.formula()


def test_intervals_grow_with_the_distance():
    found = forecast(planted(0.005, 1))
    rows = {"num_params": np.geomspace(1e9, 1e12, 4), "num_tokens": np.geomspace(2e10, 2e13, 4)}
    low, high = found.predict_ci(rows)
    assert (np.diff(np.log(high / low)) > 0).all()
    assert found.spread(rows) == pytest.approx(np.log(high / low) / 2 / 1.645, rel=0.15)


def test_an_interval_is_the_same_whatever_else_is_asked():
    found = forecast(planted(0.005, 1))
    rows = {"num_params": np.geomspace(1e9, 1e11, 3), "num_tokens": np.geomspace(2e10, 2e12, 3)}
    low, high = found.predict_ci(rows)
    for i in range(3):
        alone = found.predict_ci({name: values[[i]] for name, values in rows.items()})
        assert np.ravel(alone) == pytest.approx([low[i], high[i]], rel=1e-9)


def test_of_seven_runs_a_given_law_does_not_know_its_optimum():
    """It was told without any interval, beside the truth."""
    held = []
    for seed in range(6):
        order = np.random.default_rng(seed)
        n = np.geomspace(1e7, 1e9, 7)
        d = order.permutation(np.geomspace(2e8, 2e10, 7))
        loss = (1.69 + 406.4 / n**0.34 + 410.7 / d**0.28) * np.exp(0.004 * order.normal(size=7))
        runs = pd.DataFrame({"num_params": n, "num_tokens": d, "loss": loss})
        [found] = plan(forecast(runs, "chinchilla"), [1e22])
        low, high = found.num_params_ci
        held.append(low < best(1e22)[0] < high)
    assert sum(held) >= 4


def test_a_law_alone_along_one_variable_says_what_its_interval_leaves_out():
    runs = pd.DataFrame({"num_tokens": np.geomspace(1e8, 1e10, 12)})
    runs["loss"] = 1.7 + 410 / runs["num_tokens"] ** 0.28
    assert "nothing that this law leaves out" in forecast(runs, "m3", x_col="num_tokens").says
    assert "how far the laws differ" in forecast(runs, x_col="num_tokens").says
    assert "what it leaves out and noise" in forecast(planted(0.005, 1), "chinchilla").says


def test_draws_hang_together_and_depend_on_the_seed_alone():
    found = forecast(planted(0.005, 1))
    rows = {"num_params": np.array([1e10, 1.1e10]), "num_tokens": np.array([2e11, 2e11])}
    worlds = found.sample(rows, noise=False)
    assert np.corrcoef(np.log(worlds).T)[0, 1] > 0.99
    assert (worlds == forecast(planted(0.005, 1)).sample(rows, noise=False)).all()
    assert np.corrcoef(np.log(found.sample(rows)).T)[0, 1] < 0.99


def test_accuracy_is_forecast_as_it_is():
    """A sigmoid in loss: residuals are linear, and beyond the runs is where losses are lower."""
    loss = np.linspace(4.0, 2.0, 40)
    rng = np.random.default_rng(0)
    accuracy = 0.25 + 0.6 / (1 + np.exp(3 * (loss - 3.0))) + 0.004 * rng.standard_normal(40)
    runs = pd.DataFrame({"loss": loss, "accuracy": accuracy})
    law = fit("sigmoid", runs)
    found = forecast_of(law)
    assert found.space == "linear"
    low, high = found.predict_ci({"loss": np.array([1.8])})
    assert low < 0.25 + 0.6 / (1 + np.exp(3 * (1.8 - 3.0))) < high
    assert high - low < 0.1


@pytest.mark.parametrize("inputs", [("flops",), ("num_params", "num_tokens")])
def test_a_score_stays_between_0_and_1_in_each_draw(inputs):
    """Noisy scores that come near to 1: the forecast's normal errors alone would lie beyond."""
    rng = np.random.default_rng(0)
    size = np.geomspace(1e18, 1e21, 24)
    columns = {name: size * rng.uniform(0.5, 2.0, 24) for name in inputs}
    x = np.mean([np.log(column / 1e18) for column in columns.values()], axis=0)
    score = 1 / (1 + np.exp(1 - x / 1.3)) * (1 - 0.03 * np.abs(rng.standard_normal(24)))
    runs = pd.DataFrame({**columns, "score": score})
    found = forecast(runs, x_col=",".join(inputs), y_col="score")
    assert {law.name for law in found.laws} <= {"logistic", "logistic_floor"}
    beyond = dict.fromkeys(inputs, 30 * size)
    worlds = found.sample(beyond)
    assert worlds.min() >= 0.0
    assert worlds.max() <= 1.0
    low, high = found.predict_ci(beyond)
    assert (low >= 0.0).all()
    assert (high <= 1.0).all()
    assert (low < high).all()


def test_a_run_is_seen_whole_or_not_at_all():
    """Three runs of four checkpoints: no cut-off sees a part of one."""
    labels = np.repeat([0, 1, 2], 4)
    size = np.log(np.outer([1.0, 4.0, 16.0], [1.0, 2.0, 4.0, 8.0]).ravel())
    cuts = cutoffs(size, 1, step=1.0, depth=4, window=None, labels=labels)
    assert cuts
    for cut in cuts:
        assert not {*labels[cut.seen]} & {*labels[cut.ahead]}
        assert size[cut.ahead].min() > cut.at


def test_of_a_single_run_the_beginning_is_seen():
    size = np.log(2.0 ** np.arange(12))
    one = np.zeros(12, dtype=int)
    plain = cutoffs(size, 1, step=1.0, depth=3, window=None)
    same = cutoffs(size, 1, step=1.0, depth=3, window=None, labels=one)
    assert [cut.seen.tolist() for cut in same] == [cut.seen.tolist() for cut in plain]


def test_a_law_with_groups_is_forecast_and_tested_group_by_group():
    """Two tasks of one exponent; a cut-off below which one has too few rows is not taken."""
    x = np.geomspace(1e6, 1e9, 10)
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(16))
    tasks, sizes = ["a"] * 10 + ["b"] * 6, np.append(x, x[4:])
    floors = np.where(np.array(tasks) == "a", 0.5, 1.5)
    loss = (floors + (sizes / 1e6) ** -0.3) * noise
    runs = pd.DataFrame({"task": tasks, "size": sizes, "loss": loss})
    law = fit("L = E[task] + A / size**alpha", runs)
    found = forecast_of(law, runs)
    at = {"size": np.array([4e9, 4e9]), "task": ["a", "b"]}
    truth = np.array([0.5, 1.5]) + 4000.0**-0.3
    assert found.predict(at) == pytest.approx(truth, rel=0.03)
    low, high = found.predict_ci(at)
    assert (low < truth).all() and (truth < high).all()
    assert all(test["n_train"] < len(runs) for test in out_of_sample(law, runs))


def test_where_no_law_is_named_an_input_along_which_all_err_widens_the_forecast():
    """The law bends in the width alone, between the sizes that are fitted and the next."""
    rng = np.random.default_rng(0)
    width, experts = (v.ravel() for v in np.meshgrid(2.0 ** np.arange(5), 4.0 ** np.arange(6)))
    straight = 3 * width**-0.1 * experts**-0.05
    bent = straight * np.exp(0.1 * np.maximum(np.log2(width) - 1.5, 0))
    scales = {}
    for name, loss in (("straight", straight), ("bent", bent)):
        noisy = loss * np.exp(0.002 * rng.standard_normal(len(loss)))
        runs = pd.DataFrame({"width": width, "experts": experts, "loss": noisy})
        scales[name] = forecast(runs, x_col="width,experts").scale
    assert 1 <= scales["straight"] < 1.5 < scales["bent"]
