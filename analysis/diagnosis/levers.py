"""What would help most at a point: more data, more parameters, longer training, regularisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.diagnosis.regularisers import Gain
from analysis.intervals import interval
from analysis.wording import count

if TYPE_CHECKING:
    from analysis.forecasts import Forecast

UNIQUE = "num_unique_tokens"
REGULARISATION = "regularisation"
"""What is changed by an option that regularises."""
LONGER = "longer training"
"""More passes over the same data, where a law tells them from new data."""


@dataclass(frozen=True)
class Lever:
    """One thing to do, and what it is expected to change.

    Attributes
    ----------
    name : str
        ``more data``, ``more parameters``, ``longer training`` or an option that regularises.
    change : str
        What is changed to what; ``regularisation`` by an option.
    gain : float
        By how much the loss (or error) is expected to fall.
    gain_ci : (float, float)
        Of what the forecast's worlds say, noise of single runs left out.
    best : float
        Share of the draws in which it helps most.
    flops_ratio : float
        Training FLOPs afterwards over those before, by C ~ N D.
    source : str
        What says so: the law, or how many pairs of runs.
    """

    name: str
    change: str
    gain: float
    gain_ci: tuple[float, float]
    best: float
    flops_ratio: float
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def levers(
    expected: Forecast,
    point: dict[str, float],
    gains: Sequence[Gain] = (),
    *,
    factor: float = 2.0,
    level: float = 0.9,
    seed: int = 0,
) -> list[Lever]:
    """What is expected of each lever at ``point``, the largest gain first.

    Parameters
    ----------
    expected : Forecast
        In ``num_params``, ``num_tokens`` or both, and perhaps ``num_unique_tokens``. Without the
        latter a law does not tell new data from old: it says of more training what the runs did.
    point : dict
        A value of each of the forecast's inputs.
    gains : sequence of Gain
        What regularisation did (``analysis.diagnosis.regularisers``).
    factor : float
        By which N, D and U are multiplied.
    level : float
        Of the intervals.

    Raises
    ------
    ValueError
        If no input of the forecast can be changed.
    """
    moves = _moves(expected.x_cols, point, factor)
    if not moves:
        raise ValueError(
            f"a law of {', '.join(expected.x_cols)} says nothing of more parameters or data: "
            "diagnose by one in num_params and num_tokens"
        )
    rows = [point, *(moved for _, moved in moves)]
    table = {name: np.array([row[name] for row in rows]) for name in expected.x_cols}
    worlds, centre = expected.sample(table, noise=False), expected.predict(table)
    falls = [worlds[:, 0] - worlds[:, i] for i in range(1, len(rows))]
    rng = np.random.default_rng(seed)
    falls += [-gain.draws(len(worlds), rng) for gain in gains]
    stacked = np.where(np.isfinite(falls), falls, -np.inf)
    best = np.bincount(stacked.argmax(axis=0), minlength=len(falls)) / len(worlds)
    found = []
    for i, (name, moved) in enumerate(moves):
        low, high = (float(end) for end in interval(falls[i], level))
        ratio = np.prod([moved[c] / point[c] for c in expected.x_cols if c != UNIQUE])
        found.append(
            Lever(name, _said(point, moved), float(centre[0] - centre[i + 1]), (low, high),
                  float(best[i]), float(ratio), f"the law ({expected.law})")
        )  # fmt: skip
    for gain, share in zip(gains, best[len(moves) :], strict=True):
        low, high = gain.ci(level)
        source = f"{gain.pairs} pair{'s' if gain.pairs > 1 else ''} of runs"
        found.append(
            Lever(gain.name, REGULARISATION, -gain.change, (-high, -low),
                  float(share), 1.0, source)
        )  # fmt: skip
    return sorted(found, key=lambda lever: -lever.gain)


def most_helpful(found: Sequence[Lever]) -> Lever:
    """The lever that is best in most draws."""
    return max(found, key=lambda lever: (lever.best, lever.gain))


def _moves(
    x_cols: Sequence[str], point: dict[str, float], factor: float
) -> list[tuple[str, dict[str, float]]]:
    """Each lever of a law and the point it leads to."""
    moves = []
    if "num_params" in x_cols:
        moves.append(("more parameters", {"num_params": factor * point["num_params"]}))
    if "num_tokens" in x_cols:
        longer = {"num_tokens": factor * point["num_tokens"]}
        if UNIQUE in x_cols:
            moves.append(("more data", {**longer, UNIQUE: factor * point[UNIQUE]}))
            moves.append((LONGER, longer))
        else:
            moves.append(("more data, longer training", longer))
    return [(name, {**point, **changed}) for name, changed in moves]


def _said(before: dict[str, float], after: dict[str, float]) -> str:
    letters = {"num_params": "N", "num_tokens": "D", UNIQUE: "U"}
    return ", ".join(
        f"{letters[name]} {count(before[name])} to {count(after[name])}"
        for name in letters
        if name in before and after[name] != before[name]
    )
