"""Terms of a law that may trade places: each draw's are called as the estimate's are.

``a*exp(-x*b) + c*exp(-x*d)`` is the same law with a and c, b and d exchanged, and which of the two
optima a draw ends at is chance. Without names that hold, each parameter's draws would be of both.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from analysis.fits.problem import Problem
from analysis.laws import Array, Law

MOST = 6
"""Parameters up to which exchanges are sought, of 6! = 720 orders."""


@lru_cache(maxsize=32)
def exchanges(law: Law) -> tuple[tuple[int, ...], ...]:
    """Orders of the parameters, but for their own, that leave a user's law what it is."""
    p = len(law.parameters)
    if not law.own or law.groups is not None or p > MOST or law.held:
        return ()
    rng = np.random.default_rng(0)
    params = rng.uniform(0.5, 1.5, (3, p))
    inputs = rng.uniform(0.5, 2.0, (len(law.inputs), 7))
    kinds = [each.scale for each in law.parameters]
    with np.errstate(all="ignore"):
        here = law.predict(params, *inputs)
        return tuple(
            order
            for order in permutations(range(p))
            if order != tuple(range(p))
            and [kinds[i] for i in order] == kinds
            and np.allclose(law.predict(params[:, order], *inputs), here, rtol=1e-9)
        )


def named_alike(problem: Problem, draws: Array, theta: Array) -> Array:
    """``draws (k, p)``, each in the order that is nearest to the estimate ``theta (p,)``.

    Near is measured by how far the estimate's own parameters are from those they may trade with.
    """
    orders: NDArray[np.intp] = np.array([tuple(range(len(theta))), *exchanges(problem.law)])
    if len(orders) == 1:
        return draws
    apart = np.abs(theta[orders] - theta).max(axis=0)
    weight = np.where(apart > 0, 1.0 / np.maximum(apart, 1e-300), 0.0)
    each = draws[:, orders]  # (k, orders, p)
    nearest = (((each - theta) * weight) ** 2).sum(axis=-1).argmin(axis=1)
    chosen: Array = each[np.arange(len(draws)), nearest]
    return chosen
