"""SLURM as its commands tell it: its jobs, its site."""

from __future__ import annotations

from cluster.slurm.command import Reply, on_cluster, output, run
from cluster.slurm.ids import by_cluster, named, number, plain
from cluster.slurm.jobs import (
    FAILING,
    FULL,
    GO_ON,
    NO_DEVICE,
    NO_SETUP,
    PATIENCE_SECONDS,
    STARVED,
    WAITING,
    WORKING,
    Answer,
    Job,
    ask,
    ask_queue,
)
from cluster.slurm.site import Site

__all__ = [
    "FAILING",
    "FULL",
    "GO_ON",
    "NO_DEVICE",
    "NO_SETUP",
    "PATIENCE_SECONDS",
    "STARVED",
    "WAITING",
    "WORKING",
    "Answer",
    "Job",
    "Reply",
    "Site",
    "ask",
    "ask_queue",
    "by_cluster",
    "named",
    "number",
    "on_cluster",
    "output",
    "plain",
    "run",
]
