"""SLURM as its commands tell it: its jobs, its site."""

from __future__ import annotations

from cluster.slurm.jobs import (
    FAILING,
    FULL,
    PATIENCE_SECONDS,
    WAITING,
    WORKING,
    Answer,
    Job,
    ask,
    ask_queue,
    number,
)
from cluster.slurm.site import Site, command_output

__all__ = [
    "FAILING",
    "FULL",
    "PATIENCE_SECONDS",
    "WAITING",
    "WORKING",
    "Answer",
    "Job",
    "Site",
    "ask",
    "ask_queue",
    "command_output",
    "number",
]
