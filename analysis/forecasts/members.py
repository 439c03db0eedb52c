"""A law with what it leaves out: its posterior, as draws that can be continued beyond the runs.

ln L = ln f(x; theta) + delta(x) + noise. For each of a few amplitudes of the discrepancy delta
(``discrepancy``) the parameters are fitted by generalised least squares with weak priors
(``regularised``), and an amplitude counts by the likelihood that Laplace's approximation gives it
(Rasmussen and Williams 2006, sec. 3.4 and 5.4). Draws of theta are corrected by importance.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from analysis.fits import Estimand, Problem
from analysis.forecasts.discrepancy import ROUGH, Places, drift, rough, smooth
from analysis.forecasts.regularised import (
    Prior,
    derivatives,
    deviations,
    levenberg,
    on_logs,
    prior_of,
)
from analysis.laws import Array, Law

RATIOS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Amplitudes of the discrepancy, in standard deviations of the noise."""

USUAL = 0.05
"""Amplitude in log loss beyond which the prior falls off, as Cauchy's does."""

QUIET = 1e-3
"""Noise that is believed as firmly as two runs would show it."""

MOST = 300
"""Rows from which a discrepancy is learnt; of more, as many spread evenly over the inputs."""

LEAST_SHARE = 1e-3
"""Members of less weight are left out."""

ROUNDS = 3
BEND = 2.5
TAILS = 5.0
"""Degrees of freedom of the t from which draws of theta are proposed."""

PROPOSALS = 12

FEW, ALONG = 1 / 3, 200
"""Share of the draws that must differ, short of which the likely parameters are taken to be a bent
ridge, and steps of each draw along it."""


@dataclass(frozen=True)
class Member:
    """One law at one amplitude, with draws.

    Attributes
    ----------
    law : Law
    ratio, noise : float
        Amplitude of the discrepancy over the noise, and the noise's standard deviation.
    evidence : float
        Log marginal likelihood, up to a constant that all members share, and log prior.
    problem : Problem
        The fit in coordinates, over the rows that were learnt from.
    theta : array ``(p,)``
        Its optimum.
    root : array ``(p, p)``
        Of the covariance of theta: R R'.
    own : float
        Variance of what is a run's own besides noise, over that of the smooth discrepancy.
    """

    law: Law
    ratio: float
    noise: float
    evidence: float
    problem: Problem = field(repr=False)
    prior: Prior = field(repr=False)
    theta: Array = field(repr=False)
    root: Array = field(repr=False)
    places: Places = field(repr=False)
    seen: Array = field(repr=False)
    whiten: Array = field(repr=False)
    own: float = field(default=ROUGH, repr=False)

    @property
    def params(self) -> Array:
        """The parameters ``(p,)``, in the runs' own units."""
        return self.problem.original(self.theta)

    def slopes(self, inputs: tuple[Array, ...]) -> Array:
        """Derivatives ``(p, n)`` of the law's (log) loss at ``inputs (n,)`` by theta."""
        problem = self.problem
        scaled = tuple(x / u for x, u in zip(inputs, problem.units, strict=True))
        params = problem.params(self.theta)
        slopes = self.law.gradient(params, *scaled)
        slopes = slopes * np.where(problem.law.on_log, params, 1.0)[:, None]
        return np.asarray(
            slopes / self.law.predict(params, *scaled) if problem.space == "log" else slopes
        )

    def drifted(self, inputs: tuple[Array, ...]) -> Array:
        """One standard deviation of the drifts ``(2, n)`` by N and by D where the noise is 1.

        What the law falls by from the largest size seen is told apart halfway between N growing
        first and D growing first.
        """
        if self.problem.space != "log" or self.law.inputs != ("num_params", "num_tokens"):
            return np.zeros((2, len(inputs[0])))
        size, seen = (at.sum(axis=1) for at in (self.places(inputs), self.seen))
        n, d = inputs
        back = np.exp(-np.maximum(size - seen.max(), 0.0) / 2)
        ends, whole = self._losses(n * back, d * back), self._losses(n, d)
        larger, longer = self._losses(n, d * back), self._losses(n * back, d)
        falls = 0.5 * np.array([whole - longer + larger - ends, whole - larger + longer - ends])
        share = drift(self.ratio * self.noise, self._fall(seen)) / self.noise
        return np.asarray(share * np.nan_to_num(falls, posinf=0.0, neginf=0.0))

    def _fall(self, seen: Array) -> float:
        """The law's fall from the smallest to the largest of sizes ``seen``, at their mean N/D."""
        ends = np.array([seen.min(), seen.max()])
        ratio = np.mean(self.seen[:, 0] - self.seen[:, 1])
        first, last = self._losses(np.exp((ends + ratio) / 2), np.exp((ends - ratio) / 2))
        return float(first - last)

    def _losses(self, n: Array, d: Array) -> Array:
        """The law's log losses ``(n,)``."""
        with np.errstate(all="ignore"):
            return np.asarray(np.log(self.law.predict(self.params, n, d)))

    def draw(self, count: int, rng: np.random.Generator) -> Draws:
        """``count`` draws of the posterior, by importance, or by ``_refitted`` where that fails."""
        p, n = len(self.theta), len(self.seen)
        many = PROPOSALS * count
        z = rng.standard_normal((many, p))
        tail = rng.chisquare(TAILS, many) / TAILS
        theta = self.problem.clip(self.theta + z / np.sqrt(tail)[:, None] @ self.root.T)
        left = np.clip(deviations(self.problem, theta), -50, 50) @ self.whiten
        fit = np.sum(left**2, axis=1) / self.noise**2 + np.sum(self.prior.away(theta) ** 2, axis=1)
        proposed = (TAILS + p) * np.log1p(np.sum(z**2, axis=1) / tail / TAILS)
        weight = np.exp(0.5 * (proposed - fit - (proposed - fit).max()))
        # weights beyond the root of their number would make few draws of many (Ionides 2008)
        weight = np.minimum(weight, weight.sum() / np.sqrt(many))
        chosen = rng.choice(many, count, p=weight / weight.sum())
        theta, left = theta[chosen], left[chosen]
        if len(np.unique(chosen)) < FEW * count:
            theta = self._refitted(count, rng)
            left = np.clip(deviations(self.problem, theta), -50, 50) @ self.whiten
        noise = self.noise * np.sqrt(n / rng.chisquare(max(n - p, 3), count))
        return Draws(self, theta, left, noise)

    def _refitted(self, count: int, rng: np.random.Generator) -> Array:
        """Optima ``(count, p)`` where runs and prior are moved by their errors.

        Runs that leave a parameter or a ratio of two to the prior make a ridge that no normal
        proposal follows; an optimum is on it wherever it bends (Oliver, He and Reynolds 1996,
        *Conditioning permeability fields to pressure data*: exact where the law is linear).
        """
        p, n = len(self.theta), len(self.seen)
        moved = self.noise * rng.standard_normal((count, n)), rng.standard_normal((count, p))
        weighed = self.problem.with_weights(np.full((count, n), self.noise**-2.0))
        start = np.tile(self.theta, (count, 1))
        return levenberg(weighed, self.prior, start, self.whiten, moved, ALONG)[0]


@dataclass(frozen=True)
class Draws:
    """Draws of a member: coordinates ``(k, p)``, whitened residuals ``(k, n)``, noise ``(k,)``."""

    member: Member
    theta: Array
    left: Array
    noise: Array

    def __len__(self) -> int:
        return len(self.theta)

    def mean(self, inputs: tuple[Array, ...]) -> Array:
        """Law and expected discrepancy at ``inputs (m,)`` under each draw, ``(k, m)``."""
        m, problem = self.member, self.member.problem
        scaled = tuple(x / u for x, u in zip(inputs, problem.units, strict=True))
        with np.errstate(all="ignore"):
            law = m.law.predict(problem.params(np.vstack([self.theta, m.theta])), *scaled)
            law = np.log(law) if problem.space == "log" else law
        law = np.where(np.isfinite(law), law, law[-1])[:-1]  # a draw without a value there
        if not m.ratio:
            return np.asarray(law)
        pull = m.whiten.T @ smooth(m.seen, m.places(inputs)) * m.ratio**2
        return np.asarray(law - self.left @ pull)

    def strays(self, inputs: tuple[Array, ...], rng: np.random.Generator) -> Array:
        """What the discrepancy may be besides its mean, ``(k, m)``, jointly over ``inputs``."""
        m = self.member
        if not m.ratio:
            return np.zeros((len(self), len(inputs[0])))
        at = m.places(inputs)
        known = m.whiten.T @ smooth(m.seen, at) * m.ratio**2
        values, vectors = np.linalg.eigh(m.ratio**2 * smooth(at, at) - known.T @ known)
        kept = values > 1e-9 * max(float(values[-1]), 1e-300)
        root = vectors[:, kept] * np.sqrt(values[kept])
        z = rng.standard_normal((len(self), int(kept.sum())))
        drifts = rng.standard_normal((len(self), 2)) @ m.drifted(inputs)
        return np.asarray(self.noise[:, None] * (z @ root.T + drifts))

    def strayed(self, inputs: tuple[Array, ...]) -> Array:
        """Variance ``(m,)`` of ``strays`` where the noise is 1."""
        m = self.member
        if not m.ratio:
            return np.zeros(len(inputs[0]))
        known = m.whiten.T @ smooth(m.seen, m.places(inputs)) * m.ratio**2
        within = np.maximum(m.ratio**2 - np.sum(known**2, axis=0), 0.0)
        return np.asarray(within + np.sum(m.drifted(inputs) ** 2, axis=0))

    @property
    def scatter(self) -> Array:
        """Standard deviation ``(k,)`` of a run about the smooth part: its noise, and roughness."""
        return np.asarray(self.noise * np.sqrt(1 + self.member.own * self.member.ratio**2))


def members(
    law: Law,
    inputs: tuple[Array, ...],
    observed: Array,
    weights: Array,
    space: str,
    params: Array,
    labels: NDArray[np.intp] | None = None,
) -> list[Member]:
    """The law at each amplitude that the runs leave possible; none where it has no slopes.

    Parameters
    ----------
    law : Law
    inputs : tuple of arrays ``(n,)``
    observed : array ``(n,)``
    weights : array ``(n,)``
        Inverse variances, up to a factor.
    space : "log" or "linear"
    params : array ``(p,)``
        Where the search starts.
    labels : int array ``(n,)``, optional
        The run of each row: what befell a run all its rows share, as much as sizes do theirs.
    """
    order = _spread_out(inputs, MOST)
    inputs = tuple(x[order] for x in inputs)
    observed, weights = observed[order], weights[order] / weights[order].mean()
    problem = Problem.of(law, inputs, observed, weights, Estimand("mse", space=space))
    problem = replace(problem, law=on_logs(law))
    prior, n = prior_of(law, observed), len(observed)
    unit = 1.0 if space == "log" else float(np.std(observed)) or 1.0
    with np.errstate(divide="ignore"):  # of a parameter that was fitted as 0
        start = problem.clip(problem.from_original(params))
    start = np.where(np.isfinite(start), start, problem.clip(prior.centre))
    places = Places.of(inputs, len(law.inputs) - len(law.variables))
    at = places(inputs)
    covariance = smooth(at, at) + rough(at, at)
    shared = labels is not None and len(np.unique(labels)) < len(labels)
    if shared and labels is not None:
        covariance += ROUGH * np.equal.outer(labels[order], labels[order])
    robust = weights * _robust(deviations(problem, start[None])[0], covariance)
    scale = np.sqrt(robust)
    values, vectors = np.linalg.eigh(scale[:, None] * covariance * scale)
    turn = scale[:, None] * vectors  # residuals @ turn are independent, of variance 1 + ratio^2 v
    shrink = 1 / (1 + np.array(RATIOS)[:, None] ** 2 * np.maximum(values, 0.0))
    theta = np.repeat(start[None], len(RATIOS), axis=0)
    noise = np.full(len(RATIOS), np.nan)
    for _ in range(ROUNDS):
        left = deviations(problem, theta) @ turn
        noise = np.sqrt((np.sum(shrink * left**2, axis=1) + 2 * (QUIET * unit) ** 2) / (n + 2))
        noise = np.maximum(noise, 1e-5 * unit)
        w = shrink / noise[:, None] ** 2
        theta, _ = levenberg(problem.with_weights(w), prior, theta, turn)
    left = deviations(problem, theta)
    slopes = derivatives(problem, theta, left) @ turn * np.sqrt(shrink)[:, None, :]
    found = []
    for i, ratio in enumerate(RATIOS):
        curvature = slopes[i] @ slopes[i].T / noise[i] ** 2 + np.diag(prior.width**-2.0)
        if not np.isfinite(curvature).all():
            continue
        root, log_det = _inverse_root(curvature)
        square = float(np.sum(shrink[i] * (left[i] @ turn) ** 2)) / noise[i] ** 2
        evidence = 0.5 * (
            np.sum(np.log(shrink[i]))
            + np.sum(np.log(robust))
            - (n + 2) * np.log((noise[i] / unit) ** 2)
            - square
            - 2 * QUIET**2 * unit**2 / noise[i] ** 2
            - float(np.sum(prior.away(theta[i]) ** 2))
            - 2 * float(np.sum(np.log(prior.width)))
            - log_det
        ) - np.log1p((ratio * noise[i] / unit / USUAL) ** 2)
        found.append(
            Member(law, ratio, float(noise[i]), float(evidence), problem, prior, theta[i], root,
                   places, at, turn * np.sqrt(shrink[i]), ROUGH * (1 + shared))
        )  # fmt: skip
    best = max((member.evidence for member in found), default=0.0)
    return [member for member in found if member.evidence > best + np.log(LEAST_SHARE)]


def shares(found: list[Member]) -> Array:
    """The weight ``(m,)`` of each member, in proportion to its marginal likelihood."""
    evidence = np.array([member.evidence for member in found])
    weight = np.exp(evidence - evidence.max())
    return np.asarray(weight / weight.sum())


def _robust(r: Array, covariance: Array) -> Array:
    """Weights that keep runs far from their neighbours, for whatever law, from counting fully."""
    near = 16 * covariance / np.mean(np.diag(covariance))
    own = np.linalg.solve(near + np.eye(len(r)), r)
    spread = 1.4826 * np.median(np.abs(own)) + 1e-12
    return np.asarray(np.minimum(1.0, BEND * spread / np.maximum(np.abs(own), 1e-300)))


def _inverse_root(curvature: Array) -> tuple[Array, float]:
    """R with R R' = curvature^-1, and the log determinant of ``curvature``."""
    values, vectors = np.linalg.eigh(curvature)
    values = np.maximum(values, 1e-12 * values[-1])
    return vectors / np.sqrt(values), float(np.sum(np.log(values)))


def _spread_out(inputs: tuple[Array, ...], most: int) -> NDArray[np.intp]:
    """At most ``most`` rows, evenly among the rows in the order of their inputs."""
    order: NDArray[np.intp] = np.lexsort(inputs[::-1])
    if len(order) <= most:
        return order
    return np.asarray(order[np.unique(np.linspace(0, len(order) - 1, most).astype(int))])
