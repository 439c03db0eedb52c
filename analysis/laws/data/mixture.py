"""Data mixtures: the loss on one domain by the shares of all domains in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.laws.base import Array, Law, Parameter
from analysis.laws.data.shares import SHARES, letters, options
from analysis.laws.named import named_law
from analysis.laws.terms import FLOOR


def _exponential(shares: Sequence[str]) -> Law:
    each = letters(shares)
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
        options=options,
    )  # fmt: skip


def _starts(observed: Array, *shares: Array) -> Array:
    """For each floor ln(L - E) is linear in the shares."""
    design = np.stack(shares, axis=1)
    rows = []
    for part in (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98):
        floor = part * observed.min()
        rows.append([floor, *np.linalg.lstsq(design, np.log(observed - floor))[0]])
    return np.array(rows)


MIXTURE = _exponential(SHARES)
