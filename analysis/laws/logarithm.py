"""A law that is stated for the logarithm of what it predicts: ``log(L) = a + b log(N)``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.laws.base import Array, Law


def law_of_log(law: Law) -> Law:
    """The law of y whose logarithm ``law`` predicts; ``Law.of_log`` keeps ``law``.

    Residuals in log space are then those of ``law`` itself, and what is linear in it is
    projected out: a log-linear law is fitted by linear least squares.
    """

    def predict(params: Array, *inputs: Array) -> Array:
        with np.errstate(over="ignore"):  # a start may lie anywhere
            return np.exp(law.predict(params, *inputs))

    def gradient(params: Array, *inputs: Array) -> Array:
        with np.errstate(all="ignore"):
            return predict(params, *inputs)[..., None, :] * law.gradient(params, *inputs)

    groups = law.groups and replace(law.groups, law=law_of_log(law.groups.law))
    return replace(
        law,
        predict=predict,
        gradient=gradient,
        curvature=None,
        linear=(),
        space="log",
        of_log=law,
        groups=groups,
    )
