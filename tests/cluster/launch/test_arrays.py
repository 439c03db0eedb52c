"""What a job's batch script does before its work and after it."""

from __future__ import annotations

import subprocess

import pytest

from cluster.launch import arrays
from cluster.launch.arrays import _executor, go_on, guarded
from cluster.slurm import GO_ON, NO_SETUP, Job
from cluster.work.causes import fault_of_job
from sweeps.resources import Resources

BUSY = "Job is pending execution"
AWAY = "Unable to contact slurm controller (connect failure)"
BACK = "Unexpected message received for job 17"  # one that has only just come back


@pytest.mark.parametrize(
    ("status", "stopped", "refusals", "words", "calls"),
    [
        (137, False, 0, "", 1),
        (GO_ON, False, 0, "", 1),  # near its limit, pre-empted
        (GO_ON, True, 0, "", 0),
        (GO_ON, False, 2, BUSY, 3),
        (137, False, 99, BUSY, 4),  # until the margin is over
        (137, False, 9, AWAY, 10),  # as long as the job lives
        (GO_ON, False, 9, BACK, 10),
        (137, True, 0, "", 0),
        (0, False, 0, "", 0),
        (1, False, 0, "", 0),
        (255, False, 0, "", 0),
    ],
)
def test_only_who_asks_or_was_killed_goes_back_into_the_queue_and_it_asks_again(
    command, tmp_path, monkeypatch, status, stopped, refusals, words, calls
):
    monkeypatch.setattr(arrays, "REQUEUE_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    log, stop = tmp_path / "calls", tmp_path / "the stop file"
    said = f"echo '{words}' >&2; [ $(wc -l < {log}) -gt {refusals} ]"
    command("scontrol", f'echo "$@" >> {log}; {said}')
    if stopped:
        stop.touch()
    script = "\n".join([f"(exit {status})", *go_on(stop, 0.04)])
    done = subprocess.run(["bash", "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == status
    assert set(done.stderr.splitlines()) <= {f"scontrol requeue 17: {words}"}
    asked = log.read_text().splitlines() if log.exists() else []
    assert asked == ["requeue 17"] * calls


@pytest.mark.parametrize(
    ("lines", "code", "reached"),
    [
        (["export A=1", "# nothing", "test $A = 1"], 0, True),
        (["module() { return 1; }", "module load cuda", "touch reached"], NO_SETUP, False),
        (["if true; then\n  false\nfi", "touch never"], NO_SETUP, False),
        (["cat <<END\nfine\nEND"], 0, True),
        (["exit 9"], 9, False),
    ],
)
def test_the_first_line_of_setup_that_fails_ends_the_job(tmp_path, lines, code, reached):
    script = "\n".join([*guarded(lines), "touch reached"])
    options = {"cwd": tmp_path, "check": False, "capture_output": True, "text": True}
    done = subprocess.run(["bash", "-c", script], **options)
    assert (done.returncode, (tmp_path / "reached").exists()) == (code, reached)
    assert not (tmp_path / "never").exists()
    if code == NO_SETUP:
        failed = next(line for line in lines if "load" in line or "if" in line)
        assert f"setup failed: {failed}" in done.stderr
        job = Job("17", "FAILED", exit_code=f"{NO_SETUP}:0", nodes="n1")
        assert str(job) == "job 17 failed: a line of setup failed on n1"
        assert fault_of_job(job, tmp_path / "no log").cause == "import"


@pytest.mark.parametrize("line", ["if true; then", "source 'x", "}"])
def test_setup_lines_that_are_no_whole_command_are_refused(line):
    with pytest.raises(ValueError, match="is no whole shell command"):
        arrays._check_setup(["true", line])
    arrays._check_setup(["module load cuda # now", "if true; then\n  false\nfi"])


def test_a_users_dependency_joins_the_canarys(command, tmp_path):
    command("srun", "exit 1")
    resources = Resources.from_dict({"sbatch": {"dependency": "afterok:7"}})
    canary = {"dependency": "afterok:1:2"}
    for options, expected in ((canary, "afterok:1:2,afterok:7"), ({}, "afterok:7")):
        executor = _executor(tmp_path, "s", resources, None, **options)
        script = executor._make_submission_file_text("true", "")
        said = [line for line in script.splitlines() if "--dependency" in line]
        assert said == [f"#SBATCH --dependency={expected}"]
