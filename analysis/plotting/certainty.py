"""Figures of how sure a law is: profile likelihoods, bootstrap cloud, backtest funnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.intervals import interval
from analysis.plotting.style import BLUE, INK, MUTED, VERMILION, log_axis, new_figure, styled
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    from analysis.fits import Fit
    from analysis.forecasts import Backtest
    from analysis.laws import Array


def exponent_names(fit: Fit) -> list[str]:
    """The fitted parameters of the law that are exponents; all that are fitted if none is."""
    free = [p for p in fit.law.parameters if p.low < p.high]
    return [p.name for p in free if "exponent" in p.means] or [p.name for p in free]


def profile(fit: Fit, level: float = 0.9) -> Figure:
    """The objective along each exponent, minimised over all else, and the interval it gives."""
    names = exponent_names(fit)
    symbols = {p.name: p.latex for p in fit.law.parameters}
    with styled():
        figure, panels = new_figure(
            max(4.4, 2.9 * len(names)), 2.9, len(names), sharey=True, squeeze=False
        )
        for axes, name in zip(panels[0], names, strict=True):
            values, objective, (low, high) = fit.profile(name, level)
            order = np.argsort(values)
            x, rise = values[order], 100 * (objective[order] / objective.min() - 1)
            ends = [end for end in (low, high) if np.isfinite(end)]
            axes.axvspan(max(low, x[0]), min(high, x[-1]), color=BLUE, alpha=0.12, lw=0)
            if ends:
                limit = float(np.interp(ends[0], x, rise))
                axes.axhline(limit, color=MUTED, lw=0.8, ls=(0, (2, 2)))
                near = rise <= 4 * limit
                axes.set_xlim(x[near][0], x[near][-1])
                axes.set_ylim(0, 4 * limit)
            axes.plot(x, rise, color=BLUE, lw=1.6)
            axes.axvline(fit.params[name], color=VERMILION, lw=1.2)
            shown = " to ".join(f"{end:.3g}" if np.isfinite(end) else "?" for end in (low, high))
            axes.set_title(f"{fit.params[name]:.4g}   ({100 * level:g} %: {shown})", fontsize=8,
                           fontweight="normal")  # fmt: skip
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_xlabel(f"${symbols[name]}$")
        panels[0][0].set_ylabel("objective above its minimum (%)")
    return figure


def cloud(fit: Fit, level: float = 0.9) -> Figure:
    """Bootstrap draws of the floor against the exponent: a of N* ~ C^a, or a law's first own.

    Raises
    ------
    ValueError
        If the fit has no draws.
    NoAnswerError
        If the law has no floor.
    """
    floor = next((p for p in fit.law.parameters if p.role == "floor"), None)
    if floor is None:
        raise NoAnswerError(f"no cloud of exponent and floor: law {fit.law.name} has no floor")
    if fit.draws is None:
        raise ValueError("a cloud needs draws; fit with bootstrap=1000 (--bootstrap 1000)")
    x, at, label = _exponent(fit, fit.draws)
    y = fit.draws[:, fit.law.names.index(floor.name)]
    seen = np.isfinite(x)
    with styled():
        figure, axes = new_figure()
        axes.scatter(x[seen], y[seen], s=7, color=BLUE, alpha=0.35, lw=0,
                     label=f"{int(seen.sum())} bootstrap draws ({fit.resample})")  # fmt: skip
        for draw, values in ((axes.axvline, x[seen]), (axes.axhline, y[seen])):
            for end in interval(values, level):
                draw(end, color=MUTED, lw=0.8, ls=(0, (2, 2)))
        axes.plot([], [], color=MUTED, lw=0.8, ls=(0, (2, 2)), label=f"{100 * level:g} % of each")
        axes.scatter([at], [fit.params[floor.name]], marker="P", s=70, color=VERMILION,
                     edgecolors="white", linewidths=0.7, zorder=4, label="the fit")  # fmt: skip
        for limits, values in ((axes.set_xlim, x[seen]), (axes.set_ylim, y[seen])):
            low, high = np.quantile(values, [0.005, 0.995])
            limits(low - 0.15 * (high - low), high + 0.15 * (high - low))
        axes.set_xlabel(label)
        axes.set_ylabel(f"${floor.latex}$, {floor.means}")
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def _exponent(fit: Fit, draws: Array) -> tuple[Array, float, str]:
    """Draws ``(k,)`` of the exponent that a cloud shows, its fitted value and its label."""
    if fit.in_plane:
        return fit.exponents_draws()[0], fit.exponents()[0], "$a$ of $N^* \\propto C^{\\,a}$"
    name = exponent_names(fit)[0]
    index = fit.law.names.index(name)
    parameter = fit.law.parameters[index]
    return draws[:, index], fit.params[name], f"${parameter.latex}$, {parameter.means}"


def funnel(found: Backtest) -> Figure:
    """Errors of predictions and their 90 % intervals against how far beyond the fit they lie."""
    splits = [split for group in found.groups for split in group.splits]
    beyond = np.concatenate([split.beyond for split in splits])
    middle, low, high, actual = (
        np.concatenate([getattr(split, name) for split in splits])
        for name in ("predicted", "low", "high", "actual")
    )
    error = 100 * np.log(actual / middle)
    ends = 100 * np.log(np.array([low, high]) / middle)
    inside = (ends[0] <= error) & (error <= ends[1])
    faint = float(np.clip(60 / len(beyond), 0.06, 0.35))
    with styled():
        figure, axes = new_figure()
        axes.vlines(beyond, *ends, color=BLUE, lw=2.2, alpha=faint)
        axes.plot([], [], color=BLUE, lw=2.2, alpha=0.35, label="90 % interval")
        axes.axhline(0, color=INK, lw=0.8)
        for which, colour, word in ((inside, BLUE, "inside"), (~inside, VERMILION, "outside")):
            axes.scatter(beyond[which], error[which], s=11, color=colour, lw=0, zorder=3,
                         alpha=max(0.35, faint * 2), label=f"measured, {word}")  # fmt: skip
        axes.set_xlabel("size over the largest fitted")
        axes.set_ylabel("ln(measured / predicted)  (%)")
        log_axis(axes.xaxis, counts=True)
        axes.set_title(
            f"{len(beyond)} predictions of {len(splits)} fits ({found.law}); "
            f"{100 * found.coverage_90:.0f} % inside, RMSE {100 * found.mean_rmse_log:.2g} %",
            fontsize=8, fontweight="normal",
        )  # fmt: skip
        figure.legend(loc="outside upper left", ncols=3)
    return figure
