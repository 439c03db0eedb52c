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
from scipy.special import stdtrit

from analysis.compute.approach2_budgets import Budget

Array = NDArray[np.float64]
# of the loss: 1 is Chinchilla's law, 1 / alpha_D Kaplan's
_POWERS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 16.0)
_SUM = (0.2, 2.4)  # of alpha + beta; published laws have .4 to 1, Kaplan's 1.8
_SKEW = 0.25  # standard deviation of beta - alpha before the losses are seen
_CELLS = 16  # of the grid of exponents in each direction
_ENOUGH = 64  # likely cells, short of which the grid is drawn anew about the best ones
_BEST = 32  # so many that a narrow ridge between two cells is not lost
_ZOOMS = 8
_LIKELY = -8.0  # ln of a cell's weight over the highest: those below are not looked at closer
_TEAM, _WALKERS = 24, 64  # along each power, and over all
_WARM, _APART = 50, 6  # steps of all walkers before draws are taken, and between them
_NEAR = 1500  # cells from which the profile likelihood is read
_Z90 = 1.6449  # of a normal 90 % interval
_STRETCH = 2.0  # Goodman and Weare's a
_FLOOR = 1e-6  # relative noise of losses that a curve meets exactly


@dataclass(frozen=True)
class Profile:
    """How far the curves that are not excluded at 90 % reach in a number: ln N*, or an exponent.

    Many exponents and powers fit alike and differ in N*, and what a prior says of them is not
    known: an interval that holds N* by the likely ones alone fails where the truth is among the
    others. So it reaches as far as the profile likelihood does.

    Attributes
    ----------
    curves : array ``(n_curves,)``
        The number on each curve; NaN where it has none.
    unused : array ``(n_curves,)``
        How many standard deviations noise may move it besides.
    by_noise : array ``(n_draws,)``
        How far noise alone moved it in each draw.
    """

    curves: Array
    unused: Array
    by_noise: Array

    def wider(self, draws: Array) -> tuple[float, float]:
        """How much wider than ``draws`` each side of an interval is, about their median."""
        known, moved = draws[np.isfinite(draws)], self.by_noise[np.isfinite(self.by_noise)]
        if len(known) < 2:
            return 1.0, 1.0
        off = float(np.std(moved)) * self.unused if len(moved) else 0.0 * self.unused
        first, median, last = np.quantile(known, (0.05, 0.5, 0.95))
        low, high = np.fmin.reduce(self.curves - off), np.fmax.reduce(self.curves + off)
        below = (median - np.fmin(first, low)) / max(median - first, 1e-12)
        above = (np.fmax(last, high) - median) / max(last - median, 1e-12)
        return max(1.0, float(below)), max(1.0, float(above))


@dataclass(frozen=True)
class Spread:
    """What the losses of all budgets say of their minima and of the noise.

    Attributes
    ----------
    log_n : tuple of arrays ``(n_draws,)``
        ln of the best size for each budget, in their order; draw i of all budgets has the same
        exponents and the same noise. NaN where a curve has no minimum.
    profiles : tuple of Profile
        How far the curves reach in ln of the best size, for each budget; on the same curves.
    best : tuple of (float, float)
        ln of the best size and of its loss on the likeliest curve of each budget; NaN without.
    noise : float
        Relative standard deviation of a run's loss, estimated or as given.
    """

    log_n: tuple[Array, ...]
    profiles: tuple[Profile, ...]
    best: tuple[tuple[float, float], ...]
    noise: float


def freedom(budgets: Sequence[Budget]) -> int:
    """How many losses are left to tell the noise: repeats, and sizes beyond three at a budget."""
    return sum(b.spread[1] + max(len(b.log_n) - 3, 0) for b in budgets)


def spread(
    budgets: Sequence[Budget], noise: float | None, draws: int, rng: np.random.Generator
) -> Spread:
    """Draws of the best sizes that the losses allow: their posterior.

    Given the exponents and the power a curve is linear, so that only these three are sought: on
    grids first, so that no optimum is missed, then by walkers that start at likely cells. They move
    as Goodman and Weare 2010 (*Ensemble samplers with affine invariance*) have it, which ridges
    narrower than a grid's cells do not hinder. Priors are flat but for the skew's (normal about 0),
    which counts where sizes are few. Unknown noise is drawn as well, so that few losses give wide
    intervals, as Student's t does.

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
    misfit = _misfit_of(budgets)

    def log_weight(cells: Array) -> tuple[Array, Array]:
        squares = repeats + misfit(cells)
        if noise is None:
            fitted = -0.5 * left * np.log(squares + left * _FLOOR**2)
        else:
            fitted = -0.5 * squares / max(noise, _FLOOR) ** 2
        return fitted - 0.5 * ((cells[:, 1] - cells[:, 0]) / _SKEW) ** 2, squares

    cells, log_weights, squares = map(
        np.concatenate, zip(*(_grid(power, log_weight) for power in _POWERS), strict=True)
    )
    cells, log_weights, squares = _walk(cells, log_weights, squares, log_weight, draws, rng)
    best = int(log_weights.argmax())
    drawn = np.arange(len(cells) - _APART * draws, len(cells), _APART)  # the walkers' last steps
    if noise is None:
        found = max(float(np.sqrt(squares[best] / left)), _FLOOR)
        noises = np.maximum(np.sqrt(squares[drawn] / rng.chisquare(left, draws)), _FLOOR)
    else:
        found, noises = noise, np.full(draws, noise)
    reach = _reach(left if noise is None else None)
    near = np.flatnonzero(log_weights > log_weights[best] - reach)
    near = near[:: 1 + len(near) // _NEAR]
    unused = np.sqrt(2 * (reach + log_weights[near] - log_weights[best]))
    spreads, profiles, lowest = [], [], []
    none = np.zeros((1, 3))
    for budget in budgets:
        off = noises[:, None] * rng.standard_normal((draws, 3))
        log_n = _minima(budget, cells[drawn], off)[0]
        by_noise = log_n - _minima(budget, cells[drawn], none)[0]
        spreads.append(log_n)
        profiles.append(Profile(_minima(budget, cells[near], none)[0], unused, by_noise))
        at, loss = _minima(budget, cells[best : best + 1], none)
        lowest.append((float(at[0]), float(loss[0])))
    return Spread(tuple(spreads), tuple(profiles), tuple(lowest), found)


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
    return cells, weight, squares


def _walk(
    cells: Array,
    log_weights: Array,
    squares: Array,
    log_weight: Callable[[Array], tuple[Array, Array]],
    draws: int,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """The grid's cells and after them all that walkers came by, each with ln weight and misfit.

    Walkers go along each power by itself first, so that none is lost whatever its prior, then over
    all. Of the latter's states every ``_APART``-th, ``draws`` in all, is taken as a draw: those of
    a walker stand behind each other.
    """
    if not draws:
        return cells, log_weights, squares
    starts = []
    for power in _POWERS:
        (same,) = np.nonzero(cells[:, 2] == power)
        likely = np.exp(0.5 * (log_weights[same] - log_weights[same].max()))  # none is lost
        starts.append(same[rng.choice(len(same), _TEAM, p=likely / likely.sum())])
    at = _coordinates(cells[np.concatenate(starts)])
    at[:, :2] += 1e-3 * rng.standard_normal((len(at), 2))
    along = _steps(at, len(_POWERS), 2, _WARM, log_weight, rng)
    at, weight = along[0][:, -1], along[1][:, -1]
    chosen = rng.choice(len(at), _WALKERS, p=_shares(weight))
    first = at[chosen] + 1e-3 * rng.standard_normal((_WALKERS, 3))
    steps = _APART * -(-draws // _WALKERS)
    over = _steps(np.abs(first), 1, 3, _WARM + steps, log_weight, rng)
    visited = [
        tuple(v[:, skip:].reshape(-1, *v.shape[2:]) for v in found)
        for found, skip in ((along, _WARM // 2), (over, _WARM))
    ]
    states = [(_cells_of(where), weights, misfits) for where, weights, misfits in visited]
    all_cells, all_weights, all_squares = zip((cells, log_weights, squares), *states, strict=True)
    return np.concatenate(all_cells), np.concatenate(all_weights), np.concatenate(all_squares)


def _shares(log_weights: Array) -> Array:
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def _steps(
    at: Array,
    teams: int,
    free: int,
    steps: int,
    log_weight: Callable[[Array], tuple[Array, Array]],
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Where walkers that start ``at (n, 3)`` are after each step, ln weights and misfits there.

    ``teams`` of as many walkers move by their own alone; ``free`` coordinates differ in a team.
    """
    at = at.copy()
    weight, square = _of_walkers(at, log_weight)
    weight = np.maximum(weight, -1e300)  # outside of the range: any move is better
    each = np.arange(len(at)).reshape(teams, 2, -1)
    halves = each[:, 0].ravel(), each[:, 1].ravel()
    size = each.shape[2]
    taken = []
    for _ in range(steps):
        for own, other in (halves, halves[::-1]):
            far = ((_STRETCH - 1) * rng.random(len(own)) + 1) ** 2 / _STRETCH
            team = np.repeat(np.arange(teams) * size, size)
            towards = at[other[team + rng.integers(0, size, len(own))]]
            trial = towards + far[:, None] * (at[own] - towards)
            value, misfit = _of_walkers(trial, log_weight)
            gain = (free - 1) * np.log(far) + value - weight[own]
            moves = np.log(rng.random(len(own))) < gain
            at[own[moves]], weight[own[moves]] = trial[moves], value[moves]
            square[own[moves]] = misfit[moves]
        taken.append((at.copy(), weight.copy(), square.copy()))
    where, weights, misfits = zip(*taken, strict=True)
    return np.stack(where, axis=1), np.stack(weights, axis=1), np.stack(misfits, axis=1)


def _reach(left: int | None) -> float:
    """How far below the highest a likelihood may lie, in ln, that is not excluded at 90 %.

    ``left`` losses tell the noise, if it is estimated; three of them go to the exponents.
    """
    if left is None:
        return 0.5 * _Z90**2
    rest = max(left - 3, 1)
    return 0.5 * left * float(np.log1p(stdtrit(rest, 0.95) ** 2 / rest))


def _of_walkers(
    at: Array, log_weight: Callable[[Array], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """ln of the weight and misfit at coordinates ``(n, 3)``; -inf outside of their range."""
    total, skew, log_power = at.T
    inside = (np.abs(skew) < 0.95 * total) & (total > _SUM[0]) & (total < _SUM[1])
    inside &= (log_power >= 0) & (log_power <= np.log(_POWERS[-1]) + 1e-9)
    weight, square = np.full(len(at), -np.inf), np.full(len(at), np.inf)
    if inside.any():
        weight[inside], square[inside] = log_weight(_cells_of(at[inside]))
    return weight, square


def _coordinates(cells: Array) -> Array:
    alpha, beta, power = cells.T
    return np.stack([alpha + beta, beta - alpha, np.log(power)], axis=1)


def _cells_of(at: Array) -> Array:
    total, skew, log_power = at.T
    return np.stack([(total - skew) / 2, (total + skew) / 2, np.exp(log_power)], axis=1)


def _misfit_of(budgets: Sequence[Budget]) -> Callable[[Array], Array]:
    """The sum of squared relative residuals of the best curves ``(n,)`` of cells ``(n, 3)``."""
    most = max(len(b.log_n) for b in budgets)

    def padded(values: Sequence[Array]) -> Array:
        return np.stack([np.pad(v, (0, most - len(v))) for v in values])

    x = padded([b.log_n - b.log_n.mean() for b in budgets])
    y = padded([b.log_loss - b.log_loss.mean() for b in budgets])
    root = padded([np.sqrt(b.repeats) for b in budgets])  # 0 where a budget has fewer sizes

    def misfit(cells: Array) -> Array:
        alpha, beta, power = (column[:, None, None] for column in cells.T)
        unit = root * np.exp(-power * y) / power
        left = root / power
        known: list[Array] = []
        for column in (unit, unit * np.exp(-alpha * x), unit * np.exp(beta * x)):
            for _ in range(2):  # twice is enough: Giraud et al. 2005
                for q in known:
                    column = column - _dot(column, q) * q
            known.append(column / np.maximum(np.sqrt(_dot(column, column)), 1e-300))
            left = left - _dot(left, known[-1]) * known[-1]
        return np.asarray(_dot(left, left).sum(axis=(1, 2)))

    return misfit


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(np.einsum("nbk,nbk->nb", a, b)[:, :, None])


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
