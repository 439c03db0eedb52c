"""The rows that a forecast is made from, and where they are cut to test it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.fits import Estimand, Fit, fit, observe
from analysis.forecasts.cutoffs import (
    Cutoff,
    cutoffs,
    cutoffs_along,
    folds,
    log_size,
    sized,
)
from analysis.laws import Array, Law
from analysis.tables import structure

if TYPE_CHECKING:
    import pandas as pd

STEP, DEPTH, WINDOW = 0.5, 6, 1.1
"""Cut-offs that weigh laws: octaves between them, their number, octaves predicted (one, with
slack)."""

FAR_STEP, FAR_DEPTH = 1.0, 3
"""Cut-offs that weigh and stretch forecasts, which predict all that lies beyond."""

ALONG = 2
"""Cut-offs along each input by itself, where the inputs are not N and D."""

FEWEST = 8
"""Runs from which a discrepancy is told from noise."""


@dataclass(frozen=True)
class Rows:
    """The rows of a forecast: inputs and observations ``(n,)`` and what is asked of them.

    ``labels (n,)`` is the run of each row, None where rows of one run may be parted; ``groups``
    are the inputs that are numbers of groups; ``at (n,)`` is where in the table the rows stand.
    """

    inputs: tuple[Array, ...]
    observed: Array
    weights: Array
    labels: NDArray[np.intp] | None
    x_cols: tuple[str, ...]
    groups: tuple[str, ...]
    estimand: Estimand
    seed: int
    at: NDArray[np.intp]
    excluded: tuple[dict[str, Any], ...]

    @classmethod
    def of(
        cls, law: Law, runs: pd.DataFrame, asked: Estimand, within_runs: bool, seed: int
    ) -> Rows:
        """The rows of ``runs`` that ``law`` can be fitted to."""
        seen = observe(law, runs, asked)
        labels = None if within_runs else structure(runs).labels[seen.rows]
        estimand = asked.of(law)
        return cls(
            seen.inputs, seen.observed, seen.weights, labels, estimand.x_cols(law),
            law.inputs[len(law.variables) :], replace(estimand, space=seen.space, weights=None),
            seed, seen.rows, seen.excluded,
        )  # fmt: skip

    @classmethod
    def of_fit(cls, fitted: Fit, runs: pd.DataFrame | None) -> Rows:
        """The rows of a fit; ``runs``, the table that was fitted, tells which are of one run."""
        law, labels = fitted.law, None
        left = {line["row"] for line in fitted.excluded}
        count = fitted.n_runs + len(left)
        at = np.array([row for row in range(count) if row not in left], dtype=np.intp)
        if runs is not None:
            labels = structure(runs).labels[at]
        return cls(
            fitted.inputs, fitted.observed, fitted.weights, labels, fitted.x_cols,
            law.inputs[len(law.variables) :],
            replace(fitted.estimand, space=fitted.space, weights=None), fitted.seed, at,
            fitted.excluded,
        )  # fmt: skip

    @property
    def space(self) -> str:
        """Of errors: ``"log"`` or ``"linear"``."""
        return self.estimand.space or "log"

    @property
    def y_col(self) -> str:
        """What is predicted."""
        return self.estimand.y_col or "loss"

    @cached_property
    def by(self) -> tuple[str, ...]:
        """The inputs that make a run large."""
        named = dict(zip(self.x_cols, self.inputs, strict=True))
        return sized({name: x for name, x in named.items() if name not in self.groups})

    @cached_property
    def size(self) -> Array:
        """Log size of each row ``(n,)``."""
        return log_size(dict(zip(self.x_cols, self.inputs, strict=True)), self.by)

    @property
    def several(self) -> bool:
        """Whether there are several inputs."""
        return len(self.inputs) > 1 + len(self.groups)

    @property
    def in_plane(self) -> bool:
        """Whether there are several inputs, and runs enough to tell a discrepancy from noise."""
        return self.several and len(self.observed) >= FEWEST

    @property
    def of_sizes(self) -> bool:
        """Whether N and D are among the inputs: what the forecast's rules were chosen for."""
        return {"num_params", "num_tokens"} <= {*self.x_cols}

    def cuts(self, least: int) -> tuple[list[Cutoff], list[Cutoff]]:
        """Cuts that weigh laws, and that weigh forecasts; each sees more than ``least`` rows."""
        count, labels = len(self.by), self.labels
        near = cutoffs(self.size, count, step=STEP, depth=DEPTH, window=WINDOW, labels=labels)
        far = near
        if self.in_plane:
            far = cutoffs(
                self.size, count, step=FAR_STEP, depth=FAR_DEPTH, window=None, labels=labels
            )
        if not far and (not self.by or labels is not None):
            alone = np.arange(len(self.size)) if labels is None else labels
            near = far = folds(self.size, alone, self.seed)
        if self.in_plane and not self.of_sizes:
            named = dict(zip(self.x_cols, self.inputs, strict=True))
            far = [
                *far,
                *(
                    cut
                    for name in self.by
                    for cut in cutoffs_along(
                        np.log(named[name]), self.size, depth=ALONG, labels=labels
                    )
                ),
            ]
        near, far = ([cut for cut in cuts if self._tells(cut, least)] for cuts in (near, far))
        return near, far

    def _tells(self, cut: Cutoff, least: int) -> bool:
        """Whether more than ``least`` rows are seen, and as many of each group of rows."""
        seen = [cut.seen.sum()]
        for codes in self.inputs[len(self.inputs) - len(self.groups) :]:
            own = np.bincount(codes.astype(int), minlength=1)
            seen.append(np.bincount(codes[cut.seen].astype(int), minlength=len(own)).min())
        return bool(min(seen) > least)

    @property
    def target(self) -> Array:
        """What is observed ``(n,)``, as a logarithm in log space."""
        return np.log(self.observed) if self.space == "log" else self.observed

    def some(self, rows: NDArray[np.bool_]) -> tuple[Array, ...]:
        """The inputs of some rows."""
        return tuple(x[rows] for x in self.inputs)

    def fitted(self, law: Law, rows: NDArray[np.bool_]) -> Array:
        """Parameters ``(p,)`` of ``law`` as ``fit`` finds them from some rows."""
        import pandas as pd

        table = pd.DataFrame(dict(zip(self.x_cols, self.some(rows), strict=True)))
        table[self.y_col] = self.observed[rows]
        for name, levels in () if law.groups is None else law.groups.levels:
            table[name] = np.array(levels, dtype=object)[table[name].astype(int)]
        estimand = replace(self.estimand, weights=self.weights[rows].tolist())
        return fit(law, table, estimand, starts=8, seed=self.seed).vector
