"""What a first run takes of memory: a program's processes together, at its first report."""

from __future__ import annotations

import io
import json
import os

import pytest

from cluster.work import memory
from cluster.work.memory import Meter, tree_mb
from tests.scaling.programs.scripts import program

HUNGRY = """
    import subprocess, sys, time
    held = b"x" * 100_000_000
    code = "held = b'x' * 100_000_000; print(1, flush=True); import time; time.sleep(600)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    other.stdout.readline()
    from scaling import report
    report(step=50, loss=1)
    time.sleep(REST)
    report(step=100, loss=1)
    other.kill()
"""


def told(report):
    said = map(json.loads, report.getvalue().splitlines())
    return [line["memory"] for line in said if "memory" in line]


def test_a_program_is_measured_with_all_that_it_started_at_its_first_report(tmp_path, command):
    command("nvidia-smi", "echo 9000, 80000")
    meter, before = Meter(io.StringIO()), tree_mb()
    outcome = meter.train(
        program(HUNGRY.replace("REST", "1")), tmp_path, should_stop=lambda: meter.poll()
    )
    assert outcome.status == "done"
    (memory,) = told(meter.report)
    assert 200 < memory["rss"] - before < 400
    assert (memory["gpu"], memory["gpu_total"]) == (9000, 80000)
    meter.train(program("pass"), tmp_path / "b", should_stop=lambda: meter.poll())
    assert len(told(meter.report)) == 1


def test_one_that_does_not_report_is_measured_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM_SECONDS", 0.5)
    monkeypatch.setenv("PATH", "/nowhere")
    meter = Meter(io.StringIO())
    script = "import time; held = b'x' * 50_000_000; time.sleep(1.5)"
    meter.train(program(script), tmp_path, should_stop=lambda: meter.poll())
    (found,) = told(meter.report)
    assert found.keys() == {"rss"}


def test_a_tree_is_all_processes_below_one():
    assert tree_mb() > 10
    assert tree_mb(2**30) == 0
    assert tree_mb(os.getppid()) >= 0.9 * tree_mb()


@pytest.mark.parametrize("said", ["", "No devices were found", "[N/A], [N/A]"])
def test_without_a_gpu_nothing_is_said_of_one(command, said):
    command("nvidia-smi", f"echo '{said}'")
    assert memory._gpu_by_driver() == {}
