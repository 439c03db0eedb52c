"""A member of a forecast to first order: covariances of what new runs would show.

Given a law at one amplitude of its discrepancy (``analysis.forecasts.members``) log losses
anywhere are jointly normal once the law is linear in its parameters about their optimum, so what
runs that are not done yet would leave unknown is known before they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.forecasts.discrepancy import rough, smooth
from analysis.forecasts.members import Draws
from analysis.laws import Array

if TYPE_CHECKING:
    from analysis.forecasts.forecast import Forecast


@dataclass(frozen=True)
class At:
    """What ties some places to the parameters and to the runs that were seen.

    ``places (n, d)``, and ``drifted (2, n)`` as ``Member.drifted``; ``surface`` is what the smooth
    part of the discrepancy adds to the law, ``runs`` the rough one as well: each has the change
    with the parameters ``(p, n)``, in their standard deviations, and what is known from the runs
    ``(n_seen, n)``.
    """

    places: Array
    drifted: Array
    surface: tuple[Array, Array]
    runs: tuple[Array, Array]


@dataclass(frozen=True)
class Field:
    """One member: the log losses that it expects and how they go together.

    Attributes
    ----------
    share : float
        The member's share of the draws.
    noise : float
        Standard deviation of a run's own noise.
    draws : Draws
    """

    share: float
    noise: float
    draws: Draws

    def mean(self, inputs: tuple[Array, ...]) -> Array:
        """Expected surface ``(n,)``."""
        return np.asarray(self.draws.mean(inputs).mean(axis=0))

    def at(self, inputs: tuple[Array, ...]) -> At:
        """Places of ``inputs (n,)`` for ``surface`` and ``runs``."""
        m = self.draws.member
        units = m.problem.units
        seen = m.slopes(tuple(x * u for x, u in zip(m.problem.inputs, units, strict=True)))
        whole, places = m.slopes(inputs), m.places(inputs)
        part = m.ratio**2 * smooth(m.seen, places)
        both = part + m.ratio**2 * rough(m.seen, places)
        each = [
            (m.root.T @ (whole - seen @ m.whiten @ known), known)
            for known in (m.whiten.T @ part, m.whiten.T @ both)
        ]
        return At(places, m.drifted(inputs), each[0], each[1])

    def surface(self, a: At) -> Array:
        """Covariance ``(n, n)`` of the surface."""
        return self._covariance(a, a, a.surface, a.surface, alone=True)

    def across(self, a: At, b: At) -> Array:
        """Covariance ``(n, m)`` of the surface at ``a`` with what runs at ``b`` would show."""
        return self._covariance(a, b, a.surface, b.runs, alone=True)

    def runs(self, a: At) -> Array:
        """Covariance ``(n, n)`` of what runs would show but for their noise."""
        return self._covariance(a, a, a.runs, a.runs, alone=False)

    def _covariance(
        self, a: At, b: At, left: tuple[Array, Array], right: tuple[Array, Array], alone: bool
    ) -> Array:
        m = self.draws.member
        own = smooth(a.places, b.places) + (0.0 if alone else rough(a.places, b.places))
        own = m.ratio**2 * own + a.drifted.T @ b.drifted
        by_law = left[0].T @ right[0]
        return np.asarray(by_law + self.noise**2 * (own - left[1].T @ right[1]))


def fields(expected: Forecast) -> list[Field]:
    """The members of a forecast in N and D, or in several inputs; none of one without draws."""
    total = sum(len(each) for each in expected.draws)
    return [Field(len(each) / total, each.member.noise, each) for each in expected.draws]
