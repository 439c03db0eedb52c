"""How far Approach 2 is off on a grid of runs, and what that would cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.compute.approach2 import isoflop
from analysis.compute.approach2_methods import Method
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits import Fit


@dataclass(frozen=True)
class Bias:
    """How far Approach 2 is off if the parametric law is the truth, on the same grid of runs.

    Attributes
    ----------
    a, a_law : float
        The exponent from noise-free losses of the law on the runs' grid, and the law's own.
    flops : tuple of float
        Budgets at which the allocation is compared.
    num_params_ratio : tuple of float
        N* by Approach 2 over N* of the law.
    misallocated : tuple of float
        Share of the budget wasted: 1 - C'/C where the law's optimum at C' reaches the loss that
        Approach 2's allocation has at C.
    """

    a: float
    a_law: float
    flops: tuple[float, ...]
    num_params_ratio: tuple[float, ...]
    misallocated: tuple[float, ...]


def parabola_bias(
    fit: Fit, runs: pd.DataFrame, flops: Any, *, method: Method = "parabola", cost: float = 6.0
) -> Bias:
    """The bias of Approach 2 on this grid of runs, taking ``fit`` (a law in N and D) as true.

    Source: the effect of alpha != beta and of off-centre grids, arXiv 2603.22339.

    Parameters
    ----------
    fit : Fit
        A law with inputs ``num_params`` and ``num_tokens``.
    runs : DataFrame
        The runs whose grid is taken; their losses are replaced by the law's.
    flops : sequence of float
        Budgets to compare at.
    cost : float
        FLOPs per parameter and token.
    """
    import pandas as pd
    from scipy.optimize import brentq

    exact = runs.assign(loss=np.asarray(fit.predict(runs)))
    found = isoflop(exact, method=method, noise=1e-6, draws=0)
    if not np.isfinite(found.a):
        raise NoAnswerError(found.status)
    ratios, shares = [], []
    for budget in flops:
        best = fit.optimal(budget, cost=cost)
        n = float(found.num_params(budget))
        d = budget / (cost * n)  # tokens that are new, as ``optimal`` has them
        table = pd.DataFrame({"num_params": [n], "num_tokens": [d], "num_unique_tokens": [d]})
        loss = float(np.asarray(fit.predict(table))[0])
        ratios.append(n / best["num_params"])

        def excess(log_c: float, loss: float = loss) -> float:
            return float(fit.optimal(float(np.exp(log_c)), cost=cost)["loss"]) - loss

        top = float(np.log(budget))
        low = top - 1.0
        while excess(low) < 0:
            low -= 2.0
        equal = brentq(excess, low, top) if excess(top) < 0 else top
        shares.append(1 - float(np.exp(equal - top)))
    return Bias(
        a=found.a,
        a_law=fit.exponents()[0],
        flops=tuple(float(c) for c in flops),
        num_params_ratio=tuple(ratios),
        misallocated=tuple(shares),
    )
