"""What a job's batch script does when its work was killed."""

from __future__ import annotations

import subprocess

import pytest

from cluster.launch import arrays
from cluster.launch.arrays import go_on


@pytest.mark.parametrize(
    ("status", "stopped", "refusals", "calls"),
    [
        (137, False, 0, 1),
        (137, False, 2, 3),  # a controller that is away
        (137, False, 99, 4),  # until the margin is over
        (137, True, 0, 0),
        (0, False, 0, 0),
        (1, False, 0, 0),
        (255, False, 0, 0),
    ],
)
def test_only_who_was_killed_goes_back_into_the_queue_and_it_asks_again(
    command, tmp_path, monkeypatch, status, stopped, refusals, calls
):
    monkeypatch.setattr(arrays, "REQUEUE_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    log, stop = tmp_path / "calls", tmp_path / "the stop file"
    command("scontrol", f'echo "$@" >> {log}; [ $(wc -l < {log}) -gt {refusals} ]')
    if stopped:
        stop.touch()
    script = "\n".join([f"(exit {status})", *go_on(stop, 0.04)])
    done = subprocess.run(["bash", "-c", script], check=False, capture_output=True)
    assert done.returncode == status
    assert done.stderr == b""
    said = log.read_text().splitlines() if log.exists() else []
    assert said == ["requeue 17"] * calls
