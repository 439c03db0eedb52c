"""What W&B's pages and its API export, and tables of runs, as runs of ours."""

from __future__ import annotations

import json
from datetime import datetime

import pandas as pd
import pytest

from analysis.tables import read_rows
from scaling.importing import Stated, find_runs, understand

# The header and quoting of the table of runs that W&B's page of a project exports.
TABLE = """\
"Name","State","Notes","User","Tags","Created","Runtime","Sweep","depth","params","tokens","val_loss"
"a-1","finished","two
lines","me","","2026-01-02T03:04:05.000Z","120","","2","125M","1.3e9","3.2718281828459045"
"a-2","finished","","me","","2026-01-02T04:04:05.000Z","240","","4","350M","2,600,000,000","3.1"
"a-3","killed","","me","","2026-01-02T05:04:05.000Z","20","","4","350M","1e9","3.6"
"a-4","crashed","","me","","2026-01-02T06:04:05.000Z","20","","4","760M","1e9",""
"a-5","running","","me","","2026-01-02T06:04:05.000Z","20","","4","760M","1e9","3.3"
"a-6","finished","","me","","2026-01-02T06:04:05.000Z","20","","4","a lot","1e9","3.3"
"a-7","finished","","me","","2026-01-02T06:04:05.000Z","20","","4","760M","4e9","NaN"
"a-8","finished","","me","","2026-01-02T06:04:05.000Z","20","","4","760M","5e9",""
"a-9","paused","","me","","2026-01-02T06:04:05.000Z","20","","4","760M","5e9","3"
"""
# A chart of one metric, as W&B exports it: a column a run, its least and largest values beside it.
CHART = """\
"Step","a-1 - val_loss","a-1 - val_loss__MIN","a-1 - val_loss__MAX","x - y - val_loss","x - y - val_loss__MIN","x - y - val_loss__MAX"
"204800","7.953187465667725","7.9","8","8.081331853866578","8","8.1"
"409600","7.538689622879028","7.5","7.6","",,
"614400","7.408749589920044","7.4","7.5","7.4482629776000975","7.4","7.5"
"""  # noqa: E501


@pytest.fixture
def write(tmp_path):
    def written(name, text):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def imported(*sources, **columns):
    counts = columns.pop("counts", ())
    found, _ = find_runs(sources)
    runs, notes = understand(found, Stated.parse(columns, counts))
    return {run.name: run for run in runs}, notes


def test_the_table_of_runs_of_wandb(write):
    runs, notes = imported(write("runs.csv", TABLE))
    first = runs["a-1"]
    assert (first.spec.source, first.spec.run) == ("wandb", "a-1")
    assert first.spec.result == {
        "status": "done",
        "loss": 3.2718281828459045,
        "tokens": 1_300_000_000,
        "seconds": 120.0,
    }
    assert first.spec.columns()["num_params"] == 125_000_000
    assert first.spec.columns()["depth"] == 2
    assert first.born == 1767323045.0
    assert runs["a-2"].spec.num_tokens == 2_600_000_000
    assert "loss is the column 'val_loss'" in notes


def test_every_end_has_its_word(write):
    runs, _ = imported(write("runs.csv", TABLE))
    ends = {name: (run.spec.result["status"], run.reason) for name, run in runs.items()}
    assert ends == {
        "a-1": ("done", ""),
        "a-2": ("done", ""),
        "a-3": ("stopped", "killed"),
        "a-4": ("failed", "crashed"),
        "a-5": ("running", ""),
        "a-6": ("done", ""),
        "a-7": ("diverged", "loss is nan"),
        "a-8": ("done", ""),
        "a-9": ("done", ""),
    }
    reasons = {name: run.spec.counts.get("exclude_reason") for name, run in runs.items()}
    assert {name: why for name, why in reasons.items() if why} == {
        "a-6": "num_params: 'a lot' is not a number",
        "a-8": "loss missing",
        "a-9": "its state 'paused' is not known",
    }


def test_a_chart_adds_curves_to_the_runs_of_the_table(write):
    files = write("runs.csv", TABLE), write("chart.csv", CHART)
    runs, _ = imported(*files, num_tokens="tokens")
    assert runs["a-1"].spec.result["loss"] == 7.408749589920044  # the last of its curve
    assert [point["loss"] for point in runs["a-1"].points] == [
        7.953187465667725, 7.538689622879028, 7.408749589920044,
    ]  # fmt: skip
    # Its own steps say no tokens: they stand in proportion, the last at D.
    assert [point["step"] for point in runs["a-1"].points] == [433333333, 866666666, 1300000000]
    assert "x - y" in runs


def test_a_chart_alone_needs_to_be_told_what_it_shows(write):
    chart = write("chart.csv", CHART.replace("val_loss", "test-tokens/avg_loss"))
    with pytest.raises(ValueError, match=r"name one of .*'test-tokens/avg_loss' with --loss-col"):
        imported(chart)
    runs, notes = imported(chart, loss="test-tokens/avg_loss", num_tokens="Step")
    assert [(p["step"], p["loss"]) for p in runs["x - y"].points] == [
        (204800, 8.081331853866578),
        (614400, 7.4482629776000975),
    ]
    assert any("2 of 2 runs say no num_params" in note for note in notes)


def test_what_the_api_of_wandb_gives(write):
    """The CSV of W&B's guide "Import and export data": dicts as Python prints them, and as JSON."""
    config = {"width": 64, "nested": {"lr": 1e-3}, "_wandb": {"t": 1}}
    summary = {"eval/loss": 3.25, "tokens": 1e9, "_runtime": 12.5, "grad": float("nan")}
    row = f'"{summary}","{config}",fancy-1\n'
    guide = write("project.csv", "summary,config,name\n" + row)
    history = [{"_step": s, "eval/loss": 4 - s, "tokens": 1e8 * s} for s in (1, 2)]
    run = {"id": "x7", "name": "fancy-1", "state": "finished", "config": config,
           "summary": {**summary, "grad": "NaN"}, "history": history}  # fmt: skip
    for source in (
        guide,
        write("runs.jsonl", json.dumps(run)),
        write("runs.json", json.dumps([run])),
    ):
        (one,), _ = find_runs([source])
        assert one.options == {"width": 64, "nested.lr": 0.001}
        assert one.final["eval/loss"] == 3.25
        (ours,), _ = understand([one], Stated.parse({}, ["num_params=12*width^2*nested.lr*1e3"]))
        assert ours.spec.counts["num_params"] == 49152
        assert ours.spec.result["seconds"] == 12.5
        assert (ours.spec.run == "x7") == (source != guide)
    assert [(p["step"], p["loss"]) for p in ours.points] == [(100000000, 3), (200000000, 2)]


def test_records_of_one_run_are_its_curve(write):
    rows = [
        {"run_id": run, "lr": lr, "step": s, "tokens": 1000 * s, "loss": 5 - s, "train_loss": 6 - s}
        for run, lr in (("a", 0.1), ("b", 0.2))
        for s in (1, 2, 3)
    ]
    runs, _ = imported(write("log.jsonl", "\n".join(map(json.dumps, rows))))
    assert len(runs) == 2
    assert runs["b"].spec.options == {"lr": 0.2}
    assert runs["b"].spec.result == {"status": "done", "loss": 2, "tokens": 3000}
    assert runs["b"].points[-1] == {"step": 3000, "loss": 2, "train_loss": 3}


def test_runs_of_one_name_that_differ_in_tokens_are_runs(write):
    runs = find_runs([write("t.csv", "name,params,tokens,loss\nm,1M,1B,3\nm,1M,2B,2.9\n")])[0]
    assert len(understand(runs)[0]) == 2


@pytest.mark.parametrize(
    ("text", "columns", "says"),
    [
        ("Params (M);Tokens (B);Val loss\n70;1,4;3,91\n1400;28;2,6\n", {}, "x 1e+06"),
        ("N,D,val ppl\n70M,1.4B,49.89895\n1.4B,28B,13.463738\n", {}, "log(`val ppl`), in nats"),
        ("N,D,acc\n7e7,1.4e9,-2.91\n1.4e9,28e9,-1.6\n", {"loss": "1 - acc"}, "loss is 1 - acc"),
        ("PF-days,N,loss\n6.80555556e-3,7e7,3.91\n2.722222,1.4e9,2.6\n", {}, "x 8.64e+19"),
    ],
    ids=["units", "perplexity", "formula", "compute"],
)
def test_runs_are_read_as_tables_are(write, text, columns, says):
    found, _ = find_runs([write("t.csv", text)])
    runs, notes = understand(found, Stated.parse(columns, ()), read_rows)
    for run, n, d, loss in zip(runs, (7e7, 1.4e9), (1.4e9, 2.8e10), (3.91, 2.6), strict=True):
        assert run.spec.counts["num_params"] == n
        assert run.spec.result["tokens"] == pytest.approx(d, rel=1e-6)
        assert run.spec.result["loss"] == pytest.approx(loss, rel=1e-6)
    assert any(says in note for note in notes)


def test_a_reader_leaves_exact_numbers_as_they_stand(write):
    text = "name,n,d,loss\na,123456789012345678901,1e9,3.2718281828459045\n"
    found, _ = find_runs([write("t.csv", text)])
    plain, read = (understand(found, None, reader)[0][0].spec for reader in (None, read_rows))
    assert plain == read
    assert read.counts["num_params"] == 123456789012345678901


def test_a_configurations_letters_are_no_sizes(write):
    run = {"name": "a", "config": {"n": 4, "d": 128, "shape": [1, 2]}, "summary": {"loss": 3.0}}
    runs, _ = understand(find_runs([write("a.json", json.dumps([run]))])[0], None, read_rows)
    assert "num_params" not in runs[0].spec.counts
    assert "tokens" not in runs[0].spec.result


def test_runs_may_lie_deep_in_a_document(write):
    run = {"model": {"params": 7e7}, "tokens": 1e9, "eval": {"loss": 3.5}}
    text = json.dumps({"paper": {"runs": [run, {**run, "tokens": 2e9}]}})
    runs, _ = understand(find_runs([write("a.json", text)])[0], None, read_rows)
    assert [run.spec.result["tokens"] for run in runs] == [1e9, 2e9]
    assert runs[0].spec.counts["num_params"] == 7e7


def test_twins_are_named_and_copies_kept_once(write):
    text = "name,n,d,loss\na,1e6,1e9,3\nb,1e6,1e9,3\na,1e6,1e9,3\n"
    found, _ = find_runs([write("t.csv", text)])
    runs, notes = understand(found)
    assert [run.name for run in runs] == ["a", "b"]
    assert "run 'a' is there twice (t.csv, line 2, t.csv, line 4): kept once" in notes
    assert "'a' and 'b' are equal in all options and values: all kept" in notes


def test_two_losses_are_asked_about(write):
    with pytest.raises(ValueError, match=r"'loss', 'eval_loss' may each be the loss: .*--loss-col"):
        imported(write("t.csv", "name,loss,eval_loss\na,1,2\n"))


@pytest.mark.parametrize(
    ("counts", "columns", "says"),
    [
        (["num_params"], {}, "write it as num_params="),
        (["params=2"], {}, "num_params"),
        (["num_params=width+"], {}, "cannot be read as arithmetic"),
        (["num_params=2"], {"num_params": "n"}, "given twice"),
        ([], {"loss": "los"}, "'loss'"),
    ],
)
def test_a_wrong_statement_is_refused(write, counts, columns, says):
    with pytest.raises(ValueError, match=says):
        imported(write("t.csv", "name,loss\na,1\n"), counts=counts, **columns)


def test_what_is_no_source_is_said_so(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        find_runs([str(tmp_path / "none.csv")])
    for source, says in (
        (write("t.doc", "x"), "runs are read from .csv"),
        (write("t.json", "{"), "not JSON"),
        (write("t.jsonl", "3"), "line 1 is not a JSON object"),
        (write("t.csv", "a,b\n"), "no rows"),
        ("sqlite:///x.db", "--experiment NAME beside it"),
    ):
        with pytest.raises(ValueError, match=says):
            find_runs([source])
    with pytest.raises(ValueError, match="of a tracking store"):
        find_runs([write("t.csv", "a\n1\n")], "theirs")


def test_a_column_of_states_that_tells_other_things(write):
    runs, notes = imported(write("t.csv", "name,state,loss\na,CA,1\nb,NY,2\n"))
    assert [run.spec.result["status"] for run in runs.values()] == ["done", "done"]
    assert notes[0] == "no state that is known ('CA', 'NY'): all runs have ended"


def test_parquet_with_lists_and_dates(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {"name": ["a"], "n": [10**15 + 1], "loss": [2.0000000000000004]}
    when = [datetime(2026, 1, 2)]
    pd.DataFrame({**columns, "sizes": [[1, 2]], "when": when}).to_parquet(path)
    runs, _ = imported(str(path))
    spec = runs["a"].spec
    assert (spec.counts["num_params"], spec.result["loss"]) == (10**15 + 1, 2.0000000000000004)
    assert spec.options["sizes"] == [1, 2]
    assert spec.options["when"] == "2026-01-02 00:00:00"
    assert "sizes" not in spec.columns()
