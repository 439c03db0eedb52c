"""Figures of how sure a law is: profile likelihoods, bootstrap cloud, backtest funnel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.intervals import interval
from analysis.plotting.picture import Axis, Layer, Panel, Picture, log_x
from analysis.plotting.style import BLUE, INK, MUTED, VERMILION
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    from analysis.fits import Fit
    from analysis.forecasts import Backtest
    from analysis.laws import Array

_DASHED: dict[str, Any] = {"colour": MUTED, "width": 0.8, "dash": (2, 2)}


def exponent_names(fit: Fit) -> list[str]:
    """The fitted parameters of the law that are exponents; all that are fitted if none is."""
    free = [p for p in fit.law.parameters if p.low < p.high]
    return [p.name for p in free if "exponent" in p.means] or [p.name for p in free]


def profile(fit: Fit, level: float = 0.9) -> Picture:
    """The objective along each exponent, minimised over all else, and the interval it gives."""
    names = exponent_names(fit)
    symbols = {p.name: p.latex for p in fit.law.parameters}
    panels, height = [], 0.0
    for name in names:
        values, objective, (low, high) = fit.profile(name, level)
        order = np.argsort(values)
        x, rise = values[order], 100 * (objective[order] / objective.min() - 1)
        ends = [end for end in (low, high) if np.isfinite(end)]
        layers = [
            Layer(
                "vspan", [max(low, x[0])], to=[min(high, x[-1])], colour=BLUE, alpha=0.12, order=1
            )
        ]
        view: tuple[float | None, float | None] = (None, None)
        if ends:
            limit = float(np.interp(ends[0], x, rise))
            layers.append(Layer("hrule", y=[limit], **_DASHED))
            near = rise <= 4 * limit
            view, height = (float(x[near][0]), float(x[near][-1])), max(height, 4 * limit)
        layers += [
            Layer("line", x, rise, colour=BLUE, width=1.6),
            Layer("vrule", [fit.params[name]], colour=VERMILION, width=1.2),
        ]
        shown = " to ".join(f"{end:.3g}" if np.isfinite(end) else "?" for end in (low, high))
        title = f"{fit.params[name]:.4g}   ({100 * level:g} %: {shown})"
        across = Axis(f"${symbols[name]}$", low=view[0], high=view[1], most=4)
        panels.append(Panel(layers, across, Axis("objective above its minimum (%)"), title))
    if height:
        limits = Axis(panels[0].y.label, low=0.0, high=height)
        panels = [Panel(p.layers, p.x, limits, p.title) for p in panels]
    return Picture(panels, width=max(4.4, 2.9 * len(names)), height=2.9, legend="", share_y=True)


def cloud(fit: Fit, level: float = 0.9) -> Picture:
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
    x, y = x[seen], y[seen]
    layers = [
        Layer("points", x, y, size=7.0, colour=BLUE, alpha=0.35,
              label=f"{len(x)} bootstrap draws ({fit.resample})"),
        Layer("vrule", interval(x, level), label=f"{100 * level:g} % of each", **_DASHED),
        Layer("hrule", y=interval(y, level), **_DASHED),
        Layer("points", [at], [fit.params[floor.name]], marker="P", size=70.0, colour=VERMILION,
              order=4, label="the fit"),
    ]  # fmt: skip
    return Picture(
        [Panel(layers, _middle(x, label), _middle(y, f"${floor.latex}$, {floor.means}"))],
        legend="above",
    )


def _middle(values: Array, label: str) -> Axis:
    """An axis over all but the outermost hundredth of the values, and a margin."""
    low, high = np.quantile(values, [0.005, 0.995])
    margin = 0.15 * (high - low)
    return Axis(label, low=float(low - margin), high=float(high + margin))


def _exponent(fit: Fit, draws: Array) -> tuple[Array, float, str]:
    """Draws ``(k,)`` of the exponent that a cloud shows, its fitted value and its label."""
    if fit.in_plane:
        return fit.exponents_draws()[0], fit.exponents()[0], "$a$ of $N^* \\propto C^{\\,a}$"
    name = exponent_names(fit)[0]
    index = fit.law.names.index(name)
    parameter = fit.law.parameters[index]
    return draws[:, index], fit.params[name], f"${parameter.latex}$, {parameter.means}"


def funnel(found: Backtest) -> Picture:
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
    layers = [
        Layer("vbars", beyond, ends[0], ends[1], colour=BLUE, width=2.2, alpha=faint,
              label="90 % interval"),
        Layer("hrule", y=[0.0], colour=INK, width=0.8),
        *(
            Layer("points", beyond[which], error[which], size=11.0, colour=colour, order=3,
                  alpha=max(0.35, faint * 2), label=f"measured, {word}")
            for which, colour, word in ((inside, BLUE, "inside"), (~inside, VERMILION, "outside"))
        ),
    ]  # fmt: skip
    title = (
        f"{len(beyond)} predictions of {len(splits)} fits ({found.law}); "
        f"{100 * found.coverage_90:.0f} % inside, RMSE {100 * found.mean_rmse_log:.2g} %,\n"
        f"interval score {found.interval_score:.3g}, CRPS {found.crps:.3g}"
    )
    across = log_x("size over the largest fitted")
    panel = Panel(layers, across, Axis("ln(measured / predicted)  (%)"), title)
    return Picture([panel], legend="above")
