"""Several processes train one run: the same curve, and a checkpoint that any number can resume."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from scaling.base.errors import WorkerLostError
from scaling.run.checkpoint import load
from scaling.run.journal import checkpoints, end, points, read_journal
from scaling.spec import RunSpec
from scaling.trainers import train_together
from scaling.training.loop import train
from scaling.training.spread import Layout, Spread, _seed_of
from scaling.training.team import TALK_SECONDS, Place, Team
from tests.scaling.processes import exit_status, run_team, start_team
from tests.scaling.training.test_loop import stop_after

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.fixture
def spec(tiny):
    """A batch that two processes cannot share evenly, with clipping and weight decay on."""
    options = {"depth": 2, "batch_size": 5, "num_tokens": 5 * 32 * 24, "schedule": "cosine"}
    return RunSpec.resolve(**{**tiny, **options})


def assert_same_curve(run_dir, other, rel=1e-5):
    one, two = (points(read_journal(folder)) for folder in (run_dir, other))
    assert [p["step"] for p in one] == [p["step"] for p in two]
    for key in ("loss", "train_loss"):
        assert [p[key] for p in one] == pytest.approx([p[key] for p in two], rel=rel)
    finals = [end(read_journal(folder)) for folder in (run_dir, other)]
    assert finals[0]["status"] == finals[1]["status"] == "done"
    assert finals[0]["loss"] == pytest.approx(finals[1]["loss"], rel=rel)


@pytest.mark.parametrize(
    ("size", "micro_batch", "shard", "options"),
    [
        (2, 2, "ddp", {}),
        (3, 0, "fsdp", {}),
        (2, 0, "ddp", {"optimizer": "adam", "weight_decay": 3.0}),
        (2, 0, "fsdp", {"optimizer": "adam", "weight_decay": 3.0, "base_width": 8}),
    ],
)
def test_a_team_has_the_curve_of_one_process(spec, tmp_path, size, micro_batch, shard, options):
    options = dict(options)
    if base_width := options.pop("base_width", 0):  # gradients are multiplied, by 2 and by 4
        base = {"base_width": base_width, "base_head_dim": 8, "base_depth": 1}
        spec = replace(spec, model=replace(spec.model, parametrisation="completep", **base))
    spec = replace(spec, optim=replace(spec.optim, adaptive_clip=0.05, **options))
    train(spec, tmp_path / "one")
    options = {"micro_batch": micro_batch, "shard": shard}
    statuses = run_team(
        tmp_path / "meet",
        size,
        lambda team: train_together(team, spec, tmp_path / "team", **options),
    )
    assert statuses == [0] * size
    assert_same_curve(tmp_path / "team", tmp_path / "one")
    starts = [e for e in read_journal(tmp_path / "team") if e["event"] == "start"]
    assert [start["processes"] for start in starts] == [size]
    assert list((tmp_path / "meet").iterdir()) == []


def test_shards_in_bfloat16_are_the_run_of_one_process(spec, tmp_path):
    """Blocks travel in bfloat16, and what is computed of them is what autocast computes."""
    few = {"num_tokens": 5 * 32 * 3, "curve_tokens": 320, "final_tokens": 320}
    spec = replace(spec, train=replace(spec.train, precision="bfloat16", **few))
    train(spec, tmp_path / "one")
    lead = partial(train_together, spec=spec, run_dir=tmp_path / "team", shard="fsdp")
    assert run_team(tmp_path / "meet", 2, lead) == [0, 0]
    assert_same_curve(tmp_path / "team", tmp_path / "one", rel=1e-3)


def test_a_checkpoint_is_resumed_by_any_number_of_processes(spec, tmp_path):
    """One process, then two that share, two that shard, and one again."""
    train(spec, tmp_path / "whole")
    parts = tmp_path / "parts"
    assert train(spec, parts, should_stop=stop_after(6)).status == "stopped"
    for shard in ("ddp", "fsdp"):

        def lead(team, shard=shard):
            outcome = train_together(team, spec, parts, shard=shard, should_stop=stop_after(6))
            assert outcome.status == "stopped"

        assert run_team(tmp_path / "meet", 2, lead) == [0, 0]
    assert train(spec, parts).status == "done"
    assert_same_curve(parts, tmp_path / "whole")
    assert end(read_journal(parts))["flops_spent"] == spec.flops


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 99])
def test_micro_batches_change_nothing(spec, tmp_path, micro_batch):
    train(spec, tmp_path / "whole")
    train(spec, tmp_path / "parts", micro_batch=micro_batch)
    assert_same_curve(tmp_path / "parts", tmp_path / "whole", rel=1e-6)


def test_examples_in_micro_batches_change_nothing(tmp_path):
    options = {"data": "teacher", "family": "mlp", "batch_size": 7, "num_tokens": 70, "lr": 1e-4}
    spec = RunSpec.resolve(**options)
    train(spec, tmp_path / "whole")
    train(spec, tmp_path / "parts", micro_batch=3)
    assert_same_curve(tmp_path / "parts", tmp_path / "whole", rel=1e-6)


def test_a_wish_to_stop_on_any_rank_stops_all_at_one_step(spec, tmp_path):
    stop = stop_after(7)

    def lead(team):
        assert train_together(team, spec, tmp_path / "run").status == "stopped"

    assert run_team(tmp_path / "meet", 2, lead, stop=lambda rank: stop()) == [0, 0]
    (path,) = checkpoints(tmp_path / "run")
    assert load(path)["step"] == 7


def test_the_error_of_one_rank_ends_all_and_is_the_reason(spec, tmp_path):
    def fail(rank):
        raise ValueError("this rank has had enough")

    def lead(team):
        with pytest.raises(RuntimeError, match="rank 1: ValueError: this rank has had enough"):
            train_together(team, spec, tmp_path / "run")
        with pytest.raises(WorkerLostError, match="start the job again"):
            train_together(team, spec, tmp_path / "run")

    assert run_team(tmp_path / "meet", 2, lead, stop=fail) == [0, 1]
    last = end(read_journal(tmp_path / "run"))
    assert last["status"] == "failed"
    assert "this rank has had enough" in last["reason"]


def test_a_rank_that_is_killed_leaves_the_run_resumable(spec, tmp_path):
    def die(rank):
        os.kill(os.getpid(), signal.SIGKILL)

    def lead(team):
        with pytest.raises(WorkerLostError, match="can be resumed"):
            train_together(team, spec, tmp_path / "run")

    began = time.monotonic()
    assert run_team(tmp_path / "meet", 2, lead, stop=die) == [0, -signal.SIGKILL]
    assert time.monotonic() - began < TALK_SECONDS / 2
    assert end(read_journal(tmp_path / "run")) is None
    assert train(spec, tmp_path / "run").status == "done"


def listening_addresses():
    """Where this process listens: hexadecimal addresses, as the kernel lists them."""
    inodes = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
    ]
    listen = "0A"
    return {line[1].split(":")[0] for line in lines if line[3] == listen and line[9] in inodes}


def test_a_team_on_one_node_listens_on_the_loopback_alone(tmp_path):
    def lead(team):
        assert listening_addresses() == {"0100007F"}  # 127.0.0.1

    assert run_team(tmp_path, 2, lead) == [0, 0]


def test_followers_end_when_their_leader_is_killed(tmp_path):
    leader, follower = start_team(tmp_path, 2, lambda team: os.kill(os.getpid(), signal.SIGKILL))
    assert exit_status(leader) == -signal.SIGKILL
    assert exit_status(follower) == 1


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)


@pytest.mark.parametrize(
    ("size", "micro_batch", "message"), [(1, 2, "leave micro_batch out"), (2, 0, "needs GPUs")]
)
def test_batch_norm_is_not_split(spec, size, micro_batch, message):
    team = Team(Place(size=size))
    with pytest.raises(ValueError, match=message):
        Spread(Normed, spec, team, torch.device("cpu"), Layout(micro_batch))
    Spread(Normed, spec, Team(), torch.device("cpu"), Layout(5))


def test_a_place_is_what_slurm_says():
    step = {"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8"}
    step |= {"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NNODES": "2"}
    assert Place.of(step) == Place(5, 8, 1, 2, "12-0-0")
    assert Place.of({**step, "SLURM_RESTART_COUNT": "3"}).key != Place.of(step).key
    assert Place.of({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) == Place()
    assert Place.of({"SLURM_NTASKS": "4"}) == Place.of({}) == Place()


@given(batch_size=st.integers(1, 300), size=st.integers(1, 40))
def test_every_row_is_one_ranks(batch_size, size):
    shares = [Team(Place(rank=rank, size=size)).rows(batch_size) for rank in range(size)]
    assert [row for rows in shares for row in rows] == list(range(batch_size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_ranks_draw_from_streams_of_their_own_whatever_the_seed():
    seeds = (0, 7, 2**24, 20261122, 2**62)
    streams = {_seed_of(seed, rank, step) for seed in seeds for rank in (1, 2) for step in (0, 9)}
    assert len(streams) == len(seeds) * 4
    assert all(0 <= stream < 2**63 for stream in streams)
