"""Where and when runs happen: submission, workers, leases, status."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.launch import Submission, submit
    from cluster.status import sweep_status

__all__ = ["Submission", "submit", "sweep_status"]

_HOMES = {
    "Submission": "cluster.launch",
    "submit": "cluster.launch",
    "sweep_status": "cluster.status",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cluster' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
