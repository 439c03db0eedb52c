"""The filled checklist: every question has an answer, and what is not known is left open."""

from __future__ import annotations

from analysis import fit, formula_law
from analysis.fits.checklist import OPEN, checklist
from tests.analysis.planted import table


def answers(items):
    return {item.question: item.answer for item in items}


def test_what_the_fit_knows_is_said(planted_runs):
    runs = planted_runs.copy()
    runs.loc[4, "exclude_reason"] = "diverged"
    runs["lr"], runs["num_unique_tokens"] = 0.01, runs["num_tokens"] / 2
    law = fit("chinchilla", runs, bootstrap=40)
    said = answers(checklist(law, runs))
    assert said["What is the form of the law?"] == law.law.formula
    assert said["How many models were trained?"] == "29 rows used, 6 distinct num_params"
    assert "10K to 1M parameters, 100-fold" in said["Of which sizes?"]
    assert said["Are data repeated within a run?"] == "yes, up to 2 passes, in 29 runs"
    assert (
        "lr 0.01 throughout"
        in said["How are hyperparameters chosen, and do they change with scale?"]
    )
    assert said["Are all points used?"] == "29 of 30; left out: diverged"
    assert "Huber's penalty with delta 0.001" in said["Which objective?"]
    assert "12 random starts" in said["How is it started, and how often?"]
    for name in (*law.params, "a", "b"):
        assert f"{name} " in said["How sure are the parameters?"]


def test_what_only_the_author_knows_is_left_open():
    runs = table("power_floor", n=20, noise=0.01)
    items = checklist(fit("power_floor", runs), runs)
    left = [item.question for item in items if item.open]
    assert "Is the training code open?" in left
    assert "Which objective?" not in left
    assert answers(items)["How sure are the parameters?"].startswith("no draws")
    assert {item.section for item in items} == {
        "hypothesis", "training", "data collection", "fitting"
    }  # fmt: skip
    assert all(item.answer and item.answer != OPEN for item in items)


def test_a_held_parameter_and_a_law_of_ones_own_are_named():
    runs = table("power_floor", n=20, noise=0.01)
    law = fit(formula_law("L = E + A / num_params**alpha").hold({"E": 1.0}), runs)
    said = answers(checklist(law, runs))
    assert said["Which parameters are fitted?"].endswith("held: E = 1")
    assert said["From what principle does the form follow?"].startswith(OPEN)


def test_checkpoints_are_counted_by_run(planted_runs):
    runs = planted_runs.assign(run_id="", run=planted_runs["num_params"].rank(method="dense"))
    said = answers(checklist(fit("chinchilla", runs, starts=0), runs))
    many = said["How many checkpoints of a model are used?"]
    assert many.startswith("30 rows are checkpoints of 6 runs (column run)")
