"""How a sweep and its runs stand, and how that is shown."""

from __future__ import annotations

from cluster.status.live import watch, watching
from cluster.status.sweep import SweepStatus, sweep_status
from cluster.status.view import print_status, summary

__all__ = [
    "SweepStatus",
    "print_status",
    "summary",
    "sweep_status",
    "watch",
    "watching",
]
