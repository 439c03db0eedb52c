"""The critical batch size by the loss."""

from __future__ import annotations

import numpy as np

from analysis.laws.base import Array, Parameter
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
    column_units={"critical_batch_size": "tokens"},
    published={"kaplan": {"B_star": 2e8, "alpha_B": 0.21}},
)
