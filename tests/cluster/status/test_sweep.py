"""Status from the runs' own folders, in every state, and for many runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from cluster.status import print_status
from cluster.status import run as verdicts
from cluster.status.run import STALL_SECONDS
from cluster.status.run_status import STATES
from cluster.status.sweep import sweep_status
from cluster.work.process import ProcessId
from scaling.base import Store
from scaling.run.journal import JOURNAL, STATE
from tests.cluster.status.states import START, running


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_each_run_is_in_the_state_that_its_folder_shows(place):
    place("done", [START, {"event": "end", "status": "done"}], state="done", step=1000, loss=2.0)
    place("diverged", [START, {"event": "end", "status": "diverged", "reason": "loss 1e9"}])
    place("failed", [START, {"event": "end", "status": "failed", "reason": "OSError: x"}])
    place("running", [START], **running())
    place("elsewhere", [START], **running(host="node7"))
    place("killed", [START], **running(pid=dead_pid()))
    place("silent", [START], **running(time=time.time() - STALL_SECONDS - 5))
    place("lost node", [START], **running(host="node7", time=time.time() - STALL_SECONDS - 5))
    place("stopped", [START], **running(state="stopped"))
    place("ended unseen", [START, {"event": "end", "status": "done"}], **running(pid=dead_pid()))
    expected = {
        "done": "done",
        "diverged": "diverged",
        "failed": "failed",
        "running": "running",
        "elsewhere": "running",
        "killed": "stalled",
        "silent": "stalled",
        "lost node": "stalled",
        "stopped": "stopped",
        "ended unseen": "done",
        "never begun": "planned",
    }
    place.sweep(*expected)
    assert place.states() == expected
    status = sweep_status("s")
    assert {run.run_id: run.reason for run in status.runs}["failed"] == "OSError: x"
    assert status.counts == {s: n for s in STATES if (n := list(expected.values()).count(s))}
    assert status.flops_total == 110.0
    # three ended with a result, and seven saw a quarter of their tokens or none
    quarter = ("running", "elsewhere", "killed", "silent", "lost node", "stopped")
    assert status.flops_done == 3 * 10.0 + len(quarter) * 2.5


def test_a_worker_that_died_while_the_kernel_killed_for_memory_is_told_so(place, monkeypatch):
    monkeypatch.setattr(verdicts, "oom_kills", lambda: 4)
    place("killed", [START], **running(pid=dead_pid(), oom_kills=3))
    place("by hand", [START], **running(pid=dead_pid(), oom_kills=4))
    place("elsewhere", [START], **running(host="node7", time=1.0, oom_kills=0))
    place.sweep("killed", "by hand", "elsewhere")
    failures = sweep_status("s").failures
    assert {f.cause: [run.run_id for run in f.runs] for f in failures} == {
        "oom": ["killed"],
        "killed": ["by hand", "elsewhere"],
    }
    assert {f.cause: f.remedy for f in failures} == {
        "oom": "scaling retry s --cause oom --workers 1",
        "killed": "scaling retry s --cause killed",
    }


def test_time_left_follows_from_the_pace_so_far(place):
    place("a", [START], **running(step=250, seconds=5.0))
    place.sweep("a")
    assert sweep_status("s").runs[0].seconds_left == pytest.approx(15.0)


def test_what_a_live_worker_will_do_is_queued(place):
    failed = [START, {"event": "end", "status": "failed", "reason": "x"}]
    place("again", failed)
    place("failed now", failed)
    place("killed", [START], **running(pid=dead_pid()))
    place.sweep("again", "failed now", "killed", "new", "not asked for")
    tasks = [("again",), ("failed now", "killed", "new")]
    place.queue(tasks, {"again": 1}, [ProcessId.of()])
    assert place.states() == {
        "again": "queued",
        "failed now": "failed",
        "killed": "queued",
        "new": "queued",
        "not asked for": "planned",
    }


@pytest.mark.parametrize("after", ["a reboot", "a cancel"])
def test_workers_that_nobody_can_ask_do_not_keep_a_sweep_alive(place, after):
    here = ProcessId.of()
    place.sweep("a")
    if after == "a reboot":
        gone = replace(here, space=f"another-boot {here.space.split()[-1]}")
    else:
        gone = replace(here, host="node7")
    queue = place.queue([("a",)], jobs=[gone])
    assert place.states() == {"a": "planned" if after == "a reboot" else "queued"}
    queue.stop()
    assert place.states() == {"a": "planned"}


def test_without_accounting_gpu_hours_are_those_trained(place):
    place("a", [START], **running(gpus=4, seconds=3600.0, step=500))
    place.sweep("a", "b")
    status = sweep_status("s")
    assert (status.gpu_hours_used, status.gpu_hours_left) == (4.0, pytest.approx(12.0))


def test_a_queue_whose_workers_are_dead_queues_nothing(place):
    place.sweep("a")
    place.queue([("a",)], {}, [ProcessId(*(*ProcessId.of().to_dict().values(),)[:3], "1")])
    assert place.states() == {"a": "planned"}


def test_an_unknown_sweep_is_named_with_those_that_there_are(place):
    place.sweep("a")
    with pytest.raises(ValueError, match=r"no sweep 'other' .* there are s$"):
        sweep_status("other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"sweep.jsonl has no runs: remove it and submit the sweep again"),
        ('{"run_id": "a"}\n{"run_id"', r"sweep.jsonl:2: not JSON .*: remove it"),
        ("[1]", r"sweep.jsonl:1: not a run: remove it"),
    ],
)
def test_a_damaged_sweep_is_named_by_file_and_line(place, home, text, message):
    place.sweep("a")
    (Store.at(home).sweep_dir("s") / "sweep.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        place.states()


def test_ten_thousand_runs_take_less_than_two_seconds(home):
    store = Store.at(home)
    lines = []
    for i in range(10_000):
        run_id = f"{i:016x}"
        row = {"run_id": run_id, "name": f"run {i}", "num_tokens": 1000, "flops": 1.0}
        lines.append(json.dumps({**row, "spec": {"model": dict.fromkeys("abcdefghij", 1)}}))
        if i % 2:
            folder = store.run_dir(run_id)
            folder.mkdir(parents=True)
            (folder / STATE).write_text(json.dumps({"state": "done", "step": 1000, "loss": 2.0}))
    store.sweep_dir("big").mkdir(parents=True)
    (store.sweep_dir("big") / "sweep.jsonl").write_text("\n".join(lines))
    began = time.process_time()
    status = sweep_status("big")
    assert time.process_time() - began < 2.0
    assert status.counts == {"done": 5000, "planned": 5000}
    assert status.flops_done == 5000.0


@pytest.mark.parametrize("clock", [-900.0, 900.0])
def test_a_node_whose_clock_is_minutes_off_runs(place, clock):
    """What it writes is as old as the file system says, not as the node does."""
    state = running(host="node7", time=time.time() + clock)
    place("runs", [START], **state, clock=clock)
    place("is silent", [START], **state, clock=clock + STALL_SECONDS + 5)
    place.sweep("runs", "is silent")
    assert place.states() == {"runs": "running", "is silent": "stalled"}


def test_damaged_journals_are_said(place, capsys):
    point = {"event": "point", "step": 10, "loss": 1.0}
    place("a", [START, point, {"event": "end", "status": "done"}], state="done", step=1000)
    place("b", [START, point], **running())
    place.sweep("a", "b")
    assert [run.damaged for run in sweep_status("s").runs] == [0, 0]
    journal = Store.at().run_dir("a") / JOURNAL
    journal.write_bytes(journal.read_bytes().replace(b'"step"', b"\0\0", 1))
    status = sweep_status("s")
    assert [run["damaged"] for run in status.to_dict()["runs"]] == [1, 0]
    print_status(status)
    assert "1 damaged lines in the journals of 1 runs (run a)" in " ".join(
        capsys.readouterr().out.split()
    )
