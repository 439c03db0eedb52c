"""The forecast and its peers: what each expects of the held-out rows of a split.

All numbers are in the space of errors: the logarithm of what is predicted, or that itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.spatial import cKDTree
from tables import PLANE, Split

from analysis import Bootstrap, Estimand, Fit, Law, fit, forecast
from analysis.forecasts.discrepancy import Places
from analysis.intervals import interval

LEVEL = 0.9
DRAWS, STARTS = 25, 4
SAMPLES = 1000
CURVES, MEAN = ("power_floor", "m3", "m4", "bnsl1"), ("m3", "m4", "bnsl1")
SURFACES = ("chinchilla", "kaplan")
NEIGHBOURS = 3


@dataclass(frozen=True)
class Expected:
    """``centre (n,)``, the ends of its 90 % interval, and draws ``samples (k, n)``."""

    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    samples: np.ndarray


@dataclass(frozen=True)
class Asked:
    """A split as the methods take it; fits that several methods need are made once."""

    split: Split

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(0)

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs of the rows to fit and to predict, ``(n, d)`` each, as logs if positive."""
        train, test = (
            tuple(rows[name].to_numpy(dtype=float) for name in self.split.question.x_cols)
            for rows in (self.split.train, self.split.test)
        )
        whole = Places.of(tuple(np.concatenate(pair) for pair in zip(train, test, strict=True)))
        return whole(train), whole(test)

    def inner(self, values: np.ndarray) -> np.ndarray:
        """Values of what is predicted, in the space of errors."""
        with np.errstate(all="ignore"):
            return np.log(values) if self.split.question.space == "log" else values

    @property
    def target(self) -> np.ndarray:
        """What was measured at the rows to fit ``(n,)``."""
        return self.inner(self.split.train[self.split.question.y_col].to_numpy(dtype=float))

    @cached_property
    def known(self) -> dict[tuple[str, str | None], Fit]:
        return {}

    def fitted(self, law: str | Law, x_col: str | None) -> Fit:
        """``law`` alone, with bootstrap draws."""
        key = (law if isinstance(law, str) else law.name, x_col)
        if key not in self.known:
            question = self.split.question
            estimand = Estimand(space=question.space, x_col=x_col, y_col=question.y_col)
            self.known[key] = fit(
                law, self.split.train, estimand, bootstrap=Bootstrap(DRAWS), starts=STARTS
            )
        return self.known[key]


def methods(asked: Asked) -> dict[str, Callable[[], Expected]]:
    """By name, what can say something of a split; the forecast first."""
    question = asked.split.question
    found = {"forecast": partial(_forecast, asked, "auto", question.x_col)}
    if question.law is not None:
        found["forecast by its law"] = partial(_forecast, asked, question.law, None)
        found["its law alone"] = partial(_laws, asked, (question.law,), None)
    elif len(question.x_cols) == 1:
        found |= {f"{law} alone": partial(_laws, asked, (law,), question.x_col) for law in CURVES}
        found["mean of m3, m4, bnsl1"] = partial(_laws, asked, MEAN, question.x_col)
    else:
        in_plane = question.x_cols == PLANE
        surfaces = SURFACES if in_plane else (*SURFACES, "repeated_data", "overfitting")
        found |= {f"{law} alone": partial(_laws, asked, (law,), None) for law in surfaces}
        found["power law in C"] = partial(_laws, asked, ("power_floor",), "flops")
    found["straight line in logs"] = partial(_line, asked)
    found["nearest neighbours"] = partial(_neighbours, asked)
    return found


def _forecast(asked: Asked, law: str | Law, x_col: str | None) -> Expected:
    """``analysis.forecast``, by the laws that ``auto`` averages or by one."""
    question = asked.split.question
    found = forecast(
        asked.split.train, law, x_col=x_col, y_col=question.y_col,
        estimand=Estimand(space=question.space),
    )  # fmt: skip
    ends = found.predict_ci(asked.split.test, LEVEL)
    centre, samples = found.predict(asked.split.test), found.sample(asked.split.test)
    return Expected(*(asked.inner(x) for x in (centre, *ends, samples)))


def _laws(asked: Asked, laws: tuple[str | Law, ...], x_col: str | None) -> Expected:
    """The mean of fitted laws, with bootstrap draws and residuals as ``Fit.predict_ci`` has."""
    fits = [asked.fitted(law, x_col) for law in laws]
    columns = [asked.split.test[name].to_numpy(dtype=float) for name in fits[0].x_cols]

    def mean(of: Callable[[Fit], np.ndarray]) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.mean([asked.inner(f.law.predict(of(f), *columns)) for f in fits], axis=0)

    free = np.mean([len(f.law.parameters) for f in fits])
    residuals = np.mean([f.residuals for f in fits], axis=0)
    residuals *= np.sqrt(len(residuals) / max(len(residuals) - free, 1.0))
    draws = np.repeat(mean(lambda f: f.draws), SAMPLES // DRAWS, axis=0)
    return _with_residuals(asked, mean(lambda f: f.vector), draws, residuals)


def _line(asked: Asked) -> Expected:
    """Least squares in the inputs' logarithms, with the draws that normal noise gives."""
    at, there = (np.column_stack([np.ones(len(x)), x]) for x in asked.places)
    slopes, _, rank, _ = np.linalg.lstsq(at, asked.target, rcond=None)
    left, freedom = asked.target - at @ slopes, max(len(at) - rank, 1)
    centre = there @ slopes
    noise = np.sqrt(left @ left / asked.rng.chisquare(freedom, (SAMPLES, 1)))
    root = np.linalg.pinv(at)
    strays = asked.rng.standard_normal((SAMPLES, len(at))) @ root.T @ there.T
    samples = centre + noise * (strays + asked.rng.standard_normal((SAMPLES, len(there))))
    return _expected(centre, samples)


def _neighbours(asked: Asked) -> Expected:
    """The mean of the nearest rows, with the errors that it makes on the rows themselves."""
    at, there = asked.places
    unit = np.maximum(at.std(axis=0), 1e-12)
    tree, k = cKDTree(at / unit), min(NEIGHBOURS, len(at) - 1)
    own = tree.query(at / unit, k + 1)[1][:, 1:]
    misses = asked.target[own].mean(axis=1) - asked.target
    near = tree.query(there / unit, k)[1].reshape(len(there), k)
    centre = asked.target[near].mean(axis=1)
    return _with_residuals(asked, centre, np.tile(centre, (SAMPLES, 1)), misses)


def _with_residuals(
    asked: Asked, centre: np.ndarray, draws: np.ndarray, residuals: np.ndarray
) -> Expected:
    return _expected(centre, draws - residuals[asked.rng.integers(0, len(residuals), draws.shape)])


def _expected(centre: np.ndarray, samples: np.ndarray) -> Expected:
    return Expected(centre, *interval(samples, LEVEL), samples)
