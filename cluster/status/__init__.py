"""How a sweep and its runs stand, and how that is shown."""

from __future__ import annotations

from cluster.status.display import print_status, summary
from cluster.status.failures import broken_by
from cluster.status.sweep import NOTICES_FILE, SweepStatus, sweep_status
from cluster.status.usage import Usage, by_user, usage, usage_lines
from cluster.status.watcher import watch, watching

__all__ = [
    "NOTICES_FILE",
    "SweepStatus",
    "Usage",
    "broken_by",
    "by_user",
    "print_status",
    "summary",
    "sweep_status",
    "usage",
    "usage_lines",
    "watch",
    "watching",
]
