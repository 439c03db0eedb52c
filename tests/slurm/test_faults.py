"""Fault injection: whatever is done to it, a sweep ends with the table of an undisturbed one."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster import submit
from cluster.status.sweep import sweep_status
from scaling.base.errors import WorkError
from scaling.run.journal import end, read_journal

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.xdist_group("slurm-1")]

FAULTS = 15  # real ones; the simulator has thousands
SEED = 1
PATIENCE = 900.0  # a busy machine is no failure
BETWEEN_SECONDS = (0.5, 2.5)
LOOK_SECONDS = 0.5  # where there is nothing to hit: a job that was put back waits for ten


class Gremlin:
    """Does random harm to the sweep ``s`` and its cluster, and mends only what it must."""

    def __init__(self, site, seed):
        self.cluster, self.random, self.done = site.cluster, random.Random(seed), []
        self.mark = str(site.store.root).encode()
        self.dead_nodes, self.frozen, self.controller_dead = [], [], False

    def processes(self, module):
        """Our processes that run a module."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                command = path.read_bytes()
                is_python = b"python" in command.partition(b"\0")[0]
                if is_python and self.mark in command and module.encode() in command:
                    found.append(int(path.parent.name))
        return sorted(found)

    def jobs(self):
        """Array tasks that run."""
        return self.cluster.ask("squeue", "-h", "-r", "-t", "R", "-n", "s", "-o", "%A").split()

    def kill_worker(self):
        os.kill(self.random.choice(self.processes("cluster.work.foreman")), signal.SIGKILL)

    def kill_foreman(self):
        os.kill(self.random.choice(self.processes("submitit.core._submit")), signal.SIGKILL)

    def freeze_worker(self):
        pid = self.random.choice(self.processes("cluster.work.foreman"))
        os.kill(pid, signal.SIGSTOP)
        self.frozen.append(pid)

    def thaw(self):
        pid = self.frozen.pop()
        os.kill(pid, signal.SIGCONT)

    def requeue(self):
        self.cluster.ask("scontrol", "requeue", self.random.choice(self.jobs()))

    def preempt(self):
        self.cluster.ask("scancel", "--signal=USR2", self.random.choice(self.jobs()))

    def terminate(self):
        self.cluster.ask("scancel", "--signal=TERM", self.random.choice(self.jobs()))

    def cancel_task(self):
        self.cluster.ask("scancel", self.random.choice(self.jobs()))

    def node_down(self):
        node = self.random.choice(self.cluster.node_names)
        self.cluster.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=gremlin")
        self.cluster.ask("scontrol", "update", f"nodename={node}", "state=resume")

    def kill_slurmd(self):
        self.revive_slurmd()
        node = self.random.choice(self.cluster.node_names)
        self.cluster.kill_node(node)
        self.dead_nodes.append(node)

    def revive_slurmd(self):
        while self.dead_nodes:
            self.cluster.start_node(self.dead_nodes.pop())

    def restart_controller(self):
        self.cluster.stop_controller()
        self.cluster.start_controller()

    HARM = (
        *(kill_worker, kill_worker, kill_foreman, freeze_worker, thaw, requeue, preempt),
        *(terminate, cancel_task, node_down, kill_slurmd, restart_controller),
    )

    def strike(self):
        """One fault and the time until the next, or a short one where there is nothing to hit."""
        harm = self.random.choice(self.HARM)
        try:
            harm(self)
        except (IndexError, ProcessLookupError, subprocess.SubprocessError):
            return LOOK_SECONDS
        self.done.append(harm.__name__)
        return self.random.uniform(*BETWEEN_SECONDS)

    def mend(self):
        """Leave the cluster as it was."""
        while self.frozen:
            with contextlib.suppress(ProcessLookupError):
                self.thaw()
        self.revive_slurmd()
        self.cluster.wait_until_idle()


def test_random_faults_change_nothing(site, capsys):
    resources = site.short_leases({"cpus": 2, "checkpoint_seconds": 1, "workers": 3})
    sizes = [128 * n for n in (200, 400, 800)]
    sweep = site.sweep(num_tokens=sizes, width=[8, 16], seed=[0, 1], resources=resources)
    assert len(sweep) == 12
    gremlin = Gremlin(site, SEED)
    began = time.monotonic()

    def open_runs():
        ends = [end(read_journal(site.store.run_dir(entry.run_id))) for entry in sweep]
        return sum(last is None or last["status"] != "done" for last in ends)

    pool = ThreadPoolExecutor(1)  # beside: the faults wait more than they work
    undisturbed = pool.submit(site.undisturbed, sweep)
    site.submit(sweep)
    try:
        while len(gremlin.done) < FAULTS or open_runs():
            assert time.monotonic() - began < PATIENCE, f"{open_runs()} runs open; {gremlin.done}"
            if len(gremlin.done) < FAULTS:
                time.sleep(gremlin.strike())
            else:
                gremlin.mend()
                time.sleep(LOOK_SECONDS)
            states = {run.state for run in sweep_status("s", site.store.root).runs}
            if not states & {"running", "queued", "pre-empted", "unknown"} and open_runs():
                # No controller at the moment, or one that has not heard from its nodes yet.
                with contextlib.suppress(WorkError, ValueError):
                    site.submit(sweep, rerun="failed")
    finally:
        gremlin.mend()
        pool.shutdown()
    with capsys.disabled():
        print(f"\n{len(gremlin.done)} faults in {time.monotonic() - began:.0f} s")
    assert len(gremlin.done) >= FAULTS
    assert site.table(sweep) == undisturbed.result()
    again = submit(sweep, on="inline", tracking_uri="http://127.0.0.1:9")
    assert again.submitted == ()
