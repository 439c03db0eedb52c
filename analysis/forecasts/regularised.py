"""Fits for prediction: robust least squares of log residuals with weak priors, many at once.

A fit that is to explain wants the optimum of its objective (``analysis.fits.fit``); one that is
to extrapolate from ten points to a law of nine parameters wants to be kept from absurd values.
Every parameter has a normal prior in fit coordinates (logarithms of what is positive) whose
centre and standard deviation are the middle and half the width of the range that the law itself
names for starting points, so that one rule serves every law and nothing is tuned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fits import Penalty, Problem, best_starts
from analysis.laws import Array, Law, scales

KEEP = 6
"""Starts that are polished for each fit."""

ROUNDS = 4
"""Times that noise, robust weights and parameters are improved in turn."""

PASSES = 25
"""Levenberg-Marquardt steps in a round."""

BEND = 2.0
"""Residuals beyond this many standard deviations count linearly (Huber)."""

SMALLEST = 1e-12


@dataclass(frozen=True)
class _Task:
    """A law, its data in fit units, and its prior in fit coordinates."""

    law: Law
    inputs: tuple[Array, ...]
    target: Array
    positive: NDArray[np.bool_]
    centre: Array
    width: Array
    low: Array
    high: Array

    def params(self, theta: Array) -> Array:
        return np.exp(theta, out=theta.copy(), where=self.positive)

    def coordinates(self, params: Array) -> Array:
        out = np.maximum(params, SMALLEST, out=params.copy(), where=self.positive)
        return np.log(out, out=out.copy(), where=self.positive)

    def residuals(self, theta: Array) -> Array:
        """Prediction minus observation, in logs, ``(k, n)``; 1e3 where there is none."""
        with np.errstate(all="ignore"):
            r = np.log(self.law.predict(self.params(theta), *self.inputs)) - self.target
        return np.where(np.isfinite(r), r, 1e3)

    def jacobian(self, theta: Array, r: Array) -> Array:
        """Derivatives of the residuals ``(k, p, n)``."""
        params = self.params(theta)
        with np.errstate(all="ignore"):
            out = self.law.gradient(params, *self.inputs)
            out = out * np.where(self.positive, params, 1.0)[..., None]
            out = out * np.exp(-(r + self.target))[:, None, :]
        return np.where(np.isfinite(out), out, 0.0)

    def away(self, theta: Array) -> Array:
        """Distance from the prior's centre in standard deviations ``(k, p)``."""
        return (theta - self.centre) / self.width


def regularised_fits(
    law: Law, inputs: tuple[Array, ...], observed: Array, weights: Array
) -> tuple[Array, Array]:
    """Parameters that minimise sum w rho(r)/sigma^2 + sum ((theta - centre)/width)^2, k at once.

    Parameters
    ----------
    law : Law
    inputs : tuple of arrays ``(n,)``
    observed : array ``(n,)``
        Positive.
    weights : array ``(k, n)``
        One row per fit; runs of weight 0 are not seen by it. The weights of a row should sum to
        the number of runs seen.

    Returns
    -------
    params : array ``(k, p)``
        In the units of ``inputs``.
    noise : array ``(k,)``
        Standard deviation sigma of the log residuals, estimated together with the parameters.
    """
    units = scales(inputs, law)
    scaled = tuple(x / u for x, u in zip(inputs, units, strict=True))
    task = _task(law, scaled, observed)
    k, p = len(weights), len(law.parameters)
    theta = np.concatenate([_starts(task, observed, row) for row in weights])
    keep = len(theta) // k
    w = np.repeat(weights, keep, axis=0)
    noise = np.full(k, 0.01)
    best = np.arange(k) * keep
    robust = np.ones_like(weights)
    for _ in range(ROUNDS):
        sigma = np.repeat(noise, keep)
        theta, cost = _levenberg(task, theta, w * np.repeat(robust, keep, axis=0), sigma)
        best = cost.reshape(k, keep).argmin(axis=1) + np.arange(k) * keep
        r = task.residuals(theta[best])
        noise = _noise(r, weights, p)
        robust = np.minimum(1.0, BEND * noise[:, None] / np.maximum(np.abs(r), SMALLEST))
    params = task.params(theta[best])
    return (params if law.rescale is None else law.rescale(params, 1 / units)), noise


def _noise(r: Array, weights: Array, n_params: int) -> Array:
    """Standard deviation of residuals, those beyond three median deviations cut back to there."""
    seen = weights > 0
    count = seen.sum(axis=1)
    size = np.where(seen, np.abs(r), np.nan)
    limit = 3 * 1.4826 * np.nanmedian(size, axis=1)
    square = np.sum(weights * np.minimum(np.abs(r), limit[:, None]) ** 2, axis=1)
    # a law with nearly as many parameters as runs would otherwise seem without noise
    free = np.maximum(count - n_params, np.maximum(2, count / 3))
    noise: Array = np.maximum(np.sqrt(square / free), 1e-5)
    return noise


def _task(law: Law, inputs: tuple[Array, ...], observed: Array) -> _Task:
    positive = np.array([p.low >= 0 for p in law.parameters])
    low = np.array([max(p.low, SMALLEST) if p.low >= 0 else p.low for p in law.parameters])
    high = np.array([p.high for p in law.parameters])
    centre, width = np.empty(len(positive)), np.empty(len(positive))
    for i, p in enumerate(law.parameters):
        first, last = p.start
        if last > first:
            ends = np.log([max(first, SMALLEST), last]) if positive[i] else np.array([first, last])
            centre[i], width[i] = ends.mean(), 0.5 * np.ptp(ends)
        elif p.scale == "linear" and p.low == 0:
            # a floor: from 8 % to all of the lowest loss seen
            centre[i], width[i] = np.log(observed.min()) - 1.0, 1.5
        else:
            centre[i], width[i] = np.log(observed.max()), 5.0
    task = _Task(law, inputs, np.log(observed), positive, centre, width, low, high)
    low, high = task.coordinates(low), task.coordinates(high)
    return _Task(law, inputs, task.target, positive, centre, width, low, high)


def _starts(task: _Task, observed: Array, weights: Array) -> Array:
    """``(KEEP, p)`` starts of one fit, from what it sees alone."""
    seen = weights > 0
    problem = Problem(
        task.law,
        tuple(x[seen] for x in task.inputs),
        np.log(observed[seen]),
        weights[seen],
        Penalty("mse"),
        "log",
    )
    with np.errstate(all="ignore"):
        theta = best_starts(problem, KEEP - 1)[0]
    found = task.coordinates(problem.params(theta))
    found = found[np.isfinite(found).all(axis=1)]
    rows = np.concatenate([found, np.repeat(task.centre[None], KEEP - len(found), axis=0)])
    starts: Array = np.clip(rows, task.low, task.high)
    return starts


def _levenberg(task: _Task, theta: Array, weights: Array, noise: Array) -> tuple[Array, Array]:
    """Minima ``(k, p)`` from ``theta (k, p)`` by Levenberg-Marquardt, and their cost ``(k,)``."""
    weights = weights / noise[:, None] ** 2
    precision = 1 / task.width**2
    diagonal = np.arange(theta.shape[1])
    damping = np.full(len(theta), 1e-3)

    def cost(r: Array, at: Array, w: Array) -> Array:
        total: Array = np.einsum("kn,kn->k", w, r**2) + np.sum(task.away(at) ** 2, axis=1)
        return total

    theta, final = theta.copy(), np.empty(len(theta))
    open_, quiet = np.arange(len(theta)), np.zeros(len(theta), dtype=int)
    here, w, damp = theta, weights, damping
    r = task.residuals(here)
    value = cost(r, here, w)
    final[:] = value
    for _ in range(PASSES):
        jacobian = task.jacobian(here, r)
        weighted = jacobian * w[:, None, :]
        hessian = np.matmul(weighted, jacobian.swapaxes(1, 2))
        gradient = np.einsum("kpn,kn->kp", weighted, r) + task.away(here) / task.width
        hessian[:, diagonal, diagonal] += precision
        hessian[:, diagonal, diagonal] *= 1 + damp[:, None]
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        trial = np.clip(here - np.clip(step, -2, 2), task.low, task.high)
        r_trial = task.residuals(trial)
        reached = cost(r_trial, trial, w)
        better = reached < value
        stalled = np.where(better, value - reached <= 1e-6 * value, damp > 1e3)
        quiet = np.where(stalled, quiet + 1, np.where(better, 0, quiet))
        here = np.where(better[:, None], trial, here)
        r = np.where(better[:, None], r_trial, r)
        value = np.where(better, reached, value)
        damp = np.clip(np.where(better, 0.3 * damp, 5 * damp), 1e-9, 1e9)
        theta[open_], final[open_] = here, value
        keep = quiet < 3
        if not keep.any():
            break
        open_, quiet, damp = open_[keep], quiet[keep], damp[keep]
        here, r, value, w = here[keep], r[keep], value[keep], w[keep]
    return theta, final
