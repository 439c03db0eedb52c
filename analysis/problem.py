"""A fit as a minimisation: the objective, its gradient and Hessian, for many draws at once.

Everything here is in fit coordinates: each input divided by its geometric mean (so that
intercepts and exponents separate: the raw five-parameter problem of the Chinchilla runs has
condition number 3.5e11) and positive parameters as logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.laws.base import Array, Law
from analysis.penalty import Penalty


@dataclass(frozen=True)
class Problem:
    """Minimise sum over runs of w rho(r), r = prediction - observation in log or linear space.

    ``inputs`` are ``(n,)`` each, shared by all draws. ``target (n,) or (k, n)`` is the
    observation, or its logarithm if ``space`` is ``"log"``; ``weights (n,) or (k, n)``. A batch
    of points is ``theta (k, p)``.
    """

    law: Law
    inputs: tuple[Array, ...]
    target: Array
    weights: Array
    penalty: Penalty
    space: str

    def rows(self, index: NDArray[np.intp]) -> Problem:
        """The problem of the draws ``index`` only."""
        return replace(
            self,
            target=self.target if self.target.ndim == 1 else self.target[index],
            weights=self.weights if self.weights.ndim == 1 else self.weights[index],
        )

    def with_weights(self, weights: Array) -> Problem:
        """The problem with other weights, ``(n,)`` or ``(k, n)``."""
        return replace(self, weights=weights)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bound of each coordinate, ``(p,)`` each."""
        low = np.array([p.low for p in self.law.parameters])
        high = np.array([p.high for p in self.law.parameters])
        return self.coordinates(low), self.coordinates(high)

    def coordinates(self, params: Array) -> Array:
        """Fit coordinates of ``params (..., p)``."""
        on_log = self.law.on_log
        return np.where(on_log, np.log(np.where(on_log, params, 1.0)), params)

    def params(self, theta: Array) -> Array:
        """Parameters at the coordinates ``theta (..., p)``."""
        on_log = self.law.on_log
        return np.where(on_log, np.exp(np.where(on_log, theta, 0.0)), theta)

    def residuals(self, theta: Array) -> Array:
        """Residuals ``(k, n)``; infinite where the prediction is none."""
        predicted = self.law.predict(self.params(theta), *self.inputs)
        with np.errstate(all="ignore"):
            r = (np.log(predicted) if self.space == "log" else predicted) - self.target
        return np.where(np.isfinite(r), r, np.inf)

    def objective(self, theta: Array, delta: Array | None = None, exact: bool = True) -> Array:
        """Sum of weighted penalties ``(k,)``; smoothed, if ``delta (k,)`` is given."""
        r = self.residuals(theta)
        rho = (
            self.penalty.rho(r)
            if delta is None
            else self.penalty.smoothed(r, delta[:, None], exact)
        )
        return np.einsum("...n,...n->...", np.broadcast_to(self.weights, rho.shape), rho)

    def derivatives(
        self, theta: Array, delta: Array, exact: bool = True
    ) -> tuple[Array, Array, Array]:
        """Gradient ``(k, p)``, Hessian ``(k, p, p)`` and scale ``(k, p)`` at ``delta (k,)``.

        The scale of a coordinate is the root of its diagonal in the quadratic that touches the
        objective from above (iteratively re-weighted least squares); it is positive where the
        Hessian need not be.
        """
        law, params = self.law, self.params(theta)
        on_log = law.on_log
        jacobian = law.gradient(params, *self.inputs)
        if on_log.any():
            jacobian *= np.where(on_log, params, 1.0)[..., None]
        predicted = law.predict(params, *self.inputs)
        with np.errstate(all="ignore"):
            link = 1.0 / predicted if self.space == "log" else np.ones_like(predicted)
            r = (np.log(predicted) if self.space == "log" else predicted) - self.target
        first, second = self.penalty.slopes(r, delta[:, None], exact)
        pull = self.weights * first
        v = pull * link
        gradient = np.matmul(jacobian, v[..., None])[..., 0]
        bend = self.weights * second - (pull if self.space == "log" else 0.0)
        link2 = link * link
        hessian = np.matmul(jacobian * (bend * link2)[:, None, :], jacobian.swapaxes(-1, -2))
        hessian += self._curvature(theta, params, v, jacobian, gradient)
        with np.errstate(all="ignore"):
            majorant = np.where(r == 0, self.weights * second, pull / r) * link2
        scale = np.sqrt(np.matmul(jacobian * jacobian, majorant[..., None])[..., 0])
        return gradient, hessian, np.maximum(scale, 1e-12 * scale.max(initial=1e-300))

    def _curvature(
        self, theta: Array, params: Array, v: Array, jacobian: Array, gradient: Array
    ) -> Array:
        """Second derivatives of the prediction by the coordinates, summed with weights ``v``."""
        law, on_log = self.law, self.law.on_log
        p = theta.shape[-1]
        if law.curvature is not None:
            stretch = np.where(on_log, params, 1.0)
            out = law.curvature(params, v, *self.inputs)
            out = out * (stretch[..., :, None] * stretch[..., None, :])
            out[..., np.arange(p), np.arange(p)] += np.where(on_log, gradient, 0.0)
            return out
        out = np.empty((*theta.shape, p))
        for j in range(p):
            step = 1e-6 * np.maximum(1.0, np.abs(theta[..., j]))
            moved = theta.copy()
            moved[..., j] += step
            at = self.params(moved)
            shifted = law.gradient(at, *self.inputs) * np.where(on_log, at, 1.0)[..., None]
            change = np.matmul(shifted - jacobian, v[..., None])[..., 0]
            out[..., j] = change / step[..., None]
        return 0.5 * (out + out.swapaxes(-1, -2))
