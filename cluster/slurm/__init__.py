"""SLURM as its commands tell it: its jobs, its site."""

from __future__ import annotations

from cluster.slurm.command import Reply, output, run
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
    number,
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
    "number",
    "output",
    "run",
]
