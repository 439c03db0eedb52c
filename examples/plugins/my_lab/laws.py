"""A law of one's own: a function of the run table's columns; its other names are parameters."""

from __future__ import annotations

from typing import Any


def shifted(num_params: Any, E: float, A: float, alpha: float, N0: float) -> Any:
    """L = E + A / (N + N0)^alpha."""
    return E + A / (num_params + N0) ** alpha
