"""The shipper: it follows a sweep to its end, and what a server missed comes later, once."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading

import pytest

from cluster import submit
from cluster.tracking import delivery, shipper
from cluster.tracking.shipper import Shipped, follow, follow_alone, ship_sweep
from cluster.work.lease import claim
from cluster.work.process import ProcessId
from cluster.work.submission import Queue
from scaling.base import Store
from scaling.cli import main
from scaling.tracking import UnsureError, many
from scaling.tracking.ready import connect
from scaling.tracking.tracker import Tracker

NO_SERVER = "http://127.0.0.1:9"


def test_a_server_that_was_down_all_the_time_gets_everything_later_and_once(
    make_sweep, store_ready, monkeypatch
):
    monkeypatch.setattr(many, "LEAST", 1)  # one by MLflow's client, the other as rows
    sweep = make_sweep(seed=[0, 1])
    submit(sweep, on="inline", tracking_uri=NO_SERVER)
    for _ in range(2):
        shipped = ship_sweep("tiny", tracking_uri=store_ready)
        assert (shipped.complete, shipped.open, shipped.problem) == (2, 0, "")
    client = connect(store_ready)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert sorted(run.data.params["run_id"] for run in runs) == sorted(e.run_id for e in sweep)
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_what_a_server_may_yet_make_is_not_made_run_by_run(make_sweep, store_ready, monkeypatch):
    def lost(tracker, lines):
        raise UnsureError("its answer was lost")

    submit(make_sweep(seed=[0, 1]), on="inline", tracking_uri=NO_SERVER)
    with monkeypatch.context() as patch:
        patch.setattr(shipper, "ship_many", lost)
        patch.setattr(Tracker, "ship", None)  # it is not called
        shipped = ship_sweep("tiny", tracking_uri=store_ready)
    assert (shipped.complete, shipped.problem) == (0, "its answer was lost")
    assert ship_sweep("tiny", tracking_uri=store_ready).complete == 2


def test_the_shipper_ends_when_nobody_works_on_the_sweep(make_sweep, store_ready, home):
    submit(make_sweep(seed=[0, 1]), on="inline")
    folder = Store.at(home).sweep_dir("tiny")
    queue = Queue.new(folder, [], {}).with_processes([ProcessId.of()])
    queue.write()
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 2:
            queue.path.unlink()

    assert follow("tiny", root=str(home), tracking_uri=store_ready, sleep=sleep).complete == 2
    assert len(naps) == 2


def test_the_shipper_of_a_silent_slurm_ends_with_the_last_run(
    make_sweep, store_ready, home, monkeypatch
):
    sweep = make_sweep(seed=[0, 1])
    submit(sweep, on="inline")
    folder = Store.at(home).sweep_dir("tiny")
    tasks = [(entry.run_id,) for entry in sweep]
    Queue(folder / "submissions" / "20260101-000000-x.json", tuple(tasks), {}, (), ("7",)).write()
    monkeypatch.setenv("PATH", str(home))
    assert follow("tiny", root=str(home), tracking_uri=store_ready, sleep=None).complete == 2


def test_a_second_shipper_ends_at_once_and_the_first_does_its_work_too(home, monkeypatch):
    """Its wish comes in the last moment, when the first has looked at everything."""
    rounds, seconds = [], []

    def last_look(name, *, root, tracking_uri, sleep, connect):
        rounds.append(name)
        if len(rounds) == 1:
            second = threading.Thread(
                target=lambda: seconds.append(follow_alone(name, root=root, tracking_uri=NO_SERVER))
            )
            second.start()
            second.join()
            assert seconds == [None]
        return Shipped(len(rounds), 0)

    monkeypatch.setattr(shipper, "follow", last_look)
    assert follow_alone("s", root=str(home), tracking_uri=NO_SERVER) == Shipped(2, 0)
    assert rounds == ["s", "s"]
    assert follow_alone("s", root=str(home), tracking_uri=NO_SERVER) == Shipped(3, 0)


def test_a_shipper_to_another_store_is_another(home, monkeypatch):
    monkeypatch.setattr(shipper, "follow", lambda *a, **o: Shipped(1, 0))
    with claim(shipper._shipper_dir(Store.at(home), Tracker("sqlite:///a", "s"))):
        assert follow_alone("s", root=str(home), tracking_uri="sqlite:///a") is None
        assert follow_alone("s", root=str(home), tracking_uri="sqlite:///b") == Shipped(1, 0)


def test_delivery_waits_for_a_shipper_that_is_about_to_end(make_sweep, store_ready, home):
    submit(make_sweep(), on="inline", tracking_uri=NO_SERVER)
    lease = claim(shipper._shipper_dir(Store.at(home), Tracker(store_ready, "tiny")))
    shipped = ship_sweep("tiny", tracking_uri=store_ready)
    assert shipped.problem == "another process ships sweep 'tiny' right now"
    threading.Timer(1.0, lease.release).start()
    assert ship_sweep("tiny", tracking_uri=store_ready, patience=60).complete == 1


@pytest.mark.parametrize("live", [False, True])
def test_the_shipper_is_ended_only_when_nobody_works_on_the_sweep(
    make_sweep, store_ready, home, live
):
    """Jobs go on after Ctrl-C, and another submission may have no shipper but this one."""
    store, sweep = Store.at(home), make_sweep()
    submit(sweep, on="inline", tracking_uri=NO_SERVER)
    jobs = [ProcessId.of()] if live else []
    Queue.new(store.sweep_dir("tiny"), [], {}).with_processes(jobs).write()
    process = subprocess.Popen(["sleep", "60"])
    delivery.take_over(store, sweep, store_ready, process)
    assert (process.poll() is None) == live
    delivered = Tracker(store_ready, "tiny").is_delivered(store.run_dir(sweep.entries[0].run_id))
    assert delivered != live
    process.kill()
    process.wait()


def test_a_shipper_that_came_while_another_delivered_is_started_again(
    make_sweep, store_ready, home, monkeypatch
):
    """It ended at once, with its wish; a new submission would have nobody else."""
    submit(make_sweep(), on="inline", tracking_uri=NO_SERVER)
    started, ship_all = [], shipper._ship

    def meanwhile(*arguments):
        assert follow_alone("tiny", root=str(home), tracking_uri=store_ready) is None
        return ship_all(*arguments)

    monkeypatch.setattr(shipper, "_ship", meanwhile)
    monkeypatch.setattr(shipper, "start_shipper", lambda *a: started.append(a[1:]))
    assert ship_sweep("tiny", tracking_uri=store_ready).complete == 1
    assert started == [("tiny", store_ready)]
    monkeypatch.setattr(shipper, "_ship", ship_all)
    started.clear()
    (wish,) = (Store.at(home).sweep_dir("tiny") / "shipper").glob("*/wish")
    wish.unlink()
    assert ship_sweep("tiny", tracking_uri=store_ready).complete == 1
    assert started == []


def test_a_deleted_experiment_is_told_of_and_comes_back_only_when_asked_for(
    make_sweep, store_ready, home, capsys
):
    submit(make_sweep(), on="inline")
    client = connect(store_ready)
    client.delete_experiment(client.get_experiment_by_name("tiny").experiment_id)
    assert len(submit(make_sweep(seed=[0, 1]), on="inline").submitted) == 1
    how = f"experiment 'tiny' was deleted in {store_ready}: `scaling sync tiny --restore`"
    assert capsys.readouterr().err.count(f"warning: {how}") == 2
    assert shipper.main(["--root", str(home), "--sweep", "tiny"]) == 1
    assert main(["sync", "tiny"]) == 1
    assert capsys.readouterr().err.count(how) == 2
    assert client.get_experiment_by_name("tiny").lifecycle_stage == "deleted"
    assert main(["sync", "tiny", "--restore"]) == 0
    assert "2 runs are complete" in capsys.readouterr().out
    (run, _) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    client.delete_run(run.info.run_id)
    assert main(["sync", "tiny", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["complete"], said["again"], said["deleted"]) == (1, 0, 1)
    assert main(["sync", "tiny"]) == 0
    assert "1 were deleted there and stay so: `scaling sync tiny --restore`" in (
        capsys.readouterr().out
    )
    assert main(["sync", "tiny", "--restore"]) == 0
    assert "2 runs are complete" in capsys.readouterr().out


def test_sync_ships_again_what_the_store_has_lost(
    make_sweep, store_ready, empty_store, home, capsys
):
    """Its file was removed, or another took its place; what was noted beside the runs is old."""
    submit(make_sweep(seed=[0, 1]), on="inline")
    shutil.copy(empty_store, home / "mlflow.db")
    assert main(["sync", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "2 runs are complete in the tracking store, 0 unfinished" in out
    assert "2 of them had been shipped, were not there, or not whole, and are again" in out
    assert main(["sync", "tiny"]) == 0
    assert "had been shipped" not in capsys.readouterr().out
