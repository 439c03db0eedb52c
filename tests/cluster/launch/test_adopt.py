"""``adopt`` and ``scaling import``: a study begun elsewhere goes on here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis import fit, load_runs
from cluster import submit, sweep_status
from cluster.launch import adopt
from cluster.tracking import ship_sweep
from scaling.base import Store
from scaling.cli import main
from scaling.importing import Stated, find_runs, understand
from scaling.run import end, points, read_journal
from scaling.tracking import connect, stored_runs
from sweeps.sweep import Sweep

E, A, B, ALPHA, BETA = 1.69, 406.4, 410.7, 0.34, 0.28  # Hoffmann et al. 2022, appendix D.3


def loss(n: float, d: float) -> float:
    return E + A / n**ALPHA + B / d**BETA


def write_table(path, *more):
    """A table of runs on a published law, to the last digit."""
    rows = ["id,name,state,params,tokens,val_loss,width"]
    for i, (n, d) in enumerate((n, d) for n in (1e6, 1e7, 1e8, 1e9) for d in (1e8, 1e9, 1e10)):
        rows.append(f"r{i},{n:.0e}-{d:.0e},finished,{n:.0f},{d:.0f},{loss(n, d)!r},{64 + i}")
    path.write_text("\n".join([*rows, *more]) + "\n")
    return path


def take(path, name="theirs", *, counts=(), anew=False, dry_run=False):
    found, _ = find_runs([str(path)])
    runs, _ = understand(found, Stated.parse({}, counts))
    return adopt(name, runs, anew=anew, dry_run=dry_run)


@pytest.fixture
def table(tmp_path):
    return write_table(
        tmp_path / "runs.csv", "k,killed,killed,1e6,5e7,4,60", "g,going,running,1e6,5e7,5,60"
    )


def test_numbers_are_as_in_the_source(table, home):
    adoption = take(table)
    assert len(adoption.added) == 14
    runs = load_runs("theirs")
    assert list(runs["name"][:12]) == [
        f"{n:.0e}-{d:.0e}" for n in (1e6, 1e7, 1e8, 1e9) for d in (1e8, 1e9, 1e10)
    ]
    used = runs[runs["exclude_reason"] == ""]
    assert len(used) == 12
    for row in used.itertuples():
        assert row.loss == loss(row.num_params, row.num_tokens)
    assert dict(zip(runs["name"], runs["exclude_reason"], strict=True)) | {} == {
        **dict.fromkeys(used["name"], ""),
        "killed": "stopped: killed",
        "going": "running: not finished",
    }
    assert list(runs["width"][:3]) == [64, 65, 66]


def test_a_law_of_the_runs_is_the_one_they_were_made_by(table):
    take(table)
    found = fit("chinchilla", load_runs("theirs"), bootstrap=0)
    np.testing.assert_allclose(
        [found.params[name] for name in ("E", "alpha", "beta")], [E, ALPHA, BETA], rtol=1e-4
    )


def test_the_same_again_changes_nothing(table, home):
    first = take(table)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    again = take(table)
    assert (again.added, again.updated) == ((), ())
    assert again.unchanged == first.added
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert {p: b for p, b in after.items() if "lease" not in p.name} == {
        p: b for p, b in before.items() if "lease" not in p.name
    }


def test_a_dry_run_writes_nothing(table, home):
    assert len(take(table, dry_run=True).added) == 14
    assert not list(home.iterdir())


def test_a_source_that_grew_adds_its_new_runs(table, tmp_path):
    before = take(table)
    write_table(
        table,
        "k,killed,killed,1e6,5e7,4,60",
        "g,going,finished,1e6,6e7,4.5,60",
        "h,new,finished,2e6,6e7,4.4,60",
    )
    now = take(table)
    assert (len(now.added), len(now.updated), len(now.unchanged)) == (1, 1, 13)
    runs = load_runs("theirs").set_index("name")
    assert len(runs) == 15  # what was going has ended, in its place
    assert (runs.loc["going", "status"], runs.loc["going", "loss"]) == ("done", 4.5)
    assert set(before.added) - set(runs["run_id"]) == set(before.added) - set(now.unchanged)


def test_a_result_that_changed_is_not_replaced_unasked(table):
    take(table)
    table.write_text(table.read_text().replace(f"{loss(1e6, 1e8)!r}", "3.0"))
    with pytest.raises(
        ValueError, match=r"1 runs are in 'theirs' with other values.*3.0 now.*--rep"
    ):
        take(table)
    assert len(take(table, anew=True).updated) == 1
    assert load_runs("theirs")["loss"][0] == 3.0


def test_counts_can_be_corrected(table):
    first = take(table)
    again = take(table, counts=["num_params=12*width^2"])
    assert (again.added, len(again.updated)) == ((), 14)
    assert again.updated == first.added
    runs = load_runs("theirs")
    assert runs["num_params"][0] == 12 * 64**2
    assert set(runs["run_id"]) == set(first.added)


@pytest.mark.usefixtures("store_ready")
def test_runs_of_ours_join_them(table, make_sweep, home):
    imported = take(table)
    ours = make_sweep(seed=[0, 1])
    sweep = Sweep("theirs", ours.entries)
    assert len(submit(sweep, on="inline").submitted) == 2
    assert sweep_status("theirs").counts == {"done": 14, "running": 1, "stopped": 1}
    store = Store.at(home)
    journals = {r: (store.run_dir(r) / "metrics.jsonl").read_bytes() for r in imported.added}
    again = submit(sweep, on="inline", rerun="all")
    assert len(again.submitted) == 2
    assert {
        r: (store.run_dir(r) / "metrics.jsonl").read_bytes() for r in imported.added
    } == journals
    assert len(load_runs("theirs")) == 16
    only = Sweep("theirs", (), imported=Sweep.read(home / "sweeps/theirs/sweep.jsonl").imported)
    with pytest.raises(ValueError, match="the 14 runs of sweep 'theirs' were imported"):
        submit(only, on="inline", rerun="all")


def test_they_reach_mlflow(table, store_ready):
    take(table)
    shipped = ship_sweep("theirs")
    assert (shipped.complete, shipped.open, shipped.problem) == (13, 1, "")
    stored = {run.name: run for run in stored_runs(store_ready, "theirs")}
    ends = {name: stored[name].status for name in ("1e+06-1e+08", "killed", "going")}
    assert ends == {"1e+06-1e+08": "FINISHED", "killed": "KILLED", "going": "RUNNING"}
    assert stored["1e+06-1e+08"].metrics["final/loss"] == loss(1e6, 1e8)
    read = load_runs("theirs", tracking_uri=store_ready)
    assert sorted(read["exclude_reason"])[-2:] == ["running: not finished", "stopped: killed"]
    assert connect(store_ready)


def test_names_that_mlflow_does_not_take(tmp_path, store_ready):
    folder = tmp_path / "runs" / "a (b)"
    folder.mkdir(parents=True)
    lines = [{"tokens": 10 * s, "loss": 3 - s, "Time (s)": s} for s in (1, 2)]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "config.json").write_text('{"width [px]": 3, "params": "1k"}')
    (run_id,) = take(tmp_path / "runs").added
    events = read_journal(Store.at().run_dir(run_id))
    assert [(p["step"], p["loss"]) for p in points(events)] == [(10, 2), (20, 1)]
    assert end(events)["loss"] == 1
    assert ship_sweep("theirs").problem == ""


def test_the_command(table, home, capsys):
    assert main(["import", str(table), "--as", "theirs", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (len(said["imported"]), said["unchanged"], said["dry_run"]) == (14, [], False)
    assert said["runs"][0]["loss"] == loss(1e6, 1e8)
    assert main(["import", str(table), "--as", "theirs"]) == 0
    assert "nothing new: 14 runs are there as they are" in capsys.readouterr().out
    assert main(["status", "theirs"]) == 0
    assert "retry" not in capsys.readouterr().out
    going = next(row["run_id"] for row in said["runs"] if row["name"] == "going")
    assert main(["cancel", "theirs", going]) == 0
    assert main(["sweep", "theirs"]) == 2
    assert main(["import", str(table), "--as", "a/b"]) == 2
    assert main(["import", str(table), "--as", "theirs", "--loss-col", "los"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("scaling")] == [
        "scaling sweep", "scaling import", "scaling import",
    ]  # fmt: skip
