"""Runs that will not be the best of their size: the median by hand, forecasts of known curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.forecasts import hopeless

TOTAL = 4096.0
STEPS = np.round(16 * 2 ** (np.arange(17) / 2))


def study(floors, seen=17, cooldown=0.0, sizes=None):
    """Runs with L = floor + 3 / step^0.3, lower by a ``cooldown`` at the end; the last is on."""
    runs, curves = [], []
    for i, floor in enumerate(floors):
        last = i == len(floors) - 1
        n = seen if last else len(STEPS)
        loss = floor + 3 * STEPS**-0.3
        loss = loss - cooldown * np.clip((STEPS / TOTAL - 0.8) / 0.2, 0, 1)
        runs.append(
            {
                "run_id": f"r{i}",
                "status": "running" if last else "done",
                "num_params": (sizes or [100] * len(floors))[i],
                "num_tokens": TOTAL,
            }
        )
        curves.append(pd.DataFrame({"run_id": f"r{i}", "step": STEPS[:n], "loss": loss[:n]}))
    return pd.DataFrame(runs), pd.concat(curves)


@pytest.mark.parametrize(("last", "found"), [(5.0, True), (4.0, True), (1.5, False), (0.5, False)])
def test_the_median_rule_as_it_is_written(last, found):
    """By hand: the best so far, strictly above the median of three running averages."""
    curves = pd.DataFrame(
        {
            "run_id": ["a", "a", "b", "b", "c", "c", "x", "x"],
            "step": [1, 2] * 4,
            "loss": [4.0, 2.0, 5.0, 1.0, 9.0, 5.0, 9.0, last],
        }
    )  # averages 3, 3, 7: the median is 3
    status = ["done"] * 3 + ["running"]
    runs = pd.DataFrame(
        {"run_id": list("abcx"), "status": status, "num_params": 1, "num_tokens": 4}
    )
    told = hopeless(runs, curves)
    assert [one.run_id for one in told] == ["x"] * found
    if found:
        assert (told[0].loss, told[0].limit) == (last, 3.0)


def test_a_forecast_tells_a_hopeless_run_from_the_best_one():
    """By a third of the curve, with a cooldown that no law of a curve foresees."""
    cooldown = 0.2
    worse = hopeless(*study([1.0, 1.1, 1.2, 1.6], seen=14, cooldown=cooldown), rule="forecast")
    best = hopeless(*study([1.0, 1.1, 1.2, 0.8], seen=14, cooldown=cooldown), rule="forecast")
    assert [one.run_id for one in worse] == ["r3"] and not best
    truth = 1.6 + 3 * TOTAL**-0.3 - cooldown
    assert worse[0].limit == pytest.approx(1.0 + 3 * TOTAL**-0.3 - cooldown)
    assert worse[0].limit < worse[0].loss <= truth * 1.01


def test_nobody_is_judged_too_early_or_by_too_few_or_by_others_sizes():
    assert not hopeless(*study([1.0, 1.1, 1.2, 9.0], seen=8))  # 4 % of the run
    assert not hopeless(*study([1.0, 1.1, 9.0]))
    assert not hopeless(*study([1.0, 1.1, 1.2, 9.0], sizes=[100, 100, 100, 200]))
    assert hopeless(*study([1.0, 1.1, 1.2, 9.0]))


def test_what_cannot_be_judged_is_refused():
    runs, curves = study([1.0, 2.0])
    with pytest.raises(ValueError, match="rule 'mean' is not known: choose one of median, for"):
        hopeless(runs, curves, rule="mean")
    with pytest.raises(ValueError, match="no column num_tokens in the run table"):
        hopeless(runs.drop(columns="num_tokens"), curves)


def test_of_a_search_all_sizes_of_one_data_size_are_compared():
    """The best of the search counts; rungs are cut by the search itself."""
    runs, curves = study([1.0, 1.1, 1.2, 1.6], seen=14, sizes=[100, 200, 300, 400])
    assert not hopeless(runs, curves, rule="forecast")
    searched = runs.assign(strategy="random", sweep="s")
    (found,) = hopeless(searched, curves, rule="forecast")
    assert (found.run_id, found.limit) == ("r3", pytest.approx(1.0 + 3 * TOTAL**-0.3))
    assert [one.run_id for one in hopeless(searched, curves)] == ["r3"]
    assert not hopeless(searched.assign(rung=0), curves)
    assert not hopeless(searched.assign(num_tokens=[TOTAL / 3] * 3 + [TOTAL]), curves)
    assert not hopeless(searched.assign(sweep=["other"] * 3 + ["s"]), curves)
