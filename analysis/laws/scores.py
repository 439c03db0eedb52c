"""Laws of scores between 0 and 1 that rise with size, in any number of inputs, for ``auto``.

    logistic        y = 1 / (1 + exp(-(c + sum_i a_i h_i)))
    logistic_floor  y = b + (1 - b) / (1 + exp(-(c + sum_i a_i h_i))), b what guessing gets

h_i as in ``any_inputs``. Accuracies as sigmoids of a linear predictor: Owen 2024 (arXiv
2401.04757); Ruan et al. 2024 (arXiv 2405.10938).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.laws.any_inputs import acting, exponents
from analysis.laws.base import Array, Law, Parameter

SOURCE = "Owen 2024 (arXiv 2401.04757); Ruan et al. 2024 (arXiv 2405.10938)"


def score_laws(inputs: Sequence[str], logs: Sequence[bool], output: str) -> tuple[Law, ...]:
    """The laws of this file in ``inputs``, of which ``logs`` says which act by their logarithm."""
    return tuple(_logistic(tuple(inputs), tuple(logs), output, floor) for floor in (False, True))


def _logistic(inputs: tuple[str, ...], logs: tuple[bool, ...], output: str, floor: bool) -> Law:
    """Parameters: c, the slopes, then b where there is a floor."""
    n = 1 + len(inputs)

    def parts(params: Array, arrays: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        h = acting(arrays, logs)
        share = 1 / (1 + np.exp(-(params[..., :1] + params[..., 1:n] @ h)))
        least = params[..., n:] if floor else np.zeros_like(params[..., :1])
        return h, share, least

    def predict(params: Array, *arrays: Array) -> Array:
        _, share, least = parts(params, arrays)
        return np.asarray(least + (1 - least) * share)

    def gradient(params: Array, *arrays: Array) -> Array:
        h, share, least = parts(params, arrays)
        slope = ((1 - least) * share * (1 - share))[..., None, :]
        own = (1 - share)[..., None, :]
        return np.concatenate([slope, slope * h, *([own] if floor else [])], axis=-2)

    def rescale(params: Array, units: Array) -> Array:
        out = params.copy()
        for i, log in enumerate(logs):
            if log:
                out[..., 0] += params[..., 1 + i] * np.log(units[i])
            else:
                out[..., 1 + i] *= units[i]
        return out

    level = Parameter("c", "logit of the score where all inputs are 1", -1e3, 1e3, (-3.0, 3.0),
                      scale="linear")  # fmt: skip
    least = Parameter("b", "what guessing gets", 0.0, 0.99, (0.02, 0.5), scale="linear")
    acts = [f"a_{x} * {f'log({x})' if log else x}" for x, log in zip(inputs, logs, strict=True)]
    share = f"1 / (1 + exp(-(c + {' + '.join(acts)})))"
    formula = f"y = b + (1 - b) * {share}" if floor else f"y = {share}"
    return Law(
        name="logistic_floor" if floor else "logistic", formula=formula, latex=formula,
        source=SOURCE, parameters=(level, *exponents(inputs), *([least] if floor else [])),
        inputs=inputs, predict=predict, gradient=gradient, rescale=rescale, output=output,
        space="linear", within=(0.0, 1.0),
    )  # fmt: skip
