"""One sweep shape a file, and their registry."""

from __future__ import annotations

from sweeps.kinds.registry import GENERATORS, generators

__all__ = ["GENERATORS", "generators"]
