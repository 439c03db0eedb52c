"""Compound against single-axis scaling at equal FLOPs.

Source of the comparison: Tan & Le 2019 (arXiv 1905.11946), figs. 3 and 8. Each axis has a curve
ln y = c + p x + q x^2 in x = ln(forward FLOPs / the base model's); all start from the one base
model, so they share c. A straight line (q = 0) is a power law, an upward bend is saturation.
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

AXES = ("compound", "depth", "width", "resolution")
MIN_POINTS = 2  # scales beyond the base model
SPARE = 4  # runs beyond the number of coefficients, for curves that bend
SAME = 1.02  # FLOPs within 2 % are one scale
Interval = tuple[float, float]


@dataclass(frozen=True)
class AxisCurve:
    """One axis: ``slope_small`` and ``slope_large`` are d ln y / d ln FLOPs at its two ends.

    ``saturates`` is whether the interval of the bend q is above 0; None if it has no interval.
    """

    axis: str
    n_runs: int
    max_ratio: float
    slope_small: float
    slope_large: float
    slope_large_ci: Interval
    saturates: bool | None


@dataclass(frozen=True)
class EqualFlops:
    """One axis at one factor of the base's FLOPs; ``ratio`` is y over the compound curve's y."""

    flops_ratio: float
    flops_forward: float
    axis: str
    value: float
    ci: Interval
    ratio: float
    ratio_ci: Interval


@dataclass(frozen=True)
class AxisComparison:
    """Curves of all axes and their values at equal FLOPs.

    ``draws`` has shape (n_draws, 1 + 2 n_axes): c, then p and q of each axis.
    """

    metric: str
    base_flops: float
    base_value: float
    level: float
    curves: tuple[AxisCurve, ...]
    equal_flops: tuple[EqualFlops, ...]
    r2: float
    status: str
    coefficients: NDArray[np.float64]
    draws: NDArray[np.float64]

    def predict(self, axis: str, ratio: Any) -> tuple[Any, Any, Any]:
        """The curve of ``axis`` and its interval at factors of the base's FLOPs."""
        i = [curve.axis for curve in self.curves].index(axis)
        x = np.log(np.asarray(ratio, dtype=float))
        rows = _columns(x, np.full(x.shape, i), len(self.curves))
        middle = np.exp(rows @ self.coefficients)
        low, high = interval(np.exp(rows @ self.draws.T), self.level, axis=-1)
        return middle, low, high

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the draws."""
        return {k: v for k, v in asdict(self).items() if k not in ("coefficients", "draws")}


def compare_axes(
    runs: pd.DataFrame,
    *,
    metric: str | None = None,
    draws: int = 2000,
    level: float = 0.9,
    seed: int = 0,
) -> AxisComparison:
    """The curves of the axes that ``runs`` scaled, compared at equal forward FLOPs.

    Parameters
    ----------
    runs : DataFrame
        With ``axis`` (``base``, ``compound``, ``depth``, ``width``, ``resolution``) and FLOPs.
    metric : str, optional
        ``error`` where there is one, else ``loss``.
    draws : int
        Residual bootstrap: residuals, inflated by sqrt(n / (n - p)), are drawn anew and
        the curves fitted again.

    Raises
    ------
    ValueError
        If there is no base model, or no axis has two scales beyond it.
    """
    name = metric_of(runs, metric)
    if "axis" not in runs.columns:
        raise ValueError("the runs have no column 'axis': they are of no compound-scaling sweep")
    table = usable(with_complexity(runs), name, "flops_forward")
    base = table[table["axis"] == "base"]
    if not len(base):
        raise ValueError("no finished run of the base model (axis 'base'): add phi 0 or flops 1")
    base_flops = float(base["flops_forward"].iloc[0])
    table = table.assign(x=np.log(table["flops_forward"] / base_flops))
    axes = [axis for axis in AXES if len(_scales(table[table["axis"] == axis])) >= MIN_POINTS]
    if not axes:
        raise ValueError(
            f"no axis has {MIN_POINTS} scales beyond the base model: the runs have "
            + ", ".join(f"{len(group)} of {axis}" for axis, group in table.groupby("axis"))
        )
    table = table[table["axis"].isin(["base", *axes])]
    bent = len(table) - (1 + 2 * len(axes)) >= SPARE
    which = np.array([axes.index(a) if a in axes else -1 for a in table["axis"]])
    design = _columns(table["x"].to_numpy(float), which, len(axes))
    y = np.log(table[name].to_numpy(dtype=float))
    free = np.array([True, *([True, bent] * len(axes))])
    solve = np.zeros((len(free), len(y)))
    solve[free] = np.linalg.pinv(design[:, free])
    coefficients = solve @ y
    fitted = design @ coefficients
    left = y - fitted
    spare = len(y) - int(free.sum())
    rng = np.random.default_rng(seed)
    if spare >= 2 and draws:
        inflated = (left - left.mean()) * math.sqrt(len(y) / spare)
        again = fitted[:, None] + rng.choice(inflated, size=(len(y), draws))
        sample, status = (solve @ again).T, "ok"
    else:
        sample = np.full((1, len(free)), np.nan)
        status = f"no intervals: {len(y)} runs for {int(free.sum())} coefficients"
    largest = {a: float(np.exp(table.loc[table["axis"] == a, "x"].max())) for a in axes}
    curves = tuple(
        _curve(table, axis, coefficients, sample, 1 + 2 * i, largest[axis], bent, level)
        for i, axis in enumerate(axes)
    )
    comparison = AxisComparison(
        metric=name,
        base_flops=base_flops,
        base_value=float(np.exp(coefficients[0])),
        level=level,
        curves=curves,
        equal_flops=(),
        r2=1 - float(left @ left) / float(((y - y.mean()) ** 2).sum() or 1.0),
        status=status,
        coefficients=coefficients,
        draws=sample,
    )
    at = _equal(comparison, largest)
    return AxisComparison(**{**comparison.__dict__, "equal_flops": at})


def _scales(table: pd.DataFrame) -> list[float]:
    """Distinct FLOPs above the base's, those within 2 % counted once."""
    distinct: list[float] = []
    for x in sorted(table["x"]):
        if x > math.log(SAME) and (not distinct or x > distinct[-1] + math.log(SAME)):
            distinct.append(float(x))
    return distinct


def _columns(x: NDArray[Any], which: NDArray[Any], axes: int) -> NDArray[np.float64]:
    """The rows of the linear model: 1, then x and x^2 in the columns of each row's axis."""
    design = np.zeros((len(x), 1 + 2 * axes))
    design[:, 0] = 1.0
    for i in range(axes):
        mine = which == i
        design[mine, 1 + 2 * i] = x[mine]
        design[mine, 2 + 2 * i] = x[mine] ** 2
    return design


def _curve(
    table: pd.DataFrame,
    axis: str,
    coefficients: NDArray[Any],
    sample: NDArray[Any],
    at: int,
    largest: float,
    bent: bool,
    level: float,
) -> AxisCurve:
    reach = math.log(largest)
    low, high = interval(sample[:, at] + 2 * reach * sample[:, at + 1], level)
    bend_low = interval(sample[:, at + 1], level)[0]
    known = bent and bool(np.isfinite(bend_low))
    return AxisCurve(
        axis=axis,
        n_runs=int((table["axis"] == axis).sum()),
        max_ratio=largest,
        slope_small=float(coefficients[at]),
        slope_large=float(coefficients[at] + 2 * reach * coefficients[at + 1]),
        slope_large_ci=(float(low), float(high)),
        saturates=bool(bend_low > 0) if known else None,
    )


def _equal(found: AxisComparison, largest: dict[str, float]) -> tuple[EqualFlops, ...]:
    """All axes at 1.5, 2, 4, 8, ... times the base's FLOPs, as far as each was measured."""
    top = max(largest.values())
    ratios = [r for r in (1.5, *(2.0**k for k in range(1, 40))) if r <= 1.05 * top]
    names = [curve.axis for curve in found.curves]
    rows = []
    for ratio in ratios:
        x = np.array([math.log(ratio)])
        with_compound = "compound" in names and ratio <= 1.05 * largest["compound"]
        for i, axis in enumerate(names):
            if ratio > 1.05 * largest[axis]:
                continue
            row = _columns(x, np.array([i]), len(names))
            value, low, high = (float(v[0]) for v in found.predict(axis, [ratio]))
            relative, relative_ci = math.nan, (math.nan, math.nan)
            if with_compound:
                gap = row - _columns(x, np.array([names.index("compound")]), len(names))
                relative = float(np.exp(gap @ found.coefficients)[0])
                ends = interval(np.exp(gap @ found.draws.T)[0], found.level)
                relative_ci = (float(ends[0]), float(ends[1]))
            rows.append(
                EqualFlops(
                    ratio, ratio * found.base_flops, axis, value, (low, high), relative, relative_ci
                )
            )
    return tuple(rows)
