"""Options that differ among the runs of a sweep are columns wherever its table is read."""

from __future__ import annotations

import json

import pytest

from analysis.report import Findings, write_report
from analysis.tables import load_runs
from scaling.base import Store
from scaling.cli import main
from scaling.run import read_rows
from scaling.run.journal import Journal
from scaling.tracking import Tracker
from sweeps.sweep import Sweep
from tests.grid import specs_over

WIDTHS = (8, 16, 32, 64, 128)


@pytest.fixture
def swept(tiny, home):
    """Runs over width, optimiser and shape of the schedule, each ended with a loss of its width."""
    specs = [
        spec
        for optimizer in ("adamw", "sgd")
        for spec in specs_over(width=list(WIDTHS), heads=2, optimizer=optimizer)
    ]
    sweep = Sweep.of("s", specs)
    store = Store.at(home)
    sweep.write(store.sweep_dir("s") / "sweep.jsonl")
    for entry in sweep:
        loss = 1.0 + 2.0 / entry.spec.model.width**0.5
        run_dir = store.run_dir(entry.run_id)
        run_dir.mkdir(parents=True)
        (run_dir / "spec.json").write_text(json.dumps(entry.spec.to_dict()))
        journal = Journal(run_dir, None, lambda: True)
        tokens = entry.spec.train.num_tokens
        journal.append("end", status="done", loss=loss, tokens=tokens, time=0.0)
        journal.close()
    return sweep


def check(table):
    assert sorted(set(table["width"])) == list(WIDTHS)
    assert set(table["optimizer"]) == {"adamw", "sgd"}
    assert "depth" not in table.columns  # it is the same in all


def test_from_the_sweep_and_a_folder_of_its_runs(swept, home):
    check(load_runs("s"))
    check(load_runs(home / "runs"))


def test_from_the_tracking_store(swept, home, store_ready):
    tracker = Tracker(store_ready, "s")
    store = Store.at(home)
    rows = read_rows(store, "s")
    for row in rows[::3]:
        tracker.ship(store.run_dir(row["run_id"]), row, alive=False)
    table = load_runs("s", tracking_uri=store_ready)
    assert set(table["width"]) == {int(row["spec"]["model"]["width"]) for row in rows[::3]}
    assert set(table["optimizer"]) == {"adamw", "sgd"}


def test_a_law_of_an_option_and_a_filter_by_another(swept, capsys):
    law = "L = E + A / width**alpha"
    args = ["fit", "s", "--law", law, "--where", "optimizer == 'adamw'", "--json"]
    assert main([*args, "--bootstrap", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    planted = {"E": 1.0, "A": 2.0, "alpha": 0.5}
    assert found["params"] == pytest.approx(planted, rel=1e-4)


def test_the_report_names_them(swept, home):
    text = write_report(home / "report.html", Findings(load_runs("s")), drawn={}).read_text()
    assert ">optimizer<" in text and ">width<" in text
    assert all(f">{width}<" in text for width in WIDTHS)


def test_an_option_left_as_it_is_has_its_value_beside_others():
    from analysis.tables.options import differing, settings
    from scaling.spec import RunSpec
    from tests.scaling.test_spec import BASE, INFO

    dense, local = (
        RunSpec.resolve(info=INFO, **BASE, **more).to_dict()
        for more in ({}, {"attention": "local", "window": 4})
    )
    assert "attention" not in dense["model"]
    rows = differing([settings(dense), settings(local)])
    assert [row["attention"] for row in rows] == ["global", "local"]


@pytest.mark.parametrize(
    ("values", "differ"),
    [
        ((1, True), True),
        ((1, 1.0), True),
        ((0.5, 0.5), False),
        ((float("nan"), float("nan")), False),
        (("a", None), True),
        (([1, 2], [1, 2]), False),
        (([1, 2], [2, 1]), True),
    ],
)
def test_what_counts_as_another_value(values, differ):
    from analysis.tables.options import differing, settings

    rows = differing([settings({"model": {"own": value}}) for value in values])
    assert [bool(row) for row in rows] == [differ and value is not None for value in values]
