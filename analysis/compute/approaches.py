"""Approaches 1, 2 and 3 side by side: the exponents of N* ~ C^a and D* ~ C^b by each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from analysis.compute.approach1 import envelope
from analysis.compute.approach2 import isoflop as find_minima
from analysis.compute.approach2_bias import Bias, parabola_bias
from analysis.compute.approach2_methods import Method
from analysis.fits import IDENTIFIED
from analysis.tables import usable
from scaling.base import NoAnswerError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.compute.approach2 import IsoFlop
    from analysis.fits import Fit

Interval = tuple[float, float]
NONE = (float("nan"), float("nan"))
BEYOND = (1.0, 10.0, 100.0)
"""Budgets at which the cost of Approach 2's bias is reported, over the largest compute."""


@dataclass(frozen=True)
class Approach:
    """What one approach says: ``a`` and ``b`` with intervals, and its ``status``.

    ``status`` is ``"ok"``, what to be careful of, or (``a`` is then NaN) why there is no answer.
    """

    name: str
    method: str
    a: float
    b: float
    a_ci: Interval
    b_ci: Interval
    status: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def compare(
    runs: pd.DataFrame,
    *,
    curves: pd.DataFrame | None = None,
    isoflop: IsoFlop | None = None,
    fit: Fit | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> list[Approach]:
    """The three approaches of Hoffmann et al. 2022, section 3, as many as the runs allow.

    Parameters
    ----------
    runs : DataFrame
        The run table.
    curves : DataFrame, optional
        Learning curves; without them there is no Approach 1.
    isoflop : IsoFlop, optional
        Approach 2, if it has been computed already; else it is, with parabolas.
    fit : Fit, optional
        Approach 3: a law in N and D.

    Returns
    -------
    list of Approach
        Two whose intervals of a do not meet have a ``status`` that names each other: one of them
        is wrong, or what it takes for granted is.
    """
    found = []
    if curves is not None and len(curves):
        found.append(_first(runs, curves, level, seed))
    found.append(_second(runs, isoflop, level, seed))
    if fit is not None and fit.in_plane:
        found.append(_third(fit, level))
    return _disagreements(found)


def method_bias(runs: pd.DataFrame, fit: Fit, method: Method = "parabola") -> Bias:
    """The bias of Approach 2 on these runs, at 1, 10 and 100 times the largest compute.

    Raises as ``parabola_bias`` does.
    """
    largest = float(usable(runs, "flops")["flops"].max())
    return parabola_bias(fit, runs, [largest * factor for factor in BEYOND], method=method)


def _first(runs: pd.DataFrame, curves: pd.DataFrame, level: float, seed: int) -> Approach:
    name, method = "1", "lower envelope of learning curves"
    try:
        found = envelope(runs, curves, seed=seed)
    except (ValueError, NoAnswerError) as error:
        return _without(name, method, error)
    ci = found.ci(level)
    return Approach(name, method, found.a, found.b, ci["a"], ci["b"], found.status)


def _second(runs: pd.DataFrame, found: IsoFlop | None, level: float, seed: int) -> Approach:
    name, method = "2", "minima at equal compute"
    try:
        found = found or find_minima(runs, seed=seed)
    except (ValueError, NoAnswerError) as error:
        return _without(name, method, error)
    ci = found.ci(level)
    bad = sum(m.status != "ok" for m in found.minima)
    words = [f"{bad} of {len(found.minima)} budgets without a minimum"] if bad else []
    if found.status != "ok":
        words.insert(0, found.status)
    status = "; ".join(words) or "ok"
    return Approach(name, f"{method} ({found.method})", found.a, found.b, ci["a"], ci["b"], status)


def _third(fit: Fit, level: float) -> Approach:
    name, method = "3", f"law {fit.law.name}"
    try:
        a, b = fit.exponents()
        ci = fit.exponents_ci(level) if fit.draws is not None else {"a": NONE, "b": NONE}
    except NoAnswerError as error:
        return _without(name, method, error)
    return Approach(name, method, a, b, ci["a"], ci["b"], fit.status)


def _disagreements(found: Sequence[Approach]) -> list[Approach]:
    """The same, each with those named whose interval of a does not meet its own."""
    told = []
    for one in found:
        apart = [
            other.name
            for other in found
            if one.a_ci[0] > other.a_ci[1] or other.a_ci[0] > one.a_ci[1]
        ]
        if apart:
            doubt = f"disagrees with {' and '.join(apart)}: their intervals of a do not meet"
            plain = one.status in ("ok", IDENTIFIED)
            one = replace(one, status=doubt if plain else f"{one.status}; {doubt}")
        told.append(one)
    return told


def _without(name: str, method: str, error: Exception) -> Approach:
    nan = float("nan")
    why = str(error).partition(" (")[0]  # without the list of all budgets
    return Approach(name, method, nan, nan, NONE, NONE, why)


def crossings(one: Fit, other: Fit, low: float, high: float) -> list[float]:
    """Where two laws in the same one variable cross within [low, high], to one part in 1e4."""
    import numpy as np
    import pandas as pd

    x = np.geomspace(low, high, max(2, int(np.log(high / low) / 1e-4)))
    gap = [np.asarray(fit.predict(pd.DataFrame({fit.x_cols[0]: x}))) for fit in (one, other)]
    above = gap[0] > gap[1]
    return [float(v) for v in x[1:][above[1:] != above[:-1]]]
