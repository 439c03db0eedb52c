"""A shell beside a run: what it is asked on SLURM, and what it sees on this machine."""

from __future__ import annotations

import os
import sys

import pytest

from cluster.launch import beside
from cluster.slurm import Answer, Job
from cluster.status import sweep as statuses
from scaling.base import Store
from scaling.cli import main
from tests.cluster.status import conftest
from tests.cluster.status.states import START, running

place = conftest.place


@pytest.fixture
def runs(place):
    place.sweep("abc1", "abd2")
    place("abc1", [START], **running())


def test_a_command_beside_a_run_of_this_machine(runs, home, tmp_path):
    code = (
        "import os; print(os.getcwd(), os.environ['SCALING_RUN_ID'], os.environ['SCALING_RUN_PID'])"
    )
    seen = tmp_path / "seen"
    assert main(["attach", "abc", "--", "sh", "-c", f'{sys.executable} -c "{code}" > {seen}']) == 0
    folder = Store.at(home).run_dir("abc1")
    assert seen.read_text().split() == [str(folder), "abc1", str(os.getpid())]
    assert main(["attach", "run abc1", "--", "sh", "-c", "exit 7"]) == 7


def test_in_a_job_srun_is_asked_to_share_it(place, home, monkeypatch):
    place.sweep("abc1")
    place("abc1", [START], **running(job="12_3", host="n7"))
    place.queue([("abc1",)], slurm_jobs=("12",))
    answer = Answer({"12_3": Job("12_3", "RUNNING")})
    monkeypatch.setattr(statuses, "ask_about", lambda queues: answer)
    monkeypatch.setenv("SHELL", "/bin/zsh")
    found = beside(Store.at(home), "abc1")
    srun = "srun --overlap --jobid=12_3 --nodelist=n7 --ntasks=1"
    assert " ".join(found.command) == f"{srun} --chdir={found.folder} --pty /bin/zsh"
    assert beside(Store.at(home), "abc1", ["nvidia-smi"]).command[-2:] == (
        f"--chdir={found.folder}",
        "nvidia-smi",
    )


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("ab", "2 runs under .* match 'ab' \\(abc1, abd2\\)"),
        ("zz", "0 runs under .* match 'zz'"),
        ("abd2", "run abd2 was never begun"),
    ],
)
def test_one_run_that_was_begun_has_to_be_meant(run, words, runs, home):
    with pytest.raises(ValueError, match=words):
        beside(Store.at(home), run)


def test_a_run_of_another_machine_is_there(place, home):
    place.sweep("abc1")
    place("abc1", [START], **running(host="far"))
    with pytest.raises(ValueError, match="trains on far, not here"):
        beside(Store.at(home), "abc1")
