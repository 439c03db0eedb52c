"""Runs that end early: by a rule's word, with what was saved, and on again when asked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from analysis import load_runs
from cluster import submit, sweep_status
from cluster.status.sweep import SweepStatus
from cluster.tracking import rule as rules
from cluster.work.early import stop_early
from cluster.work.submission import Queue
from cluster.work.worker import run_queue
from scaling.base import Store
from scaling.cli import main
from scaling.run import read_journal, write_journal
from sweeps.policy import Policy
from sweeps.resources import Resources
from tests.cluster.launch.test_submit import results
from tests.cluster.status import conftest

place = conftest.place

pytestmark = pytest.mark.usefixtures("store_ready")


@pytest.fixture
def half_done(make_sweep, home):
    """A run that was ended early in its middle, and one that went on: store, sweep, id."""
    store, sweep = Store.at(home), make_sweep(num_tokens=8192, seed=[0, 1])
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    first, other = submit(sweep, dry_run=True).submitted
    queue = Queue.new(store.sweep_dir("tiny"), [(first,), (other,)], {})
    queue.write()
    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 20:
            queue.stop_run(first, "too slow")
        return False

    monkey = pytest.MonkeyPatch()
    monkey.setattr("cluster.work.worker.LOOK_SECONDS", 0.0)
    run_queue(store, "tiny", queue, Resources(), stop)
    monkey.undo()
    return store, sweep, first


def test_a_run_ends_early_with_what_it_saved_and_goes_on_when_asked(half_done, capsys):
    store, sweep, first = half_done
    status = sweep_status("tiny")
    assert status.counts == {"done": 1, "stopped early": 1}
    run = next(run for run in status.runs if run.run_id == first)
    assert run.reason == "too slow" and 0 < run.step < 8192
    assert status.flops_saved == pytest.approx(run.flops * (1 - run.step / 8192))
    assert main(["status", "tiny"]) == 0
    assert "1 stopped early saved" in capsys.readouterr().out
    assert submit(sweep, on="inline", rerun="failed").submitted == ()  # a retry leaves it
    assert main(["retry", "tiny", "--stopped-early", "--on", "inline"]) == 0
    assert sweep_status("tiny").counts == {"done": 2}
    resumed = results(store, sweep)
    submit(sweep, on="inline", rerun="all")
    assert results(store, sweep) == resumed


def test_what_nobody_trains_ends_at_once(make_sweep, home, tmp_path, capsys):
    sweep = make_sweep(seed=[0, 1])
    sweep.write(Store.at(home).sweep_dir("tiny") / "sweep.jsonl")
    first = sweep.entries[0].run_id
    told = tmp_path / "hopeless.json"
    told.write_text(json.dumps([{"run_id": first, "reason": "no better", "loss": 3.0}]))
    assert main(["stop", "tiny", str(told), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"sweep": "tiny", "stopped": [first]}
    assert read_journal(Store.at(home).run_dir(first))[-1]["reason"] == "no better"
    assert stop_early(Store.at(home), "tiny", {first: "again"}) == []
    assert sweep_status("tiny").counts == {"planned": 1, "stopped early": 1}
    assert sweep_status("tiny").flops_saved == sweep.entries[0].spec.flops
    reasons = load_runs("tiny").set_index("run_id")["exclude_reason"]
    assert reasons[first] == "stopped early: no better"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("{}", "not a list of objects: give a JSON list"),
        ('[{"reason": "x"}]', "has no run_id"),
        ('[{"run_id": "x"}]', "sweep 'tiny' has no run 'x'"),
    ],
)
def test_a_file_that_is_none_is_one_line(text, words, make_sweep, home, tmp_path, capsys):
    make_sweep().write(Store.at(home).sweep_dir("tiny") / "sweep.jsonl")
    (tmp_path / "f.json").write_text(text)
    assert main(["stop", "tiny", str(tmp_path / "f.json")]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error


def test_a_rule_is_asked_now_and_then_and_its_mistakes_are_said(place, home, monkeypatch, capsys):
    place.sweep("a")
    place.queue([("a",)])
    asked = []
    monkeypatch.setattr(rules, "stop_early", lambda *told: asked.append(told[2]) or ["a"])
    (run,) = sweep_status("s").runs
    policy = Policy(stop_early="cat $SCALING_HOME/f")
    status = SweepStatus("s", (replace(run, state="running"),), policy=policy)
    (home / "f").write_text('[{"run_id": "a", "reason": "slow"}]')
    rule = rules.Rule(Store.at(home))
    rule.look(status)
    rule.look(status)
    assert asked == [{"a": "slow"}]
    for text, words in {"": "not JSON", "[1]": "not a list of objects"}.items():
        (home / "f").write_text(text)
        rules.Rule(Store.at(home)).look(status)
        assert f"stop_early of sweep 's': {words}" in capsys.readouterr().err


def test_what_hopeless_says_is_what_stop_takes(make_sweep, home, tmp_path, capsys):
    """Three runs of a size are done, the fourth is far above them."""
    sweep = make_sweep(schedule="cosine", seed=[0, 1, 2, 3])
    sweep.write(Store.at(home).sweep_dir("tiny") / "sweep.jsonl")
    for entry in sweep:
        worst = entry is sweep.entries[-1]
        curve = [(1024 * i, 3.0 + 5.0 * worst - 0.1 * i) for i in range(1, 5 if worst else 9)]
        points = [{"event": "point", "step": step, "loss": loss} for step, loss in curve]
        end = {"event": "end", "status": "done", "loss": 2.2, "tokens": 8192}
        events = [{"event": "start", "time": 1.0}, *points, *([] if worst else [end])]
        write_journal(Store.at(home).run_dir(entry.run_id), events)
    assert main(["hopeless", "tiny", "--json"]) == 0
    told = capsys.readouterr().out
    (found,) = json.loads(told)
    assert found["run_id"] == sweep.entries[-1].run_id
    (tmp_path / "f.json").write_text(told)
    assert main(["stop", "tiny", str(tmp_path / "f.json")]) == 0
    assert sweep_status("tiny").counts == {"done": 3, "stopped early": 1}
    table = load_runs("tiny").set_index("run_id")
    assert table.loc[found["run_id"], "exclude_reason"] == f"stopped early: {found['reason']}"
