"""What a sweep's policy becomes in a batch script: dependencies, nice, mail, the clean-up."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest

from cluster.launch import arrays
from cluster.launch.arrays import JobClass, class_executor
from cluster.launch.place import Order
from cluster.slurm import Answer, Job, Site
from cluster.work import turns
from cluster.work.process import ProcessId
from cluster.work.submission import Queue
from scaling.base import Store
from sweeps.policy import Policy
from sweeps.resources import ResourceRules, Resources
from sweeps.sweep import Sweep
from tests.cluster.work.test_turns import queue_of


def script(home, folder, resources, policy, canary=()):
    rules = ResourceRules()
    order = Order(Store.at(home), Sweep("s", ()), (), {}, "", 1, rules, rules.of(0))
    path = Store.at(home).sweep_dir("s") / "submissions" / "q.json"
    queue = Queue(path, (), {}, canary=canary, policy=policy.to_dict())
    kind = JobClass(resources, ())
    executor = class_executor(order, Site((), 1000), kind, queue, folder, 1, folder=folder)
    return executor._make_submission_file_text("true", "")


@pytest.fixture(autouse=True)
def srun(command):
    command("srun", "true")


def test_dependencies_join_and_the_users_options_win(home, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "jobs_before", lambda store, after: ["7", "8"] if after else [])
    policy = Policy(after=("a",), priority=-3, mail="ann@lab.org")
    own = Resources(minutes=5, sbatch={"dependency": "singleton", "mail-type": "ALL"})
    text = script(home, tmp_path, own, policy, canary=("9",))
    assert "#SBATCH --dependency=afterok:9,afterany:7:8,singleton\n" in text
    assert "#SBATCH --nice=3\n" in text
    assert "#SBATCH --mail-user=ann@lab.org\n" in text and "#SBATCH --mail-type=ALL\n" in text
    plain = script(home, tmp_path, Resources(minutes=5), Policy(priority=4))
    assert not any(word in plain for word in ("dependency", "nice", "mail", "clean_up"))


def test_a_job_cleans_up_what_it_staged_whatever_became_of_it(home, tmp_path):
    text = script(home, tmp_path, Resources(minutes=5, stage="local"), Policy())
    lines = text.splitlines()
    line = f"{sys.executable} -c 'from cluster.work import clean_up; clean_up()' || :"
    assert lines.index("status=$?") < lines.index(line)


def test_the_jobs_that_go_before_are_those_that_still_are(home, monkeypatch):
    store = Store.at(home)
    queue = queue_of(store, "first")
    said = Answer({"5_0": Job("5_0", "RUNNING"), "6": Job("6", "COMPLETED")})
    monkeypatch.setattr(turns, "ask_about", lambda queues: said)
    replace(queue, slurm_jobs=("5",)).write()
    assert turns.jobs_before(store, ["first"]) == ["5"]
    replace(queue, slurm_jobs=("6",)).write()
    assert turns.jobs_before(store, ["first"]) == []


def test_slurm_cannot_wait_for_local_workers(home):
    queue = queue_of(Store.at(home), "first")
    replace(queue, processes=(ProcessId.of(os.getpid()),)).write()
    with pytest.raises(ValueError, match="'first' has workers outside of SLURM or jobs that are"):
        turns.jobs_before(Store.at(home), ["first"])
