"""D, C and U of the run table are what was trained."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis import fit, load_runs
from analysis.fits import Estimand
from analysis.forecasts.candidates import candidates
from analysis.tables import load_curves
from scaling import RUN_COLUMNS, RunSpec, train
from scaling.base import Store, write_atomic
from scaling.data import describe_data
from scaling.data.text import TextFiles, prepare_tokens
from scaling.run import Journal, end, read_journal
from scaling.tracking.tracker import Tracker
from sweeps import Sweep

HIDDEN = {"family": "mlp", "depth": 1, "width": 8, "data": "teacher:examples=640,heldout=64"}
STILL = {"lr": 0.0, "weight_decay": 0.0, "early_stopping": 2}  # nothing is learnt: it stops
MACS = (16 * 8 + 8) + (8 * 10 + 10)
"""Of an example by hand: 16 features, 8 hidden units, 10 classes, each output with a bias."""


def submitted(home, *specs):
    """The sweep ``s`` of ``specs``, as it is submitted; its lines."""
    sweep, store = Sweep.of("s", specs), Store.at(home)
    path = store.sweep_dir("s") / "sweep.jsonl"
    path.parent.mkdir(parents=True)
    write_atomic(path, sweep.to_jsonl())
    return [json.loads(line) for line in path.read_text().splitlines()]


def trained(home, *specs):
    """``specs`` as the sweep ``s``, trained."""
    lines = submitted(home, *specs)
    for spec in specs:
        train(spec, Store.at(home).run_dir(spec.run_id))
    return lines


@pytest.fixture
def stopped(home):
    """Two runs of 3,200 examples in steps of 32, one of which stops early; the sweep's lines."""
    options = {**HIDDEN, "num_tokens": 3200, "batch_size": 32}
    early = RunSpec.resolve(**options, **STILL)
    whole = RunSpec.resolve(**options, lr=0.01)
    return early, whole, trained(home, early, whole)


def test_d_and_c_of_a_run_that_stopped_early_are_what_was_trained(home, stopped):
    early, whole, _ = stopped
    steps = len(trained_steps := read_steps(home, early))
    assert 0 < steps < 100
    assert trained_steps[-1] == 32 * steps
    for source in ("s", home / "runs"):
        table = load_runs(source).set_index("run_id")
        row, other = table.loc[early.run_id], table.loc[whole.run_id]
        assert row["num_tokens"] == 32 * steps
        assert row["flops"] == 6 * MACS * 32 * steps
        assert row["flops_kaplan"] == row["flops_chinchilla"] == row["flops"]
        assert row["flops_6nd"] == 6 * row["num_params"] * 32 * steps
        assert (row["num_tokens_planned"], row["flops_planned"]) == (3200, 6 * MACS * 3200)
        assert row["flops_spent"] == row["flops"]
        assert (row["status"], row["exclude_reason"]) == ("done", "")
        assert (other["num_tokens"], other["flops"]) == (3200, 6 * MACS * 3200)
        assert (other["num_tokens_planned"], other["flops_planned"]) == (3200, 6 * MACS * 3200)


def read_steps(home, spec):
    """Examples seen after each step, as far as the journal says that it went."""
    last = end(read_journal(Store.at(home).run_dir(spec.run_id)))
    return np.arange(32, last["tokens"] + 1, 32)


def test_a_table_without_such_runs_has_no_planned_columns(home):
    trained(home, RunSpec.resolve(**HIDDEN, num_tokens=320, batch_size=32, lr=0.01))
    assert not [name for name in load_runs("s").columns if name.endswith("_planned")]


@pytest.mark.parametrize("shipped", ["now", "before a tracker said so"])
def test_mlflow_says_the_same(home, store_ready, stopped, shipped, monkeypatch):
    from scaling.tracking import values as module
    from scaling.tracking.tracker import Tracker, connect

    if shipped != "now":
        monkeypatch.setattr(module, "trained_columns", lambda row, last: {})
    early, whole, lines = stopped
    tracker = Tracker(store_ready, "s")
    for line in lines:
        tracker.ship(Store.at(home).run_dir(line["run_id"]), line, alive=False)
    there = load_runs("s", tracking_uri=store_ready).set_index("run_id")
    here = load_runs("s").set_index("run_id").loc[there.index]
    shared = [c.name for c in RUN_COLUMNS if c.name in here and c.name in there]
    assert {"num_tokens", "flops", "flops_planned", "num_unique_tokens"} <= set(shared)
    pd.testing.assert_frame_equal(there[shared], here[shared])
    if shipped != "now":
        return
    client = connect(store_ready)
    experiment = client.get_experiment_by_name("s").experiment_id
    (run,) = client.search_runs([experiment], f"params.run_id = '{early.run_id}'")
    flops = here.loc[early.run_id, "flops"]
    assert flops < whole.flops
    assert run.data.metrics["scale/log10_C"] == pytest.approx(np.log10(flops))


@pytest.mark.parametrize("x_col", ["num_tokens", "flops"])
def test_a_law_takes_what_was_trained(home, x_col):
    """Journals of before this was so: losses on a power law of the trained sizes, to the digit."""
    specs = [
        RunSpec.resolve(**HIDDEN, num_tokens=640 * 2**i, batch_size=32, lr=0.01, early_stopping=4)
        for i in range(8)
    ]
    submitted(home, *specs)
    for i, spec in enumerate(specs):
        tokens = spec.train.num_tokens // (1 + i % 3)
        tokens -= tokens % 32
        size = tokens if x_col == "num_tokens" else 6 * MACS * tokens
        journal = Journal(Store.at(home).run_dir(spec.run_id))
        journal.append("start", attempt=1, time=1e9)
        journal.append("end", status="done", loss=30 * size**-0.12, tokens=tokens, time=1e9)
        journal.close()
    found = fit("power", load_runs("s"), Estimand(x_col=x_col), bootstrap=0)
    assert found.params == pytest.approx({"A": 30.0, "alpha": 0.12}, rel=1e-6)


def test_a_run_that_diverged_trained_on_what_it_saw(home):
    spec = RunSpec.resolve(**HIDDEN, num_tokens=3200, batch_size=32, lr=1e4, optimizer="sgd",
                           grad_clip=0.0, schedule="constant")  # fmt: skip
    trained(home, spec)
    (row,) = load_runs("s").to_dict("records")
    assert row["status"] == "diverged"
    assert row["num_tokens"] == read_steps(home, spec)[-1] < 3200 == row["num_tokens_planned"]


def test_runs_that_repeat_their_data_have_a_law_of_repeats(home):
    """Several widths over half a pass to eight passes: U is at most the 640 examples there are."""
    specs = [
        RunSpec.resolve(**{**HIDDEN, "width": width}, num_tokens=tokens, batch_size=32, lr=0.01)
        for width in (2, 4, 8, 16)
        for tokens in (320, 640, 1280, 5120)
    ]
    trained(home, *specs)
    table = load_runs("s")
    assert table["num_tokens"].tolist() == 4 * [320, 640, 1280, 5120]
    assert table["num_unique_tokens"].tolist() == 4 * [320, 640, 640, 640]
    assert [law.name for law in candidates(table)] == ["overfitting"]
    others = {law.name for law in candidates(table.drop(columns="num_unique_tokens"))}
    once = pd.concat([table[table["num_tokens"] <= 640]] * 2)
    few = table.tail(12)  # too few to tell what repeats are worth
    twice = pd.concat([table[table["num_tokens"] <= 1280]] * 2)  # nearly as good as new
    for part in (once, few, twice):
        assert {law.name for law in candidates(part)} == others
    found = fit("repeated_data", table, bootstrap=0)
    assert len(found.observed) == 16
    assert found.inputs[2].tolist() == table["num_unique_tokens"].tolist()


def test_losses_on_further_sets_are_columns_and_curves(
    tiny, tiny_data, home, store_ready, tmp_path
):
    for name, letters in (("a", "abc"), ("b-1", "xyz ")):
        (tmp_path / f"{name}.txt").write_text(letters * 400)
    evals = {name: TextFiles((tmp_path / f"{name}.txt",)) for name in ("a", "b-1")}
    source = TextFiles(tuple(sorted(tiny_data.parent.glob("*.txt"))))
    prepare_tokens("tiny-evals", source, tiny_data, heldout=0.2, evals=evals)
    specs = [
        RunSpec.resolve(**{**tiny, "data": "tiny-evals", "width": width, "curve_tokens": 2048})
        for width in (8, 16)
    ]
    same = RunSpec.resolve(**{**tiny, "curve_tokens": 2048})
    lines = trained(home, *specs, same)
    table, curves = load_runs("s"), load_curves("s")
    names = [f"eval/{n}/{k}" for n in ("a", "b-1") for k in ("bits_per_byte", "loss", "loss_se")]
    assert [name for name in table if name.startswith("eval/")] == names
    for spec, row in zip(specs, table.to_dict("records"), strict=False):
        last = end(read_journal(Store.at(home).run_dir(spec.run_id)))
        assert {name: row[name] for name in names} == {name: last[name] for name in names}
        assert row["eval/a/bits_per_byte"] == row["eval/a/loss"] / np.log(2)
        one_pass = (describe_data("tiny-evals").train_size - 1) // 32 * 32
        assert row["epochs"] == row["num_tokens"] / one_pass
        curve = curves[curves["run_id"] == spec.run_id]
        assert len(curve) > 3
        assert curve[names].notna().to_numpy().all()
        assert curve["eval/a/loss"].iloc[-1] == row["eval/a/loss"]
    assert table["loss"][0] == table["loss"][2]  # the same training, whatever else is evaluated
    assert table[names].loc[2].isna().all()

    chosen = load_runs("s", columns={"loss": "eval/b-1/loss"})
    assert chosen["loss"].tolist()[:2] == table["eval/b-1/loss"].tolist()[:2]
    tracker = Tracker(store_ready, "s")
    for line in lines:
        tracker.ship(Store.at(home).run_dir(line["run_id"]), line, alive=False)
    there = load_runs("s", tracking_uri=store_ready).set_index("run_id")
    here = table.set_index("run_id").loc[there.index]
    pd.testing.assert_frame_equal(there[[*names, "epochs"]], here[[*names, "epochs"]])
    shipped = load_curves("s", tracking_uri=store_ready)
    order = ["run_id", "step"]
    pd.testing.assert_frame_equal(
        shipped.sort_values(order, ignore_index=True)[[*order, *names]],
        curves.sort_values(order, ignore_index=True)[[*order, *names]],
    )


def test_perplexity_stands_beside_losses_of_tokens():
    from analysis.tables.rows import run_table

    rows = [
        {"run_id": "a", "loss": 2.0, "data_unit": "token", "exclude_reason": ""},
        {"run_id": "b", "loss": 2.0, "data_unit": "example", "exclude_reason": ""},
        {"run_id": "c", "loss": None, "data_unit": "token", "exclude_reason": "failed"},
        {"run_id": "d", "loss": 1e9, "data_unit": "token", "exclude_reason": ""},
    ]
    found = run_table(rows)["perplexity"].tolist()
    assert found[0] == pytest.approx(math.exp(2.0)) and found[3] > 1e300
    assert math.isnan(found[1]) and math.isnan(found[2])
