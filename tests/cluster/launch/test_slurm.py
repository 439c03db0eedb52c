"""Submissions to a site that refuses; what a real SLURM does is in ``tests/slurm``."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from cluster.launch import feeder, slurm
from cluster.launch.arrays import JobClass, send
from cluster.launch.place import Order
from cluster.slurm import Answer
from cluster.slurm.site import Site
from cluster.work.submission import Queue
from cluster.work.tasks import Task
from scaling.base import Store, write_atomic
from scaling.base.errors import WorkError
from scaling.cli import main
from sweeps import ResourceRules, Resources, Sweep
from tests.cluster.slurm.test_site import SINFO

NO_SERVER = "http://127.0.0.1:9"
LIMIT = "AssocMaxWallDurationPerJobLimit: Job violates accounting/QOS policy"


@pytest.fixture
def site(command):
    """A site whose ``sbatch`` answers tests and takes no job."""
    command("sinfo", f"cat <<'END'\n{SINFO}END")
    command("scontrol", "echo 'MaxArraySize = 1001'")
    command("squeue", "exit 0")
    command("sacct", "exit 0")
    command("srun", "exit 1")
    command("sbatch", f'[ "$1" = --test-only ] || {{ echo "sbatch: error: {LIMIT}" >&2; exit 1; }}')


def test_jobs_that_slurm_refuses_are_a_line_in_its_words(site, home, make_sweep, tmp_path, capsys):
    path = tmp_path / "s.jsonl"
    make_sweep("s").write(path)
    words = ["submit", str(path), "--on", "slurm", "--tracking-uri", NO_SERVER]
    assert main(words) == 1
    assert f"SLURM refuses the jobs: sbatch: error: {LIMIT}" in capsys.readouterr().err


def test_jobs_are_sent_again_with_patience_and_not_for_ever(home, monkeypatch, capsys):
    store, asked, pauses = Store.at(home), [], []
    queue = Queue.new(store.sweep_dir("s"), [("a",)], {"a": 0})
    queue.write()

    def send(order, site, kind, queue, code):
        asked.append(queue)
        if len(asked) < refusals:
            raise WorkError("SLURM refuses the jobs: no node yet")
        return queue

    monkeypatch.setattr(slurm, "send", send)
    monkeypatch.setattr(slurm.time, "sleep", pauses.append)
    kind = JobClass(Resources(), (Task("a", ("a",), 1.0),))
    rules = ResourceRules.parse({})
    order = Order(store, Sweep("s", ()), kind.tasks, {"a": 0}, NO_SERVER, 1, rules, rules.of(0))
    place = slurm.Slurm(order, {"": Site((), 1)}, (kind,))
    refusals = 3
    assert place._send_again(queue, kind, home) == queue
    assert (len(asked), len(pauses)) == (3, 2)
    assert "no node yet; trying again" in capsys.readouterr().err
    asked.clear()
    refusals = 1000
    with pytest.raises(WorkError, match="no node yet"):
        place._send_again(queue, kind, home)
    assert len(asked) == slurm.ATTEMPTS


FEW = """
n=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1"); n=$((${n:-0} + 1))
if [ $n -gt $(cat FOLDER/room) ]; then
  echo 'sbatch: error: AssocMaxSubmitJobLimit' >&2; exit 1
fi
echo $(($(cat FOLDER/room) - n)) > FOLDER/room
echo $n >> FOLDER/taken
echo "Submitted batch job $((100 + $(wc -l < FOLDER/taken)))"
"""


@pytest.fixture
def few(home, command, tmp_path):
    """``few(alone, places)``: an order of seven runs at a site that lets so many jobs wait."""
    command("srun", "exit 1")
    command("squeue", "exit 0")
    command("sbatch", FEW.replace("FOLDER", str(tmp_path)))
    store, names = Store.at(home), [f"r{i}" for i in range(7)]

    def make(alone, places):
        (tmp_path / "room").write_text(str(places))
        resources = Resources(alone=alone, workers=0 if alone else 5)
        queue = Queue.new(store.sweep_dir("s"), [(r,) for r in names], dict.fromkeys(names, 0))
        queue = replace(queue, resources=resources.to_dict())
        queue.write()
        kind = JobClass(resources, tuple(Task(r, (r,), 1.0) for r in names))
        rules = ResourceRules.parse({})
        order = Order(store, Sweep("s", ()), kind.tasks, {}, NO_SERVER, 1, rules, rules.of(0))
        return order, slurm.Site((), 1000), kind, queue

    return make


def taken(tmp_path):
    return [int(n) for n in (tmp_path / "taken").read_text().split()]


def test_jobs_are_sent_as_places_come_free(few, tmp_path):
    order, site, kind, queue = few(True, 4)
    queue = send(order, site, kind, queue, tmp_path)
    assert taken(tmp_path) == [3, 1]
    assert queue.waiting == (4, 5, 6)
    assert set(queue.own_jobs) == {"r0", "r1", "r2", "r3"}
    queue, _ = feeder.give(order, site, queue, tmp_path, 4)  # no place yet
    assert queue.waiting == (4, 5, 6)
    (tmp_path / "room").write_text("2")
    run_dir = order.store.run_dir("r5")  # meanwhile somebody else did it
    write_atomic(
        run_dir / "metrics.jsonl", '{"event": "start"}\n{"event": "end", "status": "done"}\n'
    )
    queue, live = feeder.give(order, site, queue, tmp_path, 4)
    assert live == 2
    assert taken(tmp_path) == [3, 1, 2]
    assert queue == Queue.read(queue.path)
    assert queue.waiting == ()
    assert set(queue.own_jobs) == {"r0", "r1", "r2", "r3", "r4", "r6"}


def test_a_packed_sweep_works_with_the_jobs_that_it_gets_and_a_cancelled_one_asks_for_no_more(
    few, tmp_path
):
    order, site, kind, queue = few(False, 2)
    queue = send(order, site, kind, queue, tmp_path)
    assert (taken(tmp_path), queue.waiting) == ([2], (None, None, None))
    queue.stop()
    assert feeder.give(order, site, queue, tmp_path, 4)[0].waiting == ()
    assert taken(tmp_path) == [2]


def test_a_process_feeds_without_a_terminal_and_is_what_makes_the_sweep_live(
    few, tmp_path, monkeypatch
):
    monkeypatch.setattr(feeder, "FEED_SECONDS", 0.0)
    monkeypatch.setattr(feeder, "snapshot", lambda *_: tmp_path)
    order, site, kind, queue = few(True, 4)
    queue = send(order, site, kind, queue, tmp_path)
    (order.store.sweep_dir("s") / "logs").mkdir(parents=True, exist_ok=True)
    (queue,) = feeder.feed(order, {"": site}, [queue])
    (process,) = queue.processes
    assert queue.waits("r6")
    assert queue.may_take("r6", Answer())
    assert not queue.waits("r0")
    (tmp_path / "room").write_text("9")
    while process.is_alive:
        time.sleep(0.05)
    queue = Queue.read(queue.path)
    assert queue.waiting == ()
    assert len(queue.own_jobs) == 7


def test_a_dry_run_shows_classes_jobs_gpu_hours_scripts_and_what_is_overridden(
    site, home, make_sweep, tmp_path, capsys
):
    path, resources = tmp_path / "s.jsonl", {"minutes": 60, "gpus": 1, "sbatch": {"nice": 7}}
    made = make_sweep("s", seed=[0, 1, 2])
    Sweep("s", made.entries, {**resources, "alone": True, "partition": "gpu"}).write(path)
    before = sorted(home.rglob("*"))
    words = ["submit", str(path), "--on", "slurm", "--dry-run", "--set", "minutes=90"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "3 runs in 3 jobs of 90 minutes, 3 at a time; at most 4.5 GPU-hours" in out
    assert "  minutes: 90.0 in place of 60.0\n" in out
    assert "  device: 'cuda' in place of 'auto'\n" in out
    for line in ("--time=90", "--nice=7", "--array=0-2%3", "--gpus-per-node=1", "--partition=gpu"):
        assert f"#SBATCH {line}\n" in out
    assert f"[ ! -e {home}/sweeps/s/submissions/SUBMISSION.stop ]" in out
    assert main([*words, "--json"]) == 0
    (kind,) = json.loads(capsys.readouterr().out)["jobs"]
    assert (kind["jobs"], kind["gpu_hours"]) == (3, 4.5)
    assert sorted(home.rglob("*")) == before


def test_what_a_site_does_not_have_falls_back(site, home, make_sweep, tmp_path, capsys):
    resources = {"gpus": "v100:1", "fallback": [{"gpus": "b200:1"}, {"gpus": "a100:2"}]}
    Sweep("s", make_sweep("s").entries, resources).write(tmp_path / "s.jsonl")
    assert main(["submit", str(tmp_path / "s.jsonl"), "--on", "slurm", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "#SBATCH --gpus-per-node=a100:2\n" in said.out
    assert "the GPUs of partition 'gpu' are a100, h100: ask for one" in said.err
    assert "falling back to what fits" in said.err
    resources["fallback"].pop()
    Sweep("s", make_sweep("s").entries, resources).write(tmp_path / "s.jsonl")
    assert main(["submit", str(tmp_path / "s.jsonl"), "--on", "slurm", "--dry-run"]) == 2
    assert "gpus v100:1: the GPUs of partition 'gpu'" in capsys.readouterr().err
