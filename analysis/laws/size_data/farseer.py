"""Farseer: the data term's size and exponent change with N."""

from __future__ import annotations

from itertools import product

import numpy as np

from analysis.laws.base import Array, Parameter
from analysis.laws.named import named_law


def _rescale(params: Array, units: Array) -> Array:
    out = params.copy()
    for i in (0, 3, 6):
        out[..., i] *= np.exp(params[..., i + 1] * np.log(units[0]))
    return out


def _starts(observed: Array, num_params: Array, num_tokens: Array) -> Array:
    """Floors that fall with N to some share of the loss; data terms that make up the rest."""
    rows = []
    middle = np.log(num_tokens).mean()
    for share, gamma, exponent, bend in product(
        (0.5, 0.75, 0.9), (0.1, 0.3), (0.2, 0.35, 0.6), (-0.2, 0.0, 0.2)
    ):
        floor = np.log(share * observed.min())
        size = np.log(observed.mean() - np.exp(floor)) + exponent * middle
        rows.append(
            [-0.1, gamma, floor + 0.1, 1.0, -0.1, size - 1.0, bend, 0.1, np.log(exponent) - bend]
        )
    return np.array(rows)


def _signed(name: str, means: str, reach: float) -> Parameter:
    return Parameter(name, means, -reach, reach, (-2.0, 2.0), scale="linear")


FARSEER = named_law(
    name="farseer",
    formula="L = exp(a_3 * N^gamma + b_3) + exp(a_2 * N^beta + b_2) / D^exp(a_1 * N^alpha + b_1)",
    latex=r"L = e^{a_3 N^{\gamma} + b_3} + e^{a_2 N^{\beta} + b_2}\,"
    r"D^{-\exp(a_1 N^{\alpha} + b_1)}",
    source="Li et al. 2025, Farseer (arXiv 2506.10972), eq. 3; N without embeddings, its constants "
    "give bits per character",
    inputs={"N": "num_params", "D": "num_tokens"},
    parameters=(
        _signed("a_3", "how the floor changes with N", 1e6),
        _signed("gamma", "exponent of N in the floor", 1.0),
        _signed("b_3", "ln of the floor at N = 0", 1e3),
        _signed("a_2", "how the size of the data term changes with N", 1e6),
        _signed("beta", "exponent of N in the size of the data term", 1.0),
        _signed("b_2", "ln of the size of the data term", 1e3),
        _signed("a_1", "how the exponent of data changes with N", 1e6),
        _signed("alpha", "exponent of N in the exponent of data", 1.0),
        _signed("b_1", "ln of the exponent of data", 1e3),
    ),
    rescale=_rescale,
    unscaled=("num_tokens",),
    starts=_starts,
    column_units={"loss": "bits/character"},
    published={
        "li": {
            "a_3": -0.021, "gamma": 0.169, "b_3": -0.091, "a_2": 88.01, "beta": -0.1,
            "b_2": -6.287, "a_1": -0.124, "alpha": 0.123, "b_1": 0.424,
        }
    },
)  # fmt: skip
