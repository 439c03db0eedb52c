"""Workers that run programs: kills at random moments, deaths in a row, stalls and retries."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from cluster import submit, sweep_status
from cluster.work.submission import Queue, count_ends
from cluster.work.worker import run_queue
from scaling.base import Store, read_json
from scaling.cli import main
from scaling.run import LOG, STATE, end, points, read_journal, state_of
from sweeps.resources import Resources
from sweeps.sweep import Sweep
from tests.scaling.processes import exit_status, in_child
from tests.scaling.programs.scripts import plain, program, steps_in

KILLS = 5
SECONDS = 4  # of training, on whatever machine: more than passes between the kills


def queue_of(store, sweep, ends=None):
    sweep.write(store.sweep_dir(sweep.name) / "sweep.jsonl")
    return Queue.new(store.sweep_dir(sweep.name), [(e.run_id,) for e in sweep], ends or {})


def children(pid):
    """The processes that a process has started, and those that they have."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            parents.setdefault(int(parent), []).append(int(path.parent.name))
    below = [pid]
    for one in below:
        below += parents.get(one, [])
    return below[1:]


def test_a_plain_script_killed_five_times_at_random_ends_as_if_it_had_not_been(home):
    """kill -9 of the worker or of its program: nothing is left that runs, and the next goes on."""
    store, chance = Store.at(home), random.Random(0)
    spec = plain(store, steps=steps_in(SECONDS, home))
    whole, killed = Store(home / "whole"), Store(home / "killed")
    for other in (whole, killed):
        (other.root / "programs").parent.mkdir()
        (other.root / "programs").symlink_to(store.root / "programs")
    sweep = Sweep.of("s", [spec])

    def attempt(place):
        ends = {spec.run_id: count_ends(read_journal(place.run_dir(spec.run_id)))}
        run_queue(place, "s", queue_of(place, sweep, ends), Resources(), lambda: False)

    attempt(whole)
    run_dir = killed.run_dir(spec.run_id)
    kills = 0
    while kills < KILLS:
        worker, until = in_child(lambda: attempt(killed)), time.monotonic() + 60
        while kills % 2 and not children(worker):  # each other one dies with a program
            assert time.monotonic() < until, "no program was begun"
            time.sleep(0.01)
        time.sleep(min(chance.expovariate(1 / 0.4), 0.8))
        started = children(worker)
        victim = worker if kills % 2 or len(started) < 2 else started[-1]  # the program itself
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            victim = worker
        status = exit_status(worker)
        assert status == (-signal.SIGKILL if victim == worker else 0)
        until = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() and pid in children(1) for pid in started):
            assert time.monotonic() < until, f"{started} outlived {worker}"
            time.sleep(0.01)
        kills += 1
        assert (end(read_journal(run_dir)) or {}).get("status") != "done", "lengthen the run"
    attempt(killed)
    ended, expected = (end(read_journal(p.run_dir(spec.run_id))) for p in (killed, whole))
    assert ended["loss"] == expected["loss"] and ended["tokens"] == spec.num_tokens
    # An attempt that ends between a checkpoint and its line of the log leaves out a point.
    curve = {p["step"]: p["loss"] for p in points(read_journal(whole.run_dir(spec.run_id)))}
    assert {p["step"]: p["loss"] for p in points(read_journal(run_dir))}.items() <= curve.items()
    assert ended["flops_spent"] >= expected["flops_spent"] > 0
    assert state_of(run_dir)["attempt"] >= 3


@pytest.mark.slow  # the program of a real worker dies with it, and another goes on
@pytest.mark.usefixtures("store_ready", "idle_shippers")
def test_on_local_workers_one_that_is_killed_is_taken_up_by_the_next(home):
    script = """
        import os, time
        from scaling import report
        if not os.environ.get("SCALING_RESUME"):
            report(step=50, loss=3)
            time.sleep(600)
        report(step=100, loss=2)
    """
    store = Store.at(home)
    sweep = Sweep.of("s", [program(script)])
    run_dir = store.run_dir(sweep.entries[0].run_id)
    first = submit(sweep, workers=1)
    until = time.monotonic() + 120
    while not (read_json(run_dir / STATE) or {}).get("step"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert sweep_status("s").counts == {"running": 1}
    worker = read_json(run_dir / STATE)["pid"]
    started = children(worker)
    os.kill(worker, signal.SIGKILL)
    submit(sweep, workers=1, wait=True)
    while not all(job.done() for job in first.workers):
        time.sleep(0.1)
    status = sweep_status("s")
    assert status.counts == {"done": 1} and status.runs[0].loss == 2
    assert len(started) == 2
    while any(Path(f"/proc/{pid}").exists() for pid in started):  # they end moments after it
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [e["attempt"] for e in read_journal(run_dir) if e["event"] == "start"] == [1, 2]
    assert "begin" in (run_dir / LOG).read_text()


def test_one_that_kills_its_workers_without_a_report_is_given_up(home):
    """Three workers die; the next says so. One that reports in between goes on."""
    store = Store.at(home)
    script = "import os, signal; os.kill(int(open(os.environ['WORKER']).read()), signal.SIGKILL)"
    place = home / "worker"
    spec = program(script, env={"WORKER": str(place)})
    sweep = Sweep.of("s", [spec])
    queue = queue_of(store, sweep)

    def work():
        place.write_text(str(os.getpid()))
        run_queue(store, "s", queue, Resources(), lambda: False)

    for _ in range(3):
        assert exit_status(in_child(work)) == -signal.SIGKILL
    assert exit_status(in_child(work)) == 0
    (run,) = sweep_status("s").in_state("failed")
    assert run.reason.startswith("3 workers died doing this run") and run.cause == "killed"


def test_a_stalled_one_says_so_and_is_retried_for_that_cause(home, capsys):
    store = Store.at(home)
    sweep = Sweep.of("s", [program("import time; time.sleep(600)")])
    run_queue(store, "s", queue_of(store, sweep), Resources(silent_minutes=0.005), lambda: False)
    (run,) = sweep_status("s").in_state("stalled")
    assert run.cause == "stalled" and run.reason.startswith("no report and no output for 0.005")
    assert sweep_status("s").failures[0].remedy == "scaling retry s --cause stalled"
    assert main(["retry", "s", "--cause", "stalled", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["submitted"] == [run.run_id]


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')", "oom"),
        ("import os; os.kill(os.getpid(), 9)", "killed"),
        ("import not_there", "import"),
        ("open('tokens.bin')", "data"),
    ],
)
def test_what_broke_it_is_told_by_its_last_words(home, script, cause):
    store = Store.at(home)
    sweep = Sweep.of("s", [program(script)])
    run_queue(store, "s", queue_of(store, sweep), Resources(), lambda: False)
    (run,) = sweep_status("s").in_state("failed")
    assert run.cause == cause
