"""`scaling plan`, `isoflop` and `next`: what compute buys."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest


def test_plan_lists_budgets_with_intervals(scaling_command, table):
    code, out, _ = scaling_command(
        "plan", table, "--where", "not excluded", "--flops", "1e15", "--flops", "1e16", "1e17",
        "--bootstrap", 40, "--json",
    )  # fmt: skip
    assert code == 0
    plans = json.loads(out)
    assert [p["flops"] for p in plans] == [1e15, 1e16, 1e17]
    for p in plans:
        assert 6 * p["num_params"] * p["num_tokens"] == pytest.approx(p["flops"])
        for name in ("num_params", "num_tokens", "loss"):
            low, high = p[f"{name}_ci"]
            assert low <= high
    assert np.diff([p["loss"] for p in plans]).max() < 0


def test_plan_without_budgets_goes_beyond_the_largest_run(scaling_command, table):
    _, out, _ = scaling_command(
        "plan", table, "--where", "not excluded", "--bootstrap", 0, "--json"
    )
    largest = pd.read_csv(table)["FLOPs"].max()
    assert [p["flops"] for p in json.loads(out)] == pytest.approx(
        [largest * k for k in (10, 100, 1000)]
    )


def test_plan_writes_a_table(scaling_command, table, tmp_path):
    path = tmp_path / "new" / "plan.csv"
    code, out, _ = scaling_command(
        "plan",
        table,
        "--where",
        "not excluded",
        "--bootstrap",
        0,
        "--num-params",
        "1e6",
        "-o",
        path,
    )
    assert code == 0
    assert pd.read_csv(path)["num_params"].tolist() == pytest.approx([1e6] * 3)
    assert "given N" in out


def test_isoflop(scaling_command, tmp_path):
    rows = [
        (c, n, 2 + 400 / n**0.34 + 400 / (c / (6 * n)) ** 0.34)
        for c in (1e18, 1e19, 1e20)
        for n in np.sqrt(c / 6) * np.geomspace(0.2, 5, 7)
    ]
    path = tmp_path / "iso.csv"
    pd.DataFrame(rows, columns=["C", "N", "loss"]).to_csv(path, index=False)
    code, out, err = scaling_command("isoflop", path, "--json")
    assert code == 0
    found = json.loads(out)
    assert [b["status"] for b in found["budgets"]] == ["ok"] * 3
    assert found["a"] == pytest.approx(0.5, abs=1e-3)
    assert found["a_ci"][0] <= found["a"] <= found["a_ci"][1]
    assert found["bias"]["a_law"] == pytest.approx(0.5, abs=1e-3)
    assert "num_tokens is flops / (6 num_params)" in err
    code, out, _ = scaling_command("isoflop", path)
    assert code == 0
    assert "N* ~ C^a: a = 0.5" in out


@pytest.fixture
def profiles(tmp_path):
    """A table of four budgets with seven sizes each, for which a is .5."""
    rows = [
        (c, n, 2 + 400 / n**0.34 + 400 / (c / (6 * n)) ** 0.34)
        for c in (1e18, 1e19, 1e20, 1e21)
        for n in np.sqrt(c / 6) * np.geomspace(0.2, 5, 7)
    ]
    path = tmp_path / "iso.csv"
    pd.DataFrame(rows, columns=["C", "N", "loss"]).to_csv(path, index=False)
    return path


def test_isoflop_beyond_its_budgets_is_no_forecast(scaling_command, profiles):
    words = ("isoflop", profiles, "--flops", "1e23", "--exponent", "0.6", "--method", "powers")
    code, out, _ = scaling_command(*words, "--json")
    assert code == 0
    (row,) = json.loads(out)["beyond"]
    assert row["num_params"] == pytest.approx(np.sqrt(1e23 / 6), rel=0.02)
    assert row["num_params_ci"][0] <= row["num_params"] <= row["num_params_ci"][1]
    assert row["num_params_at_exponent"] > 1.5 * row["num_params"]
    _, out, _ = scaling_command(*words)
    assert "its intervals are its own, no forecasts" in out
    assert "N* if a = 0.6" in out
    code, _, err = scaling_command(*words[:-3], "1.2")
    assert (code, "--exponent 1.2 is not between 0 and 1" in err) == (2, True)


def test_fit_of_profiles_has_the_minima_beside_it(scaling_command, profiles):
    code, out, _ = scaling_command("fit", profiles, "--bootstrap", 40, "--json")
    assert code == 0
    approaches = json.loads(out)["approaches"]
    assert [(x["name"], round(x["a"], 2)) for x in approaches] == [("2", 0.5), ("3", 0.5)]
    _, out, _ = scaling_command("fit", profiles, "--where", "flops < 5e18", "--bootstrap", 0)
    assert "by each approach" not in out


def test_isoflop_of_two_budgets_has_no_exponent(scaling_command, profiles):
    code, out, _ = scaling_command("isoflop", profiles, "--where", "flops < 5e19", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["a"], found["a_ci"]) == (None, [None, None])
    assert found["status"] == "no exponent: 2 budgets have a minimum, and it needs 3"
    _, out, _ = scaling_command("isoflop", profiles, "--where", "flops < 5e19")
    assert "no exponent: 2 budgets have a minimum" in out
    assert "a = " not in out.replace("if a = 0.5", "")


def test_isoflop_without_an_exponent_shows_its_budgets(scaling_command, tmp_path):
    n = np.geomspace(1e6, 1e7, 5)
    rows = [(c, x, 2 + 400 / x**0.34) for c in (1e20, 1e21) for x in n]
    path = tmp_path / "iso.csv"
    pd.DataFrame(rows, columns=["C", "N", "loss"]).to_csv(path, index=False)
    code, out, err = scaling_command("isoflop", path)
    assert (code, out.count("not convex") + out.count("at the edge")) == (1, 2)
    assert "0 of 2 budgets have an interior minimum" in err


def test_no_answer_is_exit_1(scaling_command, table):
    code, _, err = scaling_command(
        "plan", table, "--where", "not excluded", "--bootstrap", 0, "--flops", "10",
        "--num-params", "1e9",
    )  # fmt: skip
    assert code == 1
    assert "do not pay for one token" in err


def test_isoflop_has_the_parametric_law_beside_it(scaling_command, tmp_path):
    c, s = np.meshgrid([1e18, 1e19, 1e20], np.geomspace(0.2, 5, 7), indexing="ij")
    n = 0.1 * np.sqrt(c) * s
    loss = 2 + 400 / n**0.34 + 400 / (c / (6 * n)) ** 0.34
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(c.shape))
    frame = pd.DataFrame({"N": n.ravel(), "D": (c / (6 * n)).ravel(), "C": c.ravel()})
    frame["loss"] = (loss * noise).ravel()
    frame.to_csv(tmp_path / "grid.csv", index=False)
    code, out, _ = scaling_command("isoflop", tmp_path / "grid.csv", "--draws", 60, "--json")
    assert code == 0
    found = json.loads(out)
    assert [x["name"] for x in found["approaches"]] == ["2", "3"]
    for x in found["approaches"]:
        assert x["a"] == pytest.approx(0.5, abs=0.05)


def test_plan_shows_the_real_models_next_to_the_best_size(scaling_command, table):
    words = ("plan", table, "--where", "not excluded", "--bootstrap", 0, "--flops", 1e14,
             "--family", "transformer", "--set", "vocab_size=256",
             "--set", "context=64")  # fmt: skip
    code, out, err = scaling_command(*words, "--json")
    assert code == 0
    (best,) = json.loads(out)
    below, above = best["architectures"]
    assert below["num_params"] <= best["num_params"] < above["num_params"]
    assert above["flops_per_token"] * above["num_tokens"] == pytest.approx(1e14)
    assert "exact FLOPs per token of transformer" in err
    code, out, _ = scaling_command(*words)
    assert "real architectures next to N*" in out
    code, _, err = scaling_command("plan", table, "--family", "transfomer", "--bootstrap", 0)
    assert code == 2
    assert err.count("did you mean 'transformer'") == 1


def test_next_runs_are_written_as_a_sweep_file(scaling_command, table, tmp_path):
    path = tmp_path / "more.yaml"
    words = ("next", table, "--where", "not excluded", "--flops", 1e14)
    code, out, err = scaling_command(*words, "--runs", 6, "-o", path)
    assert code == 0, err
    assert "standard error of num_params at" in out
    assert re.search(r": [\d.]+ % now, [\d.]+ % with these runs", out)
    assert "num_params:" in path.read_text()
    _, out, _ = scaling_command(*words, "--target", "loss", "--at", 1e18, "--json")
    found = json.loads(out)
    assert found["se_after"] < found["se_before"]
    assert found["flops"] <= 1e14
    code, _, err = scaling_command(*words, "-o", tmp_path / "more.txt")
    assert (code, "written as .yaml" in err) == (2, True)
