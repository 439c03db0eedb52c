"""``cancel SWEEP RUN``: who does the run goes on with others, and what is another sweep's stays."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from cluster import submit, sweep_status
from cluster.launch.cancel import cancel
from cluster.work import ProcessId, Queue, lease_dir
from cluster.work.lease import claim
from scaling.base import Store
from scaling.cli import main
from scaling.run import STATE


@pytest.fixture
def waiting(make_sweep, home):
    """A sweep of two runs that this process is to do, and the submission."""
    sweep = make_sweep(seed=[0, 1], schedule="cosine")
    store = Store.at(home)
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    tasks = [(entry.run_id,) for entry in sweep]
    queue = Queue.new(store.sweep_dir("tiny"), tasks, {}).with_processes([ProcessId.of()])
    queue.write()
    return sweep, queue


def test_a_run_that_waits_is_not_begun_and_the_others_stay_queued(waiting, home, capsys):
    sweep, queue = waiting
    one, other = (entry.run_id for entry in sweep)
    assert main(["cancel", "tiny", one]) == 0
    assert f"run {one} is stopped; `scaling retry tiny`" in capsys.readouterr().out
    assert sweep_status("tiny").counts == {"queued": 1, "planned": 1}
    assert not queue.is_open(Store.at(home), one)
    assert queue.is_open(Store.at(home), other)
    assert main(["cancel", "tiny", one, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sweep"], said["run_id"], said["stopped"]) == ("tiny", one, False)
    assert f"nobody works on run {one}" in said["words"]


@pytest.mark.usefixtures("store_ready")
def test_submitting_again_does_a_run_that_was_cancelled(waiting):
    sweep, queue = waiting
    cancel("tiny", run_id=sweep.entries[0].run_id)
    queue.with_processes([]).write()
    assert len(submit(sweep, on="inline").submitted) == 2
    assert sweep_status("tiny").counts == {"done": 2}


@pytest.mark.parametrize("alone", [True, False])
def test_only_a_job_that_has_nothing_else_to_do_is_cancelled(
    waiting, home, command, monkeypatch, alone
):
    sweep, queue = waiting
    one, other = (entry.run_id for entry in sweep)
    log = home / "scancel.log"
    command("scancel", f'echo "$@" >> {log}')
    for name in ("squeue", "sacct"):
        command(name, "true")
    monkeypatch.setattr(Queue, "may_take", lambda *a: True)
    tasks = ((one,), (other,)) if alone else ((one, other),)
    jobs = {one: "7_0", other: "7_1" if alone else "7_0"}
    replace(queue, tasks=tasks, own_jobs=jobs).write()
    assert cancel("tiny", run_id=one).stopped
    said = log.read_text() if log.exists() else ""
    assert said == alone * "--quiet --state=PENDING 7_0\n--quiet --signal=TERM 7_0\n"


def test_a_run_that_another_sweep_does_is_left_to_it(waiting, make_sweep, home, capsys):
    sweep, queue = waiting
    store, run = Store.at(home), sweep.entries[0]
    make_sweep("big", seed=[0, 1, 2], schedule="cosine").write(
        store.sweep_dir("big") / "sweep.jsonl"
    )
    theirs = Queue.new(store.sweep_dir("big"), [(run.run_id,)], {}).with_processes([ProcessId.of()])
    theirs.write()
    run_dir = store.run_dir(run.run_id)
    with claim(lease_dir(store, run.spec, run.run_id), f"{theirs.path.stem} {run.run_id} 0"):
        here = ProcessId.of().to_dict()
        (run_dir / STATE).write_text(json.dumps({**here, "state": "running", "time": time.time()}))
        assert main(["cancel", "tiny", run.run_id]) == 0
    assert f"sweep 'big' does run {run.run_id}" in capsys.readouterr().out
    assert theirs.is_open(store, run.run_id)
    assert not queue.is_open(store, run.run_id)


def test_a_run_that_is_none_of_the_sweep_is_refused(waiting, capsys):
    assert main(["cancel", "tiny", "nobody"]) == 2
    assert "0 runs of 'tiny' match 'nobody'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="has no run '123'"):
        cancel("tiny", run_id="123")
