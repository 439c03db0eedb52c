"""Groups whose parameters are drawn towards their mean, by as much as the rows say.

The values theta_1 ... theta_K of a pooled parameter, in fit coordinates (a positive one as its
logarithm), are taken as normal around a common mean with a variance tau^2 that is estimated from
the rows: empirical Bayes. The fit minimises

    sum over rows of w rho(r)  +  1/2 sum over pooled parameters of lambda sum_k (theta_k - mean)^2

with lambda = phi / tau^2 and phi the scale of the rows' noise. tau^2 and phi maximise the
likelihood of least squares with all parameters integrated out by Laplace's method, which in a
linear law is restricted maximum likelihood (REML; Patterson and Thompson 1971), and the values
are then the best linear unbiased predictions (Robinson 1991, Stat. Sci. 6, 15). For another
penalty than squares tau^2 stays, and phi is that penalty's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from analysis.fits.newton import final_delta, minimise
from analysis.fits.penalty import Penalty
from analysis.fits.problem import Problem
from analysis.fits.profile import dispersion
from analysis.laws import Array, Law

LEAST, MOST = float(np.log(1e-9)), float(np.log(1e3))
"""Logarithms between which strengths are sought, over what a group's rows weigh."""


def prior_of(law: Law, strengths: Mapping[str, float]) -> Array:
    """The matrix Q ``(p, p)`` of 1/2 theta' Q theta: each pooled parameter's around its mean."""
    groups = law.groups
    assert groups is not None
    out = np.zeros((len(law.parameters),) * 2)
    for name, strength in strengths.items():
        at = groups.values_of(name)
        size = at.stop - at.start
        out[at, at] = strength * (np.eye(size) - 1.0 / size)
    return out


def pool(problem: Problem, theta: Array) -> tuple[Problem, dict[str, Any]]:
    """The problem with its pooled parameters drawn together, and how strongly, by parameter.

    ``theta (p,)`` is where to begin. ``strength`` is lambda; ``between_sd`` tau, of the logarithm
    of a positive parameter, and 0 where the rows show no difference between groups; ``kept`` the
    share that each group keeps of its own deviation from the mean, other parameters held.
    """
    groups = problem.law.groups
    assert groups is not None
    names = groups.pooled
    squares = _Restricted(replace(problem, penalty=Penalty("mse")), theta)
    log_strengths = squares.best()
    at, phi = squares.fitted(log_strengths)
    together = log_strengths >= MOST - 0.5
    strengths = squares.strengths(log_strengths)
    between = np.sqrt(phi / strengths)
    levels, by = dict(groups.levels), dict(groups.by)
    kept = [w / (w + lam) for w, lam in zip(squares.weights, strengths, strict=True)]
    if problem.penalty.loss_fn != "mse":
        own = _Restricted(problem, at)
        most = own.strengths(np.full(len(names), MOST))
        strengths = np.where(together, most, dispersion(problem, at) / between**2)
    found = dict(zip(names, strengths.tolist(), strict=True))
    said = {
        name: {
            "strength": strength,
            "between_sd": 0.0 if one else float(sd),
            "kept": dict(zip(levels[by[name]], shares.tolist(), strict=True)),
        }
        for (name, strength), sd, one, shares in zip(
            found.items(), between, together, kept, strict=True
        )
    }
    return replace(problem, prior=prior_of(problem.law, found)), said


def pooling_notes(law: Law, said: Mapping[str, Any]) -> list[str]:
    """What a reader should know of the pooled parameters, one line each."""
    if law.groups is None:
        return []
    notes, by = [], dict(law.groups.by)
    for name, found in said.items():
        kept, column = found["kept"], by[name]
        if not found["between_sd"]:
            notes.append(f"{name}: the rows show no difference between groups of {column}")
            continue
        least, most = min(kept, key=kept.__getitem__), max(kept, key=kept.__getitem__)
        on_log = law.parameters[law.groups.values_of(name).start].scale == "log"
        what = f"log {name}" if on_log else name
        notes.append(
            f"{what} of {len(kept)} groups of {column} scatters by {found['between_sd']:.3g} "
            f"(standard deviation); drawn towards the mean, groups keep {100 * kept[least]:.0f} % "
            f"({least}) to {100 * kept[most]:.0f} % ({most}) of their own deviation"
        )
    return notes


class _Restricted:
    """The restricted likelihood of least squares as a function of the pooled strengths.

    Strengths are given as logarithms over what a group's rows weigh on average. Each fit begins
    where the last one ended and where groups stand alone: strong strengths may lead elsewhere.
    """

    def __init__(self, problem: Problem, theta: Array) -> None:
        groups = problem.law.groups
        assert groups is not None
        self.problem, self.names = problem, groups.pooled
        self.alone: Array = minimise(problem, theta[None])[0][0]
        self.at = self.alone
        _, _, scale = self._derivatives(problem, self.at)
        places = [groups.values_of(name) for name in self.names]
        self.weights = [scale[place] ** 2 for place in places]
        self.sizes = np.array([place.stop - place.start for place in places])
        self.free = problem.bounds[0] < problem.bounds[1]
        n, p = problem.target.shape[-1], int(self.free.sum())
        self.rest = max(n - p + int((self.sizes - 1).sum()), 1)

    def best(self) -> Array:
        """The logarithms of most restricted likelihood."""
        count = len(self.names)
        grid = np.linspace(LEAST, MOST, 12)
        scores = [self.criterion(np.full(count, value)) for value in grid]
        first: Array = np.full(count, grid[int(np.argmin(scores))])
        simplex = first + np.concatenate([np.zeros((1, count)), np.eye(count)])
        found: Array = minimize(
            self.criterion,
            first,
            method="Nelder-Mead",
            options={"xatol": 1e-4, "fatol": 1e-8, "initial_simplex": simplex},
        ).x
        return np.clip(found, LEAST, MOST)

    def strengths(self, logs: Array) -> Array:
        """lambda of each pooled parameter."""
        typical = np.array([weights.mean() for weights in self.weights])
        return typical * np.exp(np.clip(logs, LEAST, MOST))

    def fitted(self, logs: Array) -> tuple[Array, float]:
        """The optimum ``(p,)`` at these strengths, and phi there."""
        found, objectives = minimise(self._with_prior(logs), np.stack([self.alone, self.at]))
        best = int(np.argmin(objectives))
        self.at = found[best]
        return self.at, max(2 * float(objectives[best]), 1e-300) / self.rest

    def criterion(self, logs: Array) -> float:
        """Minus the logarithm of the likelihood, phi at its maximum, up to a constant."""
        theta, phi = self.fitted(logs)
        _, hessian, _ = self._derivatives(self._with_prior(logs), theta)
        volume = np.linalg.slogdet(hessian[np.ix_(self.free, self.free)])[1]
        between = ((self.sizes - 1) * np.log(self.strengths(logs))).sum()
        return float(0.5 * (self.rest * np.log(phi) - between + volume))

    def _with_prior(self, logs: Array) -> Problem:
        strengths = dict(zip(self.names, self.strengths(logs), strict=True))
        return replace(self.problem, prior=prior_of(self.problem.law, strengths))

    def _derivatives(self, problem: Problem, theta: Array) -> tuple[Array, Array, Array]:
        here = theta[None]
        delta = final_delta(problem, 1)
        gradient, hessian, scale = problem.derivatives(here, problem.residuals(here), delta)
        return gradient[0], hessian[0], scale[0]
