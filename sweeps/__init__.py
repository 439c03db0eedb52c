"""Which runs to do: sweep files, generators, derived settings, constraints, estimates."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.derive import RULES
    from sweeps.generators import GENERATORS
    from sweeps.load import load_sweep
    from sweeps.resources import ResourceRules, Resources
    from sweeps.spec import Design, read_design
    from sweeps.sweep import Entry, Sweep
    from sweeps.warnings import design_warnings

__all__ = [
    "GENERATORS",
    "RULES",
    "Design",
    "Entry",
    "ResourceRules",
    "Resources",
    "Sweep",
    "design_warnings",
    "load_sweep",
    "read_design",
]

_HOMES = {
    "GENERATORS": "sweeps.generators",
    "RULES": "sweeps.derive",
    "Design": "sweeps.spec",
    "Entry": "sweeps.sweep",
    "ResourceRules": "sweeps.resources",
    "Resources": "sweeps.resources",
    "Sweep": "sweeps.sweep",
    "design_warnings": "sweeps.warnings",
    "load_sweep": "sweeps.load",
    "read_design": "sweeps.spec",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sweeps' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
