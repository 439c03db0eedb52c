"""``Fit``: a fitted law as a frozen value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fits.certificate import SCALES, distinct
from analysis.fits.estimand import Estimand
from analysis.fits.pooling import prior_of
from analysis.fits.problem import Problem
from analysis.fits.profile import in_runs_units
from analysis.fits.profile import profile as profile_of
from analysis.fits.show import display
from analysis.intervals import interval, tails
from analysis.laws import Array, Law, exponents, law_from_dict, law_to_dict, optimal
from scaling.base import refuse_unknown

if TYPE_CHECKING:
    import pandas as pd


IDENTIFIED = "identified"
"""The status of a fit with nothing to be careful of."""

_AS_THEY_ARE = ("params", "status", "objective", "diagnostics", "resample", "seed")
"""Of the document, what a ``Fit`` takes without change."""


@dataclass(frozen=True)
class Fit:
    """A fitted law: parameters at full precision, how they were found and how sure they are.

    Attributes
    ----------
    law : Law
    params : dict
        Name -> value.
    status : str
        ``"identified"``, or what the runs do not tell and what to be careful of.
    objective : float
        Sum over runs of weight x penalty of the residual (never the mean: that would shrink
        gradients below a solver's tolerance).
    estimand : Estimand
        What was estimated, with what it left to the law filled in.
    inputs, observed, weights : arrays
        The rows that were fitted.
    excluded : tuple of dict
        ``row``, ``run_id`` and ``reason`` of each row that was not.
    diagnostics : dict
        The certificate, see ``analysis.fits.certificate``.
    draws : array ``(k, p)`` or None
        Bootstrap draws of the parameters.
    resample, seed : str, int
        What was drawn, and the seed.
    """

    law: Law
    params: dict[str, float]
    status: str
    objective: float
    estimand: Estimand
    inputs: tuple[Array, ...] = field(repr=False)
    observed: Array = field(repr=False)
    weights: Array = field(repr=False)
    excluded: tuple[dict[str, Any], ...] = field(repr=False)
    diagnostics: dict[str, Any] = field(repr=False)
    draws: Array | None = field(default=None, repr=False)
    resample: str = "pairs"
    seed: int = 0

    @property
    def identified(self) -> bool:
        """Whether the runs tell every parameter, as far as was checked."""
        return self.status == IDENTIFIED

    @property
    def untold(self) -> str:
        """Why these runs tell no exponent: no input takes three values; empty where one does."""
        if any(distinct(x) >= SCALES for x in self.inputs):
            return ""
        return f"{' and '.join(self.x_cols)} have fewer than the three values an exponent needs"

    @property
    def loss_fn(self) -> str:
        """The estimand's."""
        return self.estimand.loss_fn

    @property
    def delta(self) -> float:
        """The estimand's."""
        return self.estimand.penalty.delta

    @property
    def space(self) -> str:
        """Space of the residuals: ``"log"`` or ``"linear"``."""
        return self.estimand.space or self.law.space

    @property
    def x_cols(self) -> tuple[str, ...]:
        """Columns of the run table that were the law's inputs."""
        return self.estimand.x_cols(self.law)

    @property
    def y_col(self) -> str:
        """Column of the run table that the law predicts."""
        return self.estimand.y_col or self.law.output

    @property
    def n_runs(self) -> int:
        """Number of rows fitted."""
        return len(self.observed)

    @property
    def vector(self) -> Array:
        """Parameters ``(p,)`` in the law's order."""
        return self.law.vector(self.params)

    @property
    def fitted(self) -> Array:
        """Predictions ``(n,)`` for the rows that were fitted."""
        return self.law.predict(self.vector, *self.inputs)

    @property
    def residuals(self) -> Array:
        """Prediction minus observation ``(n,)``, of logarithms if ``space`` is ``"log"``."""
        fitted = np.log(self.fitted) if self.space == "log" else self.fitted
        return fitted - self.problem.target

    @property
    def r2(self) -> float:
        """Share of the variance (of the logarithm, in log space) that the law explains."""
        target = self.problem.target
        total = float(np.sum((target - target.mean()) ** 2))
        return 1.0 - float(np.sum(self.residuals**2)) / total if total else float("nan")

    @property
    def in_plane(self) -> bool:
        """Whether it is a law of loss in parameters and tokens: budgets may have a best size."""
        return self.law.in_plane and self.law.output == "loss"

    @cached_property
    def problem(self) -> Problem:
        """The fit as a minimisation."""
        found = Problem.of(self.law, self.inputs, self.observed, self.weights, self.estimand)
        pooled = self.diagnostics.get("pooled")
        if not pooled:
            return found
        strengths = {name: said["strength"] for name, said in pooled.items()}
        return replace(found, prior=prior_of(self.law, strengths))

    def predict(self, table: Mapping[str, Any] | pd.DataFrame) -> Array:
        """Predictions for the rows of ``table``, which holds the columns ``x_cols``."""
        return self.law.predict(self.vector, *self._columns(table))

    def predict_ci(
        self, table: Mapping[str, Any] | pd.DataFrame, level: float = 0.9, noise: bool = True
    ) -> tuple[Array, Array]:
        """Interval of a new observation (of the mean, without ``noise``) at each row.

        Parameter draws, each with a residual drawn from the fit, widened by sqrt(n / (n - p)). A
        draw has one for all rows, so that the ends of intervals along a curve are as smooth as it.
        """
        draws, columns = self._need_draws(), self._columns(table)
        groups = self.law.groups
        if groups is not None and any((x < 0).any() for x in columns[len(groups.law.inputs) :]):
            draws = groups.with_one(draws, np.random.default_rng(self.seed + 2))
        predicted = self.law.predict(draws, *columns)
        if noise:
            rng = np.random.default_rng(self.seed + 1)
            n = self.n_runs
            wide = -self.residuals * np.sqrt(n / max(n - len(self.params), 1))
            times = max(1, 4000 // len(draws))
            predicted = np.repeat(predicted, times, axis=0)
            added = wide[rng.integers(0, n, (len(predicted), 1))]
            predicted = predicted * np.exp(added) if self.space == "log" else predicted + added
        return interval(predicted, level)

    def ci(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Percentile interval of each parameter over the draws (of its logarithm if positive)."""
        low, high = interval(self._need_draws(), level)
        return {name: (float(low[i]), float(high[i])) for i, name in enumerate(self.law.names)}

    def profile(
        self, name: str, level: float = 0.9, points: int = 24
    ) -> tuple[Array, Array, tuple[float, float]]:
        """Profile likelihood of a parameter.

        Returns values ``(2 points + 1,)``, the objective minimised over all other parameters at
        each, and the interval in which it rises by less than the robust chi-squared limit.
        """
        if name not in self.params:
            refuse_unknown(name, self.params, f"parameter of {self.law.name}")
        tails(level)  # refuses what is no level before the work
        index = self.law.names.index(name)
        law, params = in_runs_units(self.problem.law, self.vector, self.problem.units, index)
        problem = replace(self.problem, law=law)
        values, objective, interval = profile_of(
            problem, problem.coordinates(params), index, level, points
        )
        if law.on_log[index]:
            values, interval = np.exp(values), (np.exp(interval[0]), np.exp(interval[1]))
        return values, objective, (float(interval[0]), float(interval[1]))

    def optimal(self, flops: float, cost: float = 6.0) -> dict[str, float]:
        """``num_params``, ``num_tokens`` and ``loss`` of the best run with C = ``cost`` N D."""
        best = optimal(self.law, self.vector, flops, cost)
        return dict(zip(("num_params", "num_tokens", "loss"), map(float, best), strict=True))

    def optimal_draws(self, flops: float, cost: float = 6.0) -> dict[str, Array]:
        """The same for each draw, ``(k,)`` each."""
        best = optimal(self.law, self._need_draws(), flops, cost)
        return dict(zip(("num_params", "num_tokens", "loss"), best, strict=True))

    def exponents(self) -> tuple[float, float]:
        """a and b of N* ~ C^a and D* ~ C^b (at the middle of the fitted compute)."""
        a, b = exponents(self.law, self.vector, self._middle_flops())
        return float(a), float(b)

    @property
    def exponent_names(self) -> tuple[str, str]:
        """``a`` and ``b``; ``exponent_a`` and ``exponent_b`` where the law has such parameters."""
        return ("exponent_a", "exponent_b") if {"a", "b"} & set(self.law.names) else ("a", "b")

    def exponents_draws(self) -> tuple[Array, Array]:
        """The same for each draw, ``(k,)`` each; NaN for a draw without a best size."""
        return exponents(self.law, self._need_draws(), self._middle_flops())

    def exponents_ci(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Percentile intervals of ``a`` and ``b`` over the draws."""
        found: dict[str, tuple[float, float]] = {}
        for name, values in zip("ab", self.exponents_draws(), strict=True):
            low, high = interval(values[~np.isnan(values)], level)
            found[name] = float(low), float(high)
        return found

    def formula(self, style: str = "plain", digits: int = 4) -> str:
        """The law with its numbers, as ``"plain"`` text, ``"latex"`` or ``"html"``."""
        text = self.law.latex if style == "latex" else self.law.formula
        for parameter in self.law.parameters:
            symbol = parameter.latex if style == "latex" else parameter.name
            value = f"{self.params[parameter.name]:.{digits}g}"
            if style == "latex":  # a template, where a backslash is two
                value = re.sub(r"e([-+]\d+)", lambda e: rf" \\times 10^{{{int(e[1])}}}", value)
            value = f"({value})" if value.startswith("-") else value
            text = re.sub(rf"(?<![\w\\]){re.escape(symbol)}(?!\w|\\_)", value, text)
        if style == "html":
            text = re.sub(r"\^(\([^()]*\)|[-+.\w]+)", r"<sup>\1</sup>", escape(text))
        return text

    def summary(self, level: float = 0.9) -> pd.DataFrame:
        """One row per parameter: value, interval, standard error, unit and meaning."""
        import pandas as pd

        frame = pd.DataFrame(
            {
                "parameter": self.law.names,
                "value": [self.params[name] for name in self.law.names],
                "unit": [p.unit for p in self.law.parameters],
                "means": [p.means for p in self.law.parameters],
            }
        )
        if self.draws is not None:
            ci = self.ci(level)
            frame.insert(2, "low", [ci[name][0] for name in self.law.names])
            frame.insert(3, "high", [ci[name][1] for name in self.law.names])
            frame.insert(4, "se", self.draws.std(axis=0, ddof=1))
        return frame.set_index("parameter")

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON holds exactly."""
        return {
            **law_to_dict(self.law),
            "params": dict(self.params),
            "status": self.status,
            "objective": self.objective,
            "loss_fn": self.estimand.loss_fn,
            "delta": self.estimand.delta,
            "asymmetry": self.estimand.asymmetry,
            "space": self.space,
            "x_cols": list(self.x_cols),
            "y_col": self.y_col,
            "inputs": [x.tolist() for x in self.inputs],
            "observed": self.observed.tolist(),
            "weights": self.weights.tolist(),
            "excluded": list(self.excluded),
            "diagnostics": self.diagnostics,
            "draws": None if self.draws is None else self.draws.tolist(),
            "resample": self.resample,
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], law: Law | None = None) -> Fit:
        """The fit that ``to_dict`` wrote; ``law`` is needed for a law from a callable."""
        law = law or law_from_dict(data)
        held = data["diagnostics"]["fixed"]
        x_cols = data["x_cols"]
        return cls(
            law=law.hold(held) if held else law,
            estimand=Estimand(
                **{
                    name: data[name] for name in ("loss_fn", "delta", "asymmetry", "space", "y_col")
                },
                x_col=x_cols[0] if len(law.variables) == 1 else None,
            ),
            inputs=tuple(np.array(x) for x in data["inputs"]),
            observed=np.array(data["observed"]),
            weights=np.array(data["weights"]),
            excluded=tuple(data["excluded"]),
            draws=None if data["draws"] is None else np.array(data["draws"]),
            **{name: data[name] for name in _AS_THEY_ARE},
        )

    def __repr__(self) -> str:
        return display(self).text

    def _repr_html_(self) -> str:
        return display(self).html

    def _need_draws(self) -> Array:
        if self.draws is None:
            raise ValueError("this fit has no draws for intervals; fit with bootstrap=1000")
        return self.draws

    def _columns(self, table: Mapping[str, Any] | pd.DataFrame) -> list[Array]:
        if self.law.derive is not None:
            import pandas as pd

            table = self.law.derive(pd.DataFrame(table))
        missing = [name for name in self.x_cols if name not in table]
        if missing:
            raise ValueError(f"{self.law.name} predicts from {', '.join(missing)}: not given")
        n = len(self.law.variables)
        found = [np.atleast_1d(np.asarray(table[name], dtype=float)) for name in self.x_cols[:n]]
        return [*found, *(self._groups(name, table[name]) for name in self.x_cols[n:])]

    def _groups(self, column: str, names: Any) -> Array:
        """The number of each row's group."""
        groups = self.law.groups
        assert groups is not None
        return groups.numbers(column, np.atleast_1d(np.asarray(names, dtype=object)))

    def _middle_flops(self) -> float:
        n, d = (x[(self.inputs[0] > 0) & (self.inputs[1] > 0)] for x in self.inputs[:2])
        return float(6 * np.exp(np.mean(np.log(n) + np.log(d))))
