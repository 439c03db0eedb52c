"""Batch size: the critical one by loss, and what a batch costs in steps and in data."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Parameter
from analysis.laws.chinchilla import ALPHA, BETA, A, B, E
from analysis.laws.named import named_law


def _in_other_losses(params: Array, units: Array) -> Array:
    out = params.copy()
    out[..., 0] *= np.exp(-np.log(units[0]) / params[..., 1])
    return out


CRITICAL_BATCH = named_law(
    name="critical_batch",
    formula="B = B_star / L^(1 / alpha_B)",
    latex=r"B_{\mathrm{crit}} = \frac{B^{*}}{L^{1/\alpha_B}}",
    source="Kaplan et al. 2020 (arXiv 2001.08361), eq. 1.4: B_star 2e8 tokens, alpha_B 0.21",
    inputs={"L": "loss"},
    parameters=(
        Parameter(
            "B_star",
            "critical batch size at a loss of 1",
            1e-12,
            1e15,
            unit="tokens",
            symbol="B^{*}",
        ),
        Parameter("alpha_B", "exponent", 1e-2, 10.0, (0.05, 2.0)),
    ),
    rescale=_in_other_losses,
    output="critical_batch_size",
    published={"kaplan": {"B_star": 2e8, "alpha_B": 0.21}},
)

BATCH_STEPS = named_law(
    name="batch_steps",
    formula="S = S_min * (1 + B_crit / B)",
    latex=r"S = S_{\mathrm{min}}\left(1 + \frac{B_{\mathrm{crit}}}{B}\right)",
    source="McCandlish et al. 2018 (arXiv 1812.06162), eq. 2.11: steps to one loss by batch size; "
    "with E = B S it is (S / S_min - 1) (E / E_min - 1) = 1, E_min = B_crit S_min",
    inputs={"B": "batch_size"},
    parameters=(
        Parameter("S_min", "steps with endless batches", 1e-6, 1e15, unit="steps"),
        Parameter("B_crit", "critical batch size: twice the least steps and data", 1e-12, 1e15,
                  (1e-2, 1e2), unit="as batch_size"),
    ),
    units={"B_crit": {"B": -1.0}},
    output="num_steps",
)  # fmt: skip

BATCH_DATA = named_law(
    name="batch_data",
    formula="L = E + A / N^alpha + B * (1 + S / B_crit)^beta / D^beta",
    latex=r"L = E + \frac{A}{N^{\alpha}} + B \left(\frac{1 + S / B_{\mathrm{crit}}}{D}"
    r"\right)^{\beta}",
    source="Hoffmann et al. 2022 (arXiv 2203.15556), eq. 2, at D / (1 + S / B_crit): the data that "
    "a batch of S is worth, McCandlish et al. 2018 (arXiv 1812.06162), eq. 2.11",
    inputs={"N": "num_params", "D": "num_tokens", "S": "batch_size"},
    parameters=(
        E,
        A,
        B,
        ALPHA,
        BETA,
        Parameter("B_crit", "batch size at which data are worth half", 1e-12, 1e15, (1e-2, 1e2),
                  unit="as batch_size"),
    ),
    units={"A": {"N": "-alpha"}, "B": {"D": "-beta"}, "B_crit": {"S": -1.0}},
)  # fmt: skip
