"""``submit``: what is done, what is not done again, and what a death leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from cluster import submit, sweep_status
from cluster.launch.cancel import cancel
from scaling.base import Store, read_json
from scaling.run import LOG
from scaling.run.journal import JOURNAL, checkpoints, end, points, read_journal
from sweeps.sweep import Sweep
from tests.scaling.programs.scripts import program

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
    import scaling.training.loop as trainer

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
    import scaling.training.loop as trainer

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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "moon"}, "'moon' is not known: choose one of local, slurm, inline"),
        ({"rerun": "some"}, "choose one of missing, failed, early, all"),
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
def quiet_end(idle_shippers):
    """Waits for workers that a test leaves behind."""
    left = []
    yield left.append
    for submission in left:
        for job in submission.workers:
            while not job.done():
                time.sleep(0.1)


GATED = """
    import time
    from pathlib import Path
    from scaling import report
    report(step=50, loss=3)
    while not Path({gate!r}).exists():
        time.sleep(0.05)
    report(step=100, loss=2)
"""


@pytest.fixture
def gate(home):
    """A file for which the programs of :func:`gated` wait half-way; they load no torch."""
    return home / "gate"


@pytest.fixture
def gated(gate):
    """``gated(n)``: a sweep ``tiny`` of so many programs."""
    script = GATED.format(gate=str(gate))
    return lambda n: Sweep.of("tiny", [program(script, {"number": i}) for i in range(n)])


def wait_until(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow  # worker processes train as this one does
def test_local_workers_do_the_sweep_and_give_the_bits_of_inline(make_sweep, home, tmp_path):
    sweep = make_sweep(num_tokens=[4096, 8192], seed=[0, 1])
    submission = submit(sweep, workers=2, wait=True)
    assert len(submission.job_ids) == 2
    assert sweep_status("tiny").counts == {"done": 4}
    again = submit(sweep, workers=2, wait=True)
    assert (again.submitted, again.job_ids) == ((), ())
    submit(sweep, on="inline", root=tmp_path / "other")
    assert results(Store.at(home), sweep) == results(Store.at(tmp_path / "other"), sweep)


@pytest.mark.slow  # deaths of real workers lose nothing
def test_killed_workers_lose_nothing_and_submitting_again_goes_on(gated, gate, home, quiet_end):
    store, sweep = Store.at(home), gated(2)
    submission = submit(sweep, workers=2)
    quiet_end(submission)
    wait_until(lambda: sweep_status("tiny").counts.get("running") == 2)
    for entry in sweep:
        os.kill(read_json(store.run_dir(entry.run_id) / "state.json")["pid"], signal.SIGKILL)
    wait_until(lambda: all(job.done() for job in submission.workers))
    assert sweep_status("tiny").counts == {"stalled": 2}
    gate.touch()
    submit(sweep, workers=2, wait=True)
    assert sweep_status("tiny").counts == {"done": 2}
    assert {len(starts(store, e.run_id)) for e in sweep} == {2}


@pytest.mark.slow  # the lease of a dead worker is taken over
def test_a_living_worker_takes_over_from_a_killed_one(gated, gate, home, quiet_end):
    store, sweep = Store.at(home), gated(2)
    submission = submit(sweep, workers=2)
    quiet_end(submission)
    wait_until(lambda: sweep_status("tiny").counts.get("running") == 2)
    state = read_json(store.run_dir(sweep.entries[0].run_id) / "state.json")
    os.kill(state["pid"], signal.SIGKILL)
    gate.touch()
    wait_until(lambda: all(job.done() for job in submission.workers))
    assert sweep_status("tiny").counts == {"done": 2}
    assert len(starts(store, sweep.entries[0].run_id)) == 2
    assert len(starts(store, sweep.entries[1].run_id)) == 1


@pytest.mark.slow  # leases between processes keep a run from being done twice
def test_two_submissions_at_once_never_do_a_run_twice(gated, gate, home):
    store, sweep = Store.at(home), gated(6)
    gate.touch()
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


@pytest.mark.slow  # a cancelled worker process saves what it has
def test_cancel_checkpoints_what_runs_and_begins_nothing_more(make_sweep, home, quiet_end):
    store, sweep = Store.at(home), make_sweep(num_tokens=64 * 128 * 256, seed=[0, 1])
    submission = submit(sweep, workers=1)
    quiet_end(submission)
    wait_until(lambda: sweep_status("tiny").counts.get("running") == 1)
    # a Popen's zombie must be reaped for the process to count as gone here and now
    reaper = threading.Thread(target=lambda: [job._process.wait() for job in submission.workers])
    reaper.start()
    assert cancel("tiny").stopped
    reaper.join()
    assert sweep_status("tiny").counts == {"planned": 1, "stopped": 1}
    stopped = sweep_status("tiny").in_state("stopped")[0]
    assert checkpoints(store.run_dir(stopped.run_id))
    assert not cancel("tiny").stopped


@pytest.mark.slow  # one run of a worker process is stopped, and the other is not
def test_cancel_of_one_run_lets_its_worker_go_on_with_another(make_sweep, home, quiet_end):
    options = {"schedule": "cosine", "num_tokens": [64 * 128, 64 * 128 * 256]}  # the longer first
    store, sweep = Store.at(home), make_sweep(**options)
    submission = submit(sweep, workers=1)
    quiet_end(submission)
    wait_until(lambda: sweep_status("tiny").counts == {"running": 1, "queued": 1})
    (running,) = sweep_status("tiny").in_state("running")
    assert cancel("tiny", run_id=running.run_id).stopped
    assert checkpoints(store.run_dir(running.run_id))
    wait_until(lambda: sweep_status("tiny").counts == {"stopped": 1, "done": 1})
    (other,) = sweep_status("tiny").in_state("done")
    assert len(starts(store, other.run_id)) == 1


@pytest.mark.slow  # a pipe behind the command ends with it, not with the last worker
def test_workers_and_shipper_hold_none_of_the_streams_of_whoever_submits(make_sweep, home):
    sweep = make_sweep(num_tokens=64 * 128 * 512)
    path = home / "sweep.jsonl"
    sweep.write(path)
    command = [sys.executable, "-m", "scaling", "submit", str(path), "--workers", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said = process.communicate(timeout=300)[0]  # its end, not only that of the process
    assert "1 runs submitted" in said
    assert not sweep_status("tiny").in_state("done")
    assert cancel("tiny").stopped


@pytest.mark.slow  # a terminal's Ctrl-C reaches all processes
@pytest.mark.parametrize("place", ["--wait --workers 1", "--on inline"])
def test_ctrl_c_stops_the_workers_says_how_to_go_on_and_ships(make_sweep, home, place):
    sweep = make_sweep(num_tokens=64 * 128 * 512)
    path = home / "sweep.jsonl"
    sweep.write(path)
    # Tests that run in the background inherit an ignored SIGINT; a user's shell does not.
    code = """
import signal, sys
from scaling.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(["submit", *sys.argv[1:]]))
"""
    command = [sys.executable, "-c", code, str(path), *place.split()]
    waiting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: (home / "sweeps/tiny/sweep.jsonl").exists())
    wait_until(lambda: sweep_status("tiny").counts.get("running") == 1)
    os.killpg(waiting.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, err = waiting.communicate()
    assert waiting.returncode == 130
    assert "what ran is checkpointed. `scaling retry tiny`" in err
    run_dir = Store.at(home).run_dir(sweep.entries[0].run_id)
    state, log = read_json(run_dir / "state.json"), (run_dir / LOG).read_text()
    assert state["state"] == "stopped", (state, log, err)
    assert sweep_status("tiny").counts == {"stopped": 1}

    def shipped():
        (position,) = [*run_dir.glob("shipped-*.json"), None][:1]
        return position and read_json(position)["size"] == (run_dir / JOURNAL).stat().st_size

    wait_until(shipped, 60)
