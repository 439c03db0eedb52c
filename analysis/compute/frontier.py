"""The lowest loss that a law expects, over training compute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.compute.expected import AsFitted
from analysis.compute.plan import cost_of, plan

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits import Fit
    from analysis.laws import Array

POINTS = 60
BEYOND_RUNS = 10  # times the largest compute of the runs


def efficient(fit: Fit, runs: pd.DataFrame) -> tuple[Array, Array]:
    """The compute-efficient frontier of a fit: training FLOPs and the lowest loss at each.

    From the least compute of ``runs`` to ten times the most, ``(60,)`` each.

    Raises
    ------
    ValueError
        If the law is not one of N and D.
    NoAnswerError
        If the loss has no minimum over N at some budget.
    """
    low, high = float(runs["flops"].min()), float(runs["flops"].max())
    flops = np.geomspace(low, BEYOND_RUNS * high, POINTS)
    best = plan(AsFitted(replace(fit, draws=None)), list(flops), cost=cost_of(runs))
    return flops, np.array([one.loss for one in best])
