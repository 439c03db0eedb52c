"""The commands as a reader with somebody's file meets them."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import scaling.cli


@pytest.fixture
def scaling_command(monkeypatch, capsys):
    """Runs a command in this process; returns exit code, stdout, stderr."""
    monkeypatch.setattr(scaling.cli, "DOORS", ("analysis.cli",))

    def run(*words):
        try:
            code = scaling.cli.main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


@pytest.fixture
def table(planted_runs, tmp_path):
    """The planted runs as somebody's file: other names, two outliers."""
    frame = planted_runs[["num_params", "num_tokens", "flops", "loss"]].copy()
    frame.columns = ["N", "D", "FLOPs", "val_loss"]
    frame["excluded"] = False
    frame.loc[[3, 8], ["val_loss", "excluded"]] = [9.0, True]
    frame["kind"] = "old"
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    return path


def test_fit_prints_one_json_document(scaling_command, table):
    code, out, err = scaling_command(
        "fit", table, "--where", "excluded == False", "--bootstrap", 60, "--json"
    )
    assert code == 0
    found = json.loads(out)
    assert found["law"] == "chinchilla"
    assert found["n_runs"] == 28
    assert found["params"]["alpha"] == pytest.approx(0.35, abs=0.03)
    assert found["a"] + found["b"] == pytest.approx(1)
    assert set(found["ci"]) == {"E", "A", "B", "alpha", "beta", "a", "b"}
    for low, high in found["ci"].values():
        assert low <= high
    assert {"status", "objective", "excluded", "diagnostics"} <= set(found)
    assert "keeps 28 of 30 rows" in err


def test_fit_prints_a_table(scaling_command, table):
    code, out, _ = scaling_command("fit", table, "--where", "not excluded", "--bootstrap", 20)
    assert code == 0
    assert "L = 1." in out
    assert "irreducible loss" in out
    assert "Hoffmann et al. 2022" in out
    assert "28 runs" in out


def test_fit_takes_named_columns_a_law_and_a_penalty(scaling_command, table):
    text = table.read_text().replace("val_loss", "score").replace("N,D", "size,data")
    table.write_text(text)
    names = ("--params-col", "size", "--tokens-col", "data", "--loss-col", "score")
    rest = ("--law", "chinchilla_symmetric", "--loss-fn", "mse", "--bootstrap", 0, "--json")
    code, out, _ = scaling_command("fit", table, *names, "--where", "excluded == 0", *rest)
    found = json.loads(out)
    assert (code, found["law"], found["loss_fn"]) == (0, "chinchilla_symmetric", "mse")
    assert found["ci"] == {}
    _, out, _ = scaling_command(
        "fit", table, "--loss-col", "score", "--x-col", "size", "--bootstrap", 0, "--json"
    )
    assert json.loads(out)["law"] == "power_floor"


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


def test_isoflop_without_an_exponent_shows_its_budgets(scaling_command, tmp_path):
    n = np.geomspace(1e6, 1e7, 5)
    rows = [(c, x, 2 + 400 / x**0.34) for c in (1e20, 1e21) for x in n]
    path = tmp_path / "iso.csv"
    pd.DataFrame(rows, columns=["C", "N", "loss"]).to_csv(path, index=False)
    code, out, err = scaling_command("isoflop", path)
    assert (code, out.count("not convex") + out.count("at the edge")) == (1, 2)
    assert "0 of 2 budgets have an interior minimum" in err


def test_a_table_has_no_learning_curves(scaling_command, table, tmp_path):
    path = tmp_path / "curves.png"
    code, _, err = scaling_command("plot", table, "curves", "-o", path)
    assert code == 2 and not path.exists()
    assert "has no learning curves, only final losses: plot the kind frontier" in err


def test_runs_shows_filters_and_writes(scaling_command, sweep, tmp_path):
    code, out, err = scaling_command("runs", "demo")
    assert code == 0
    assert "30 runs" in out
    assert "planned: not run yet" in out
    assert "1 of 30 runs not used: running: not finished" in err
    code, out, _ = scaling_command("runs", "demo", "--filter", "status == 'done'", "--json")
    rows = json.loads(out)
    assert len(rows) == 27
    assert {row["status"] for row in rows} == {"done"}
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert scaling_command("runs", "demo", "-o", tmp_path / name)[0] == 0
        code, out, _ = scaling_command("runs", tmp_path / name, "--json")
        again = json.loads(out)
        assert [r["exclude_reason"] for r in again][-1] == "planned: not run yet"
        assert again[0]["loss"] == rows[0]["loss"]
        assert {type(row["seed"]) for row in again} == {int}


def test_a_planned_run_is_excluded_and_listed(scaling_command, sweep):
    _, out, _ = scaling_command("fit", "demo", "--bootstrap", 0, "--json")
    found = json.loads(out)
    assert found["n_runs"] == 27
    assert [e["reason"] for e in found["excluded"]] == [
        "diverged: loss is not finite",
        "running: not finished",
        "planned: not run yet",
    ]


@pytest.mark.parametrize("kind", ["frontier", "scaling", "residuals", "plan"])
def test_plot(scaling_command, sweep, tmp_path, kind):
    path = tmp_path / f"{kind}.png"
    code, out, err = scaling_command("plot", "demo", kind, "-o", path, "--bootstrap", 20)
    assert (code, out) == (0, "")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert f"written to {path}" in err


def test_report(scaling_command, sweep, tmp_path):
    path = tmp_path / "r.html"
    code, _, _ = scaling_command("report", "demo", "-o", path, "--bootstrap", 20)
    text = path.read_text(encoding="utf-8")
    assert code == 0
    assert "planned: not run yet" in text
    assert f"scaling report demo -o {path} --bootstrap 20" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fit", "nothing.csv"], "No such file"),
        (["fit", "nothing"], "no file, no sweep"),
        (["fit", "{table}", "--loss-col", "foo"], "no column 'foo' for loss"),
        (["fit", "{table}", "--law", "foo"], "foo"),
        (["fit", "{table}", "--where", "lss > 1"], "no column 'lss'"),
        (["fit", "{table}", "--x-col", "foo"], "no column 'foo'"),
        (["fit", "{table}", "--where", "loss < 0"], "0 usable"),
        (["fit", "{table}", "--delta", "-1"], "not a positive number"),
        (["plan", "{table}", "--flops", "many"], "--flops"),
        (["plan", "{table}", "--flops", "nan"], "not a positive number"),
        (["plot", "{table}", "pie", "-o", "x.png"], "unknown kind of figure 'pie'"),
        (["plot", "{table}", "scaling", "-o", "x.gif"], ".png, .pdf, .svg"),
        (["report", "{table}", "-o", "x.txt"], "written as .html"),
        (["runs", "{table}", "-o", "x.txt"], ".csv, .jsonl or .parquet"),
        (["runs", "{table}", "--filter", "loss>1", "--where", "loss>1"], "give one"),
        (["runs", "{table}", "--limit", "-3"], "--limit: -3 is below 0"),
        (["fit", "{table}", "--seed", "-1"], "--seed: -1 is below 0"),
        (["fit", "{table}", "--bootstrap", "1e3"], "--bootstrap: '1e3' is not a whole number"),
        (["fit", "{table}", "--level", "abc"], "--level: 'abc' is not a number"),
        (["fit", "{table}", "--latex", "--checklist"], "leave out --json and --checklist"),
        (["fit", "{table}", "--law", "L = E + A/C**a", "--x-col", "N"], "formula is one of flops"),
        (["plan", "{table}", "--family", "vit", "--set", "foo=3"], "unknown vit option 'foo'"),
        (["plan", "{table}", "--family", "mlp", "--set", "depth=x"], "depth 'x' is not"),
        (["plan", "{table}", "--set", "context=64"], "--family NAME: give both"),
        (["next", "{table}", "--flops", "1e15", "--reach", "1e-6"], "reach 1e-06 is below 1"),
        (["plot", "{table}", "frontier", "--where", "N>1e99", "-o", "x.png"], "none of 0 rows"),
        (["plot", "{table}", "cloud", "--bootstrap", "0", "-o", "x.png"], "(--bootstrap 1000)"),
        (
            ["plot", "{table}", "scaling", "--by=N", "--x-col=D", "--where=N>1e99", "-o=x.png"],
            "--by N: no row has a value",
        ),
        (["edf", "{table}", "--parameter", "kind"], "column 'kind': 'old' is not a number"),
        (["fit", "{table}", "--weights", "kind", "--where", "N>1e5"], "line 17, column 'kind'"),
        (["backtest", "{table}", "--train-col", "kind", "--where", "N>1e5"], "line 17, column"),
    ],
)
def test_a_callers_mistake_is_one_line_and_exit_2(scaling_command, table, words, says):
    words = [word.replace("{table}", str(table)) for word in words]
    code, out, err = scaling_command(*words)
    last = err.strip().splitlines()[-1]
    assert code == 2
    assert out == ""
    assert says in last
    assert last.startswith(f"scaling {words[0]}:")
    assert "Traceback" not in err


def test_a_missing_loss_column_names_the_flag(scaling_command, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("N,D,score\n1e6,2e7,3\n")
    code, _, err = scaling_command("fit", path)
    assert code == 2
    assert "no column 'loss': name one of N, D, score" in err
    assert "with --loss-col" in err


def test_no_answer_is_exit_1(scaling_command, table):
    code, _, err = scaling_command(
        "plan", table, "--where", "not excluded", "--bootstrap", 0, "--flops", "10",
        "--num-params", "1e9",
    )  # fmt: skip
    assert code == 1
    assert "do not pay for one token" in err


def test_describing_the_commands_loads_nothing_heavy():
    code = (
        "import argparse, sys, analysis, analysis.cli as c;"
        "c.add_commands(argparse.ArgumentParser().add_subparsers());"
        "print([m for m in ('numpy', 'pandas', 'scipy', 'matplotlib', 'torch', 'mlflow')"
        " if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_fit_of_a_sweep_has_the_approaches_side_by_side(scaling_command, sweep, home):
    code, out, _ = scaling_command("fit", "demo", "--root", home, "--bootstrap", 20, "--json")
    assert code == 0
    approaches = json.loads(out)["approaches"]
    assert [x["name"] for x in approaches] == ["1", "2", "3"]
    assert approaches[2]["a"] == pytest.approx(0.4 / 0.75, abs=0.05)
    code, out, _ = scaling_command("fit", "demo", "--root", home, "--bootstrap", 20)
    assert "by each approach" in out


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


def test_the_checklist_is_filled(scaling_command, table):
    words = ("fit", table, "--where", "not excluded", "--bootstrap", 20, "--checklist")
    code, out, err = scaling_command(*words)
    assert code == 0
    assert "## Fitting" in out
    assert "- **Which objective?** sum of Huber's penalty" in out
    assert "left to the author" in err
    _, out, _ = scaling_command(*words, "--json")
    items = json.loads(out)["checklist"]
    assert {"section", "question", "answer"} == set(items[0])


@pytest.mark.parametrize("kind", ["profile", "cloud", "funnel"])
def test_certainty_is_drawn(scaling_command, table, tmp_path, kind):
    path = tmp_path / f"{kind}.svg"
    code, _, err = scaling_command(
        "plot", table, kind, "--where", "not excluded", "--bootstrap", 20, "-o", path
    )
    assert (code, path.exists()) == (0, True), err


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


def test_fit_for_a_paper_and_with_a_certificate(scaling_command, table):
    words = ("fit", table, "--where", "not excluded", "--bootstrap", 20)
    _, out, _ = scaling_command(*words, "--resample", "residual", "--asymmetry", 2)
    assert "certificate: " in out
    _, out, _ = scaling_command(*words, "--latex")
    assert out.startswith("\\begin{table}")
    code, _, err = scaling_command(*words, "--resample", "residual", "--cluster", "N")
    assert (code, "give one" in err) == (2, True)


def test_a_row_without_a_size_is_named_by_its_line(scaling_command, table):
    lines = table.read_text().splitlines()
    lines[6] = "," + lines[6].split(",", 1)[1]
    table.write_text("\n".join(lines) + "\n")
    _, _, err = scaling_command("fit", table, "--where", "excluded == False", "--bootstrap", 0)
    assert "num_params missing: line 7, not used where it is needed" in err


def cells(out):
    """The rows of a printed table, by their first cell."""
    rows = [line.split() for line in out.splitlines() if line.strip()]
    return {row[0]: row[1:] for row in rows}


def test_exponents_stand_apart_from_parameters_of_the_same_name(scaling_command, table):
    words = ("fit", table, "--where", "not excluded", "--bootstrap", 10)
    law = "L = E + A/N**a + B/D**b"
    _, out, _ = scaling_command(*words, "--law", law)
    assert {"a", "b", "exponent_a", "exponent_b"} <= set(cells(out))
    _, out, _ = scaling_command(*words, "--law", law, "--json")
    found = json.loads(out)
    assert found["exponent_a"] == found["a"] != found["params"]["a"]
    code, out, err = scaling_command(*words, "--law", "L = E + A*N**-a*D**-b")
    assert (code, "no allocation exponents" in err) == (0, True)
    assert "N* ~" not in out


def test_a_formula_says_where_its_parameters_start(scaling_command, tmp_path):
    n = np.geomspace(1e6, 1e9, 20)
    frame = pd.DataFrame({"N": n, "loss": 2 + 300 / (n + 5e7) ** 0.3 - 0.02 * np.log(n)})
    frame.to_csv(tmp_path / "off.csv", index=False)
    law = "L = E + A/(N + N0)**a + s*log(N)"
    words = ("fit", tmp_path / "off.csv", "--bootstrap", 0, "--json")
    code, out, _ = scaling_command(
        *words, "--law", law, "--start", "N0=1e7,1e9", "--start", "a=.1,1", "--signed", "s"
    )
    assert code == 0
    assert json.loads(out)["params"]["s"] == pytest.approx(-0.02, rel=0.1)
    path = tmp_path / "r.html"
    words = ("report", tmp_path / "off.csv", "-o", path, "--bootstrap", 8, "--law", law)
    assert scaling_command(*words, "--start", "N0=1e7,1e9", "--signed", "s")[0] == 0
    assert "--start N0=10000000.0,1000000000.0 --signed s" in path.read_text(encoding="utf-8")
    words = ("fit", tmp_path / "off.csv")
    for rest, says in (
        (["--law", "power_floor", "--x-col", "num_params", "--signed", "E"], "from a formula"),
        (["--law", law, "--start", "N0=1"], "is not as N0=1e6,1e9"),
        (["--law", law, "--start", "M=1,2"], "unknown parameter"),
    ):
        code, _, err = scaling_command(*words, *rest)
        assert (code, says in err) == (2, True), err


def test_intervals_of_what_is_not_identified_are_marked(scaling_command, table):
    words = ("fit", table, "--where", "not excluded", "--bootstrap", 10)
    _, out, _ = scaling_command(*words)
    assert "?" not in out
    frame = pd.read_csv(table)
    frame["N"], frame["group"] = 1e5, frame.index % 3
    frame.to_csv(table, index=False)
    code, out, err = scaling_command(*words, "--cluster", "group")
    assert (code, "?: not identified" in out) == (0, True)
    assert cells(out)["alpha"][3] == "?"
    assert "3 groups by group: intervals from fewer than 10 are rough" in err


def test_written_rows_are_valid_json(scaling_command, tmp_path):
    (tmp_path / "a.csv").write_text("N,D,loss\n1e6,2e7,inf\n1e6,3e7,3\n")
    scaling_command("runs", tmp_path / "a.csv", "-o", tmp_path / "a.jsonl")
    first, _ = (tmp_path / "a.jsonl").read_text().splitlines()
    row = json.loads(first, parse_constant=pytest.fail)
    assert (row["loss"], row["exclude_reason"]) == (None, "loss is inf")
