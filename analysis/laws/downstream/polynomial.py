"""Polynomials in log compute: metrics that fall before they rise, U-shaped."""

from __future__ import annotations

from math import comb

import numpy as np

from analysis.laws.base import Array, Law, Parameter


def _polynomial(degree: int) -> Law:
    """The law of that degree, c_0 + c_1 x + ... with x the natural logarithm of the input."""
    powers = np.arange(degree + 1)[:, None]
    text = ["c_0", "c_1 * log(x)", *(f"c_{k} * log(x)^{k}" for k in range(2, degree + 1))]
    latex = ["c_0", r"c_1 \ln x", *(rf"c_{k} \ln^{k} x" for k in range(2, degree + 1))]

    def gradient(params: Array, x: Array) -> Array:
        terms: Array = np.log(x) ** powers
        return np.broadcast_to(terms, (*params.shape, len(x))).copy()

    def rescale(params: Array, units: Array) -> Array:
        shift = float(np.log(units[0]))
        moved = [
            [comb(k, j) * shift ** (k - j) if j <= k else 0.0 for k in range(degree + 1)]
            for j in range(degree + 1)
        ]
        return np.asarray(params @ np.array(moved).T)

    return Law(
        name=f"polynomial{degree}",
        formula="y = " + " + ".join(text),
        latex="y = " + " + ".join(latex),
        source="Wu and Lo 2024 (arXiv 2410.01692), Slice-and-Sandwich: degree 5 for easy "
        "questions, 2 for hard ones",
        parameters=tuple(
            Parameter(f"c_{k}", f"coefficient of log(x)^{k}", -1e12, 1e12, scale="linear")
            for k in range(degree + 1)
        ),
        inputs=("flops",),
        predict=lambda params, x: np.asarray(params @ np.log(x) ** powers),
        gradient=gradient,
        rescale=rescale,
        linear=tuple(f"c_{k}" for k in range(degree + 1)),
        space="linear",
        column_units={"loss": ""},  # any metric
    )


POLYNOMIAL2, POLYNOMIAL3, POLYNOMIAL5 = _polynomial(2), _polynomial(3), _polynomial(5)
