"""Figures of compound scaling: the axes at equal FLOPs, and the surface of a coefficient search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from analysis.designs import log_ratios, surface_at
from analysis.plotting.draw import Look
from analysis.plotting.picture import Axis, Layer, Panel, Picture, log_x, loss_y
from analysis.plotting.runs import loss_label, run_ids
from analysis.plotting.style import BLUE, COLOURS, GREEN, INK, ORANGE, VERMILION, styled
from analysis.tables import usable, with_complexity

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from analysis.designs import AxisComparison, Coefficients

AXIS_COLOURS = {"compound": VERMILION, "depth": BLUE, "width": GREEN, "resolution": ORANGE}
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])


def axes_at_equal_flops(runs: pd.DataFrame, found: AxisComparison) -> Picture:
    """Error against forward FLOPs along each axis, and each axis over compound scaling."""
    percent = 100 if found.metric == "error" else 1
    table = usable(with_complexity(runs), found.metric, "flops_forward")
    label = "Held-out error (%)" if percent == 100 else loss_label(runs)
    left = Panel(_along_axes(table, found, percent), log_x("Forward FLOPs"), loss_y(label))
    right = Panel(
        _over_compound(found),
        log_x("Forward FLOPs over the base model's"),
        Axis(f"{found.metric} over compound's (%)"),
        title="at equal FLOPs; above 0: worse",
    )
    return Picture([left, right], width=8.0, height=3.3)


def _along_axes(table: pd.DataFrame, found: AxisComparison, percent: int) -> list[Layer]:
    """The base model, and for each axis its runs, its curve and that curve's interval."""
    base = table[table["axis"] == "base"]
    y = percent * base[found.metric]
    star: dict[str, Any] = {"marker": "*", "size": 42, "colour": INK, "order": 4}
    star |= {"label": "base model", "runs": run_ids(base)}
    layers = [Layer("points", base["flops_forward"], y, **star)]
    for curve in found.curves:
        colour = AXIS_COLOURS[curve.axis]
        ratio = np.geomspace(1, curve.max_ratio, 60)
        middle, low, high = (percent * values for values in found.predict(curve.axis, ratio))
        x, mine = ratio * found.base_flops, table[table["axis"] == curve.axis]
        if np.isfinite(low).all():
            layers.append(Layer("band", x, low, high, colour=colour, alpha=0.13, order=1))
        layers += [
            Layer("line", x, middle, colour=colour, label=curve.axis),
            Layer("points", mine["flops_forward"], percent * mine[found.metric],
                  runs=run_ids(mine), size=14, colour=colour, order=3),
        ]  # fmt: skip
    return layers


def _over_compound(found: AxisComparison) -> list[Layer]:
    """Each axis against compound scaling, in percent, with its interval."""
    others = [curve.axis for curve in found.curves if curve.axis != "compound"]
    layers = [Layer("hrule", y=0.0, colour=VERMILION)]
    for i, axis in enumerate(others):
        rows = [row for row in found.equal_flops if row.axis == axis and np.isfinite(row.ratio)]
        x = np.array([row.flops_ratio for row in rows]) * 1.05 ** (i - (len(others) - 1) / 2)
        low, high = 100 * (np.array([row.ratio_ci for row in rows]).reshape(-1, 2).T - 1)
        y = 100 * (np.array([row.ratio for row in rows]) - 1)
        colour = AXIS_COLOURS[axis]
        layers += [
            Layer("vbars", x, low, high, colour=colour, width=1.2),
            Layer("points", x, y, colour=colour, size=16, label=axis, order=3),
        ]
    return layers


@dataclass(frozen=True, eq=False)
class CoefficientSurface:
    """The response surface over shares of FLOPs, the cells, and the lowest point's bootstrap.

    A value that is called with a look to be drawn.

    Attributes
    ----------
    runs : DataFrame
        The run table of a search for coefficients.
    found : Coefficients
        Its lowest point.
    """

    runs: pd.DataFrame
    found: Coefficients

    def __call__(self, look: Look | None = None) -> Figure:
        """The figure, as matplotlib has it."""
        found, percent = self.found, self._percent
        cells = self._cells()[1] @ _CORNERS
        shares = _grid()
        height = percent * surface_at(found, shares)
        x, y = (shares @ _CORNERS).T
        width, k = (look or Look()).scale(5.2)
        with styled(k):
            figure = Figure(figsize=(width, width * 4.3 / 5.2))
            axes = figure.subplots()
            filled = axes.tricontourf(x, y, height, levels=14, cmap=COLOURS)
            filled.set_edgecolor("face")  # no hairlines between the levels in PDF and SVG
            drawn = found.draws @ _CORNERS
            axes.scatter(drawn[:, 0], drawn[:, 1], s=k * k * 5, color="white", lw=0, alpha=0.25)
            axes.scatter(  # white is seen on the surface, not in the legend
                [], [], s=k * k * 5, facecolors="white", edgecolors=INK, linewidths=0.4 * k,
                label="lowest points of the bootstrap",
            )  # fmt: skip
            axes.scatter(
                cells[:, 0],
                cells[:, 1],
                s=k * k * 22,
                facecolors="white",  # a ring is not seen on the dark middle
                edgecolors=INK,
                linewidths=0.9 * k,
                label="runs",
            )
            lowest = np.array(list(found.shares.values())) @ _CORNERS
            axes.scatter(
                lowest[0], lowest[1], s=k * k * 150, marker="*", color=VERMILION,
                edgecolors="white", linewidths=0.8 * k, zorder=5, label="lowest point",
            )  # fmt: skip
            for corner, text, dy in zip(
                _CORNERS, ("depth alone", "width alone", "resolution alone"), (-0.06, -0.06, 0.05),
                strict=True,
            ):  # fmt: skip
                axes.text(corner[0], corner[1] + dy, text, ha="center", va="center", color=INK)
            axes.set_xlim(-0.12, 1.12)
            axes.set_ylim(-0.14, 0.98)
            axes.set_aspect("equal")
            axes.set_axis_off()
            bar = figure.colorbar(filled, ax=axes, pad=0.01, aspect=30, fraction=0.045)
            bar.set_label("error (%)" if percent == 100 else "loss", color=INK)
            bar.outline.set_visible(False)
            p, ci = found.params, found.ci
            roomy = width / k >= 5.2  # text as wide as it was designed for
            words = (", " if roomy else "\n").join(
                f"$\\{name}$ = {p[name]:.2f} ({ci[name][0]:.2f} to {ci[name][1]:.2f})" for name in p
            )
            care = "" if found.status == "ok" else f"\nstatus: {found.status}"
            axes.set_title(words + care, fontweight="normal", fontsize=8.5 * k)
            figure.legend(loc="outside lower center", fontsize=7 * k, ncols=3 if roomy else 1)
        return figure

    def data(self) -> pd.DataFrame:
        """The numbers: a row each point, its series, shares of FLOPs, and metric where it has one.

        Those of the surface are fitted, those of the runs measured; in percent where the metric is
        an error, as they are drawn.
        """
        import pandas as pd

        runs, cells = self._cells()
        grid = _grid()
        lowest = np.array([list(self.found.shares.values())])
        parts = {
            "surface": (grid, surface_at(self.found, grid)),
            "runs": (cells, runs[self.found.metric].to_numpy(dtype=float)),
            "lowest point": (lowest, surface_at(self.found, lowest)),
            "lowest points of the bootstrap": (self.found.draws, None),
        }
        frames = []
        for series, (shares, values) in parts.items():
            frame = pd.DataFrame(shares, columns=list(self.found.shares))
            frame.insert(0, "series", series)
            frame[self.found.metric] = np.nan if values is None else self._percent * values
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    @property
    def _percent(self) -> int:
        return 100 if self.found.metric == "error" else 1

    def _cells(self) -> tuple[pd.DataFrame, NDArray[np.float64]]:
        """The runs that grew, and by which shares."""
        table = usable(self.runs[self.runs["axis"] == "search"], self.found.metric)
        logs = log_ratios(table)
        grown = logs.sum(axis=1) > 0
        return table[grown], logs[grown] / logs[grown].sum(axis=1, keepdims=True)


def _grid() -> NDArray[np.float64]:
    """Shares of the surface that are drawn, of shape (n, 3)."""
    steps = np.linspace(0, 1, 81)
    a, b = (v.ravel() for v in np.meshgrid(steps, steps, indexing="ij"))
    return np.column_stack([a, b, 1 - a - b])[a + b <= 1 + 1e-9]
