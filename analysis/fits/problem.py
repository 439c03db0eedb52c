"""A fit as a minimisation: the objective, its gradient and Hessian, for many draws at once.

Everything here is in fit coordinates: each input divided by its geometric mean (so that
intercepts and exponents separate: the raw five-parameter problem of the Chinchilla runs has
condition number 3.5e11) and positive parameters as logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.fits.estimand import Estimand
from analysis.fits.penalty import Penalty
from analysis.laws import Array, Law, scales

BEYOND = {np.dtype(np.float64): 1e100, np.dtype(np.float32): 1e15}
"""Residual where a law has no value: large, and with a finite square."""

TOGETHER = 2**17
"""Derivatives that are worked out at once: so many fit a processor's cache."""

HIGH = 40.0
"""Largest -ln of a prediction: beyond it its inverse squared would overflow single precision."""


@dataclass(frozen=True)
class Problem:
    """Minimise sum over runs of w rho(r), r = prediction - observation in log or linear space.

    ``inputs`` are ``(n,)`` each, the runs' over ``units``, shared by all draws, or ``(k, n)`` where
    a draw has its own. ``target (n,)`` or ``(k, n)`` is the observation, or its logarithm if
    ``space`` is ``"log"``; ``weights (n,)`` or ``(k, n)``.
    A batch of points is ``theta (k, p)``; coordinates ``held`` stay where they start.
    With a ``prior`` Q ``(p, p)`` the objective has 1/2 theta' Q theta more (``pooling``).
    """

    law: Law
    inputs: tuple[Array, ...]
    target: Array
    weights: Array
    penalty: Penalty
    space: str
    units: Array
    held: tuple[int, ...] = ()
    prior: Array | None = None

    @classmethod
    def of(
        cls,
        law: Law,
        inputs: tuple[Array, ...],
        observed: Array,
        weights: Array,
        estimand: Estimand,
    ) -> Problem:
        """The problem that ``estimand`` makes of runs ``(n,)`` in their own units."""
        space = estimand.space or law.space
        if space == "log" and law.of_log is not None:
            law, observed, space = law.of_log, np.log(observed), "linear"
        units = scales(inputs, law)
        return cls(
            law,
            tuple(x / u for x, u in zip(inputs, units, strict=True)),
            np.log(observed) if space == "log" else observed,
            weights,
            estimand.penalty,
            space,
            units,
        )

    def original(self, theta: Array) -> Array:
        """Parameters ``(..., p)`` at ``theta`` for inputs in the runs' own units."""
        params = self.params(theta)
        return params if self.law.rescale is None else self.law.rescale(params, 1 / self.units)

    def from_original(self, params: Array) -> Array:
        """Fit coordinates of ``params (..., p)`` for inputs in the runs' own units."""
        rescale = self.law.rescale
        return self.coordinates(params if rescale is None else rescale(params, self.units))

    def rows(self, index: NDArray[np.intp] | slice) -> Problem:
        """The problem of the draws ``index`` only."""
        if self.target.ndim == self.weights.ndim == 1:
            return self
        return replace(
            self,
            inputs=tuple(x if x.ndim == 1 else x[index] for x in self.inputs),
            target=self.target if self.target.ndim == 1 else self.target[index],
            weights=self.weights if self.weights.ndim == 1 else self.weights[index],
        )

    def repeat(self, times: int) -> Problem:
        """Each draw ``times`` times in a row."""
        if times == 1:
            return self
        return replace(
            self,
            target=self.target if self.target.ndim == 1 else np.repeat(self.target, times, axis=0),
            weights=self.weights
            if self.weights.ndim == 1
            else np.repeat(self.weights, times, axis=0),
        )

    def with_weights(self, weights: Array) -> Problem:
        """The problem with other weights, ``(n,)`` or ``(k, n)``."""
        return replace(self, weights=weights)

    def single(self) -> Problem:
        """The problem in single precision: for the way to an optimum, not for its last digits."""
        return replace(
            self,
            inputs=tuple(x.astype(np.float32) for x in self.inputs),
            target=self.target.astype(np.float32),
            weights=self.weights.astype(np.float32),
        )

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bound of each coordinate, ``(p,)`` each."""
        low = np.array([p.low for p in self.law.parameters], dtype=float)
        high = np.array([p.high for p in self.law.parameters], dtype=float)
        return self.coordinates(low), self.coordinates(high)

    def clip(self, theta: Array) -> Array:
        """``theta`` moved into the bounds."""
        low, high = self.bounds
        return np.clip(theta, low, high)

    def coordinates(self, params: Array) -> Array:
        """Fit coordinates of ``params (..., p)``."""
        return np.log(params, out=params.copy(), where=self.law.on_log)

    def params(self, theta: Array) -> Array:
        """Parameters at the coordinates ``theta (..., p)``."""
        return np.exp(theta, out=theta.copy(), where=self.law.on_log)

    def residuals(self, theta: Array) -> Array:
        """Residuals ``(k, n)``; ``BEYOND`` where the prediction is none."""
        with np.errstate(all="ignore"):
            params = self.params(theta).astype(self.target.dtype, copy=False)
            return self._deviations(self.law.predict(params, *self.inputs))

    def look(self, theta: Array) -> tuple[Array, Array | None]:
        """Residuals ``(k, n)``, and the derivatives by the parameters ``(k, p, n)`` if they come
        with them: a law with starting points of its own has derivatives that cost more.
        """
        law = self.law
        if law.starts is not None or not law.is_sum:
            return self.residuals(theta), None
        with np.errstate(all="ignore"):
            params = self.params(theta).astype(self.target.dtype, copy=False)
            jacobian = law.gradient(params, *self.inputs)
            predicted = np.matmul(params[:, None, law.place], jacobian[:, law.place])[:, 0]
            return self._deviations(predicted), jacobian

    def _deviations(self, predicted: Array) -> Array:
        r = (np.log(predicted) if self.space == "log" else predicted) - self.target
        return r if np.isfinite(r).all() else np.where(np.isfinite(r), r, BEYOND[r.dtype])

    def objective(self, theta: Array) -> Array:
        """Sum of weighted penalties ``(k,)``."""
        return self._with_prior(theta, self.total(self.penalty.rho(self.residuals(theta))))

    def smoothed(self, theta: Array, r: Array, delta: Array, exact: bool) -> Array:
        """The objective ``(k,)``, the penalty of its residuals ``(k, n)`` smoothed to ``delta``."""
        total = self.total(self.penalty.smoothed(r, delta[:, None].astype(r.dtype), exact))
        return self._with_prior(theta, total)

    def _with_prior(self, theta: Array, total: Array) -> Array:
        if self.prior is None:
            return total
        return np.asarray(total + 0.5 * np.einsum("kp,pq,kq->k", theta, self.prior, theta))

    def total(self, rho: Array) -> Array:
        """Sum over runs of weight times ``rho (k, n)``."""
        if self.weights.ndim == 1:
            return np.asarray(rho @ self.weights)
        return np.asarray(np.einsum("kn,kn->k", rho, self.weights))

    def derivatives(
        self,
        theta: Array,
        r: Array,
        delta: Array,
        exact: bool = True,
        jacobian: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """Gradient ``(k, p)``, Hessian ``(k, p, p)`` and scale ``(k, p)``, of the smoothed penalty.

        ``r`` and ``jacobian`` are what ``look`` gives at ``theta``. The scale of a coordinate is
        about the root of its diagonal in the quadratic that touches the objective from above; it
        is positive where the Hessian need not be.
        """
        law, dtype = self.law, self.target.dtype
        values = self.params(theta)
        params = values.astype(dtype, copy=False)
        if jacobian is None:
            jacobian = law.gradient(params, *self.inputs)
        stretch = np.where(law.on_log, values, 1.0)
        ratio, second = self.penalty.slopes(r, delta[:, None].astype(dtype), exact)
        ratio *= self.weights
        second *= self.weights
        pull = ratio * r
        if self.space == "log":
            link = np.exp(np.minimum(-(r + self.target), HIGH))  # 1 / prediction
            square = link * link
            v = pull * link
            bend = (second - pull) * square
            level = np.einsum("kn,kn->k", ratio, square)
        else:
            v, bend, level = pull, second, ratio.sum(axis=-1)
        gradient = stretch * np.matmul(jacobian, v[..., None])[..., 0]
        if law.groups is not None:
            hessian = law.groups.square(jacobian, bend, self.inputs)
        else:
            hessian = np.matmul(jacobian * bend[:, None, :], jacobian.swapaxes(-1, -2))
        hessian = hessian.astype(float, copy=False)
        if law.curvature is not None:
            hessian += law.curvature(params, jacobian, v, *self.inputs)
            hessian *= stretch[:, :, None] * stretch[:, None, :]
            diagonal = hessian.reshape(len(hessian), -1)[:, :: hessian.shape[1] + 1]  # a view
            diagonal += np.where(law.on_log, gradient, 0.0)
        else:
            hessian *= stretch[:, :, None] * stretch[:, None, :]
            hessian += self._curvature(theta, v, gradient)
        size = np.einsum("kpn,kpn->kp", jacobian, jacobian)
        scale = stretch * np.sqrt(size * (level[:, None] / r.shape[-1]))
        if self.prior is not None:
            gradient = gradient + theta @ self.prior
            hessian = hessian + self.prior
            scale = np.sqrt(scale**2 + np.diagonal(self.prior))
        least = 1e-12 * scale.max(axis=-1, keepdims=True, initial=1e-288)
        return gradient, hessian, np.maximum(scale, least)

    def _curvature(self, theta: Array, v: Array, gradient: Array) -> Array:
        """Second derivatives of the prediction by the coordinates, summed with weights ``v``."""
        k, p = theta.shape
        small = 1e-6 if self.target.dtype == np.float64 else 1e-3
        steps = small * np.maximum(1.0, np.abs(theta))
        out = np.empty((k, p, p))
        many = max(1, TOGETHER // (k * p * v.shape[-1]))
        for first in range(0, p, many):
            which = np.arange(first, min(first + many, p))
            m = len(which)
            moved = np.repeat(theta[None], m, axis=0)
            moved[np.arange(m), :, which] += steps.T[which]
            params = self.params(moved).astype(self.target.dtype, copy=False)
            inputs = (x if x.ndim == 1 else np.tile(x, (m, 1)) for x in self.inputs)
            slopes = self.law.gradient(params.reshape(-1, p), *inputs).reshape(m, k, p, -1)
            shifted = np.matmul(slopes, v[..., None])[..., 0]
            shifted *= np.where(self.law.on_log, params, 1.0)
            out[:, which] = ((shifted - gradient) / steps.T[which, :, None]).swapaxes(0, 1)
        return 0.5 * (out + out.swapaxes(-1, -2))
