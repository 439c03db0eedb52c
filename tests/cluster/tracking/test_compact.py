"""A run that is done keeps three files, and all that the others told."""

from __future__ import annotations

from cluster import submit, sweep_status
from cluster.tracking.shipper import make_compact
from scaling.base import Store
from scaling.run import fold, note_of, read_turns, state_of, unfold
from scaling.tracking import Tracker
from tests.cluster.launch.test_submit import results


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_done_and_shipped_is_three_files_and_tells_the_same(make_sweep, home, store_ready):
    from mlflow import MlflowClient

    store, sweep = Store.at(home), make_sweep(schedule=["cosine", "wsd"])
    submit(sweep, on="inline")
    status, before = sweep_status("tiny"), results(store, sweep)
    tracker = Tracker(store_ready, "tiny")
    for entry, run in zip(sweep, status.runs, strict=True):
        run_dir = store.run_dir(entry.run_id)
        assert files(run_dir) == ["log.txt", "metrics.jsonl", "spec.json"]
        assert (run.state, run.step, run.spent) == ("done", 8192, 8192)
        assert run.loss == state_of(run_dir)["loss"] and run.damaged == 0
        assert tracker.is_delivered(run_dir)
    assert submit(sweep, on="inline").submitted == ()
    submit(sweep, on="inline", rerun="all")
    assert results(store, sweep) == before
    assert sweep_status("tiny").counts == {"done": 2}
    client = MlflowClient(store_ready)
    experiment = client.get_experiment_by_name("tiny").experiment_id
    assert len(client.search_runs([experiment])) == 2


def test_folding_and_unfolding_is_as_before(tmp_path):
    old = {"state.json": '{\n "state": "done",\n "step": 5\n}'}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    journal = tmp_path / "metrics.jsonl"
    journal.write_text('{"event": "end", "status": "done"}\n')
    size = journal.stat().st_size
    (tmp_path / "shipped-ab.json").write_text(f'{{"size": {size}}}')
    whole = journal.read_bytes()
    assert fold(tmp_path, 3, lambda: True)
    assert files(tmp_path) == ["metrics.jsonl"]
    assert state_of(tmp_path) == {"state": "done", "step": 5}
    assert note_of(tmp_path, "shipped-ab.json") == {"size": journal.stat().st_size}
    with journal.open("a") as file:
        file.write('{"event": "eval", "step": 5, "epoch": 3}\n')
    assert note_of(tmp_path, "shipped-ab.json")["size"] < journal.stat().st_size
    assert [event["event"] for event in read_turns(tmp_path)][-2:] == ["state", "eval"]
    unfold(tmp_path)
    assert journal.read_bytes() == whole + b'{"event": "eval", "step": 5, "epoch": 3}\n'
    assert (tmp_path / "state.json").read_text() == old["state.json"]


def test_what_is_held_or_not_shipped_stays_as_it_is(make_sweep, home, store_ready, monkeypatch):
    store, sweep = Store.at(home), make_sweep(schedule="cosine")
    monkeypatch.setattr("cluster.tracking.shipper.make_compact", lambda *_: None)
    submit(sweep, on="inline")
    (entry,) = sweep
    run_dir = store.run_dir(entry.run_id)
    row = {"run_id": entry.run_id, "spec": entry.spec.to_dict()}
    before = files(run_dir)
    make_compact(store, Tracker("sqlite:////elsewhere.db", "tiny"), [row])
    assert files(run_dir) == before
