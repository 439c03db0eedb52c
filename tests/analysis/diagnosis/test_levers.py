"""What helps most: planted laws, and pairs of runs with a planted effect of dropout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import LAWS, fit, forecast
from analysis.diagnosis import levers, most_helpful, plain, regularisers
from analysis.forecasts import forecast_of
from tests.analysis.planted import PARAMS


def runs(a=478.0, b=2143.0, noise=0.002, seed=0):
    """Chinchilla's law: with a large A models are too small, with a large B data are too few."""
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 6), np.geomspace(1e8, 1e10, 5)))
    loss = 1.8 + a * n**-0.34 + b * d**-0.36
    loss *= np.exp(np.random.default_rng(seed).normal(0, noise, len(n)))
    return pd.DataFrame({"num_params": n, "num_tokens": d, "loss": loss})


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [(2000, 300, "more parameters"), (100, 8000, "more data, longer training")],
)
def test_the_lever_of_the_larger_term_wins(a, b, name):
    found = levers(forecast(runs(a, b)), {"num_params": 1e8, "num_tokens": 1e10})
    assert most_helpful(found).name == found[0].name == name
    assert found[0].best > 0.95
    assert [lever.flops_ratio for lever in found] == [2, 2]
    assert sum(lever.best for lever in found) == pytest.approx(1)


def test_intervals_hold_the_planted_gains_as_often_as_they_say():
    """96 gains of three laws: 94 % in intervals of 90 %; here 12, of the hardest point."""
    truth = {
        "more parameters": 478 * (1e8**-0.34 - 2e8**-0.34),
        "more data, longer training": 2143 * (1e10**-0.36 - 2e10**-0.36),
    }
    held = []
    for seed in range(6):
        expected = forecast(runs(noise=0.005, seed=seed))
        for lever in levers(expected, {"num_params": 1e8, "num_tokens": 1e10}):
            low, high = lever.gain_ci
            held.append(low < truth[lever.name] < high)
            assert high - low < 0.3 * truth[lever.name]
    assert sum(held) >= 9


def test_new_data_and_old_are_told_apart_by_a_law_of_repeated_data():
    true = PARAMS["repeated_data"]
    n, d, u = (
        x.ravel()
        for x in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4), [1e8, 1e9])
    )
    law, u = LAWS["repeated_data"], np.minimum(u, d)
    table = pd.DataFrame({"num_params": n, "num_tokens": d, "num_unique_tokens": u})
    table["loss"] = law.predict(law.vector(true), *(table[x].to_numpy() for x in law.inputs))
    expected = forecast_of(fit("repeated_data", table), table)
    point = {"num_params": 1e8, "num_tokens": 1e10, "num_unique_tokens": 1e8}  # 100 passes
    found = {lever.name: lever for lever in levers(expected, point)}
    assert set(found) == {"more data", "longer training", "more parameters"}
    assert found["more data"].gain > 5 * abs(found["longer training"].gain)
    assert most_helpful(list(found.values())).name == "more data"


def test_longer_training_that_hurts_is_expected_to():
    """Runs up to 10 passes of a law by which 20 are worse than 10, with noise of half a percent."""
    law, true = LAWS["overfitting"], {**PARAMS["overfitting"], "P": 0.2}
    n, d, u = (
        x.ravel()
        for x in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e10, 4), [1e9, 1e10])
    )
    table = pd.DataFrame({"num_params": n, "num_tokens": d, "num_unique_tokens": np.minimum(u, d)})
    point = {"num_params": 1e9, "num_tokens": 1e10, "num_unique_tokens": 1e9}
    ends = [np.array([1e9, 1e9]), np.array([1e10, 2e10]), np.array([1e9, 1e9])]
    before, after = law.predict(law.vector(true), *ends)
    noise = np.random.default_rng(0).normal(0, 0.005, len(table))
    loss = law.predict(law.vector(true), *(table[x].to_numpy() for x in law.inputs))
    expected = forecast(table.assign(loss=loss * np.exp(noise)))
    assert expected.name == "overfitting"
    longer = next(x for x in levers(expected, point) if x.name == "longer training")
    low, high = longer.gain_ci
    assert low < before - after < high < 0


def test_dropout_that_helps_large_models_and_hurts_small_ones_is_seen_to():
    base = runs(noise=0.0).assign(dropout=0.0, seed=0)
    effect = -0.05 * np.log10(base["num_params"] / 1e7)  # nothing at 1e7, -0.05 at 1e8
    held = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.002, len(base))
        changed = base.assign(dropout=0.2, loss=base["loss"] + effect + noise)
        table = pd.concat([base, changed], ignore_index=True)
        assert list(table[plain(table)].index) == list(base.index)
        for n, truth in ((1e6, 0.05), (1e7, 0.0), (1e8, -0.05)):
            (gain,) = regularisers(table, "loss", {"num_params": n, "num_tokens": 1e9})
            assert (gain.name, gain.pairs) == ("dropout 0.2", len(base))
            assert gain.change == pytest.approx(truth, abs=0.004)
            low, high = gain.ci(0.9)
            held.append(low < truth < high)
    assert 0.8 < np.mean(held) < 0.98


def test_without_a_plain_run_there_are_no_pairs():
    table = pd.DataFrame({"dropout": [0.0, 0.1], "mixup": [0.2, 0.0], "num_params": 1e6})
    table = table.assign(num_tokens=1e9, loss=[2.0, 2.1])
    assert plain(table).all()
    assert regularisers(table, "loss", {"num_params": 1e6, "num_tokens": 1e9}) == []


def test_three_pairs_at_a_point_speak_for_themselves():
    base = pd.DataFrame({"num_params": np.repeat([1e5, 1e6], 3), "seed": [0, 1, 2] * 2})
    base = base.assign(num_tokens=1e9, dropout=0.0, loss=2.0)
    change = np.array([9.0, 5, 7, -0.1, -0.2, -0.3])  # of small models, wildly
    table = pd.concat([base, base.assign(dropout=0.1, loss=2 + change)], ignore_index=True)
    (gain,) = regularisers(table, "loss", {"num_params": 1e6, "num_tokens": 1e9})
    assert gain.pairs == 3
    half = 2.91999 * 0.1 / np.sqrt(3)  # t of 2 at 95 %
    assert gain.ci(0.9) == pytest.approx((-0.2 - half, -0.2 + half), rel=1e-4)


def test_a_single_pair_has_no_interval_and_never_wins():
    table = pd.DataFrame(
        {"num_params": 1e6, "num_tokens": 1e9, "seed": 0, "dropout": [0.0, 0.1], "loss": [3, 2.0]}
    )
    (gain,) = regularisers(table, "loss", {"num_params": 1e6, "num_tokens": 1e9})
    assert gain.change == pytest.approx(-1)
    assert np.isnan(gain.ci(0.9)).all()
    point = {"num_params": 1e8, "num_tokens": 1e10}
    found = levers(forecast(runs()), point, [gain])
    assert next(x for x in found if "dropout" in x.name).best == 0
