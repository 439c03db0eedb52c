"""What SLURM's own lines mean; they were recorded from SLURM 22.05."""

from __future__ import annotations

from dataclasses import replace

from cluster.slurm.jobs import Answer, Job, ask, read_sacct, read_squeue

SQUEUE = """\
3|0|PENDING||0:00|N/A|BeginTime
3|1|PENDING||0:00|gres:gpu:a100:2|Priority
4|N/A|PENDING||0:00|N/A|JobHeldUser
2|2|RUNNING|node2|1-02:03:04|gres:gpu:1|None
2|3|RUNNING|node[2-3]|12:04|gres/gpu:4|None
2|4|NODE_FAIL|node3|0:04|gres:gpu:1|NodeDown
9|N/A|FROZEN|node3|0:04|N/A|None
"""

SACCT = """\
4|CANCELLED by 0|0|Partition_Limit||None assigned|0:0
2_0|FAILED|0|1|billing=1,cpu=1,gres/gpu=1,mem=100M,node=1|node1|3:0
2_0.batch|FAILED|0||cpu=1,gres/gpu=1,mem=100M,node=1|node1|3:0
2_1|FAILED|30|1|billing=1,cpu=1,gres/gpu=2,mem=100M,node=1|node1|9:0
2_1.batch|FAILED|30||cpu=1,gres/gpu=2,mem=100M,node=1|node1|9:0
2_1.0|OUT_OF_MEMORY|30||cpu=1,gres/gpu=2,mem=100M,node=1|node1|0:125
2_2|PREEMPTED|67|120|billing=1,cpu=1,gres/gpu=1,mem=100M,node=1|node2|0:0
2_2.batch|CANCELLED|67||cpu=1,gres/gpu=1,mem=100M,node=1|node2|0:15
2_2|COMPLETED|3600|120|billing=1,cpu=1,gres/gpu=1,mem=100M,node=1|node2|0:0
2_3|REQUEUED|60|2|billing=1,cpu=1,mem=100M,node=1|node2|0:0
2_3|PENDING|0|2||None assigned|0:0
2_5|REQUEUED|100|2|billing=1,cpu=1,mem=100M,node=1|node2|0:0
2_5|PENDING|0|2||None assigned|0:0
3_[0-2]|PENDING|0|1||None assigned|0:0
"""


def test_tasks_of_an_array_stand_alone_with_times_and_gpus():
    jobs = read_squeue(SQUEUE)
    assert jobs["3_0"] == Job("3_0", "PENDING", "BeginTime")
    assert jobs["3_1"].gpus == 2
    assert jobs["4"].reason == "JobHeldUser"
    assert jobs["2_2"] == Job("2_2", "RUNNING", "", "node2", 93784.0, 1)
    assert (jobs["2_3"].seconds, jobs["2_3"].gpus, jobs["2_3"].nodes) == (724.0, 4, "node[2-3]")
    assert jobs["2_4"].has_ended
    assert not jobs["9"].has_ended
    assert not jobs["9"].is_known


def test_accounting_sums_all_attempts_and_tells_how_the_one_before_ended():
    jobs, gpu_seconds = read_sacct(SACCT)
    assert set(jobs) == {"4", "2_0", "2_1", "2_2", "2_3", "2_5"}
    assert jobs["4"].state == "CANCELLED"
    assert (jobs["2_0"].state, jobs["2_0"].exit_code) == ("FAILED", "3:0")
    assert jobs["2_1"].state == "OUT_OF_MEMORY"  # only its step's line says so
    assert (jobs["2_2"].state, jobs["2_2"].before) == ("COMPLETED", "PREEMPTED")
    assert jobs["2_3"].before == "REQUEUED"
    assert jobs["2_5"].before == "TIMEOUT"  # it had 120 s
    assert gpu_seconds == 30 * 2 + 67 + 3600
    assert jobs["2_0"].memory_mb == 100.0


def test_tasks_that_were_cancelled_before_they_began_are_known_one_by_one():
    rows = ["20_[2-4,7%2]|CANCELLED by 0|0||||0:0", "21_[0-9]|PENDING|0||||0:0"]
    jobs, _ = read_sacct("\n".join(rows))
    assert {job_id: job.state for job_id, job in jobs.items()} == dict.fromkeys(
        ("20_2", "20_3", "20_4", "20_7"), "CANCELLED"
    )


def test_of_a_task_that_nobody_knows_its_siblings_say_nothing():
    said = Answer({"20_0": Job("20_0", "RUNNING")})
    assert said.may_run("20")
    assert not said.may_run("20_1")
    assert replace(said, silent=frozenset({""})).may_run("20_1")


def test_memory_is_that_of_a_node():
    jobs, _ = read_sacct("7|FAILED|9|1|billing=1,cpu=4,mem=3.50G,node=2|node[1-2]|1:0")
    assert jobs["7"].memory_mb == 1792.0


def printing(tmp_path, text):
    (tmp_path / f"{len(text)}.txt").write_text(text)
    return f"cat {tmp_path}/{len(text)}.txt"


def test_one_call_of_each_for_all_jobs_and_the_queue_is_the_fresher(command, tmp_path):
    log = tmp_path / "calls"
    command("squeue", f'echo "squeue $*" >> {log}; {printing(tmp_path, SQUEUE)}')
    accounting = SACCT + "2_4|RUNNING|4|1||node3|0:0\n"
    command("sacct", f'echo "sacct $*" >> {log}; {printing(tmp_path, accounting)}')
    said = ask(["2", "3", "4", "2_4"], since="2026-11-20")
    calls = log.read_text().splitlines()
    assert len(calls) == 2
    assert all("--jobs=2,3,4" in call for call in calls)
    assert any("--starttime=2026-11-20" in call for call in calls)
    assert said.problem == ""
    assert said.jobs["2_4"].state == "NODE_FAIL"
    assert (said.jobs["2_2"].state, said.jobs["2_2"].before) == ("RUNNING", "COMPLETED")
    assert said.jobs["2_0"].state == "FAILED"
    assert said.may_run("2")
    assert said.may_run("3")
    assert said.may_run("9")  # an unknown word may mean anything
    assert not said.may_run("77")


def test_jobs_that_the_queue_has_forgotten_are_over(command, tmp_path):
    command("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    command("sacct", printing(tmp_path, SACCT))
    said = ask(["2"])
    assert said.problem == ""
    assert not said.may_run("2")
    assert said.jobs["2_0"].state == "FAILED"


def test_without_slurm_nothing_is_known_and_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = ask(["2"])
    assert said.problem.startswith("SLURM does not answer (squeue: No such file or directory")
    assert "\n" not in said.problem
    assert said.may_run("2")
    assert said.gpu_seconds is None


def test_a_controller_that_hangs_is_given_up(command, tmp_path):
    command("squeue", "sleep 60 & wait")
    command("sacct", printing(tmp_path, SACCT))
    said = ask(["2"], patience=1.0)
    assert "squeue: nothing within 1 s" in said.problem
    assert said.jobs["2_0"].state == "FAILED"
    assert said.may_run("5")


def test_a_site_without_accounting_still_shows_its_queue(command, tmp_path):
    command("squeue", printing(tmp_path, SQUEUE))
    command("sacct", "echo Slurm accounting storage is disabled >&2; exit 1")
    said = ask(["2"])
    assert "sacct: Slurm accounting storage is disabled" in said.problem
    assert said.gpu_seconds is None
    assert said.jobs["2_2"].state == "RUNNING"


def test_a_users_own_defaults_for_the_commands_do_not_count(command, monkeypatch):
    monkeypatch.setenv("SQUEUE_PARTITION", "elsewhere")
    monkeypatch.setenv("SACCT_FORMAT", "jobid")
    for name in ("squeue", "sacct"):
        command(name, 'test -z "$SQUEUE_PARTITION$SACCT_FORMAT"')
    assert ask(["2"]).problem == ""


def test_nobody_is_asked_about_no_jobs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask([]) == Answer()
