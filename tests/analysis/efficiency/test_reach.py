"""Compute to reach a loss: planted power laws, seeds, dates, and what was not reached."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.efficiency import compute_to_reach, decimal_years, envelope, trend

C = np.geomspace(1e12, 1e16, 9)


def planted(factor, name, date, seed=0, noise=0.0):
    """Runs on L = (C x factor / 1e12)^-0.1 x 4."""
    loss = 4 * (C * factor / 1e12) ** -0.1 * np.exp(noise)
    return pd.DataFrame({"recipe": name, "date": date, "seed": seed, "flops": C, "loss": loss})


RUNS = pd.concat(
    [planted(1, "old", "2018-01-01"), planted(2, "mid", "2019-01-01"), planted(8, "new", "2021")]
)


def test_a_power_law_is_read_exactly_between_its_points():
    found = compute_to_reach(RUNS, 2.5, "recipe", date="date")
    assert [one.group for one in found] == ["old", "mid", "new"]
    expected = 1e12 * (4 / 2.5) ** 10
    assert [one.flops for one in found] == pytest.approx([expected, expected / 2, expected / 8])
    assert [one.factor for one in found] == pytest.approx([1, 2, 8])
    line = trend(found)
    assert line.doubling_months == pytest.approx(12, rel=1e-3)  # a doubling a year was planted
    assert line.n == 3


def test_a_group_that_does_not_get_there_is_listed_and_not_counted():
    worse = planted(1e-4, "bad", "2020-01-01")
    found = compute_to_reach(pd.concat([RUNS, worse]), 2.5, "recipe", date="date")
    bad = next(one for one in found if one.group == "bad")
    assert np.isnan(bad.flops)
    assert bad.status == "not reached: loss 4 at best"
    assert trend(found).n == 3
    with pytest.raises(ValueError, match="bad did not reach the target"):
        compute_to_reach(pd.concat([RUNS, worse]), 2.5, "recipe", baseline="bad")
    with pytest.raises(ValueError, match=r"unknown group .*'olds': did you mean 'old'"):
        compute_to_reach(RUNS, 2.5, "recipe", baseline="olds")


def test_a_first_point_below_the_target_is_an_upper_bound():
    found = compute_to_reach(RUNS[RUNS["recipe"] == "new"], 3.9, "recipe")
    assert found[0].flops == pytest.approx(C[0])
    assert found[0].status == "reached before the first point"


def test_seeds_give_an_interval_by_t_of_the_logarithms():
    noise = [0.01, -0.02, 0.03]
    runs = pd.concat([planted(1, "a", "2018", seed, x) for seed, x in enumerate(noise)])
    (one,) = compute_to_reach(runs, 2.5, "recipe")
    logs = np.log(1e12 * (4 / 2.5) ** 10) + 10 * np.array(noise)
    assert one.flops == pytest.approx(np.exp(logs.mean()))
    half = 2.91999 * logs.std(ddof=1) / np.sqrt(3)  # t of 2 at 95 %
    assert np.log(one.flops_ci) == pytest.approx([logs.mean() - half, logs.mean() + half])


def test_curves_count_at_their_own_compute_and_only_falls_stay():
    runs = pd.DataFrame({"run_id": ["x"], "flops": [8e12], "num_tokens": [800], "loss": [2.0]})
    curves = pd.DataFrame({"run_id": "x", "step": [100, 200, 400], "loss": [3.0, 2.5, 2.6]})
    c, y = envelope(runs, "loss", curves)
    assert list(c) == [1e12, 2e12, 8e12]
    assert list(y) == [3.0, 2.5, 2.0]


@pytest.mark.parametrize("bad", ["last May", "2019-13-01", 12.0])
def test_what_is_no_date_is_refused(bad):
    with pytest.raises(ValueError, match="write dates as 2019-05-28"):
        decimal_years(pd.Series([bad]))
