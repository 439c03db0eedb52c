"""A ``Fit`` as a short table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.wording import span
from scaling.base import Display, NoAnswerError

if TYPE_CHECKING:
    from analysis.fits.result import Fit

LEVEL = 0.9


def display(fit: Fit) -> Display:
    """The law with its numbers; parameters with intervals; runs and status."""
    ci = fit.ci(LEVEL) if fit.draws is not None else {}
    rows: list[tuple[Any, ...]] = [
        (p.name, fit.params[p.name], span(ci[p.name]) if ci else "", p.unit, p.means)
        for p in fit.law.parameters
    ]
    if fit.in_plane:
        rows += _exponents(fit)
    header: tuple[str, ...] = ("parameter", "value", f"{100 * LEVEL:g} % interval", "unit", "means")
    notes = [
        f"{fit.law.name} on {fit.n_runs} runs, {len(fit.excluded)} left out; R² "
        f"{fit.r2:.4f} of {'log ' if fit.space == 'log' else ''}{fit.y_col}",
        f"status: {fit.status}",
    ]
    if not ci:
        header, rows = (*header[:2], *header[3:]), [(*row[:2], *row[3:]) for row in rows]
        notes.append("no intervals: fit with bootstrap=1000")
    return Display(fit.formula(), header, rows, notes)


def _exponents(fit: Fit) -> list[tuple[Any, ...]]:
    """How the best size and data grow; nothing if the fit identifies no best size."""
    try:
        values = fit.exponents()
        ci = fit.exponents_ci(LEVEL) if fit.draws is not None else {}
    except NoAnswerError:
        return []
    return [
        (name, value, span(ci[key]) if ci else "", "", f"{letter}* grows as C^{name}")
        for key, letter, name, value in zip("ab", "ND", fit.exponent_names, values, strict=True)
    ]
