"""The first sentences, and what is weak in a design."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.compute import IsoFlop, isoflop
from analysis.forecasts import forecast_of, predict_held_out
from analysis.report import Findings, headline, weaknesses


@pytest.fixture(scope="module")
def law(planted_runs):
    return fit("chinchilla", planted_runs, starts=0)


def test_at_most_five_sentences_and_no_exponent(planted_runs, law):
    held = predict_held_out(forecast_of(law), planted_runs.tail(3))
    lines = headline(Findings(planted_runs, fits=[law], holdout=held))
    words = " ".join(lines)
    assert len(lines) <= 5 and words.count(". ") <= 4
    for symbol in ("alpha", "beta", "^", "N*", "exponent", "R²"):
        assert symbol not in words
    assert "Across 30 runs of 10K to 1M parameters" in lines[0]
    assert "The 3 largest runs, predicted from the others, came within" in lines[1]
    best = Findings(planted_runs, fits=[law]).next[0][0]
    low, high = best.num_params_ci
    assert low < best.num_params < high
    assert "10 times the compute of the largest run" in lines[2] and "(90 %: " in lines[2]


def test_the_distance_is_that_of_the_residuals(planted_runs, law):
    """0.3 % of noise was planted."""
    off = 100 * float(np.sqrt(np.mean(np.log(law.fitted / law.observed) ** 2)))
    assert f"typically within {off:.2g} %" in headline(Findings(planted_runs, fits=[law]))[0]
    assert off == pytest.approx(0.3, rel=0.4)


def test_the_caveat_is_the_gravest(planted_runs, law):
    def last(runs, **more):
        return headline(Findings(runs, fits=[law], **more))[-1]

    assert last(planted_runs).startswith("Nothing larger than the largest run")
    status = ["planned"] * 2 + ["running"] + ["done"] * 27
    assert last(planted_runs.assign(status=status)).startswith("3 of 30 runs have not finished")
    none = headline(Findings(planted_runs, no_law="too few runs"))
    assert none[-1] == "No law was fitted: too few runs."


def test_an_exponent_through_two_minima_is_no_headline(planted_runs):
    runs = planted_runs.assign(
        flops=np.repeat(np.geomspace(1e12, 1e13, 2), 15),
        loss=np.tile(2 + np.linspace(-1, 1, 15) ** 2, 2),
        num_params=np.tile(np.geomspace(1e4, 1e6, 15), 2),
    )
    found = isoflop(runs)
    assert isinstance(found, IsoFlop) and not np.isfinite(found.a)
    assert "exponent" not in " ".join(headline(Findings(runs, isoflop=found)))


def test_a_design_is_told_its_weaknesses(planted_runs):
    assert weaknesses(planted_runs) == [
        "Every run has the same seed: how much chance moves a loss is not measured."
    ]
    together = planted_runs.assign(num_tokens=20 * planted_runs["num_params"], seed=range(30))
    assert "move together" in weaknesses(together)[0]
    few = planted_runs[planted_runs["num_params"] < 3e4].assign(seed=range(10), lr=1e-3)
    assert "There are 2 values of model size" in weaknesses(few)[0]
    repeated = planted_runs.assign(seed=range(30), num_unique_tokens=1e6)
    assert "repeated up to 8 times" in weaknesses(repeated)[0]


def test_runs_of_one_size_are_said_by_it():
    from analysis.report.sections import subject

    table = pd.DataFrame({"num_params": 1e6, "num_tokens": [1e8, 4e8], "loss": [3.0, 2.5]})
    table["exclude_reason"] = ""
    assert subject(table) == "2 runs, 1M parameters, 100M to 400M training tokens."
