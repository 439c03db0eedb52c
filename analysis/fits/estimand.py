"""The question that a fit answers, apart from the law and the runs: what is estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.fits.penalty import Penalty
from analysis.laws import Law

SPACES = ("log", "linear")

USUAL = 1e-3
"""Hoffmann et al.'s delta, of logarithms of losses."""


@dataclass(frozen=True)
class Estimand:
    """What is estimated: the penalty, the residuals it is of, and their columns.

    Attributes
    ----------
    loss_fn, delta, asymmetry : str, float or None, float
        The penalty, see ``analysis.fits.penalty.Penalty``. Huber with delta 1e-3 on log residuals
        is Hoffmann et al.'s choice: losses of language models scatter by some 1e-3 to 1e-2, so
        nearly all runs count by sign and few outliers matter. Without ``delta`` it is that in
        log space; linear residuals have the response's unit, and there ``fit`` takes three of
        their standard deviations, robustly told (``analysis.fits.width``).
    space : "log" or "linear", optional
        Space of the residuals; the law's own if not given (log for losses).
    weights : str or sequence of float, optional
        Column of weights, or one for each row of the table.
    x_col, y_col : str, optional
        The column that a one-variable law takes, and the column that is predicted; the law's own
        if not given.

    Raises
    ------
    ValueError
        If the penalty or the space is not known.
    """

    loss_fn: str = "huber"
    delta: float | None = None
    asymmetry: float = 1.0
    space: str | None = None
    weights: str | Sequence[float] | None = None
    x_col: str | None = None
    y_col: str | None = None

    def __post_init__(self) -> None:
        if self.space not in (None, *SPACES):
            raise ValueError(f"space {self.space!r} is neither 'log' nor 'linear'")
        if self.weights is not None and not isinstance(self.weights, str):  # an array is no value
            each = tuple(np.asarray(self.weights, dtype=float).tolist())
            object.__setattr__(self, "weights", each)
        _ = self.penalty

    @cached_property
    def penalty(self) -> Penalty:
        """What each residual counts."""
        delta = USUAL if self.delta is None else self.delta
        return Penalty(self.loss_fn, delta, self.asymmetry)

    def of(self, law: Law) -> Estimand:
        """The estimand with what it leaves to ``law`` filled in.

        Raises
        ------
        ValueError
            If it names the column of a law of several variables.
        """
        variables = law.variables
        if self.x_col is not None and len(variables) != 1:
            raise ValueError(
                f"x_col is for laws of one variable; {law.name} takes {', '.join(variables)}: "
                f"leave {self.x_col!r} out"
            )
        own = variables[0] if len(variables) == 1 else None
        return replace(
            self,
            space=self.space or law.space,
            x_col=self.x_col or own,
            y_col=self.y_col or law.output,
        )

    def x_cols(self, law: Law) -> tuple[str, ...]:
        """The columns that ``law`` takes."""
        if self.x_col is None:
            return law.inputs
        return (self.x_col, *law.inputs[len(law.variables) :])


DEFAULT = Estimand()
"""Hoffmann et al.'s."""
