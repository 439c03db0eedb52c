"""A world without training: a space of four dials, and losses by a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sweeps.kinds.spaces import Parameter, Space
from sweeps.strategies import Proposal, SearchSpace, Seen, Trial

SPACE = Space(
    "dials",
    "",
    {
        "lr": Parameter("log", (1e-4, 1.0)),
        "width": Parameter("log", (8, 256), 8),
        "depth": Parameter("uniform", (1, 12), 1),
        "norm": Parameter("choices", ("none", "batch", "layer")),
    },
)
"""Continuous, in steps, and with names."""


def loss(options, rung=0):
    """A bowl around lr 0.01, width 64, depth 6, norm layer; a little lower on each rung."""
    return (
        math.log10(options["lr"] / 0.01) ** 2
        + math.log2(options["width"] / 64) ** 2 / 4
        + ((options["depth"] - 6) / 6) ** 2
        + (options["norm"] != "layer") * 0.3
        + 1 / (1 + rung)
    )


@pytest.fixture
def space():
    return SearchSpace(SPACE)


def search(strategy, space, seed, runs, workers=1, order=None, told=loss):
    """The trials of a search; ``order`` draws which of the open runs ends next."""
    trials, finished = [], []
    while len(trials) < runs or len(finished) < len(trials):
        seen = Seen(tuple(trials), tuple(finished))
        answer = strategy.propose(space, seen, seed) if len(trials) < runs else None
        if isinstance(answer, Proposal) and len(seen.open) < workers:
            trials.append(Trial(**vars(answer), run_id=f"r{len(trials)}"))
            continue
        if not seen.open:
            return trials, finished, answer
        i = trials.index(order.choice(seen.open) if order else seen.open[0])
        value = told(trials[i].options, trials[i].rung)
        trials[i] = Trial(**{**vars(trials[i]), "loss": value})
        finished.append(trials[i])
    return trials, finished, None


def best(finished):
    return min(trial.loss for trial in finished)


def medians(strategy, space, runs, seeds=range(10)):
    """The median over seeds of the best loss."""
    return float(np.median([best(search(strategy, space, s, runs)[1]) for s in seeds]))
