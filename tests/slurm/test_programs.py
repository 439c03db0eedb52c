"""Programs on SLURM: packed and killed at random, and one that torchrun starts on two nodes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

import pytest

from cluster import submit, sweep_status
from scaling import Counts, Program, ProgramSpec
from scaling.base import Store, read_json
from scaling.programs import content, snapshot
from scaling.run import STATE, end, points, read_journal
from sweeps.sweep import Sweep
from tests.cluster.work.test_programs import children
from tests.scaling.programs.scripts import plain, steps_in
from tests.slurm.conftest import NO_SERVER

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm-1")]
KILLS = 5
SECONDS = 10  # of training, on whatever machine: more than passes between the kills


def test_a_plain_script_killed_five_times_at_random_ends_as_if_it_had_not_been(site, tmp_path):
    """kill -9 of the worker, whom the foreman replaces, or of the program, which is retried."""
    chance = random.Random(1)
    steps = steps_in(SECONDS, tmp_path)
    specs = [plain(site.store, steps=steps), plain(site.store, steps=200, width=4)]
    sweep = Sweep("s", Sweep.of("s", specs).entries, {"minutes": 10, "cpus": 2})
    run_id = specs[0].run_id
    run_dir = site.store.run_dir(run_id)

    def state():
        return read_json(run_dir / STATE) or {}

    site.submit(sweep, workers=1)
    for kill in range(KILLS):
        assert (end(read_journal(run_dir)) or {}).get("status") != "done", "lengthen the run"
        site.until(lambda k=kill: state().get("attempt", 0) > k, what=f"attempt {kill + 1}")
        before = state()["step"]
        if kill % 2:  # three deaths without a report between would fail the run
            site.until(lambda b=before: state()["step"] > b, what="a report")
        time.sleep(chance.expovariate(1 / 0.2))
        worker = state()["pid"]
        started = children(worker)
        if kill % 4 == 3 and len(started) > 1:
            os.kill(started[1], signal.SIGKILL)
            site.until(lambda: end(read_journal(run_dir)), what="the run's failure")
            assert end(read_journal(run_dir))["reason"].startswith("killed by SIGKILL")
            site.until(lambda: not sweep_status("s").is_live, what="the job's end")
            site.submit(sweep, workers=1, rerun="failed")
        else:
            with contextlib.suppress(ProcessLookupError):  # its turn was over by then
                os.kill(worker, signal.SIGKILL)
    site.until(lambda: sweep_status("s").counts == {"done": 2}, what="the end")
    undisturbed = Store.at(tmp_path / "undisturbed")
    undisturbed.root.mkdir()
    (undisturbed.root / "programs").symlink_to(site.store.root / "programs")
    submit(Sweep.of("s", specs[:1]), on="inline", root=undisturbed.root, tracking_uri=NO_SERVER)
    expected = end(read_journal(undisturbed.run_dir(run_id)))
    ended = end(read_journal(run_dir))
    assert (ended["loss"], ended["tokens"]) == (expected["loss"], expected["tokens"])
    assert len(site.starts(run_id)) == KILLS + 1


TORCHRUN = """
import os, sys
import torch
import torch.distributed as dist
from scaling import report

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
weight = torch.zeros(1)
for step in range(1, 11):
    gradient = weight - float(rank)  # the mean of the ranks is the optimum
    dist.all_reduce(gradient)
    weight -= 0.5 * gradient / size
    if rank == 0:
        report(step=10 * step, loss=float((weight - (size - 1) / 2) ** 2), size=size)
dist.destroy_process_group()
"""


def test_torchrun_over_two_nodes(site, tmp_path):
    """Started once a node; two processes meet at the first node's address."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(TORCHRUN)
    digest = content(code).digest
    snapshot(site.store, code, digest)
    words = (
        "python -m torch.distributed.run --nnodes {nodes} --node-rank {node_rank} "
        "--nproc-per-node 1 --master-addr {master_addr} --master-port {master_port} train.py"
    )
    program = Program(tuple(words.split()), code=digest)
    spec = ProgramSpec(program, {}, Counts(1, 6), num_tokens=100, tokens_per_step=10)
    sweep = Sweep("s", Sweep.of("s", [spec]).entries, {"minutes": 10, "nodes": 2})
    submission = site.submit(sweep, wait=True, canary=True)
    run_dir = site.store.run_dir(spec.run_id)
    assert sweep_status("s").counts == {"done": 1}, (run_dir / "log.txt").read_text()
    curve = points(read_journal(run_dir))
    assert [point["step"] for point in curve] == list(range(10, 101, 10))
    assert all(point["program/size"] == 2 for point in curve)
    assert curve[-1]["loss"] == pytest.approx((0.5 * 0.5**10) ** 2, rel=1e-4)
    assert [start["processes"] for start in site.starts(spec.run_id)] == [2]
    jobs = ",".join(submission.job_ids)
    nodes = site.cluster.ask("sacct", "-n", "-X", "-j", jobs, "-o", "NNodes").split()
    assert set(nodes) == {"2"}
    assert any((site.store.sweep_dir("s") / "canary").glob(f"*/{spec.run_id}/metrics.jsonl"))
