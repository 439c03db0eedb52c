"""A worker that trains runs of one shape together: each keeps its lease, log, journal and end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis import load_runs
from cluster import submit, sweep_status
from cluster.work.lease import claim
from cluster.work.submission import Queue
from cluster.work.tasks import lease_dir
from cluster.work.worker import run_queue
from scaling.base import Store, read_json
from scaling.run import end, read_journal
from sweeps.resources import Resources

pytestmark = pytest.mark.usefixtures("store_ready")
TOGETHER = Resources(ensemble=8)


def marks(store, sweep):
    """How many each run trained with."""
    ends = [end(read_journal(store.run_dir(e.run_id))) or {} for e in sweep]
    return [last.get("ensemble", 0) for last in ends]


def queue_of(store, sweep, workers=1):
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    chosen = submit(sweep, dry_run=True).submitted
    queue = Queue.new(store.sweep_dir("tiny"), [(run_id,) for run_id in chosen], {})
    return replace(queue, workers=workers)


def test_runs_of_one_shape_train_together_and_the_others_alone(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(seed=[0, 1], lr=[0.01, 0.02], width=[8, 16])
    alone = make_sweep(name="tiny", dropout=0.1, seed=5)
    both = type(sweep)("tiny", sweep.entries + alone.entries)
    submit(both, on="inline", settings={"ensemble": 3})
    assert sweep_status("tiny").counts == {"done": 9}
    assert sorted(marks(store, sweep)) == [0, 0, 3, 3, 3, 3, 3, 3]
    assert marks(store, alone) == [0]
    table = load_runs("tiny")
    assert list(table["ensemble"].fillna(0).sort_values()) == [0, 0, 0, 3, 3, 3, 3, 3, 3]
    log = (store.run_dir(sweep.entries[0].run_id) / "log.txt").read_text()
    assert "done" in log


def test_on_a_cpu_no_more_train_together_than_its_caches_hold(make_sweep, home, monkeypatch):
    store, sweep = Store.at(home), make_sweep(seed=[0, 1, 2, 3, 4])
    spec = sweep.entries[0].spec
    bytes_of_one = 4 * spec.units_per_step * spec.cost.activations
    monkeypatch.setattr("scaling.training.alike.CACHED", 2 * bytes_of_one)
    monkeypatch.setattr("scaling.training.alike.LEAST", 1)
    submit(sweep, on="inline", settings={"ensemble": 5, "device": "cpu"})
    assert sorted(marks(store, sweep)) == [0, 2, 2, 2, 2]


def test_runs_of_a_trunk_follow_each_other_beside_those_of_another(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(seed=[0, 1], num_tokens=[4096, 8192], schedule="wsd")
    submit(sweep, on="inline", settings={"ensemble": 8})
    assert marks(store, sweep) == [2, 2, 2, 2]
    longer = [e for e in sweep if e.spec.num_tokens == 8192]
    assert all(read_journal(store.run_dir(e.run_id))[0]["step"] > 0 for e in longer)


def test_each_of_several_workers_takes_its_part_and_none_what_another_holds(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(seed=[0, 1, 2, 3, 4, 5])
    queue = queue_of(store, sweep, workers=2)
    taken = sweep.entries[-1]
    with claim(lease_dir(store, taken.spec, taken.run_id)):
        open_runs = [e for e in sweep if e is not taken]

        def stop():
            return all(end(read_journal(store.run_dir(e.run_id))) for e in open_runs)

        run_queue(store, "tiny", queue, TOGETHER, stop)
    assert sorted(marks(store, sweep)) == [0, 2, 2, 3, 3, 3]


def test_a_stopped_ensemble_goes_on_and_a_cancelled_run_leaves_it(make_sweep, home, monkeypatch):
    monkeypatch.setattr("scaling.training.ensemble.LOOK_SECONDS", 0.0)
    store, sweep = Store.at(home), make_sweep(seed=[0, 1, 2])
    queue = queue_of(store, sweep)
    calls = iter(range(10**6))
    run_queue(store, "tiny", queue, TOGETHER, lambda: next(calls) > 40)
    assert sweep_status("tiny").counts == {"stopped": 3}
    steps = [read_json(store.run_dir(e.run_id) / "state.json")["step"] for e in sweep]
    assert all(0 < step < 64 * 128 for step in steps)
    queue.stop_run(sweep.entries[1].run_id)
    run_queue(store, "tiny", queue, TOGETHER, lambda: False)
    ends = [end(read_journal(store.run_dir(e.run_id))) for e in sweep]
    assert [last and last["status"] for last in ends] == ["done", None, "done"]


def test_an_ensemble_that_breaks_trains_its_runs_alone(make_sweep, home, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("no room")

    monkeypatch.setattr("scaling.training.train_ensemble", broken)
    store, sweep = Store.at(home), make_sweep(seed=[0, 1])
    submit(sweep, on="inline", settings={"ensemble": 2})
    assert sweep_status("tiny").counts == {"done": 2}
    assert marks(store, sweep) == [0, 0]
    assert "no room" in (store.run_dir(sweep.entries[0].run_id) / "log.txt").read_text()


def test_what_two_workers_died_of_is_tried_by_itself(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(seed=[0, 1, 2])
    queue = queue_of(store, sweep)
    suspect = sweep.entries[1]
    folder = lease_dir(store, suspect.spec, suspect.run_id)
    for _ in range(2):
        claim(folder, f"{queue.path.stem} {suspect.run_id} 0").release(died=True)
    run_queue(store, "tiny", queue, TOGETHER, lambda: False)
    assert marks(store, sweep) == [2, 0, 2]


def test_an_ensemble_within_a_run_that_spans_processes_is_refused():
    with pytest.raises(ValueError, match="leave out either"):
        Resources(ensemble=2, nodes=2)
