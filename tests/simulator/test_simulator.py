"""Thousands of schedules of faults: none breaks a sweep; and what was mended is found put back."""

from __future__ import annotations

import itertools
import re
import zlib
from collections import Counter
from pathlib import Path

import pytest

from cluster.work import array_task
from cluster.work import lease as leases
from scaling.run import journal as journals
from scaling.run.journal import Journal
from scaling.tracking import Tracker
from scaling.tracking.values import born_of, known_before
from scaling.world import time

pytest.importorskip("greenlet")
from tests.simulator.simulation import Schedule, shrink, simulate

ROOT = Path(__file__).parents[2]
SIMULATED = [
    *sorted((ROOT / "cluster/work").glob("[!_]*.py")),
    ROOT / "cluster/slurm/command.py",
    ROOT / "cluster/slurm/jobs.py",
    ROOT / "cluster/status/run.py",
    ROOT / "cluster/tracking/shipper.py",
    ROOT / "scaling/base/files.py",
    *sorted((ROOT / "scaling/run").glob("[!_]*.py")),
]
SCHEDULES, PARTS = 2_000, 10
# Each version of this code has other schedules: the same code again would only break as it did.
FIRST = zlib.crc32(b"".join(path.read_bytes() for path in SIMULATED))
LEAST_FAULTS = 10.0  # that strike in a schedule, on average


def broken(schedules, what=""):
    """The first schedule that breaks something (of this kind), with its result; else None."""
    struck = Counter()
    for schedule in schedules:
        result = simulate(schedule)
        struck.update(result.struck)
        if any(re.search(what, violation) for violation in result.violations):
            return schedule, result, struck
    return None, None, struck


@pytest.mark.slow  # 25,000 faults: that no order of them loses or doubles anything
@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_of_faults_breaks_a_sweep(part):
    count = SCHEDULES // PARTS
    seeds = range(FIRST + part * count, FIRST + (part + 1) * count)
    schedule, result, struck = broken(Schedule.of(seed) for seed in seeds)
    if schedule is not None:
        small = shrink(schedule)
        pytest.fail(f"{result.violations[0]}\n{small}\nsimulate(Schedule.of({schedule.seed}))")
    assert sum(struck.values()) >= LEAST_FAULTS * count


def test_some_schedules_break_nothing():
    schedule, result, struck = broken(Schedule.of(seed) for seed in range(10_000, 10_020))
    assert schedule is None, f"{result.violations[0]}\n{schedule}"
    assert len(struck) > 10


def test_a_seed_is_the_same_schedule_again():
    first, second = simulate(7), simulate(7)
    assert first == second
    assert len(first.log) > 3


# --- faults that were mended, put back ----------------------------------------------------------


def by_the_nodes_clock(monkeypatch):
    """A lease's age by the clock of the node that looks."""
    monkeypatch.setattr(leases, "_clock_offset", lambda folder: time.time() - time.monotonic())


def written_where_nobody_reads(monkeypatch):
    """A worker goes on in a journal that was removed, and says that the run is done."""

    def check(self):
        if not self.held():
            raise journals.SupersededError("taken over")

    monkeypatch.setattr(Journal, "check", check)


def torn_line_is_the_end(monkeypatch):
    """What comes after a line that a crash cut off is not read."""
    read = journals._read

    def until_torn(run_dir, skip=()):
        try:
            lines = (run_dir / journals.JOURNAL).read_bytes().split(b"\n")
        except FileNotFoundError:
            return iter(())
        whole = list(itertools.takewhile(lambda line: line[:1] + line[-1:] == b"{}", lines))
        return iter(list(read(run_dir, skip))[: len(whole)])

    monkeypatch.setattr(journals, "_read", until_torn)


def shipped_again(monkeypatch):
    """A shipper that does not find its own note makes a second run in the store."""

    def find(self, row, events, position):
        known = position.get("mlflow_run_id")
        if known:
            return known, int(position["step"]), ([], {})
        born = born_of(events)
        return self.create(row, born), -1, known_before(row, born)

    monkeypatch.setattr(Tracker, "_find_or_create", find)


def limit_by_the_nodes_clock(monkeypatch):
    """A job's limit, which SLURM tells by its clock, is looked at by the node's."""
    monkeypatch.setattr(array_task, "BEGAN", "NOT_SAID")


KILLS = ("kill", "killed in a write", "process stopped")
ANEW = ("run's folder removed", "submitted twice", "kill")
PUT_BACK = {  # the faults that bring it out, what is then found, and a seed shortly before
    by_the_nodes_clock: (KILLS, "to nobody|trains run|no result", 25),
    written_where_nobody_reads: (ANEW, "no result", 91),
    torn_line_is_the_end: ((*KILLS, "disk full"), "planned|curve|no result", 0),
    shipped_again: (("kill", "store's answers lost"), "\\d times", 2),
    limit_by_the_nodes_clock: (("node's clock set", "pre-empted"), "not all is done", 66),
}


@pytest.mark.parametrize("fault", PUT_BACK, ids=lambda fault: fault.__name__)
def test_a_fault_that_is_put_back_is_found(fault, monkeypatch):
    fault(monkeypatch)
    kinds, expected, first = PUT_BACK[fault]
    schedules = (Schedule.of(seed, kinds) for seed in range(first, first + 300))
    assert broken(schedules, expected)[0] is not None


def test_a_failing_schedule_shrinks_to_what_matters(monkeypatch):
    shipped_again(monkeypatch)
    kinds, _, first = PUT_BACK[shipped_again]
    schedule, _, _ = broken(Schedule.of(seed, kinds) for seed in range(first, first + 300))
    small = shrink(schedule)
    assert len(small.faults) < len(schedule.faults) or len(schedule.faults) <= 1
    assert simulate(small).violations
    assert not small.faults or not simulate(Schedule(small.seed, ())).violations


# --- the seam -----------------------------------------------------------------------------------

REAL = {  # what the simulator does not run
    "canary.py": "tries a run with torch",
    "memory.py": "looks at the memory of real processes",
    "weights.py": "is of tensors",
    "sweep_file.py": "has the separator of a path's entries",
    "log.py": "has a constant",
}


@pytest.mark.parametrize("path", SIMULATED, ids=lambda path: path.name)
def test_what_is_simulated_takes_the_world_from_the_world(path):
    modules = "os|platform|secrets|signal|subprocess|threading|time"
    found = re.findall(rf"^import ({modules})$", path.read_text(), re.MULTILINE)
    assert not found or path.name in REAL
