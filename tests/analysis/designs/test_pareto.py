"""The frontier of models, the columns of cost, and the three commands on a planted sweep."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.designs.pareto import pareto
from analysis.tables.costs import with_complexity
from scaling.base import Store
from scaling.cli import main

MODELS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 9)).map(lambda m: (1e6 * m[0], 0.1 * m[1])),
    min_size=1,
    max_size=12,
    unique=True,
)


def runs_of(models):
    macs, errors = np.array(models, dtype=float).T
    return pd.DataFrame(
        {
            "family": "x",
            "name": [f"N={i} seed=0" for i in range(len(models))],
            "macs_forward": macs,
            "num_params": np.arange(1, len(models) + 1),
            "num_tokens": 1000.0,
            "seconds": 2.0,
            "error": errors,
            "exclude_reason": "",
        }
    )


@settings(max_examples=40, deadline=None)
@given(MODELS)
def test_nothing_beats_the_frontier_and_it_beats_the_rest(models):
    found = pareto(runs_of(models))
    table = found.models
    cost, error = table["flops_forward"].to_numpy(), table["error"].to_numpy()

    def beaten(i):
        better = (cost <= cost[i]) & (error <= error[i]) & ((cost < cost[i]) | (error < error[i]))
        return bool(better.any())

    assert set(found.frontier["flops_forward"]) == {i for i in range(len(table)) if not beaten(i)}


def test_costs_are_those_of_the_run():
    table = with_complexity(runs_of([(1e6, 0.1)]), watts=100, pue=1.5)
    assert table["flops_forward"][0] == 2e6
    assert table["seconds_per_example"][0] == 2e-3
    assert table["kwh_estimated"][0] == pytest.approx(2 * 100 * 1.5 / 3.6e6)


def test_rated_power_follows_the_device():
    runs = runs_of([(1e6, 0.1), (2e6, 0.2)]).assign(device=["cpu", "cuda"])
    kwh = with_complexity(runs)["kwh_estimated"]
    assert kwh[1] / kwh[0] == pytest.approx(400 / 65)


def test_training_flops_serve_where_macs_are_not_known():
    runs = runs_of([(1e6, 0.1)]).drop(columns="macs_forward").assign(flops=6e9)
    assert with_complexity(runs)["flops_forward"][0] == 2e6


def test_seeds_of_a_model_are_one_row():
    runs = pd.concat([runs_of([(1e6, e)]) for e in (0.1, 0.2, 0.3)], ignore_index=True)
    found = pareto(runs)
    assert len(found.models) == 1
    row = found.models.iloc[0]
    assert (row["seeds"], row["name"]) == (3, "N=0")
    assert row["error"] == pytest.approx(0.2) and row["sd"] == pytest.approx(0.1)


def test_a_table_without_costs():
    with pytest.raises(ValueError, match="no cost is known: a table needs one of flops_forward"):
        pareto(runs_of([(1e6, 0.1)])[["error", "exclude_reason"]])


def test_models_without_a_time_of_inference_are_said_and_stay():
    runs = runs_of([(1e6, 0.3), (2e6, 0.2), (3e6, 0.1)]).assign(inference_seconds=[2, np.nan, 1])
    found = pareto(runs)
    assert "inference_seconds" in found.costs
    assert len(found.models) == 3
    assert found.frontier["inference_seconds"] == (2,)
    assert found.frontier["flops_forward"] == (0, 1, 2)
    assert found.notes[0].startswith("1 of 3 models have no inference_seconds")
    assert pareto(runs_of([(1e6, 0.3)])).notes == (
        "not known of these runs: activations, inference_seconds",
    )
    assert found.to_dict()["models"][1]["inference_seconds"] is None


@pytest.fixture
def planted(home):
    """A compound sweep and a design space of foreign tables in one folder."""
    rng = np.random.default_rng(0)
    axes = [("base", 1), *((a, f) for a in ("compound", "depth", "width") for f in (2, 4, 8))]
    rows = [
        {
            "run_id": f"{axis}{factor}{seed}",
            "axis": axis,
            "macs_forward": 1e6 * factor,
            "num_params": 1e4 * factor,
            "num_examples": 1e4,
            "flops": 6e10 * factor,
            "loss": 1.0,
            "error": 0.2 * factor ** (-0.2 if axis == "compound" else -0.1)
            * np.exp(0.01 * rng.standard_normal()),
            "seconds": 3.0 * factor,
        }
        for axis, factor in axes
        for seed in (0, 1)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(home / "axes.csv", index=False)
    for name, shift in (("wide", 0.0), ("narrow", 0.1)):
        depth = rng.integers(4, 20, 30)
        error = 0.2 + shift + 0.01 * abs(depth - 12) + 0.01 * rng.random(30)
        table = pd.DataFrame({"depth": depth, "error": error, "loss": 1.0})
        table.to_csv(home / f"{name}.csv", index=False)
    return home


def test_compound_command(planted, capsys):
    figure = planted / "axes.png"
    assert main(["compound", str(planted / "axes.csv"), "--json", "-o", str(figure)]) == 0
    found = json.loads(capsys.readouterr().out)["axes"]
    at = {(row["axis"], row["flops_ratio"]): row["ratio"] for row in found["equal_flops"]}
    assert at["depth", 8] == pytest.approx(8**0.1, rel=0.03)
    assert figure.stat().st_size > 10_000
    assert main(["compound", str(planted / "axes.csv")]) == 0
    assert "error at equal FLOPs" in capsys.readouterr().out


def test_edf_command(planted, capsys):
    wide, narrow = str(planted / "wide.csv"), str(planted / "narrow.csv")
    figure = planted / "edf.png"
    assert main(["edf", wide, narrow, "--json", "-o", str(figure)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["comparisons"][0]["better"] == "wide"
    best = {p["space"]: (p["low"], p["high"]) for p in found["parameters"]}
    assert best["wide"][0] <= 12 <= best["wide"][1]
    assert (planted / "edf-edf.png").is_file() and (planted / "edf-parameters.png").is_file()
    assert main(["edf", wide]) == 0
    assert "values of the best models" in capsys.readouterr().out


def test_pareto_command(planted, capsys):
    figure = planted / "pareto.pdf"
    assert main(["pareto", str(planted / "axes.csv"), "--json", "-o", str(figure)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["costs"] == [
        "flops_forward", "num_params", "seconds_per_example", "kwh_estimated"
    ]  # fmt: skip
    on = [m["axis"] for m in found["models"] if "flops_forward" in m["frontier"]]
    assert on == ["base", "compound", "compound", "compound"]
    assert main(["pareto", str(planted / "axes.csv"), "--watts", "10"]) == 0
    assert "energy: estimated, seconds of training x 10 W x PUE 1.58" in capsys.readouterr().out


def test_commands_on_runs_of_another_kind(planted, capsys):
    assert main(["compound", str(planted / "wide.csv")]) == 2
    assert "of no compound-scaling sweep" in capsys.readouterr().err
    assert main(["edf", str(planted / "wide.csv"), "--parameter", "depht"]) == 2
    assert "no source has such a column" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["edf", "pareto", "compound"])
def test_a_metric_of_text_is_refused(planted, capsys, command):
    table = pd.read_csv(planted / "axes.csv").assign(how=["0.1", "good"] * 10)
    table.to_csv(planted / "text.csv", index=False)
    assert main([command, str(planted / "text.csv"), "--metric", "how"]) == 2
    assert "line 3, column 'how': 'good' is not a number" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["edf", "pareto"])
def test_rows_without_the_metric_are_said(planted, capsys, command):
    table = pd.read_csv(planted / "axes.csv")
    table["accuracy"] = [np.nan, np.nan, np.nan, 0.0, -1.0, *np.linspace(0.5, 0.9, 15)]
    table.to_csv(planted / "some.csv", index=False)
    assert main([command, str(planted / "some.csv"), "--metric", "accuracy", "--json"]) == 0
    err = capsys.readouterr().err
    assert "left out, accuracy missing: 3 of 20 rows" in err
    assert "left out, accuracy not positive: 2 of 20 rows" in err


def test_sources_of_one_name_are_told_apart(planted, capsys):
    (planted / "b").mkdir()
    one, other = planted / "wide.csv", planted / "b" / "wide.csv"
    other.write_text((planted / "narrow.csv").read_text())
    assert main(["edf", str(one), str(other), "--json", "--draws", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {space["name"] for space in found["spaces"]} == {str(one), str(other)}
    figure = str(planted / "names.png")
    assert main(["plot", str(one), "edf", "--other", str(other), "-o", figure]) == 0
    assert main(["edf", str(one), str(planted / "b" / ".." / "wide.csv")]) == 2
    assert "is given twice" in capsys.readouterr().err


def test_models_of_a_sweep_give_the_design_parameters(home, capsys):
    from scaling.families import get_family

    store = Store.at(home)
    folder = store.sweep_dir("nets")
    folder.mkdir(parents=True)
    family = get_family("regnetx")
    lines = []
    for i in range(6):
        config = family.resolve({**family.presets["200mf"], "depth": 12 + i})
        spec = {"family": "regnetx", "model": config.to_dict()}
        row = {"run_id": f"{i:016x}", "spec": spec, "space": "regnetx"}
        lines.append(json.dumps(row))
        events = [
            {"event": "start", "device": "cpu", "time": 0.0},
            {"event": "end", "status": "done", "error": 0.3 - 0.01 * i, "loss": 1.0, "time": 1.0},
        ]
        run = store.run_dir(f"{i:016x}")
        run.mkdir(parents=True)
        (run / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    (folder / "sweep.jsonl").write_text("\n".join(lines) + "\n")
    assert main(["edf", "nets", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    depth = next(p for p in found["parameters"] if p["parameter"] == "depth")
    assert depth["rank_correlation"] == pytest.approx(-1) and depth["high"] == 17
    assert found["spaces"][0]["name"] == "regnetx"


def test_they_are_kinds_of_plot_too(planted, capsys):
    for kind, *more in (("compound",), ("pareto",)):
        figure = planted / f"{kind}.svg"
        assert main(["plot", str(planted / "axes.csv"), kind, "-o", str(figure), *more]) == 0
        assert figure.stat().st_size > 10_000
    command = ["plot", str(planted / "wide.csv"), "edf", "-o", str(planted / "two.png")]
    assert main([*command, "--other", str(planted / "narrow.csv"), "--metric", "loss"]) == 0
    assert (planted / "two-edf.png").is_file()
    out, err = capsys.readouterr()
    assert out == "" and err.count("written to") == 4


def test_losses_below_zero_have_no_place_on_a_log_axis():
    runs = runs_of([(1e6, 0.1), (2e6, 0.2)]).assign(error=[-0.1, -0.2])
    with pytest.raises(ValueError, match="error is above 0 in no row"):
        pareto(runs)
