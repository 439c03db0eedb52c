"""Broken neural scaling laws: a power law with smooth breaks."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np

from analysis.laws.base import Array, Law, Parameter, columns, stack
from analysis.laws.log_add import log_add


def _log_excess(params: Array, x: Array) -> tuple[Array, list[tuple[Array, ...]]]:
    """ln((L - a) / b), and per break c, d, f, w = ln(x/d)/f, ln(1 + e^w) and 1/(1 + e^-w)."""
    _, _, c0, *rest = columns(params)
    log_x = np.log(x)
    value = -c0 * log_x
    breaks: list[tuple[Array, ...]] = []
    for c, d, f in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        w = (log_x - np.log(d)) / f
        soft = log_add(0.0, w)
        value = value - c * f * soft
        breaks.append((c, d, f, w, soft, np.exp(w - soft)))
    return value, breaks


def _predict(params: Array, x: Array) -> Array:
    a, b, *_ = columns(params)
    return a + b * np.exp(_log_excess(params, x)[0])


def _gradient(params: Array, x: Array) -> Array:
    _, b, *_ = columns(params)
    value, breaks = _log_excess(params, x)
    share = np.exp(value)
    rows = [np.ones_like(share), share, -b * share * np.log(x)]
    for c, d, f, w, soft, above in breaks:
        rows += [
            -b * share * f * soft,
            b * share * c * above / d,
            b * share * c * (w * above - soft),
        ]
    return stack(*rows)


def _curvature(params: Array, jacobian: Array, v: Array, x: Array) -> Array:
    """With L = a + S, S = b exp(value): S_ij = S_i S_j / S + S value_ij, and S_bb = 0."""
    _, b, *_ = columns(params)
    value, breaks = _log_excess(params, x)
    size = b * np.exp(value)
    out = np.zeros((*params.shape, params.shape[-1]))
    weighted = jacobian[..., 1:, :] * (v / np.maximum(size, 1e-300))[..., None, :]
    out[..., 1:, 1:] = np.matmul(weighted, jacobian[..., 1:, :].swapaxes(-1, -2))
    out[..., 1, 1] = 0.0
    pull = v * size
    for k, (c, d, f, w, soft, above) in enumerate(breaks):
        turn = above * (1.0 - above) / f
        second = {
            (0, 1): above / d,
            (0, 2): w * above - soft,
            (1, 1): -c * (above + turn) / d**2,
            (1, 2): -c * turn * w / d,
            (2, 2): -c * turn * w**2,
        }
        for (i, j), term in second.items():
            added = np.sum(pull * term, axis=-1)
            out[..., 3 + 3 * k + i, 3 + 3 * k + j] += added
            if i != j:
                out[..., 3 + 3 * k + j, 3 + 3 * k + i] += added
    return out


def _rescale(params: Array, units: Array) -> Array:
    out = params.copy()
    out[..., 1] *= units[0] ** -params[..., 2]
    out[..., 4::3] /= units[0]
    return out


def _starts(observed: Array, x: Array, breaks: int) -> Array:
    """For given a, d and f, ln(L - a) is linear in ln b and every c; breaks between quantiles."""
    log_x = np.log(x)
    places = np.quantile(log_x, np.linspace(0.1, 0.9, max(breaks + 2, 5)))
    rows = []
    for a in observed.min() * np.array([0.0, 0.5, 0.9]):
        target = np.log(observed - a)
        for where in combinations(places, breaks):
            for f in (0.2, 1.0) if breaks else (1.0,):
                soft = [f * np.logaddexp(0.0, (log_x - d) / f) for d in where]
                design = np.stack([np.ones_like(log_x), -log_x, *(-s for s in soft)], axis=1)
                solution = np.linalg.lstsq(design, target)[0]
                row = [a, np.exp(solution[0]), solution[1]]
                for c, d in zip(solution[2:], where, strict=True):
                    row += [c, np.exp(d), f]
                rows.append(row)
    return np.array(rows)


def _law(breaks: int) -> Law:
    parameters = [
        Parameter(
            "a", "loss at infinite x", 0.0, 1e6, unit="as loss", scale="linear", role="floor"
        ),
        Parameter("b", "size at x = 1", 1e-8, 1e8, unit="as loss"),
        Parameter("c0", "exponent before the first break", -5.0, 10.0, (0.0, 1.0), scale="linear"),
    ]
    formula, latex = "L = a + b * x^(-c0)", r"L = a + b\,x^{-c_0}"
    for i in range(1, breaks + 1):
        parameters += [
            Parameter(
                f"c{i}", f"change of exponent at break {i}", -5.0, 10.0, (-0.5, 1.0), scale="linear"
            ),
            Parameter(f"d{i}", f"place of break {i}", 1e-4, 1e4, (0.1, 10.0), unit="as x"),
            Parameter(f"f{i}", f"width of break {i} in ln x", 1e-2, 10.0, (0.1, 2.0)),
        ]
        formula += f" * (1 + (x/d{i})^(1/f{i}))^(-c{i} * f{i})"
        latex += rf"\left(1 + (x/d_{i})^{{1/f_{i}}}\right)^{{-c_{i} f_{i}}}"
    return Law(
        name=f"bnsl{breaks}",
        formula=formula,
        latex=latex,
        source="Caballero et al. 2023 (arXiv 2210.14891), eq. 1",
        parameters=tuple(parameters),
        inputs=("num_params",),
        predict=_predict,
        gradient=_gradient,
        curvature=_curvature,
        rescale=_rescale,
        linear=("a", "b"),
        starts=partial(_starts, breaks=breaks),
        assumes="smooth breaks between power laws, and a floor",
    )


BNSL0, BNSL1, BNSL2, BNSL3 = (_law(breaks) for breaks in range(4))
