"""The run table from a file, a sweep's journals, a folder of runs and MLflow."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from analysis.tables.sources import load_curves, load_runs
from scaling.base import Store
from scaling.tracking.errors import TrackingError


def test_a_sweep_by_name_has_every_run_with_its_status(sweep, planted_runs):
    table = load_runs("demo")
    assert table["run_id"].tolist() == planted_runs["run_id"].tolist()
    assert table["status"].tolist() == ["done"] * 27 + ["diverged", "running", "planned"]
    assert table["exclude_reason"].tolist()[26:] == [
        "",
        "diverged: loss is not finite",
        "running: not finished",
        "planned: not run yet",
    ]
    done = table.head(27)
    np.testing.assert_array_equal(done["loss"], planted_runs["loss"].head(27))
    np.testing.assert_array_equal(table["num_params"], planted_runs["num_params"])
    assert table["loss"].isna().tolist()[27:] == [True] * 3
    assert set(table["sweep"]) == {"demo"}


def test_name_folder_and_file_of_a_sweep_are_one_source(sweep, home):
    by_name = load_runs("demo")
    pd.testing.assert_frame_equal(load_runs(sweep), by_name)
    pd.testing.assert_frame_equal(load_runs(sweep / "sweep.jsonl"), by_name)
    pd.testing.assert_frame_equal(load_runs("demo", root=home), by_name)


def test_curves_of_a_sweep(sweep, planted_runs):
    curves = load_curves("demo")
    counts = curves.groupby("run_id").size()
    assert counts.to_dict() == dict.fromkeys(planted_runs["run_id"].head(29), 6)
    first = curves[curves["run_id"] == planted_runs["run_id"][0]]
    assert first["step"].is_monotonic_increasing
    assert first["loss"].is_monotonic_decreasing


def test_where_keeps_rows_and_says_how_many(sweep):
    table = load_runs("demo", where="num_params > 1e5 and status == 'done'")
    assert (table["num_params"] > 1e5).all()
    assert any(f"keeps {len(table)} of 30 rows" in note for note in table.attrs["notes"])


def test_a_damaged_journal_is_a_note(sweep, planted_runs, home):
    run_id = planted_runs["run_id"][0]
    journal = Store.at(home).run_dir(run_id) / "metrics.jsonl"
    journal.write_text(journal.read_text().replace('"event": "point"', '"eve', 1))
    notes = load_runs("demo").attrs["notes"]
    assert [note for note in notes if "damaged" in note] == [
        f"the journals of 1 runs ({run_id}) have damaged lines: their curves may lack points"
    ]
    assert len(load_curves("demo")) == 29 * 6 - 1


def test_a_folder_of_runs_takes_sizes_from_the_specs(home, tiny):
    from scaling import RunSpec
    from scaling.training.loop import train

    specs = [RunSpec.resolve(**{**tiny, "seed": seed}) for seed in (0, 1)]
    for spec in specs:
        train(spec, Store.at(home).run_dir(spec.run_id))
    table = load_runs(home / "runs").set_index("run_id")
    assert set(table.index) == {spec.run_id for spec in specs}
    for spec in specs:
        row, known = table.loc[spec.run_id], spec.columns()
        assert row["num_params"] == known["num_params"]
        assert row["flops"] == known["flops"]
        assert row["status"] == "done"
        assert 0 < row["loss"] < 10
    assert not any("damaged" in note for note in load_runs(home / "runs").attrs["notes"])
    one = load_runs(Store.at(home).run_dir(specs[0].run_id))
    assert one["run_id"].tolist() == [specs[0].run_id]


def test_checkpoints_in_a_file_are_curves(tmp_path):
    pd.DataFrame(
        {
            "run_name": ["a", "b", "a", "b"],
            "num_params": [1e6, 2e6, 1e6, 2e6],
            "num_tokens": [2e7, 1e7, 1e7, 2e7],
            "loss": [3.0, 3.4, 3.5, 2.9],
        }
    ).to_csv(tmp_path / "c.csv", index=False)
    curves = load_curves(tmp_path / "c.csv")
    assert curves["run_id"].tolist() == ["a", "a", "b", "b"]
    assert curves["loss"].tolist() == [3.5, 3.0, 3.4, 2.9]


def test_what_is_not_there(home, tmp_path, sweep):
    with pytest.raises(FileNotFoundError):
        load_runs(tmp_path / "nothing.csv")
    with pytest.raises(FileNotFoundError):
        load_runs("some/where")
    with pytest.raises(ValueError, match=r"the sweeps there are demo\) and no experiment"):
        load_runs("dmo")
    with pytest.raises(ValueError, match=r"a folder without sweep.jsonl"):
        load_runs(tmp_path)
    with pytest.raises(ValueError, match="unknown column of sweep demo 'los': did you mean 'loss'"):
        load_runs("demo", columns={"loss": "los"})
    with pytest.raises(ValueError, match="there is no tracking store"):
        load_runs("demo", tracking_uri=f"sqlite:///{tmp_path}/none.db")


def test_another_column_can_stand_for_the_loss(home, sweep):
    runs = load_runs("demo")
    taken = load_runs("demo", columns={"loss": "flops_6nd"})
    assert taken["loss"].equals(runs["flops_6nd"])
    assert "loss is the column 'flops_6nd'" in taken.attrs["notes"]


def test_a_broken_line_of_a_sweep_is_named(sweep):
    path = sweep / "sweep.jsonl"
    path.write_text(path.read_text() + '{"name": "x"}\n')
    with pytest.raises(ValueError, match="line 31 is not a run of a sweep"):
        load_runs("demo")


def test_flag_columns_are_pointed_out_until_they_are_used(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("N,D,loss,outlier\n1e6,2e7,3,True\n2e6,3e7,2.9,False\n")
    assert "column 'outlier' is true in 1 rows" in load_runs(path).attrs["notes"][-1]
    notes = load_runs(path, where="not outlier").attrs["notes"]
    assert notes[-1] == "--where 'not outlier' keeps 1 of 2 rows"


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("excluded\n1\n0\n", "column 'excluded' is true in 1 rows"),
        ("excluded\nyes\nno\n", "column 'excluded' is true in 1 rows"),
        ("is outlier\nTrue\n\n", "--where 'not `is outlier`' leaves them out"),
        ("status\ndone\nfailed\n", "status is failed in 1 of 2 rows"),
        ("excluded\nmaybe\n1\n", None),
        ("status,exclude_reason\nfailed,bad\ndone,\n", None),
    ],
)
def test_what_seems_to_be_excluded_is_pointed_out(tmp_path, column, says):
    path = tmp_path / "a.csv"
    rows = zip(("N,D,loss", "1e6,2e7,3", "2e6,3e7,2.9"), column.split("\n"), strict=False)
    path.write_text("".join(f"{row},{flag}\n" for row, flag in rows))
    table = load_runs(path)
    notes = [note for note in table.attrs["notes"] if "--where" in note]
    assert len(notes) == (says is not None)
    if says:
        assert says in notes[0]
        _, where = re.findall(r"--where (['\"])(.*)\1 leaves", notes[0])[0]
        assert len(load_runs(path, where=where)) == 1


def test_a_store_that_does_not_answer_is_one_line(home):
    with pytest.raises(TrackingError, match=r"does not answer: .*; check --tracking-uri"):
        load_runs("x", tracking_uri="http://127.0.0.1:9")


def test_mlflow_gives_the_same_table_and_curves_as_the_journals(sweep, home, store_ready):
    from scaling.tracking.tracker import Tracker

    store = Store.at(home)
    assert store.tracking_uri == store_ready
    tracker = Tracker(store.tracking_uri, "demo")
    lines = [json.loads(line) for line in (sweep / "sweep.jsonl").read_text().splitlines()]
    lines = [*lines[:4], lines[27]]
    for line in lines:
        tracker.ship(store.run_dir(line["run_id"]), line, alive=False)
    ids = [line["run_id"] for line in lines]

    from_mlflow = load_runs("demo", tracking_uri=store.tracking_uri).set_index("run_id").loc[ids]
    from_journals = load_runs("demo").set_index("run_id").loc[ids]
    shared = [name for name in from_journals.columns if name in from_mlflow.columns]
    assert {"num_params", "num_tokens", "flops", "loss", "seconds", "status", "name"} <= set(shared)
    pd.testing.assert_frame_equal(from_mlflow[shared], from_journals[shared])

    curves = load_curves("demo", tracking_uri=store.tracking_uri)
    wanted = load_curves("demo")
    wanted = wanted[wanted["run_id"].isin(ids)]
    for run_id in ids:
        ours = curves[curves["run_id"] == run_id][["step", "loss", "lr"]]
        theirs = wanted[wanted["run_id"] == run_id][["step", "loss", "lr"]]
        np.testing.assert_array_equal(ours.to_numpy(dtype=float), theirs.to_numpy(dtype=float))
    with pytest.raises(ValueError, match="has no experiment 'other'; it has"):
        load_runs("other", tracking_uri=store.tracking_uri)
