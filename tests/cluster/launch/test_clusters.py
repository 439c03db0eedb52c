"""A site with several clusters, by a client that writes down what it is asked.

What a real SLURM with two of them does is in ``tests/slurm/test_clusters.py``.
"""

from __future__ import annotations

import shlex

import pytest

from cluster import sweep_status
from cluster.launch.cancel import cancel
from cluster.slurm import ask, by_cluster, named, number, plain
from cluster.work import job_log, read_queues
from scaling.base import Store
from scaling.cli import main
from scaling.run import slurm_job
from sweeps import Resources, Sweep
from tests.cluster.slurm.test_site import SINFO

NO_SERVER = "http://127.0.0.1:9"
SAYS = """
echo "$(basename "$0") $*" >> FOLDER/asked
case "$*" in *--clusters=west*) at=west;; *--clusters=*) echo "No cluster" >&2; exit 1;; esac
"""
COMMANDS = {
    "sinfo": f"cat <<'END'\n{SINFO}END",
    "scontrol": 'echo "ClusterName = ${at:-east}"; echo "MaxArraySize = 1001"',
    "sacctmgr": "echo east; echo west",
    "sacct": "exit 0",
    "scancel": "touch FOLDER/gone",
    "srun": "exit 1",
    "squeue": "[ -e FOLDER/gone ] || cat FOLDER/queue.$at",
    "sbatch": """
env | grep ^SBATCH_ >> FOLDER/defaults
[ "$1" = --test-only ] && exit 0
at=${SLURM_CLUSTERS:-$(sed -n 's/^#SBATCH --clusters=//p' "$1")}
echo "77|0|RUNNING|node1|0:03|N/A|None" > FOLDER/queue.$at
echo "Submitted batch job 77${at:+ on cluster $at}"
""",
}


@pytest.fixture
def asked(home, command, tmp_path, monkeypatch):
    """Two clusters, east and west, that both give the number 77; what was asked of them so far."""
    for name, script in COMMANDS.items():
        command(name, (SAYS + script).replace("FOLDER", str(tmp_path)))
    (tmp_path / "queue.").touch()

    def said(name):
        lines = (tmp_path / "asked").read_text().splitlines()
        return [line for line in map(shlex.split, lines) if line[0] == name]

    return said


@pytest.fixture
def submit(asked, make_sweep, tmp_path):
    def send(resources, *words, name="s"):
        path, runs = tmp_path / "s.jsonl", make_sweep(name, width=[8, 16])
        Sweep(name, runs.entries, {"alone": True, **resources}).write(path)
        return main(["submit", str(path), "--on", "slurm", "--tracking-uri", NO_SERVER, *words])

    return send


@pytest.fixture
def no_shipper(monkeypatch):
    monkeypatch.setattr("cluster.launch.slurm.start_shipper", lambda *_: None)


def test_everything_that_is_asked_about_a_sweep_goes_to_its_cluster(
    asked, submit, no_shipper, home, tmp_path, monkeypatch
):
    assert submit({"cluster": "west"}) == 0
    (queue,) = read_queues(Store(home).sweep_dir("s"))
    assert queue.slurm_jobs == ("77@west",)
    logs = home / "sweeps" / "s" / "logs" / "west"
    script = (logs / "77_submission.sh").read_text()
    assert "#SBATCH --clusters=west\n" in script
    assert "export SCALING_SLURM_CLUSTER=west\n" in script and "unset SLURM_CLUSTERS\n" in script
    assert job_log(Store(home).sweep_dir("s"), "77_0@west") == logs / "77_0_0_log.err"

    status = sweep_status("s")
    assert status.is_live and status.problem == ""
    assert cancel("s").stopped
    for name in ("squeue", "sacct", "scancel"):
        assert asked(name) and all("--clusters=west" in line for line in asked(name))
    assert asked("scancel")[-1][-1] == "77"
    assert not sweep_status("s").is_live


def test_a_job_knows_its_cluster(monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert slurm_job() == "77_3"
    monkeypatch.setenv("SCALING_SLURM_CLUSTER", "west")
    assert slurm_job() == named("77_3", "west") == "77_3@west"
    assert plain(slurm_job()) == ("77_3", "west")
    assert number(slurm_job()) == "77@west"
    assert by_cluster(["1", "2@west", "3"]) == {"": ["1", "3"], "west": ["2"]}


def test_jobs_of_one_number_on_two_clusters_are_two_and_one_that_is_silent_keeps_its_own(
    asked, tmp_path
):
    (tmp_path / "queue.").write_text("77|0|RUNNING|n|0:03|N/A|None\n")
    (tmp_path / "queue.west").write_text("77|0|PENDING||0:00|N/A|Priority\n")
    said = ask(["77", "77@west", "5@gone"])
    assert {job: said.jobs[job].state for job in said.jobs} == {
        "77_0": "RUNNING",
        "77_0@west": "PENDING",
    }
    assert [job.job_id for job in said.tasks("77@west")] == ["77_0@west"]
    assert said.problem.startswith("cluster gone: SLURM does not answer")
    assert said.may_run("5@gone") and not said.may_run("5") and not said.may_run("5@west")


@pytest.mark.parametrize(
    ("resources", "words", "message"),
    [
        ({"cluster": "wset"}, (), "unknown cluster 'wset': did you mean 'west'? valid: east, west"),
        (
            {"cluster": "east,west"},
            (),
            "cluster 'east,west' is not the name of one: jobs go to one",
        ),
        ({"cluster": ["east", "west"]}, (), "give others as fallback: [{cluster: NAME}]"),
        ({"sbatch": {"clusters": "west"}}, (), "from the setting cluster: give that instead"),
        (
            {"rules": [{"from_params": 1e4, "cluster": "west"}]},
            ("--canary",),
            "canary: jobs would go to the clusters east, west",
        ),
    ],
)
def test_what_no_cluster_can_do_is_refused(submit, home, capsys, resources, words, message):
    before = sorted(home.rglob("*"))
    assert submit(resources, *words) == 2
    assert message in capsys.readouterr().err
    assert sorted(home.rglob("*")) == before


def test_a_fallback_may_be_on_another_cluster(submit, capsys):
    resources = {"cluster": "est", "fallback": [{"cluster": "west"}]}
    assert submit(resources, "--dry-run") == 0
    said = capsys.readouterr()
    assert "unknown cluster 'est'" in said.err and "falling back to what fits" in said.err
    assert "#SBATCH --clusters=west\n" in said.out


def test_a_sweep_after_one_on_another_cluster_is_refused(submit, no_shipper, capsys):
    assert submit({"cluster": "west"}) == 0
    assert submit({}, "--set", "after=s", name="then") == 2
    assert "are on 'west', and SLURM waits within one cluster only" in capsys.readouterr().err


def test_defaults_of_the_user_hold_where_the_sweep_leaves_a_choice(
    asked, submit, no_shipper, home, tmp_path, monkeypatch
):
    theirs = {"TIMELIMIT": "1", "ARRAY_INX": "0-9", "ACCOUNT": "mine", "PARTITION": "cpu"}
    for name, value in theirs.items():
        monkeypatch.setenv(f"SBATCH_{name}", value)
    monkeypatch.setenv("SLURM_CLUSTERS", "west")
    assert submit({"partition": "gpu", "minutes": 60}) == 0
    seen = (tmp_path / "defaults").read_text().splitlines()
    assert set(seen) == {"SBATCH_ACCOUNT=mine"}
    (queue,) = read_queues(Store(home).sweep_dir("s"))
    assert queue.slurm_jobs == ("77@west",)


def test_a_cluster_is_a_setting_of_a_worker():
    assert Resources.from_dict({"cluster": "west"}).cluster == "west"
    assert Resources.from_dict({}).to_dict() == {}
