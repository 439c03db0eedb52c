"""One forecast: each command that says a number beyond the runs says the same number."""

from __future__ import annotations

import base64
import json
import re

import pandas as pd
import pytest

HELD = 3
NAMES = ("num_params", "num_tokens", "loss")
TO_DIGITS = {"rel": 1e-6}  # a fit from rows in another order


@pytest.fixture
def file(planted_runs, tmp_path):
    """Runs whose three largest may be held out."""
    runs = planted_runs[["num_params", "num_tokens", "flops", "loss"]].copy()
    runs["known"] = (runs["flops"].rank() <= len(runs) - HELD).astype(int)
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    return path


@pytest.fixture
def told(scaling_command, tmp_path):
    """What a command says, as values; what a report holds."""

    def run(command, *words):
        page = tmp_path / "report.html"
        code, out, err = scaling_command(
            command, *words, *(("-o", page) if command == "report" else ("--json",))
        )
        assert code == 0, err
        if command != "report":
            return json.loads(out)
        [text] = re.findall(r"data:application/json;base64,([\w+/=]+)", page.read_text("utf-8"))
        return json.loads(base64.b64decode(text))

    return run


@pytest.mark.parametrize("law", ["auto", "chinchilla"])
def test_plan_report_backtest_and_predict(told, file, law):
    """Of a run that is not done, and of what a budget buys, each says the same."""
    named = () if law == "auto" else ("--law", law)  # a report takes several where none is named
    report = told("report", file, *named, "--hold-out", HELD)
    [split] = told("backtest", file, "--law", law, "--train-col", "known")["groups"][0]["splits"]
    measured = pd.read_csv(file)["loss"]
    tested = sorted(split["predictions"], key=lambda line: measured[line["row"]])
    held = sorted(report["held_out"], key=lambda line: line["actual"])
    assert len(tested) == len(held) == HELD
    for line, shown in zip(tested, held, strict=True):
        says = [line["actual"], line["predicted"], line["low"], line["high"]]
        assert [shown["actual"], shown["predicted"], *shown["ci"]] == pytest.approx(
            says, **TO_DIGITS
        )
    where = ("-N", held[0]["num_params"], "-D", held[0]["num_tokens"])
    alone = told("predict", file, "--law", law, "--where", "known == 1", *where)
    says = [held[0]["predicted"], *held[0]["ci"]]
    assert [alone["loss"], *alone["loss_ci"]] == pytest.approx(says, **TO_DIGITS)

    plans = told("plan", file, "--law", law)
    for best, shown in zip(plans, report["plan"], strict=True):
        for name in NAMES:
            assert shown[name] == pytest.approx(best[name], **TO_DIGITS)
            assert shown[f"{name}_ci"] == pytest.approx(best[f"{name}_ci"], **TO_DIGITS)
    where = ("-N", plans[0]["num_params"], "-D", plans[0]["num_tokens"])
    alone = told("predict", file, "--law", law, *where)
    assert alone["loss"] == pytest.approx(plans[0]["loss"], **TO_DIGITS)


@pytest.mark.parametrize("target", ["num_params", "loss"])
def test_plan_and_next_by_a_law_that_both_are_given(told, file, target):
    budget = 100 * pd.read_csv(file)["flops"].max()
    law = ("--law", "chinchilla")
    found = told("next", file, *law, "--flops", budget / 10, "--at", budget, "--target", target)
    [best] = told("plan", file, *law, "--flops", budget)
    assert found["forecast"]["value"] == pytest.approx(best[target], **TO_DIGITS)
    assert found["forecast"]["ci"] == pytest.approx(best[f"{target}_ci"], **TO_DIGITS)
