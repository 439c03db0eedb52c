"""``submit``: what is done, what is not done again, and what a death leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from cluster import submit, sweep_status
from cluster.cancel import cancel
from cluster.job import LOG, Shift, _fits, run_queue, stop_on_signals
from cluster.lease import claim
from cluster.queue import Queue
from cluster.resources import Resources
from scaling.journal import checkpoints, end, points, read_journal
from scaling.store import Store, read_json
from sweeps.sweep import Sweep

pytestmark = pytest.mark.usefixtures("store_ready")


def starts(store, run_id):
    return [e for e in read_journal(store.run_dir(run_id)) if e["event"] == "start"]


def results(store, sweep):
    """The bits that must not depend on how a run came about."""
    found = {}
    for entry in sweep:
        events = read_journal(store.run_dir(entry.run_id))
        curve = tuple((p["step"], p["loss"], p["train_loss"]) for p in points(events))
        found[entry.run_id] = (end(events)["status"], end(events)["loss"], curve)
    return found


def test_inline_does_what_is_missing_and_nothing_twice(make_sweep, home):
    store = Store.at(home)
    first = submit(make_sweep(seed=[0, 1]), on="inline")
    assert len(first.submitted) == 2
    assert first.skipped == ()
    again = submit(make_sweep(seed=[0, 1]), on="inline")
    assert (again.submitted, set(again.skipped)) == ((), set(first.submitted))
    more = submit(make_sweep(seed=[0, 1, 2]), on="inline")
    assert len(more.submitted) == 1
    status = sweep_status("tiny")
    assert status.counts == {"done": 3}
    assert status.flops_done == status.flops_total
    assert all(len(starts(store, run.run_id)) == 1 for run in status.runs)


def test_a_dry_run_writes_nothing(make_sweep, home):
    before = sorted(home.rglob("*"))
    planned = submit(make_sweep(num_tokens=[4096, 8192]), on="inline", dry_run=True)
    assert len(planned.submitted) == 2
    assert sorted(home.rglob("*")) == before


def test_the_larger_runs_come_first_and_a_trunk_in_ascending_order(make_sweep):
    sweep = make_sweep(width=[8, 16], num_tokens=[4096, 8192])
    sizes = {e.run_id: (e.spec.model.width, e.spec.train.num_tokens) for e in sweep}
    planned = submit(sweep, dry_run=True)
    expected = [(16, 4096), (16, 8192), (8, 4096), (8, 8192)]
    assert [sizes[r] for r in planned.submitted] == expected


def test_a_failing_run_does_not_stop_the_others(make_sweep, home, monkeypatch):
    import scaling.training as trainer

    sweep, make_task = make_sweep(seed=[0, 1, 2]), trainer.make_task

    def broken(spec, *args):
        if spec.seed == 1:
            raise RuntimeError("the cat sat on the keyboard")
        return make_task(spec, *args)

    monkeypatch.setattr(trainer, "make_task", broken)
    submit(sweep, on="inline")
    status = sweep_status("tiny")
    assert status.counts == {"done": 2, "failed": 1}
    failed = status.in_state("failed")[0]
    assert failed.reason == "RuntimeError: the cat sat on the keyboard"
    log = (Store.at(home).run_dir(failed.run_id) / LOG).read_text()
    assert "Traceback" in log
    assert "the cat sat on the keyboard" in log


def test_failed_runs_are_begun_again_when_asked_for(make_sweep, home, monkeypatch):
    import scaling.training as trainer

    sweep = make_sweep()
    with monkeypatch.context() as broken:
        broken.setattr(trainer, "make_task", lambda *a: 1 / 0)
        submit(sweep, on="inline")
    assert sweep_status("tiny").counts == {"failed": 1}
    assert submit(sweep, on="inline").submitted == ()
    assert len(submit(sweep, on="inline", rerun="failed").submitted) == 1
    assert sweep_status("tiny").counts == {"done": 1}


def test_all_begins_anew_and_gives_the_same_bits(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(num_tokens=[4096, 8192])
    submit(sweep, on="inline")
    before = results(store, sweep)
    born = {e.run_id: starts(store, e.run_id)[0]["time"] for e in sweep}
    assert len(submit(sweep, on="inline", rerun="all").submitted) == 2
    assert results(store, sweep) == before
    assert all(starts(store, r)[0]["time"] > t for r, t in born.items())


def test_runs_of_an_earlier_sweep_of_that_name_stay_in_it(make_sweep, capsys):
    submit(make_sweep(seed=[0, 1]), on="inline")
    submit(make_sweep(seed=[1, 2]), on="inline")
    assert sweep_status("tiny").counts == {"done": 3}
    assert "had 1 runs that are not in this file" in capsys.readouterr().err
    names = [run.name for run in sweep_status("tiny").runs]
    assert len(set(names)) == 3


def test_a_stopped_run_goes_on_where_it_was(make_sweep, home):
    """Two wishes to stop in mid-run, then the rest: the same bits as without."""
    store, sweep = Store.at(home), make_sweep(num_tokens=8192)
    run_id = sweep.entries[0].run_id
    submission = submit(sweep, dry_run=True)
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    queue = Queue.new(store.sweep_dir("tiny"), [submission.submitted], {})
    for _ in range(2):
        calls = iter(range(10**6))
        run_queue(store, "tiny", queue, Resources(), lambda calls=calls: next(calls) > 20)
        assert sweep_status("tiny").counts == {"stopped": 1}
    assert 0 < read_json(store.run_dir(run_id) / "state.json")["step"] < 8192
    submit(sweep, on="inline")
    resumed = results(store, sweep)
    submit(sweep, on="inline", rerun="all")
    assert results(store, sweep) == resumed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "moon"}, "'moon' is not known: choose one of local, slurm, inline"),
        ({"rerun": "some"}, "choose one of missing, failed, all"),
        ({"workers": 0}, "workers 0 is below 1"),
        ({"tracking_uri": "foo://bar"}, "is of no known kind"),
    ],
)
def test_wrong_options_are_refused(make_sweep, options, message):
    with pytest.raises(ValueError, match=message):
        submit(make_sweep(), **options)


def test_a_read_only_root_is_refused(make_sweep, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        submit(make_sweep(), on="inline", root=tmp_path / "file" / "root")


def test_without_a_tracking_store_the_sweep_runs_and_says_how_to_ship_it(make_sweep, capsys):
    """Nobody listens on port 9 of this machine."""
    submit(make_sweep(), on="inline", tracking_uri="http://127.0.0.1:9")
    assert sweep_status("tiny").counts == {"done": 1}
    assert "warning: the tracking store http://127.0.0.1:9 does not answer" in (
        capsys.readouterr().err
    )


def test_a_signal_is_a_wish_and_the_second_interrupt_an_order():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals(signal.SIGINT, signal.SIGTERM) as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("progress", "failed"), [(0, 1), (12345, 0)])
def test_a_run_that_keeps_killing_its_workers_is_given_up(make_sweep, home, progress, failed):
    """Three processes die holding the run; the fourth worker fails it and goes on.

    Not if they died at another checkpoint than the run's present one.
    """
    store, sweep = Store.at(home), make_sweep(seed=[0, 1])
    chosen = submit(sweep, dry_run=True).submitted
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    queue = Queue.new(store.sweep_dir("tiny"), [(r,) for r in chosen], {})
    spec = {e.run_id: e.spec for e in sweep}[chosen[0]]
    die = """
import os, sys
from pathlib import Path
from cluster.lease import claim
assert claim(Path(sys.argv[1]), sys.argv[2])
os._exit(9)
"""
    purpose = f"{queue.path.stem} {chosen[0]} {progress}"
    folder = store.trunk_dir(spec.trunk_id)
    for _ in range(3):
        subprocess.run([sys.executable, "-c", die, str(folder), purpose], check=False)
    assert run_queue(store, "tiny", queue, Resources(), lambda: False).done == 2
    status = sweep_status("tiny")
    assert status.counts == ({"done": 1, "failed": 1} if failed else {"done": 2})
    assert all("3 workers died" in run.reason for run in status.in_state("failed"))


def queue_of(store, sweep):
    sweep.write(store.sweep_dir("tiny") / "sweep.jsonl")
    chosen = submit(sweep, dry_run=True).submitted
    return Queue.new(store.sweep_dir("tiny"), [(run_id,) for run_id in chosen], {})


def test_a_worker_whose_time_is_over_begins_nothing(make_sweep, home):
    store = Store.at(home)
    queue = queue_of(store, make_sweep())
    turn = run_queue(
        store, "tiny", queue, Resources(), lambda: False, shift=Shift(until=time.time() - 1)
    )
    assert (turn.done, turn.short_of_time) == (0, True)
    assert not (home / "runs").exists()


def test_a_worker_anywhere_heeds_a_queue_that_was_stopped(make_sweep, home):
    store = Store.at(home)
    queue = queue_of(store, make_sweep())
    queue.stop()
    assert run_queue(store, "tiny", queue, Resources(), lambda: False).done == 0
    assert not (home / "runs").exists()


@pytest.mark.parametrize(
    ("seconds", "left", "fits"),
    [
        (0, 10, True),  # nothing is known yet
        (50, 60, True),
        (70, 60, False),  # a fresh worker can do it
        (90, 60, False),
        (150, 60, True),  # no worker can: it needs several, and half of this one is left
        (150, 40, False),
    ],
)
def test_a_worker_begins_what_ends_in_time_or_what_needs_more_than_one(seconds, left, fits):
    assert _fits(seconds, Shift(until=time.time() + left, full_seconds=100)) == fits


def test_near_its_end_a_worker_takes_the_short_runs_and_leaves_the_long(make_sweep, home):
    """Its first run tells the pace: by that the other long one takes an hour, the short is free."""
    store, sweep = Store.at(home), make_sweep(num_tokens=[8192, 16384], schedule="cosine")
    queue = queue_of(store, sweep)
    rows = [json.loads(line) for line in sweep.to_jsonl().splitlines()]
    long, *_ = sorted(rows, key=lambda row: -row["num_tokens"])
    extra = make_sweep(num_tokens=4096, schedule="cosine").entries[0]
    rows.append({**json.loads(json.dumps(rows[0])), "run_id": extra.run_id})
    rows[-1]["spec"], rows[-1]["num_tokens"] = extra.spec.to_dict(), 4096
    short = next(row for row in rows if row["num_tokens"] == 8192)
    short["flops"] = 1e30  # believed to be endless
    rows[-1]["flops"] = 0.0
    path = store.sweep_dir("tiny") / "sweep.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    order = [(row["run_id"],) for row in (long, short, rows[-1])]
    queue = Queue.new(store.sweep_dir("tiny"), order, {})
    shift = Shift(until=time.time() + 3600, full_seconds=1e40)
    turn = run_queue(store, "tiny", queue, Resources(), lambda: False, shift=shift)
    assert (turn.done, turn.short_of_time) == (2, True)
    assert not store.run_dir(short["run_id"]).exists()


def test_a_worker_waits_only_so_long_for_what_another_holds(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(schedule="cosine")
    queue = queue_of(store, sweep)
    with claim(store.run_dir(sweep.entries[0].run_id)):
        began = time.monotonic()
        turn = run_queue(
            store, "tiny", queue, Resources(), lambda: False, shift=Shift(linger_seconds=0.5)
        )
    assert (turn.done, turn.short_of_time) == (0, False)
    assert time.monotonic() - began < 30


def test_the_resources_of_a_sweep_stay_with_it(make_sweep, home):
    sweep = make_sweep(seed=[0, 1])
    submit(replace(sweep, resources={"threads": 1, "minutes": 60}), on="inline")
    path = Store.at(home).sweep_dir("tiny") / "sweep.jsonl"
    assert Sweep.read(path).resources == {"threads": 1, "minutes": 60}
    submit(make_sweep(seed=[1, 2]), on="inline")  # says nothing of them
    kept = Sweep.read(path)
    assert (len(kept), kept.resources) == (3, {"threads": 1, "minutes": 60})
    assert [entry.run_id for entry in kept][:2] == [entry.run_id for entry in sweep]


def test_only_some_runs_can_be_asked_for(make_sweep):
    sweep = make_sweep(seed=[0, 1, 2])
    one = sweep.entries[1].run_id
    assert submit(sweep, on="inline", only=[one]).submitted == (one,)
    assert sweep_status("tiny").counts == {"done": 1, "planned": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"canary": True}, "canary has no effect on 'local'"),
        ({"settings": {"memroy": "1GB"}}, "unknown setting 'memroy': did you mean 'memory'"),
    ],
)
def test_wrong_settings_are_refused(make_sweep, options, message):
    with pytest.raises(ValueError, match=message):
        submit(make_sweep(), **options)


# with real worker processes


@pytest.fixture
def quiet_end():
    """Waits for processes that a test leaves behind."""
    left = []
    yield left.append
    for submission in left:
        for job in submission.jobs:
            while not job.done():
                time.sleep(0.1)
        submission.shipper.wait()


def wait_until(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_local_workers_do_the_sweep_and_give_the_bits_of_inline(make_sweep, home, tmp_path):
    sweep = make_sweep(num_tokens=[4096, 8192], seed=[0, 1])
    submission = submit(sweep, workers=2, wait=True)
    assert len(submission.job_ids) == 2
    assert sweep_status("tiny").counts == {"done": 4}
    again = submit(sweep, workers=2, wait=True)
    assert (again.submitted, again.job_ids) == ((), ())
    submit(sweep, on="inline", root=tmp_path / "other")
    assert results(Store.at(home), sweep) == results(Store.at(tmp_path / "other"), sweep)


@pytest.mark.slow
def test_killed_workers_lose_nothing_and_submitting_again_goes_on(make_sweep, home, quiet_end):
    store, sweep = Store.at(home), make_sweep(num_tokens=64 * 128 * 64, seed=[0, 1])
    submission = submit(sweep, workers=2)
    quiet_end(submission)
    wait_until(lambda: sweep_status("tiny").counts.get("running") == 2)
    for entry in sweep:
        os.kill(read_json(store.run_dir(entry.run_id) / "state.json")["pid"], signal.SIGKILL)
    wait_until(lambda: all(job.done() for job in submission.jobs))
    assert sweep_status("tiny").counts == {"stalled": 2}
    submit(sweep, workers=2, wait=True)
    assert sweep_status("tiny").counts == {"done": 2}
    assert {len(starts(store, e.run_id)) for e in sweep} == {2}


@pytest.mark.slow
def test_a_living_worker_takes_over_from_a_killed_one(make_sweep, home, quiet_end):
    store, sweep = Store.at(home), make_sweep(num_tokens=64 * 128 * 64, seed=[0, 1])
    submission = submit(sweep, workers=2)
    quiet_end(submission)
    wait_until(lambda: sweep_status("tiny").counts.get("running") == 2)
    state = read_json(store.run_dir(sweep.entries[0].run_id) / "state.json")
    os.kill(state["pid"], signal.SIGKILL)
    wait_until(lambda: all(job.done() for job in submission.jobs))
    assert sweep_status("tiny").counts == {"done": 2}
    assert len(starts(store, sweep.entries[0].run_id)) == 2
    assert len(starts(store, sweep.entries[1].run_id)) == 1


@pytest.mark.slow
def test_two_submissions_at_once_never_do_a_run_twice(make_sweep, home):
    store, sweep = Store.at(home), make_sweep(num_tokens=[4096, 8192], seed=[0, 1, 2])
    code = """
import sys
from cluster import submit
from sweeps import load_sweep
submit(load_sweep(sys.argv[1]), workers=2, wait=True)
"""
    path = home / "sweep.jsonl"
    sweep.write(path)
    both = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert sweep_status("tiny").counts == {"done": 6}
    assert {len(starts(store, e.run_id)) for e in sweep} == {1}


@pytest.mark.slow
def test_cancel_checkpoints_what_runs_and_begins_nothing_more(make_sweep, home, quiet_end):
    store, sweep = Store.at(home), make_sweep(num_tokens=64 * 128 * 256, seed=[0, 1])
    submission = submit(sweep, workers=1)
    quiet_end(submission)
    wait_until(lambda: sweep_status("tiny").counts.get("running") == 1)
    # a Popen's zombie must be reaped for the process to count as gone here and now
    reaper = threading.Thread(target=lambda: [job._process.wait() for job in submission.jobs])
    reaper.start()
    assert cancel("tiny") == 0
    reaper.join()
    assert sweep_status("tiny").counts == {"planned": 1, "stopped": 1}
    stopped = sweep_status("tiny").in_state("stopped")[0]
    assert checkpoints(store.run_dir(stopped.run_id))
    assert cancel("tiny") == 0


@pytest.mark.slow
def test_ctrl_c_while_waiting_stops_the_workers_and_says_how_to_go_on(make_sweep, home):
    sweep = make_sweep(num_tokens=64 * 128 * 512)
    path = home / "sweep.jsonl"
    sweep.write(path)
    # Tests that run in the background inherit an ignored SIGINT; a user's shell does not.
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from scaling.cli import main
sys.exit(main(["submit", sys.argv[1], "--wait", "--workers", "1"]))
"""
    command = [sys.executable, "-c", code, str(path)]
    waiting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: (home / "sweeps/tiny/sweep.jsonl").exists())
    wait_until(lambda: sweep_status("tiny").counts.get("running") == 1)
    os.killpg(waiting.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, err = waiting.communicate()
    assert waiting.returncode == 130
    assert "what ran is checkpointed. `scaling retry tiny`" in err
    assert sweep_status("tiny").counts == {"stopped": 1}
    state = json.loads((home / "runs" / sweep.entries[0].run_id / "state.json").read_text())
    assert state["state"] == "stopped"
