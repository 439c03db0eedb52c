"""The balance of depth, width and resolution: a response surface over a coefficient search.

At a fixed factor F of FLOPs, ln alpha + 2 ln beta + 2 ln gamma = ln F, so that the shares

    s = (ln alpha, 2 ln beta, 2 ln gamma) / ln F

lie on a triangle. The surface is Scheffé's quadratic for mixtures (1958), ln y = sum b_i s_i +
sum b_ij s_i s_j, and one term for how far a cell's exact FLOPs are from F. Its lowest point uses
all cells, where the best cell alone (Tan & Le 2019, sec. 3.3) is as noisy as one run.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.intervals import interval
from analysis.tables import metric_of, usable, with_complexity

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

NAMES = ("alpha", "beta", "gamma")
PER_SHARE = (1.0, 2.0, 2.0)  # FLOPs grow as alpha beta^2 gamma^2
MIN_CELLS = 8  # six terms of the surface, one for FLOPs, one to spare
STEPS = 100  # of a share, on the grid where the surface's lowest point is sought
EDGE = 0.5 / STEPS
WIDE = 0.7  # an interval of a share that covers most of the triangle says nothing
Interval = tuple[float, float]


@dataclass(frozen=True)
class Coefficients:
    """Coefficients at the lowest point of the surface, with intervals.

    Attributes
    ----------
    params, ci : dict
        alpha, beta, gamma; ``shares`` of ln F likewise.
    best_cell : dict
        The coefficients of the single cell with the lowest mean.
    gain : float
        y at the lowest point over y at the paper's 1.2, 1.1, 1.15; ``gain_ci``.
    status : str
        ``ok``; ``edge`` where an axis gets nothing; ``flat`` where the intervals cover most of
        the triangle.
    draws : ndarray (n_draws, 3)
        Lowest points of the bootstrap, in shares.
    """

    metric: str
    factor: float
    params: dict[str, float]
    ci: dict[str, Interval]
    shares: dict[str, float]
    shares_ci: dict[str, Interval]
    value: float
    gain: float
    gain_ci: Interval
    best_cell: dict[str, float]
    n_runs: int
    n_cells: int
    r2: float
    level: float
    status: str
    surface: NDArray[np.float64]
    draws: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the draws."""
        return {k: v for k, v in asdict(self).items() if k not in ("surface", "draws")}


def has_search(runs: pd.DataFrame) -> bool:
    """Whether ``runs`` hold a coefficient search."""
    return "axis" in runs.columns and bool((runs["axis"] == "search").any())


def pick_coefficients(
    runs: pd.DataFrame,
    *,
    metric: str | None = None,
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
) -> Coefficients:
    """alpha, beta, gamma at the lowest point of the response surface.

    Parameters
    ----------
    runs : DataFrame
        With ``axis`` = ``search`` and ``flops_depth``, ``flops_width``, ``flops_resolution``
        (FLOPs with one multiplier alone over the base's, so that rounding is seen), or
        else the three multipliers.
    draws : int
        Residual bootstrap; the lowest point is found again in each.

    Raises
    ------
    ValueError
        If there are fewer than eight cells.
    """
    name = metric_of(runs, metric)
    if not has_search(runs):
        raise ValueError("no run of a coefficient search (axis 'search')")
    table = usable(with_complexity(runs[runs["axis"] == "search"]), name)
    logs = log_ratios(table)
    total = logs.sum(axis=1)
    table, logs, total = table[total > 0], logs[total > 0], total[total > 0]
    shares = logs / total[:, None]
    cells, cell = np.unique(np.round(shares, 6), axis=0, return_inverse=True)
    if len(cells) < MIN_CELLS:
        raise ValueError(
            f"{len(cells)} different cells, and a response surface over three coefficients needs "
            f"{MIN_CELLS}: refine the grid of the search, or raise its tolerance"
        )
    y = np.log(table[name].to_numpy(dtype=float))
    factor = float(np.exp(total.mean()))
    off = np.zeros(len(y))
    if "flops_forward" in table.columns:
        off = np.log(table["flops_forward"].to_numpy(dtype=float))
        off = off - off.mean()
    design = np.column_stack([_terms(shares), off])
    solve = np.linalg.pinv(design)
    surface = solve @ y
    fitted = design @ surface
    left = y - fitted
    spare = max(1, len(y) - 7)
    rng = np.random.default_rng(seed)
    inflated = (left - left.mean()) * math.sqrt(len(y) / spare)
    again = solve @ (fitted[:, None] + rng.choice(inflated, size=(len(y), max(1, draws))))
    grid = _triangle()
    terms = _terms(grid)
    heights = terms @ surface[:6]
    lowest = grid[int(heights.argmin())]
    drawn = terms @ again[:6]
    lowest_drawn = grid[drawn.argmin(axis=0)]
    paper = _terms(_paper())
    gains = np.exp(drawn.min(axis=0) - (paper @ again[:6])[0])
    means = np.bincount(cell.ravel(), y) / np.bincount(cell.ravel())
    shares_ci = {
        axis: _interval(lowest_drawn[:, i], level)
        for i, axis in enumerate(("depth", "width", "resolution"))
    }
    status = "ok"
    if lowest.min() < EDGE:
        status = "edge"
    if any(high - low > WIDE for low, high in shares_ci.values()):
        status = "flat"
    powers = _coefficients(lowest_drawn, factor)
    return Coefficients(
        metric=name,
        factor=factor,
        params=dict(zip(NAMES, _coefficients(lowest[None], factor)[0].tolist(), strict=True)),
        ci={key: _interval(powers[:, i], level) for i, key in enumerate(NAMES)},
        shares=dict(zip(shares_ci, lowest.tolist(), strict=True)),
        shares_ci=shares_ci,
        value=float(np.exp(heights.min())),
        gain=float(np.exp(heights.min() - (paper @ surface[:6])[0])),
        gain_ci=_interval(gains, level),
        best_cell=dict(
            zip(NAMES, _coefficients(cells[[means.argmin()]], factor)[0].tolist(), strict=True)
        ),
        n_runs=len(y),
        n_cells=len(cells),
        r2=1 - float(left @ left) / float(((y - y.mean()) ** 2).sum() or 1.0),
        level=level,
        status=status,
        surface=surface,
        draws=lowest_drawn,
    )


def surface_at(found: Coefficients, shares: NDArray[Any]) -> NDArray[np.float64]:
    """The surface's y at shares of shape (n, 3)."""
    return np.asarray(np.exp(_terms(np.asarray(shares, dtype=float)) @ found.surface[:6]))


def log_ratios(table: pd.DataFrame) -> NDArray[np.float64]:
    """ln FLOPs that depth, width and resolution each add, of shape (n_runs, 3)."""
    axes = ("depth", "width", "resolution")
    exact = [f"flops_{axis}" for axis in axes]
    if set(exact) <= set(table.columns) and table[exact].notna().all(axis=None):
        return np.asarray(np.log(table[exact].to_numpy(dtype=float)))
    asked = [f"{axis}_multiplier" for axis in axes]
    missing = [name for name in asked if name not in table.columns]
    if missing:
        raise ValueError(f"a coefficient search needs the columns {', '.join(asked)}")
    return np.asarray(np.log(table[asked].to_numpy(dtype=float)) * np.array(PER_SHARE))


def _terms(shares: NDArray[Any]) -> NDArray[np.float64]:
    """The six terms of Scheffé's quadratic for shares of shape (n, 3)."""
    a, b, c = shares.T
    return np.column_stack([a, b, c, a * b, a * c, b * c])


def _triangle() -> NDArray[np.float64]:
    """All shares in steps of 1 / ``STEPS``."""
    i, j = np.meshgrid(np.arange(STEPS + 1), np.arange(STEPS + 1), indexing="ij")
    inside = i + j <= STEPS
    a, b = i[inside] / STEPS, j[inside] / STEPS
    return np.column_stack([a, b, 1 - a - b])


def _paper() -> NDArray[np.float64]:
    """The shares of Tan & Le's 1.2, 1.1, 1.15."""
    logs = np.log([1.2, 1.1, 1.15]) * np.array(PER_SHARE)
    return np.asarray((logs / logs.sum())[None])


def _coefficients(shares: NDArray[Any], factor: float) -> NDArray[np.float64]:
    """alpha, beta, gamma for shares of shape (n, 3)."""
    return np.asarray(factor ** (shares / np.array(PER_SHARE)))


def _interval(values: NDArray[Any], level: float) -> Interval:
    low, high = interval(values, level)
    return float(low), float(high)
