"""Submissions to a site that refuses; what a real SLURM does is in ``tests/slurm``."""

from __future__ import annotations

import pytest

from cluster.launch import slurm
from cluster.launch.arrays import JobClass
from cluster.launch.place import Order
from cluster.slurm.site import Site
from cluster.work.submission import Queue
from cluster.work.tasks import Task
from scaling.base import Store
from scaling.base.errors import WorkError
from scaling.cli import main
from sweeps import ResourceRules, Resources, Sweep
from tests.cluster.slurm.test_site import SINFO

NO_SERVER = "http://127.0.0.1:9"
LIMIT = "AssocMaxSubmitJobLimit: Job violates accounting/QOS policy"


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
    place = slurm.Slurm(order, Site((), 1), (kind,))
    refusals = 3
    assert place._send_again(queue, kind, home) == queue
    assert (len(asked), len(pauses)) == (3, 2)
    assert "no node yet; trying again" in capsys.readouterr().err
    asked.clear()
    refusals = 1000
    with pytest.raises(WorkError, match="no node yet"):
        place._send_again(queue, kind, home)
    assert len(asked) == slurm.ATTEMPTS
