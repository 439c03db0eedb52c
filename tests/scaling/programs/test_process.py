"""A program's guard: nothing of a program outlives the worker that started it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from scaling.programs import guard
from scaling.programs.process import Process
from tests.scaling.processes import exit_status, in_child

# It starts a child in a session of its own, as torchrun does, and one that ignores SIGTERM.
FAMILY = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(600)"]
pids = [subprocess.Popen(sleep, start_new_session=n).pid for n in (True, False)]
with open("pids.new", "w") as file:
    file.write(" ".join(map(str, [os.getpid(), *pids])))
os.rename("pids.new", "pids")
time.sleep(600)
"""


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(ready, what):
    for _ in range(600):
        if ready():
            return
        time.sleep(0.05)
    raise TimeoutError(what)


def start(folder, script=FAMILY):
    return Process([sys.executable, "-c", script], dict(os.environ), folder, folder / "log")


def family(folder):
    until((folder / "pids").exists, "the program's children")
    return [int(pid) for pid in (folder / "pids").read_text().split()]


@pytest.mark.parametrize("how", ["the worker dies", "the guard dies", "killed", "it is closed"])
def test_all_that_a_program_started_goes_with_it(tmp_path, how):
    if how == "the worker dies":

        def work():
            start(tmp_path)
            time.sleep(600)

        worker = in_child(work)
        pids = family(tmp_path)
        os.kill(worker, signal.SIGKILL)
        assert exit_status(worker) == -signal.SIGKILL
    else:
        process = start(tmp_path)
        pids = family(tmp_path)
        if how == "the guard dies":  # then only the program itself can be reached
            process._guard.kill()
            process.close()
            until(lambda: not lives(pids[0]), "the program's end")
            for pid in pids[1:]:
                os.kill(pid, signal.SIGKILL)
            return
        if how == "killed":
            process.kill()
            assert process.wait(30) == -signal.SIGKILL
        process.close()
    until(lambda: not any(lives(pid) for pid in pids), f"the end of {pids}")


def test_a_worker_that_is_frozen_loses_its_program_before_its_lease(tmp_path, monkeypatch):
    source = Path(guard.__file__).read_text()
    quick = tmp_path / "quick.py"
    quick.write_text(source.replace("SILENCE_SECONDS = 75.0", "SILENCE_SECONDS = 0.5"))
    monkeypatch.setattr(guard, "__file__", str(quick))
    process = start(tmp_path)
    pids = family(tmp_path)
    for _ in range(10):  # each look is a sign of life
        assert process.wait(0.1) is None
    until(lambda: not any(lives(pid) for pid in pids), "the end")
    assert process.wait(30) == -signal.SIGKILL and process.abandoned
    process.close()


def test_signals_reach_a_program_whose_worker_ignores_them(tmp_path):
    """As the workers that submitit starts do, with Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(tmp_path, "import time; open('pids', 'w'); time.sleep(600)")
    finally:
        signal.signal(signal.SIGINT, before)
    until((tmp_path / "pids").exists, "the program")
    process.signal("SIGINT")
    assert process.wait(30) in (1, -signal.SIGINT)
    process.close()
    assert "KeyboardInterrupt" in (tmp_path / "log").read_text()
