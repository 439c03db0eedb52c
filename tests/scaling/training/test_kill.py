"""kill -9 at random moments, run again: the same bits."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from scaling.run.journal import end, points, read_journal
from scaling.spec import RunSpec
from scaling.training.loop import train
from tests.scaling.processes import in_child
from tests.scaling.training.test_loop import bits

KILLS = 12
TICKS = os.sysconf("SC_CLK_TCK")


def wait_until_it_has_had(pid, seconds):
    """So much of the processor, or has ended: a busy machine only takes longer for it."""
    while True:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[0] == "Z" or (int(fields[11]) + int(fields[12])) / TICKS >= seconds:
            return
        time.sleep(0.002)


def test_kill_at_random_moments_changes_no_bit(tiny, tmp_path):
    # Dropout makes the generator's state part of what must be restored.
    spec = RunSpec.resolve(**{**tiny, "num_tokens": 128 * 750, "dropout": 0.1})
    train(spec, tmp_path / "whole")
    chance = random.Random(0)
    kills = 0

    def attempt():
        train(spec, tmp_path / "killed", trunk_dir=tmp_path / "trunk", checkpoint_seconds=0.02)

    while kills < KILLS:
        pid = in_child(attempt)
        wait_until_it_has_had(pid, chance.expovariate(1 / 0.16))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            kills += 1
        else:
            assert os.WEXITSTATUS(status) == 0
            break
    finished_early = end(read_journal(tmp_path / "killed")) is not None
    assert kills >= 10, f"the run ended after {kills} kills: lengthen it"
    if not finished_early:
        _, status = os.waitpid(in_child(attempt), 0)
        assert status == 0
    assert bits(tmp_path / "killed") == bits(tmp_path / "whole")
    events = read_journal(tmp_path / "killed")
    written = [e["step"] for e in events if e["event"] == "point"]
    assert len(written) == len(set(written)) == len(points(events))
    assert sum(e["event"] == "start" for e in events) >= 4
