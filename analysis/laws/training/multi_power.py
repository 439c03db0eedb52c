"""The multi-power law: the loss at any step of any learning-rate schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack
from analysis.laws.training.schedules import with_schedule_sums

LEAST = 1e-6
"""Share of a curve's highest rate below which a rate counts as that."""

RAMP = 16
"""Steps in which the rise of the rate before a curve's first row is taken."""


def _falls(params: Array, inputs: tuple[Array, ...], derivatives: bool) -> list[Array]:
    """The sum over a curve's falls before each row ``(..., n)``, and its slopes by C, beta, gamma.

    Each set of parameters by itself, so that what is held for it fits a processor's cache.
    """
    each = params.reshape(-1, params.shape[-1])
    out = np.zeros((4 if derivatives else 1, len(each), len(inputs[0])), dtype=params.dtype)
    for rows, size, log_after, since in _pairs(*inputs):
        for i, (c, b, g) in enumerate(each[:, -3:]):
            scaled = c * np.exp(-g * log_after) * since
            log_base = np.log1p(scaled)
            power = np.exp(-b * log_base)
            parts = [1.0 - power]
            if derivatives:
                slope = b * power * scaled / (1.0 + scaled)  # by the logarithm of what is scaled
                parts += [slope / c, power * log_base, -slope * log_after]
            for total, part in zip(out, parts, strict=True):
                total[i] += np.bincount(rows, size * part, minlength=total.shape[1])
    return [total.reshape(*params.shape[:-1], -1) for total in out]


def _pairs(curve: Array, step: Array, lr_sum: Array, lr: Array) -> Iterator[tuple[Any, ...]]:
    """Each row of a curve with each fall before it: the row, the fall's size, ln of the rate after
    it and the sum of rates since.

    Of a fall between two rows the sum of rates tells the step: early, if it grew little.
    """
    for one in np.unique(curve):
        rows = np.flatnonzero(curve == one)
        rows = rows[np.argsort(step[rows], kind="stable")]
        rate, total = lr[rows], lr_sum[rows]
        fall = -np.diff(rate)
        at = np.flatnonzero(fall)
        fall, before, after = fall[at], rate[at], rate[at + 1]
        steps = np.diff(step[rows])[at]
        high = (np.diff(total)[at] - after * steps) / fall  # steps at the rate before
        when = total[at] + before * np.clip(high, 0.0, steps)
        ramp = (np.arange(RAMP) + 0.5) / RAMP
        warmup = 2.0 * (step[rows][0] * rate[0] - total[0])  # rate times steps of a straight rise
        fall = np.concatenate([np.full(RAMP, -rate[0] / RAMP), fall])
        after = np.concatenate([ramp * rate[0], after])
        when = np.concatenate([0.5 * np.clip(warmup, 0.0, 2 * total[0]) * ramp**2, when])
        at = np.concatenate([np.full(RAMP, -1), at])
        later, which = np.nonzero(np.arange(len(rows))[:, None] > at)
        since = np.maximum(total[later] - when[which], 0.0)
        log_after = np.log(np.maximum(after, LEAST * rate.max()))  # schedules may end at 0
        yield rows[later], fall[which], log_after[which], since


def _predict(params: Array, *inputs: Array) -> Array:
    low, a, big_b, alpha, *_ = columns(params)
    (falls,) = _falls(params, inputs, False)
    return low + a * np.exp(-alpha * np.log(inputs[2])) - big_b * falls


def _gradient(params: Array, *inputs: Array) -> Array:
    _, a, big_b, alpha, *_ = columns(params)
    falls, by_c, by_b, by_g = _falls(params, inputs, True)
    log_sum = np.log(inputs[2])
    term = np.exp(-alpha * log_sum)
    slopes = (-big_b * by_c, -big_b * by_b, -big_b * by_g)
    return stack(1.0, term, -falls, -a * log_sum * term, *slopes)


def _constants(*values: float) -> dict[str, float]:
    return dict(zip(("L_0", "A", "alpha", "B", "C", "beta", "gamma"), values, strict=True))


MULTI_POWER = Law(
    name="multi_power",
    formula="L = L_0 + A / S^alpha - B * sum_k((lr_(k-1) - lr_k) * (1 - (C * lr_k^(-gamma) * S_k"
    " + 1)^(-beta)))",
    latex=r"L(t) = L_0 + A\,S_1(t)^{-\alpha} - B \sum_{k \le t} (\eta_{k-1} - \eta_k)"
    r"\left(1 - (C\,\eta_k^{-\gamma} S_k(t) + 1)^{-\beta}\right)",
    source="Luo et al. 2025 (arXiv 2503.12811), eq. 1; S the sum of learning rates to step t, S_k "
    "from step k to t",
    parameters=(
        Parameter("L_0", "loss of endless training at one rate", 0.0, 1e6, unit="nats/token",
                  scale="linear", role="floor"),
        Parameter("A", "size of the forward term at S = 1", 1e-10, 1e8, unit="nats/token"),
        Parameter("B", "what a unit of the rate's fall takes off in the end", 1e-10, 1e10),
        Parameter("alpha", "exponent of the sum of learning rates", 1e-3, 5.0, (0.3, 1.0)),
        Parameter("C", "how soon a fall of the rate is felt", 1e-6, 1e6, (0.1, 30.0)),
        Parameter("beta", "exponent of the saturation of a fall", 1e-2, 10.0, (0.3, 1.0)),
        Parameter("gamma", "exponent of the rate after a fall", 1e-3, 5.0, (0.3, 1.0)),
    ),
    inputs=("curve", "step", "lr_sum", "lr"),
    predict=_predict,
    gradient=_gradient,
    linear=("L_0", "A", "B"),
    derive=with_schedule_sums,
    assumes="rows of one curve, taken together, tell its schedule after warm-up; the same model, "
    "data and batch size in all curves",
    published={
        "luo_25m": _constants(3.040, 0.525, 0.508, 363.8, 2.066, 0.583, 0.641),
        "luo_100m": _constants(2.651, 0.601, 0.453, 437.9, 2.132, 0.598, 0.655),
        "luo_400m": _constants(2.375, 0.654, 0.429, 523.4, 2.025, 0.594, 0.635),
    },
)  # fmt: skip
