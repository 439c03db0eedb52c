"""What is expected beyond the runs: a central prediction, and draws that hang together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri, stdtrit

from analysis.forecasts.average import Average
from analysis.forecasts.members import Draws
from analysis.forecasts.show import display, missed
from analysis.intervals import interval, tails
from analysis.laws import Array, Law

if TYPE_CHECKING:
    import pandas as pd

FREEDOM = 5.0
"""Degrees of freedom of the t by which an average of laws misses, in its spread."""

TOGETHER = 400
"""Rows that are drawn jointly; more are drawn in parts of as many."""

WORLDS = 1000
"""Draws of an average of laws."""


@dataclass(frozen=True)
class Forecast:
    """Laws, what they leave out, and noise, scaled to what backtests inside the runs missed.

    Two forecasts are joined. The ``average`` of laws is weighed by how well each predicted the
    larger runs from the smaller. In ``draws`` each law has a random function besides
    (``analysis.forecasts.members``), which grows with the distance from the runs. The centre is
    their mean, ``share`` of it the first's, and what the draws differ from their own mean is
    stretched by ``scale``. Laws of one variable have no draws: the spread of their average is.

    Attributes
    ----------
    law : str
        The law's name, or ``"auto"``.
    average : Average
        The laws, their parameters and weights.
    draws : tuple of Draws
        Posterior draws of each law at each amplitude of its discrepancy.
    share, scale : float
    space : "log" or "linear"
        Of errors: the logarithm of what is predicted, or itself.
    x_cols, y_col : tuple of str, str
        Columns of inputs and of what is predicted.
    n_runs : int
        Rows fitted.
    backtests : tuple of dict
        ``size``, ``n_train``, ``n_test``, ``rmse_log`` and ``bias_log`` of each inner cut-off;
        ``rmse`` and ``bias`` in linear space.
    excluded : tuple of dict
        Rows not used and why.
    seed : int
        Of the draws.
    formula : str
        The fitted law with its numbers, where there is one.
    doubt : str
        Why its numbers are to be read with care; empty if nothing says so.
    whole : float or None
        What a score is a share of, which no prediction goes beyond.
    """

    law: str
    average: Average
    draws: tuple[Draws, ...] = field(repr=False)
    share: float
    scale: float
    space: str
    x_cols: tuple[str, ...]
    y_col: str
    n_runs: int
    backtests: tuple[dict[str, Any], ...] = field(repr=False)
    excluded: tuple[dict[str, Any], ...] = field(repr=False, default=())
    seed: int = 0
    formula: str = ""
    doubt: str = ""
    whole: float | None = None

    @property
    def laws(self) -> tuple[Law, ...]:
        """The laws that were averaged."""
        return self.average.laws

    @property
    def weights(self) -> Array:
        """Their weights in the average."""
        return self.average.weights

    @property
    def noise(self) -> float:
        """Standard deviation of the (log) residuals of the rows fitted."""
        return self.average.noise

    @property
    def name(self) -> str:
        """What predicts, for a reader: the law with its numbers, or the laws with their weights."""
        return self.formula or self._laws

    @property
    def _laws(self) -> str:
        if len(self.laws) == 1:
            return self.laws[0].name
        each = zip(self.laws, self.weights, strict=True)
        return "the mean of " + ", ".join(f"{law.name} ({w:.2f})" for law, w in each)

    @property
    def says(self) -> str:
        """What the intervals rest on, in one or two sentences."""
        tests = self.backtests
        told = f"Forecast by {self._laws}; intervals cover {self._covered}"
        if tests:
            told += f": {len(tests)} backtests inside the runs missed by {missed(tests)}"
        doubt = f" {self.doubt[0].upper()}{self.doubt[1:]}." if self.doubt else ""
        return f"{told}.{doubt}"

    @property
    def _covered(self) -> str:
        if self.draws:
            return "the law, what it leaves out and noise"
        if len(self.laws) > 1:
            return "how far the laws differ, and noise that grows beyond the runs"
        return "noise that grows beyond the runs, and nothing that this law leaves out"

    def predict(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """The central prediction ``(n,)``."""
        return self._out(np.clip(self._centre(self.inputs(table)), *self._within))

    def predict_ci(
        self, table: Mapping[str, Any] | pd.DataFrame, level: float = 0.9
    ) -> tuple[Array, Array]:
        """Interval of a new observation at each row, ``(n,)`` each, whatever the other rows are."""
        _, below = tails(level)
        if not self.draws:
            centre, spread = self.average.at(self.inputs(table))
            half = self.scale * float(stdtrit(FREEDOM, below)) * spread
            low, high = np.clip([centre - half, centre + half], *self._within)
            return self._out(low), self._out(high)
        parts = [interval(self._out(self._apart(part)), level) for part in self._parts(table)]
        low, high = np.concatenate(parts, axis=1)
        return low, high

    def sample(self, table: Mapping[str, Any] | pd.DataFrame, noise: bool = True) -> Array:
        """Draws ``(k, n)`` of the observation at each row; of what it scatters about, if not.

        Rows are drawn jointly: a draw is one world.
        """
        rng = np.random.default_rng(self.seed)
        worlds = [self._worlds(part, noise, rng) for part in self._parts(table)]
        return self._out(np.concatenate(worlds, axis=1))

    def spread(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """Standard deviation ``(n,)`` of the (log) draws of an observation."""
        inputs = self.inputs(table)
        if not self.draws:
            return self.scale * self.average.at(inputs)[1]
        _, own, scatter = moments(self.draws, inputs)
        return np.asarray(np.sqrt((self.scale * own) ** 2 + scatter**2))

    def inputs(self, table: Mapping[str, Any] | pd.DataFrame) -> tuple[Array, ...]:
        """The inputs ``(n,)`` that ``table`` has, in the laws' order."""
        missing = [name for name in self.x_cols if name not in table]
        if missing:
            raise ValueError(f"{self.law} predicts from {', '.join(missing)}: not given")
        groups = self.laws[0].groups
        numbers = {
            name: groups.numbers(name, np.atleast_1d(table[name]))
            if groups is not None and name in groups.columns
            else np.atleast_1d(np.asarray(table[name], dtype=float))
            for name in self.x_cols
        }
        return tuple(np.broadcast_arrays(*numbers.values()))

    def beyond(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """How many times the largest size fitted each row is ``(n,)``."""
        return np.exp(self.average.beyond(self.inputs(table)))

    def to_dict(self) -> dict[str, Any]:
        """The members, their parameters and weights, noise and inner backtests, for JSON."""
        return {
            "law": self.law,
            "members": [
                {
                    "law": law.name,
                    "weight": float(weight),
                    "params": dict(zip(law.names, params.tolist(), strict=True)),
                }
                for law, params, weight in zip(
                    self.laws, self.average.params, self.weights, strict=True
                )
            ],
            "x_cols": list(self.x_cols),
            "y_col": self.y_col,
            "space": self.space,
            "n_runs": self.n_runs,
            "noise": self.noise,
            "share_of_average": self.share,
            "scale": self.scale,
            "backtests": list(self.backtests),
            "excluded": list(self.excluded),
        }

    def __repr__(self) -> str:
        return display(self).text

    def _repr_html_(self) -> str:
        return display(self).html

    def _parts(self, table: Mapping[str, Any] | pd.DataFrame) -> list[tuple[Array, ...]]:
        """The inputs, at most ``TOGETHER`` rows at a time."""
        inputs = self.inputs(table)
        rows = np.array_split(np.arange(len(inputs[0])), -(-len(inputs[0]) // TOGETHER))
        return [tuple(x[part] for x in inputs) for part in rows]

    def _centre(self, inputs: tuple[Array, ...]) -> Array:
        """The mean of both forecasts at ``inputs``, ``(n,)``."""
        if not self.draws:
            return self.average.at(inputs)[0]
        mean = mean_of(self.draws, inputs)
        if not self.share:
            return mean
        return self.share * self.average.at(inputs)[0] + (1 - self.share) * mean

    def _apart(self, inputs: tuple[Array, ...]) -> Array:
        """Draws ``(k, n)`` of an observation at each row as if it were asked alone.

        What a draw does not say is normal; its quantiles are dealt to the draws, so that chance
        moves the ends of an interval little.
        """
        means = np.concatenate([each.mean(inputs) for each in self.draws])
        strays = [each.noise[:, None] ** 2 * each.strayed(inputs) for each in self.draws]
        scatter = np.concatenate([each.scatter for each in self.draws])
        left = np.sqrt(self.scale**2 * np.concatenate(strays) + scatter[:, None] ** 2)
        places = (np.random.default_rng(self.seed).permutation(len(means)) + 0.5) / len(means)
        moved = self.scale * (means - means.mean(axis=0)) + ndtri(places)[:, None] * left
        return np.asarray(self._centre(inputs) + moved)

    def _worlds(self, inputs: tuple[Array, ...], noise: bool, rng: np.random.Generator) -> Array:
        if not self.draws:
            centre, spread = self.average.at(inputs)
            own = 0.0 if noise else self.noise
            misses = self.scale * rng.standard_t(FREEDOM, (WORLDS, 1))
            return np.asarray(centre + misses * np.sqrt(np.maximum(spread**2 - own**2, 0.0)))
        means = np.concatenate([each.mean(inputs) for each in self.draws])
        strays = np.concatenate([each.strays(inputs, rng) for each in self.draws])
        strays += means - means.mean(axis=0)
        worlds = self._centre(inputs) + self.scale * strays
        if noise:
            scatter = np.concatenate([each.scatter for each in self.draws])
            worlds = worlds + scatter[:, None] * rng.standard_normal(worlds.shape)
        return np.asarray(worlds)

    def _out(self, values: Array) -> Array:
        """``values`` in the unit of what is predicted; what is beyond its range is put back inside.

        By reflection at the end (Silverman 1986, *Density Estimation*, sec. 2.10), so that a score
        is between 0 and 1 in each draw.
        """
        if self.space == "log":
            return np.exp(values)
        low, high = self._within
        if not np.isfinite([low, high]).all():
            return values
        beyond = np.mod(values - low, 2 * (high - low))
        return np.asarray(low + np.minimum(beyond, 2 * (high - low) - beyond))

    @property
    def _within(self) -> tuple[float, float]:
        """What errors in linear space cannot lead beyond."""
        if self.space == "linear" and self.whole is not None:
            return 0.0, self.whole
        ends = self.laws[0].within if self.space == "linear" else None
        return ends or (-np.inf, np.inf)


def mean_of(draws: tuple[Draws, ...], inputs: tuple[Array, ...]) -> Array:
    """What the draws say on average at ``inputs``, ``(n,)``."""
    return np.asarray(np.concatenate([each.mean(inputs) for each in draws]).mean(axis=0))


def moments(draws: tuple[Draws, ...], inputs: tuple[Array, ...]) -> tuple[Array, Array, float]:
    """Mean and standard deviation ``(n,)`` of what the draws say, and that of a run about it."""
    every = np.concatenate([each.mean(inputs) for each in draws])
    strays = sum(float(np.sum(each.noise**2)) * each.strayed(inputs) for each in draws)
    scatter = np.concatenate([each.scatter for each in draws])
    deviation = np.sqrt(every.var(axis=0) + strays / len(every))
    return every.mean(axis=0), deviation, float(np.sqrt(np.mean(scatter**2)))
