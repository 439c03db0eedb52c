"""Fits for prediction: robust least squares of log residuals with weak priors, many at once.

A fit that is to explain wants the optimum of its objective (``analysis.fits.fit``); one that is
to extrapolate from ten points to a law of nine parameters wants to be kept from absurd values.
Every parameter has a normal prior in fit coordinates (logarithms of what is positive) whose
centre and standard deviation are the middle and half the width of the range that the law itself
names for starting points, so that one rule serves every law and nothing is tuned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.fits import Estimand, Problem, best_starts
from analysis.laws import Array, Law

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
class Prior:
    """Independent normal beliefs on the fit coordinates: ``centre`` and ``width`` ``(p,)``."""

    centre: Array
    width: Array

    def away(self, theta: Array) -> Array:
        """Distance of ``theta (k, p)`` from the centre in standard deviations."""
        return (theta - self.centre) / self.width


def regularised_fits(
    law: Law, inputs: tuple[Array, ...], observed: Array, weights: Array, space: str = "log"
) -> tuple[Array, Array]:
    """Parameters that minimise sum w rho(r)/sigma^2 + sum ((theta - centre)/width)^2, k at once.

    Parameters
    ----------
    law : Law
    inputs : tuple of arrays ``(n,)``
    observed : array ``(n,)``
        Positive in log space.
    weights : array ``(k, n)``
        One row per fit; runs of weight 0 are not seen by it. The weights of a row should sum to
        the number of runs seen.
    space : "log" or "linear"
        Of the residuals.

    Returns
    -------
    params : array ``(k, p)``
        In the units of ``inputs``.
    noise : array ``(k,)``
        Standard deviation sigma of the residuals, estimated together with the parameters.
    """
    problem = Problem.of(law, inputs, observed, weights, Estimand("mse", space=space))
    positive = replace(problem, law=on_logs(law))
    prior = prior_of(law, observed)
    k, p = len(weights), len(law.parameters)
    theta = np.concatenate([_starts(problem.with_weights(row), positive, prior) for row in weights])
    keep = len(theta) // k
    unit = 1.0 if space == "log" else float(np.std(observed)) or 1.0
    noise = np.full(k, 0.01 * unit)
    best = np.arange(k) * keep
    robust = np.ones_like(weights)
    for _ in range(ROUNDS):
        w = np.repeat(weights, keep, axis=0) * np.repeat(robust, keep, axis=0)
        w = w / np.repeat(noise, keep)[:, None] ** 2
        theta, cost = levenberg(positive.with_weights(w), prior, theta)
        best = cost.reshape(k, keep).argmin(axis=1) + np.arange(k) * keep
        r = deviations(positive, theta[best])
        noise = np.maximum(_noise(r, weights, p), 1e-5 * unit)
        robust = np.minimum(1.0, BEND * noise[:, None] / np.maximum(np.abs(r), SMALLEST))
    return positive.original(theta[best]), noise


def _noise(r: Array, weights: Array, n_params: int) -> Array:
    """Standard deviation of residuals, those beyond three median deviations cut back to there."""
    seen = weights > 0
    count = seen.sum(axis=1)
    size = np.where(seen, np.abs(r), np.nan)
    limit = 3 * 1.4826 * np.nanmedian(size, axis=1)
    square = np.sum(weights * np.minimum(np.abs(r), limit[:, None]) ** 2, axis=1)
    # a law with nearly as many parameters as runs would otherwise seem without noise
    free = np.maximum(count - n_params, np.maximum(2, count / 3))
    noise: Array = np.sqrt(square / free)
    return noise


def on_logs(law: Law) -> Law:
    """``law`` with every parameter that is not negative fitted as its logarithm, floors too."""
    parameters = tuple(
        replace(p, low=max(p.low, SMALLEST), scale="log") if p.low >= 0 else p
        for p in law.parameters
    )
    return replace(law, parameters=parameters)


def prior_of(law: Law, observed: Array) -> Prior:
    """What a law's own starting ranges say of its parameters before any run is seen."""
    centre, width = np.empty(len(law.parameters)), np.empty(len(law.parameters))
    for i, p in enumerate(law.parameters):
        first, last = p.start
        if last > first and not (p.low < 0 and p.name in law.linear):
            ends = np.log([max(first, SMALLEST), last]) if p.low >= 0 else np.array([first, last])
            centre[i], width[i] = ends.mean(), 0.5 * np.ptp(ends)
        elif p.scale == "linear" and p.low == 0:
            # a floor: from 8 % to all of the lowest loss seen
            centre[i], width[i] = np.log(max(observed.min(), SMALLEST)) - 1.0, 1.5
        elif p.low < 0 and p.name in law.linear:
            centre[i], width[i] = 0.0, 10 * float(np.abs(observed).max())
        else:
            centre[i], width[i] = np.log(max(observed.max(), SMALLEST)), 5.0
    return Prior(centre, width)


def _starts(problem: Problem, positive: Problem, prior: Prior) -> Array:
    """``(KEEP, p)`` starts of one fit, from what it sees alone, as coordinates of ``positive``."""
    seen = problem.weights > 0
    part = replace(
        problem,
        inputs=tuple(x[seen] for x in problem.inputs),
        target=problem.target[seen],
        weights=problem.weights[seen],
    )
    with np.errstate(all="ignore"):
        theta = best_starts(part, KEEP - 1)[0]
    params = problem.params(theta)
    on_log = positive.law.on_log
    found = positive.coordinates(np.maximum(params, SMALLEST, out=params, where=on_log))
    found = found[np.isfinite(found).all(axis=1)]
    rows = np.concatenate([found, np.repeat(prior.centre[None], KEEP - len(found), axis=0)])
    return positive.clip(rows)


def deviations(problem: Problem, theta: Array) -> Array:
    """Prediction minus observation ``(k, n)``; 1e3 where there is no prediction."""
    r = problem.residuals(theta)
    return np.where(np.isfinite(r), np.minimum(r, 1e3), 1e3)


def derivatives(problem: Problem, theta: Array, r: Array) -> Array:
    """Derivatives of the deviations ``(k, p, n)``."""
    params = problem.params(theta)
    with np.errstate(all="ignore"):
        out = problem.law.gradient(params, *problem.inputs)
        out = out * np.where(problem.law.on_log, params, 1.0)[..., None]
        if problem.space == "log":
            out = out * np.exp(-(r + problem.target))[:, None, :]
    return np.where(np.isfinite(out), out, 0.0)


# Apart from newton.minimise and starts.settle: other damping and stopping, hence other digits.
def levenberg(
    problem: Problem,
    prior: Prior,
    theta: Array,
    turn: Array | None = None,
    moved: tuple[Array, Array] | None = None,
    passes: int = PASSES,
) -> tuple[Array, Array]:
    """Minima ``(k, p)`` from ``theta (k, p)`` by Levenberg-Marquardt, and their cost ``(k,)``.

    ``turn (n, n)``: the coordinates in which residuals are weighed, if not their own.
    ``moved``: what is added to these ``(k, n)``, and to the distances from the prior ``(k, p)``.
    """
    weights, (low, high) = problem.weights, problem.bounds
    precision = 1 / prior.width**2
    diagonal = np.arange(theta.shape[1])
    damping = np.full(len(theta), 1e-3)
    theta, final = theta.copy(), np.empty(len(theta))
    open_, quiet = np.arange(len(theta)), np.zeros(len(theta), dtype=int)

    def turned(values: Array) -> Array:
        return values if turn is None else values @ turn

    def left(r: Array) -> Array:
        return turned(r) if moved is None else turned(r) + moved[0][open_]

    def away(at: Array) -> Array:
        return prior.away(at) if moved is None else prior.away(at) + moved[1][open_]

    def cost(r: Array, at: Array, w: Array) -> Array:
        total: Array = np.einsum("kn,kn->k", w, left(r) ** 2)
        total += np.sum(away(at) ** 2, axis=1)
        return total

    here, w, damp = theta, weights, damping
    r = deviations(problem, here)
    value = cost(r, here, w)
    final[:] = value
    for _ in range(passes):
        jacobian = turned(derivatives(problem, here, r))
        weighted = jacobian * w[:, None, :]
        hessian = np.matmul(weighted, jacobian.swapaxes(1, 2))
        gradient = np.einsum("kpn,kn->kp", weighted, left(r)) + away(here) / prior.width
        hessian[:, diagonal, diagonal] += precision
        hessian[:, diagonal, diagonal] *= 1 + damp[:, None]
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        trial = np.clip(here - np.clip(step, -2, 2), low, high)
        r_trial = deviations(problem, trial)
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
