"""Data mixtures: the loss on one domain by the shares of all domains in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.laws.base import Array, Law, Parameter
from analysis.laws.chinchilla import ALPHA, BETA, A, B
from analysis.laws.named import named_law
from analysis.laws.power import FLOOR

SHARES = ("proportion_1", "proportion_2", "proportion_3")


def _options(law: Law) -> dict[str, Any]:
    """The columns of shares, as ``over`` takes them."""
    return {"shares": list(law.shares)}


def _letters(shares: Sequence[str]) -> dict[str, str]:
    return {f"r{j}": share for j, share in enumerate(shares, 1)}


def _exponential(shares: Sequence[str]) -> Law:
    each = _letters(shares)
    return named_law(
        name="mixture",
        formula="L = E + exp(" + " + ".join(f"t_{j} * r{j}" for j in range(1, len(each) + 1)) + ")",
        latex=r"L = E + \exp\left("
        + " + ".join(f"t_{j} r_{j}" for j in range(1, len(each) + 1))
        + r"\right)",
        source="Ye et al. 2024, Data Mixing Laws (arXiv 2403.16952), eq. 6, whose k is in every "
        "t_j, since shares add up to 1",
        inputs=each,
        parameters=(
            FLOOR,
            *(
                Parameter(f"t_{j}", f"ln of what {share} alone leaves above E", -50.0, 50.0,
                          (-2.0, 2.0), scale="linear")
                for j, share in enumerate(shares, 1)
            ),
        ),
        starts=_starts,
        over=_exponential,
        options=_options,
    )  # fmt: skip


def _starts(observed: Array, *shares: Array) -> Array:
    """For each floor ln(L - E) is linear in the shares."""
    design = np.stack(shares, axis=1)
    rows = []
    for part in (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98):
        floor = part * observed.min()
        rows.append([floor, *np.linalg.lstsq(design, np.log(observed - floor))[0]])
    return np.array(rows)


def _additive(shares: Sequence[str]) -> Law:
    each = _letters(shares)
    worth = " + ".join(f"C_{j} * r{j}^gamma_{j}" for j in range(1, len(each) + 1))
    return named_law(
        name="mixture_additive",
        formula=f"L = E + A / N^alpha + B / D^beta + 1 / ({worth})",
        latex=r"L = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}"
        r" + \frac{1}{"
        + " + ".join(rf"C_{j} r_{j}^{{\gamma_{j}}}" for j in range(1, len(each) + 1))
        + "}",
        source="Shukor et al. 2025 (arXiv 2507.09404), the additive law: the best mixture is the "
        "same at every N and D",
        inputs={"N": "num_params", "D": "num_tokens", **each},
        parameters=(
            FLOOR,
            A,
            B,
            ALPHA,
            BETA,
            *(
                p
                for j, share in enumerate(shares, 1)
                for p in (
                    Parameter(f"C_{j}", f"worth of {share}", 1e-8, 1e8, (0.1, 10.0)),
                    Parameter(f"gamma_{j}", f"exponent of {share}", 1e-3, 5.0, (0.1, 1.5)),
                )
            ),
        ),
        units={"A": {"N": "-alpha"}, "B": {"D": "-beta"}},
        over=_additive,
        options=_options,
    )


MIXTURE = _exponential(SHARES)
MIXTURE_ADDITIVE = _additive(SHARES)
