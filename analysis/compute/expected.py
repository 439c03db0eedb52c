"""What a plan asks of whoever expects the losses, and a fit that is taken at its word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from analysis.laws import Array

if TYPE_CHECKING:
    from analysis.fits import Fit


class Expected(Protocol):
    """What a plan asks of a forecast: a loss at any N and D, and draws of the whole surface."""

    @property
    def x_cols(self) -> tuple[str, ...]:
        """Columns that it predicts from."""

    @property
    def y_col(self) -> str:
        """Column that it predicts."""

    @property
    def name(self) -> str:
        """What predicts, for a reader."""

    @property
    def doubt(self) -> str:
        """Why its numbers are to be read with care; empty if nothing says so."""

    def predict(self, table: Mapping[str, Array]) -> Array:
        """Loss ``(n,)``."""

    def sample(self, table: Mapping[str, Array], noise: bool = True) -> Array:
        """Draws ``(k, n)`` of the loss, jointly over the rows."""


@dataclass(frozen=True)
class AsFitted:
    """The law of a fit by itself: no more is unsure than its parameters.

    What it gives is no forecast: beyond the runs a law errs by more than its parameters do.
    """

    fit: Fit

    @property
    def x_cols(self) -> tuple[str, ...]:
        """The law's."""
        return self.fit.law.inputs

    @property
    def y_col(self) -> str:
        """The law's."""
        return self.fit.law.output

    @property
    def name(self) -> str:
        """The law's."""
        return self.fit.law.name

    @property
    def doubt(self) -> str:
        """None is told: a plan that is no forecast says so by its kind."""
        return ""

    def predict(self, table: Mapping[str, Array]) -> Array:
        """Loss ``(n,)`` by the fitted parameters."""
        law = self.fit.law
        return self._of(law.vector(self.fit.params), table)

    def sample(self, table: Mapping[str, Array], noise: bool = True) -> Array:
        """Loss ``(k, n)`` by each draw of the parameters."""
        draws = self.fit.draws
        if draws is None:
            return np.empty((0, len(next(iter(table.values())))))
        return self._of(draws, table)

    def _of(self, params: Array, table: Mapping[str, Array]) -> Array:
        with np.errstate(all="ignore"):
            return self.fit.law.predict(params, *(table[name] for name in self.x_cols))
