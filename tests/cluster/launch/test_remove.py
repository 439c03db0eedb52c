"""``remove``: what is a sweep's alone goes, what another needs stays, and nobody is disturbed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from cluster import submit, sweep_status
from cluster.launch import plan_removal, remove
from cluster.work import ProcessId, Queue, lease_dir
from cluster.work.lease import claim
from scaling.base import Store, WorkError
from scaling.cli import main
from scaling.run import known_sweeps
from scaling.tracking import connect


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_data, empty_store):
    """A root with two sweeps that were done and share a run; their shared trunks too."""
    from sweeps.sweep import Sweep
    from tests.grid import specs_over

    root = tmp_path_factory.mktemp("done")
    shutil.copy(empty_store, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALING_HOME", str(root))
        patch.setenv("SCALING_DATA", str(tiny_data))
        one = Sweep.of("one", specs_over(num_tokens=[2048, 4096], width=[8, 16]))
        two = Sweep.of("two", specs_over(num_tokens=[4096], width=[16, 24]))
        for sweep in (one, two):
            submit(sweep, on="inline")
    return root, one, two


@pytest.fixture
def sweeps(trained, home, tiny):
    """Both in this test's home; their tracking store with them."""
    root, one, two = trained
    shutil.copytree(root, home, dirs_exist_ok=True)
    return one, two


def disk(*folders):
    told = subprocess.run(["du", "-s", "-B1", *folders], capture_output=True, text=True, check=True)
    return sum(int(line.split()[0]) for line in told.stdout.splitlines())


def files(folder):
    """All but leases: they say who looked."""
    paths = (path for path in folder.rglob("*") if not path.name.startswith("lease-"))
    return {path: path.read_bytes() for path in paths if path.is_file()}


def test_what_another_sweep_has_stays_as_it_was(sweeps, home, capsys):
    one, two = sweeps
    store = Store.at(home)
    mine = {entry.run_id for entry in one} - {entry.run_id for entry in two}
    (shared,) = {entry.run_id for entry in one} & {entry.run_id for entry in two}
    trunks = {entry.spec.trunk_id for entry in one} - {entry.spec.trunk_id for entry in two}
    theirs = [store.run_dir(entry.run_id) for entry in two] + [store.sweep_dir("two")]
    theirs += [store.trunk_dir(entry.spec.trunk_id) for entry in two]
    before = [files(folder) for folder in theirs]
    gone = [store.run_dir(run_id) for run_id in mine] + [store.sweep_dir("one")]
    gone += [store.trunk_dir(trunk) for trunk in trunks]
    taken = disk(*gone)
    assert main(["remove", "one", "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (len(mine), len(trunks)) == (3, 1)
    assert set(planned["removed"]) == mine
    assert planned["kept"] == {shared: ["two"]}
    assert planned["trunks"] == sorted(trunks)
    assert (planned["bytes"], planned["experiment"], planned["dry_run"]) == (taken, "stays", True)
    assert all(folder.is_dir() for folder in gone)
    assert main(["remove", "one"]) == 0
    out = capsys.readouterr().out
    what = "the folder of sweep 'one', 3 runs, 1 shared trunks"
    assert f"to remove: {what}; frees {taken / 1e6:.1f} MB" in out
    assert "1 of its runs stay, for two has them too" in out
    assert "its MLflow experiment stays as it is" in out
    assert not any(folder.exists() for folder in gone)
    assert [files(folder) for folder in theirs] == before
    assert known_sweeps(store) == ["two"]
    assert sweep_status("two").counts == {"done": 2}
    assert main(["remove", "one"]) == 2
    assert "no sweep 'one'" in capsys.readouterr().err


def test_runs_can_be_kept_and_a_sweep_of_that_name_finds_them(sweeps, home, capsys):
    one, _ = sweeps
    assert main(["remove", "one", "--keep-runs", "--tracking", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["removed"], said["trunks"], said["experiment"]) == ([], [], "deleted")
    assert len(said["kept"]) == 4
    client = connect(Store.at(home).tracking_uri)
    assert client.get_experiment_by_name("one") is None
    assert client.get_experiment_by_name("two").lifecycle_stage == "active"
    assert submit(one, on="inline").submitted == ()  # which ships them again, under the free name
    runs = client.search_runs([client.get_experiment_by_name("one").experiment_id])
    assert {run.data.params["run_id"] for run in runs} == {entry.run_id for entry in one}


@pytest.mark.parametrize("what", ["worker", "lease", "writer"])
def test_nothing_is_removed_while_something_works_on_it(sweeps, home, capsys, what):
    one, _ = sweeps
    store, entry = Store.at(home), next(e for e in one if e.spec.model.width == 8)
    before, lease, here = sweep_status("one").counts, None, f"process {os.getpid()} on "
    if what == "worker":
        queue = Queue.new(store.sweep_dir("one"), [], {}).with_processes([ProcessId.of()])
        queue.write()
    elif what == "lease":
        lease = claim(lease_dir(store, entry.spec, entry.run_id))
    else:
        lease = claim(store.sweep_dir("one"), "write")
    assert main(["remove", "one"]) == 1
    err = capsys.readouterr().err
    assert here in err
    remedy = {"worker": "`scaling cancel one`", "lease": "when it has ended", "writer": "cancel it"}
    assert remedy[what] in err
    assert sweep_status("one").counts == before
    if lease:
        lease.release()


def test_a_removal_that_was_interrupted_can_be_done_again(sweeps, home, monkeypatch):
    store, calls = Store.at(home), []
    rmtree = shutil.rmtree

    def stops(path):
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        rmtree(path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", stops)
        with pytest.raises(KeyboardInterrupt):
            remove(store, plan_removal(store, "one"))
    left = plan_removal(store, "one")
    remove(store, left)
    assert known_sweeps(store) == ["two"]
    assert sweep_status("two").counts == {"done": 2}
    assert len(list((home / "runs").iterdir())) == 2


def test_a_run_that_another_sweep_asked_for_meanwhile_is_not_removed(sweeps, home, make_sweep):
    store = Store.at(home)
    planned = plan_removal(store, "one")
    new = make_sweep("three", num_tokens=[2048], width=[8])
    new.write(store.sweep_dir("three") / "sweep.jsonl")
    with pytest.raises(WorkError, match=f"another sweep has run {new.entries[0].run_id}"):
        remove(store, planned)
    assert sweep_status("one").counts == {"done": 4}
    assert plan_removal(store, "one").kept[new.entries[0].run_id] == ("three",)


def test_a_tracking_store_that_does_not_answer_keeps_the_sweep(sweeps, home, capsys):
    away = "http://127.0.0.1:9"
    assert main(["remove", "one", "--tracking", "--tracking-uri", away]) == 1
    assert f"the tracking store {away} does not answer" in capsys.readouterr().err
    assert sweep_status("one").counts == {"done": 4}


def test_a_damaged_file_of_another_sweep_is_a_reason_to_stop(sweeps, home):
    store = Store.at(home)
    (store.sweep_dir("two") / "sweep.jsonl").write_text('{"run_id": "b0c3')
    with pytest.raises(ValueError, match=r"two/sweep.jsonl:1: not JSON"):
        plan_removal(store, "one")


def test_only_a_sweep_is_removed(sweeps, home, capsys):
    shutil.copytree(home / "sweeps" / "one", home / "backup")
    assert main(["remove", "../backup"]) == 2
    assert "no sweep '../backup' under" in capsys.readouterr().err
    assert (home / "backup" / "sweep.jsonl").exists()


def test_a_silent_slurm_is_no_obstacle_once_all_is_done(sweeps, home, monkeypatch):
    store = Store.at(home)
    monkeypatch.setenv("PATH", str(home))
    for path in (store.sweep_dir("one") / "submissions").glob("*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "slurm_jobs": ["12"]}))
    assert plan_removal(store, "one").runs
    (store.run_dir(sweeps[0].entries[0].run_id) / "metrics.jsonl").unlink()
    with pytest.raises(WorkError, match=r"job 12 may work on sweep 'one'.*SLURM does not answer"):
        plan_removal(store, "one")
