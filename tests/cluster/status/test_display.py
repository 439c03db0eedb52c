"""What a person sees on a terminal of some width, and how the live view ends."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from cluster import submit
from cluster.status import display, watch
from cluster.status.run_status import RunStatus
from cluster.status.sweep import SweepStatus
from cluster.work import is_starting, starting
from cluster.work.causes import Fault
from cluster.work.process import ProcessId
from cluster.work.submission import Queue
from scaling.base import Store

LONG = "N=28.8k D=100k lr=1000 weight_decay=0.01 warmup_tokens=1280 seed=11"


def status():
    def run(i, state, reason=""):
        fault = Fault("non-finite" if state == "diverged" else "")
        loss = 2.3107 if state == "done" else None
        ids = f"{i:016x}"[::-1]
        return RunStatus(ids, LONG, state, reason, 1e9, 100, 100, loss, 9.0, 0, "12_3", fault)

    queued = run(3, "queued", "SLURM says QOSMaxJobsPerUserLimit, and that for a long time")
    return SweepStatus("s", (run(1, "done"), run(2, "diverged"), queued), is_live=True)


def shown(monkeypatch, width):
    out = Console(width=width, file=io.StringIO(), highlight=False)
    monkeypatch.setattr(display, "console", lambda: out)
    display.print_status(status())
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_names_and_reasons_give_way_and_numbers_do_not(monkeypatch, width):
    lines = shown(monkeypatch, width)
    assert all(len(line) <= width for line in lines[:-1])  # the last is a command to copy
    table = lines[1:5]
    assert [line.split()[0] for line in table] == ["state", "diverged", "queued", "done"]
    for word in ("progress", "loss", "left", "job"):
        assert word in table[0].split()
    assert "2.3107" in table[3]
    assert all("12_3" in line for line in table[1:])
    whole = 16 if width >= 100 else 8
    ids = [next(w for w in line.split() if w.endswith("0" * 7)) for line in table[1:]]
    assert {len(word) for word in ids} == {whole}


def test_a_wide_terminal_shows_everything(monkeypatch):
    text = "\n".join(shown(monkeypatch, 250))
    assert LONG in text
    assert "and that for a long time" in text
    assert "…" not in text


@pytest.mark.usefixtures("store_ready")
def test_ctrl_c_ends_the_view_and_not_the_sweep(make_sweep, home):
    """On a terminal of its own: the cursor comes back, and no traceback is seen."""
    submit(make_sweep(), on="inline")
    Queue.new(Store.at(home).sweep_dir("tiny"), [], {}).with_processes([ProcessId.of()]).write()
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from scaling.cli import main; sys.exit(main(['status', 'tiny', '--watch']))"
    )
    ours, its = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(its)
    seen, sent, until = b"", False, time.monotonic() + 120
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the other side has closed it
                break
        if not sent and seen.count(b"1 done of 1") > 1:
            watching.send_signal(signal.SIGINT)
            sent = True
    assert watching.wait(60) == 130
    os.close(ours)
    text = seen.decode()
    assert "the sweep goes on; `scaling cancel tiny` stops it" in text
    assert "Traceback" not in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # shown after it was hidden


def test_a_watch_waits_for_a_submission_that_starts(make_sweep, home, monkeypatch):
    store, name = Store.at(home), "tiny"
    folder = store.sweep_dir(name)
    make_sweep().write(folder / "sweep.jsonl")
    assert not is_starting(folder)
    asked = []

    def starts(asked_of):
        asked.append(is_starting(asked_of))
        if len(asked) == 3:
            submission.close()  # it has begun no workers after all
        return asked[-1]

    monkeypatch.setattr("cluster.status.watcher.is_starting", starts)
    monkeypatch.setattr("cluster.status.watcher.REFRESH_SECONDS", 0.01)
    with contextlib.ExitStack() as submission:
        submission.enter_context(starting(folder))
        with starting(folder):  # of two at once the first says it for both
            pass
        status = watch(store, name, threading.Event(), until_idle=True)
    assert asked == [True, True, True, False]
    assert status.counts == {"planned": 1}
