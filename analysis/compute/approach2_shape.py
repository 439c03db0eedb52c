"""Where the best size of a budget may lie: curves that its losses allow, drawn.

At one budget Chinchilla's law (Hoffmann et al. 2022, eq. 2, with D = C / (6 N)) is

    L(N) = E + p N^-alpha + q N^beta

lowest where alpha p N^-alpha = beta q N^beta, and Kaplan's (Kaplan et al. 2020, eq. 1.5) is the
same with E = 0 for a power of L. So the curves here are sums of two powers that equal L^power.
Each budget has an E, p and q of its own, as free as the three numbers of a parabola. Exponents
and power are shared by the budgets, because one says too little of its curve's skew
(beta - alpha), which moves a parabola's vertex, and of the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.compute.approach2_budgets import Budget

Array = NDArray[np.float64]
_POWERS = (1.0, 2.0, 5.0, 10.0)  # of the loss: 1 is Chinchilla's law, 1 / alpha_D Kaplan's
_SUM = (0.2, 2.4)  # of alpha + beta; published laws have .4 to 1, Kaplan's 1.8
_SKEW = 0.25  # standard deviation of beta - alpha before the losses are seen
_CELLS = 16  # of the grid of exponents in each direction
_ENOUGH = 64  # likely cells, short of which the grid is drawn anew about the best ones
_BEST = 32  # so many that a narrow ridge between two cells is not lost
_ZOOMS = 8
_LIKELY = -8.0  # ln of a cell's weight over the highest: those below are not looked at closer
_FLOOR = 1e-6  # relative noise of losses that a curve meets exactly


@dataclass(frozen=True)
class Spread:
    """What the losses of all budgets say of their minima and of the noise.

    Attributes
    ----------
    log_n : tuple of arrays ``(n_draws,)``
        ln of the best size for each budget, in their order; draw i of all budgets has the same
        exponents and the same noise. NaN where a curve has no minimum.
    best : tuple of (float, float)
        ln of the best size and of its loss on the likeliest curve of each budget; NaN without.
    noise : float
        Relative standard deviation of a run's loss, estimated or as given.
    """

    log_n: tuple[Array, ...]
    best: tuple[tuple[float, float], ...]
    noise: float


def freedom(budgets: Sequence[Budget]) -> int:
    """How many losses are left to tell the noise: repeats, and sizes beyond three at a budget."""
    return sum(b.spread[1] + max(len(b.log_n) - 3, 0) for b in budgets)


def spread(
    budgets: Sequence[Budget], noise: float | None, draws: int, rng: np.random.Generator
) -> Spread:
    """Draws of the best sizes that the losses allow: their posterior.

    Given the exponents a curve is linear, so that these are sought on a grid: no optimum can be
    missed. Priors are flat but for the skew's (normal about 0), which counts where sizes are few.
    Unknown noise is drawn as well, so that few losses give wide intervals, as Student's t does.

    Parameters
    ----------
    budgets : sequence of Budget
        Of three sizes or more.
    noise : float or None
        Relative standard deviation of a loss; None estimates it and needs a ``freedom`` of 1.
    draws, rng
        How many, and their randomness.
    """
    left = freedom(budgets)
    repeats = float(sum(b.spread[0] for b in budgets))

    def log_weight(cells: Array) -> tuple[Array, Array]:
        squares = repeats + sum((_misfit(b, cells) for b in budgets), np.zeros(len(cells)))
        if noise is None:
            fitted = -0.5 * left * np.log(squares + left * _FLOOR**2)
        else:
            fitted = -0.5 * squares / max(noise, _FLOOR) ** 2
        return fitted - 0.5 * ((cells[:, 1] - cells[:, 0]) / _SKEW) ** 2, squares

    cells, log_weights, squares = map(
        np.concatenate, zip(*(_grid(power, log_weight) for power in _POWERS), strict=True)
    )
    weight = np.exp(log_weights - log_weights.max())
    drawn = rng.choice(len(weight), size=draws, p=weight / weight.sum())
    best = weight.argmax(keepdims=True)
    if noise is None:
        found = max(float(np.sqrt(squares[best[0]] / left)), _FLOOR)
        noises = np.maximum(np.sqrt(squares[drawn] / rng.chisquare(left, draws)), _FLOOR)
    else:
        found, noises = noise, np.full(draws, noise)
    spreads, lowest = [], []
    for budget in budgets:
        off = noises[:, None] * rng.standard_normal((draws, 3))
        spreads.append(_minima(budget, cells[drawn], off)[0])
        at, loss = _minima(budget, cells[best], np.zeros((1, 3)))
        lowest.append((float(at[0]), float(loss[0])))
    return Spread(tuple(spreads), tuple(lowest), found)


def _grid(
    power: float, log_weight: Callable[[Array], tuple[Array, Array]]
) -> tuple[Array, Array, Array]:
    """Cells (alpha, beta, power) ``(n, 3)`` where they are likely, ln of their weights, misfits."""
    (low, high), (down, up) = _SUM, (-4 * _SKEW, 4 * _SKEW)
    for _ in range(_ZOOMS):
        total, skew = (
            v.ravel()
            for v in np.meshgrid(np.linspace(low, high, _CELLS), np.linspace(down, up, _CELLS))
        )
        positive = np.abs(skew) < 0.95 * total
        total, skew = total[positive], skew[positive]
        cells = np.stack(
            [(total - skew) / 2, (total + skew) / 2, np.full(len(total), power)], axis=1
        )
        weight, squares = log_weight(cells)
        likely = weight >= min(weight.max() + _LIKELY, np.sort(weight)[-_BEST])
        across, along = (high - low) / (_CELLS - 1), (up - down) / (_CELLS - 1)
        if (weight > weight.max() + _LIKELY).sum() >= _ENOUGH:
            break
        low = max(_SUM[0], float(total[likely].min()) - across)
        high = min(_SUM[1], float(total[likely].max()) + across)
        down, up = float(skew[likely].min()) - along, float(skew[likely].max()) + along
    return cells, weight + np.log(across * along), squares


def _basis(budget: Budget, cells: Array) -> tuple[Array, Array, Array]:
    """Orthonormal curves ``(n, k, 3)``, the triangle ``(n, 3, 3)`` that makes them, the losses.

    Rows are in units of the noise, whose relative size is the same at all losses.
    """
    alpha, beta, power = (column[:, None] for column in cells.T)
    x = budget.log_n - budget.log_n.mean()
    root = np.sqrt(budget.repeats)
    unit = root * np.exp(-power * (budget.log_loss - budget.log_loss.mean())) / power
    columns = np.stack([np.ones_like(alpha * x), np.exp(-alpha * x), np.exp(beta * x)], axis=2)
    q, r = np.linalg.qr(columns * unit[:, :, None])
    return q, r, root / power


def _misfit(budget: Budget, cells: Array) -> Array:
    """Sum of squared relative residuals of the best curve of each cell."""
    q, _, y = _basis(budget, cells)
    left = y - np.einsum("nkj,nj->nk", q, np.einsum("nkj,nk->nj", q, y))
    return np.asarray((left**2).sum(axis=1))


def _minima(budget: Budget, cells: Array, off: Array) -> tuple[Array, Array]:
    """ln of the best size and its loss on each cell's best curve, moved by ``off`` ``(n, 3)``."""
    q, r, y = _basis(budget, cells)
    at = np.einsum("nkj,nk->nj", q, y) + off
    floor, fall, rise = np.linalg.solve(r, at[:, :, None])[:, :, 0].T
    alpha, beta, power = cells.T
    bent = (fall > 0) & (rise > 0)
    fall, rise = np.where(bent, fall, np.nan), np.where(bent, rise, np.nan)
    x = np.log(alpha * fall / (beta * rise)) / (alpha + beta)
    lowest = floor + fall * np.exp(-alpha * x) + rise * np.exp(beta * x)
    lowest = np.where(lowest > 0, lowest, np.nan)
    log_n = np.where(np.isfinite(lowest), x + budget.log_n.mean(), np.nan)
    return log_n, np.log(lowest) / power + budget.log_loss.mean()
