"""What a law leaves out, as a random function of its inputs' logarithms.

Two parts (Kennedy and O'Hagan 2001, *Bayesian calibration of computer models*, add one): one that
is smooth over factors of e^3, which lasts beyond the runs, and a rougher, smaller one over factors
of e, for what befell single sizes (a width's shape, a schedule), which does not. Twelve public
iso-FLOP tables show about as much of both by their marginal likelihood
(benchmarks/RESULTS.md); the ratio is held, so that one number, the amplitude, is left to estimate.

Beyond the largest run losses in N and D also fall by more or less than the law says, the part of N
and that of D each by a share of its own: floors and exponents of smaller runs are not those of
larger ones, and a law's own parameters hide it within the runs. On 23 public tables errors of
foretold minima are much the same share of the fall, whatever the amplitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.laws import Array

LENGTH, ROUGH_LENGTH = 3.0, 1.0
"""Log distance over which each part changes."""

ROUGH = 0.03
"""Variance of the rough part over that of the smooth one."""

DRIFT, SHOWN = 0.4, 0.05
"""Standard deviation of the share by which each fall beyond the runs is another, and the amplitude,
over the law's fall within the runs, at which half of it is believed: runs that a law describes to
their noise over a long way fall as it says."""


@dataclass(frozen=True)
class Places:
    """Coordinates in which runs are near or far: logarithms of inputs that are positive.

    Others (a share that may be 0) are taken as they are, over their standard deviation, which
    ``units`` has; it has 0 for a logarithm.
    """

    units: tuple[float, ...]

    @classmethod
    def of(cls, inputs: tuple[Array, ...], groups: int = 0) -> Places:
        """The coordinates for runs with ``inputs (n,)`` each; the last ``groups`` are groups.

        Groups are two lengths apart: what one does says little of what another does.
        """
        numbers = inputs[: len(inputs) - groups]
        units = [0.0 if (x > 0).all() else float(np.std(x)) or 1.0 for x in numbers]
        return cls((*units, *[0.5 / LENGTH] * groups))

    def __call__(self, inputs: tuple[Array, ...]) -> Array:
        """``inputs (n,)`` each as coordinates ``(n, d)``."""
        with np.errstate(all="ignore"):
            each = [x / u if u else np.log(x) for x, u in zip(inputs, self.units, strict=True)]
        return np.stack(each, axis=-1)


def drift(amplitude: float, fall: float) -> float:
    """Standard deviation of the share by which falls beyond the runs are others than the law's.

    ``fall`` is that of the law's log loss from the smallest runs to the largest.
    """
    if not amplitude:
        return 0.0
    refuted = amplitude**4
    return float(DRIFT * refuted / (refuted + (SHOWN * np.fmax(fall, 0.0)) ** 4))


def smooth(a: Array, b: Array) -> Array:
    """Correlation ``(n, m)`` of the smooth part at places ``(n, d)`` and ``(m, d)``."""
    return np.asarray(np.exp(-0.5 * _distance(a, b) ** 2 / LENGTH**2))


def rough(a: Array, b: Array) -> Array:
    """Covariance ``(n, m)`` of the rough part where the smooth one's variance is 1.

    Matérn's with smoothness 3/2 (Rasmussen and Williams 2006, eq. 4.17).
    """
    far = np.sqrt(3) * _distance(a, b) / ROUGH_LENGTH
    return np.asarray(ROUGH * (1 + far) * np.exp(-far))


def _distance(a: Array, b: Array) -> Array:
    with np.errstate(invalid="ignore"):  # where an input has no logarithm, nor has a law a value
        square = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T
        return np.asarray(np.sqrt(np.maximum(square, 0.0)))
