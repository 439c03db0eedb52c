"""``scaling.report``: what a program says of its training, one line of JSON a call.

Needs the standard library alone, so that it works in whatever environment a program has. From
another language: append the same line to the file that ``$SCALING_REPORT`` names.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_warned = False


def report(*, step: float, loss: float | None = None, **metrics: float) -> None:
    """Append one report to the file ``$SCALING_REPORT``, in one write.

    Does nothing but warn once where a program runs without the lab.

    Parameters
    ----------
    step : int
        Tokens (examples) seen, or optimiser steps where the sweep file says ``unit: steps``.
    loss : float, optional
        The held-out loss; the last one is the run's. NaN ends the run as diverged.
    **metrics : float
        Any other numbers; NumPy's and torch's scalars are numbers too.

    Raises
    ------
    ValueError
        If a value is no number.

    Examples
    --------
    >>> report(step=1 << 20, loss=3.21, lr=3e-4)  # doctest: +SKIP
    """
    global _warned
    values = {"step": step, "loss": loss, **metrics}
    record = {name: _number(name, value) for name, value in values.items() if value is not None}
    path = os.environ.get("SCALING_REPORT")
    if not path:
        if not _warned:
            _warned = True
            print("scaling.report: SCALING_REPORT is not set: nobody listens", file=sys.stderr)
        return
    line = (json.dumps(record) + "\n").encode()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def _number(name: str, value: Any) -> float:
    if hasattr(value, "item") and not isinstance(value, int | float):
        try:
            value = value.item()
        except (ValueError, RuntimeError):  # of several elements
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"scaling.report: {name} is no number: give an int or a float")
    return value
